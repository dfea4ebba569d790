"""The part of a video that is wanted, by time or by frame number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Protocol, TypeVar

from nerv_codec.base.errors import UsageError
from nerv_codec.base.moments import exact_seconds, time_or_number


class Timed(Protocol):
    """Anything that has a presentation time."""

    @property
    def pts(self) -> int | None:
        """The time; None counts as 0."""


_Frame = TypeVar("_Frame", bound=Timed)


@dataclass(frozen=True)
class Part:
    """Bounds on frames, all of which hold; a bound is seconds since the first frame (float) or a frame number (int)."""

    start: float | int | None = None
    """Where to begin: frames shown from there on are wanted."""
    end: float | int | None = None
    """Where to stop, not included."""
    frames: int | None = None
    """How many frames are wanted at most."""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if (where := getattr(self, name)) is not None:
                object.__setattr__(self, name, time_or_number(where))
                if where < 0:
                    raise UsageError(f"expected {name} to be 0 or later, found {where}")

    def select(self, frames: Iterable[_Frame], time_base: Fraction) -> Iterator[tuple[int, _Frame]]:
        """Yields (number, frame) of the frames that are wanted, and reads no further than the first one behind them.

        Args:
            frames: In presentation order.
            time_base: Seconds per unit of their pts.
        """
        begin, stop = _ticks(self.start, time_base), _ticks(self.end, time_base)
        first_number = self.start if isinstance(self.start, int) else 0
        end_number = self.end if isinstance(self.end, int) else None
        origin, kept = None, 0
        for number, frame in enumerate(frames):
            shown = frame.pts or 0
            origin = shown if origin is None else origin
            pts = shown - origin
            past = (end_number is not None and number >= end_number) or (stop is not None and pts >= stop)
            if past or (self.frames is not None and kept >= self.frames):
                return
            if number >= first_number and pts >= (begin or 0):
                kept += 1
                yield number, frame


def _ticks(place: float | int | None, time_base: Fraction) -> int | None:
    """Returns the first pts at or after a time, which may have lost a little in floating point; None for a number."""
    if not isinstance(place, float):
        return None
    return ceil(exact_seconds(place, [round(Fraction(place) / time_base) * time_base]) / time_base)
