"""Which frames of a video are wanted: a part of it, by time or by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Protocol, TypeVar

from nerv_codec.base.moments import exact_seconds


class Timed(Protocol):
    """Anything that has a time."""

    pts: int


_Frame = TypeVar("_Frame", bound=Timed)


@dataclass(frozen=True)
class Part:
    """The frames within all given bounds, each of them seconds since the first frame (float) or a number (int)."""

    start: float | int | None = None
    """The first one: frames shown from then on are kept."""
    end: float | int | None = None
    """Where to stop, not included."""
    frames: int | None = None
    """How many at most."""

    def select(self, frames: Iterable[_Frame], time_base: Fraction) -> Iterator[tuple[int, _Frame]]:
        """Yields (number, frame), and stops reading at the first one past the part.

        Args:
            frames: In presentation order.
            time_base: Seconds per unit of their pts.
        """
        begin, stop = _ticks(self.start, time_base), _ticks(self.end, time_base)
        first_number = self.start if isinstance(self.start, int) else 0
        end_number = self.end if isinstance(self.end, int) else None
        origin, kept = None, 0
        for number, frame in enumerate(frames):
            origin = frame.pts if origin is None else origin
            pts = frame.pts - origin
            past = (end_number is not None and number >= end_number) or (stop is not None and pts >= stop)
            if past or (self.frames is not None and kept >= self.frames):
                return
            if number >= first_number and pts >= (begin or 0):
                kept += 1
                yield number, frame


def _ticks(place: float | int | None, time_base: Fraction) -> int | None:
    """The first pts at or after a time, which may have lost a little in floating point. None for a number."""
    if not isinstance(place, float):
        return None
    return ceil(exact_seconds(place, [round(Fraction(place) / time_base) * time_base]) / time_base)
