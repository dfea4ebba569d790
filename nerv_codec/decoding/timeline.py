"""Seconds to (GOP, frames since its first): how a clock finds its way into the functions of a file."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import SupportsFloat

from nerv_codec.base.errors import CoordinateRangeError, UsageError
from nerv_codec.base.moments import exact_seconds
from nerv_codec.bitstream.headers import StreamHeader

MAX_RATE = 10_000
_COARSE_TICKS = 8
"""Frames closer than this many units of the time base have times that are meant to the unit."""
_FLOAT_ERROR = Fraction(1, 1_000_000)
"""How far, in units of the time base, a time may be off that went through floating point."""


@dataclass(frozen=True)
class Timeline:
    """The frame times and the GOPs of one file. All seconds are exact rationals."""

    header: StreamHeader

    @property
    def begin(self) -> Fraction:
        """When the first frame is shown, in seconds."""
        return self._seconds(self.header.pts[0])

    @property
    def last(self) -> Fraction:
        """When the last frame begins to be shown: the end of what W was fitted on."""
        return self._seconds(self.header.pts[-1])

    @property
    def end(self) -> Fraction:
        """When the last frame ends to be shown."""
        return self._seconds(self.header.pts[-1] + self.header.last_duration)

    @property
    def average_rate(self) -> Fraction:
        """Frames a second over the whole file."""
        return len(self.header.pts) / (self.end - self.begin)

    def frame_seconds(self, index: int) -> Fraction:
        """When frame ``index`` begins to be shown."""
        return self._seconds(self.header.pts[index])

    def frame_duration(self, index: int) -> Fraction:
        """How long frame ``index`` is shown."""
        following = self.frame_seconds(index + 1) if index + 1 < len(self.header.pts) else self.end
        return following - self.frame_seconds(index)

    def frame_at(self, seconds: Fraction) -> int:
        """The frame that is on the screen at ``seconds``. Raises CoordinateRangeError outside the video."""
        if not self.begin <= seconds < self.end:
            raise CoordinateRangeError(
                f"expected a time in {float(self.begin):g}..{float(self.end):g} s, found {float(seconds):g} s"
            )
        return bisect.bisect_right(self.header.pts, seconds / self.header.info.time_base) - 1

    def moment(self, seconds: SupportsFloat, *, origin: Fraction = Fraction(0)) -> Fraction:
        """The exact time that a number of seconds means: a frame's own where it is one, see ``base.moments``.

        Args:
            seconds: On the file's clock, or since ``origin``. Also outside of the video.
            origin: What they count from.

        Raises:
            UsageError: It is no finite number.
        """
        plain = exact_seconds(seconds, origin=origin)
        after = bisect.bisect_right(self.header.pts, plain / self.header.info.time_base)
        near = range(max(0, after - 1), min(after + 1, len(self.header.pts)))
        return exact_seconds(seconds, [*(self.frame_seconds(index) for index in near), self.end], origin)

    def position(self, seconds: Fraction, *, exact: bool = False) -> Fraction:
        """The real-valued frame number at ``seconds``, linear between the frames' times.

        A time within one unit of the time base of a frame's own is that frame's: containers round times to
        that unit, and a clock at the source's rate must meet the source's frames. Behind the last frame's
        time the last frame holds.

        Args:
            seconds: ``begin`` up to, but not including, ``end``.
            exact: Take the time as it is, but for what floating point does to it.

        Raises:
            CoordinateRangeError: ``seconds`` is not within the video.
        """
        index = self.frame_at(seconds)
        pts = self.header.pts
        if index + 1 == len(pts):
            return Fraction(index)
        ticks = seconds / self.header.info.time_base
        gap = pts[index + 1] - pts[index]
        past = ticks - pts[index]
        tolerance = _FLOAT_ERROR if exact or gap <= _COARSE_TICKS else 1
        if past <= tolerance:
            return Fraction(index)
        if gap - past <= tolerance:
            return Fraction(index + 1)
        return index + past / gap

    def locate(self, position: Fraction) -> tuple[int, float]:
        """The GOP that holds a frame number, and the frames since that GOP's first.

        A frame that two GOPs share is taken from the one that it ends. Between two scenes the last frame of
        the first one holds: nothing is blended across a cut.
        """
        starts = self.header.first_frames
        gop = bisect.bisect_right(starts, position) - 1
        if position == starts[gop] and self.header.gops[gop].shares_first:
            gop -= 1
        return gop, min(float(position - starts[gop]), self.header.gops[gop].num_frames - 1.0)

    def count_ticks(self, start: Fraction, stop: Fraction, fps: Fraction) -> int:
        """How many of start, start + 1/fps, ... come before ``stop``; at least one.

        The end of the video is the sum of two rounded numbers, the last time and the last duration: a tick less
        than two units from it is not before it.
        """
        if stop == self.end and self.header.last_duration > _COARSE_TICKS:
            stop -= 2 * self.header.info.time_base
        return max(1, math.ceil((stop - start) * fps))

    def _seconds(self, pts: int) -> Fraction:
        return pts * self.header.info.time_base


def exact_rate(fps: Fraction | float) -> Fraction:
    """A frame rate as a ratio; 59.94 means 2997/50, not the double next to it. Raises UsageError."""
    if isinstance(fps, str) or not 0 < fps <= MAX_RATE:
        found = repr(fps) if isinstance(fps, str) else f"{float(fps):g}"
        raise UsageError(f"expected a frame rate in (0, {MAX_RATE}], found {found}")
    exact = fps if isinstance(fps, Fraction) else Fraction(float(fps))
    return exact.limit_denominator(100_000) or Fraction(1, 100_000)
