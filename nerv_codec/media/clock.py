"""Frame times that can be relied on: none is missing, and each is later than the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.video.frame import VideoFrame

from nerv_codec.base.video import DEFAULT_RATE

_UNNOTICED_GAP_SECONDS = 1.0
"""Where pictures end so much before the file says it does, frames are probably missing."""


def mended(
    frames: Iterable[VideoFrame],
    time_base: Fraction,
    frame_rate: Fraction | None,
    duration_seconds: float | None,
    notes: Counter[str],
) -> Iterator[VideoFrame]:
    """Yields all frames, with a pts made up where it is missing or does not increase.

    Args:
        frames: In presentation order.
        time_base: Seconds per unit of their pts.
        frame_rate: Of the video, where it is known.
        duration_seconds: How long it should be, likewise.
        notes: Told how many times were mended, and at the end what seems to be missing.
    """
    step = max(1, round(1 / ((frame_rate or DEFAULT_RATE) * time_base)))
    first: int | None = None
    last: int | None = None
    for frame in frames:
        pts = frame.pts
        if pts is None:
            pts = 0 if last is None else last + step
        elif last is not None and pts <= last:
            notes["frames whose time did not increase, moved: {}"] += 1
            pts = last + step
        first = pts if first is None else first
        frame.pts = last = pts
        yield frame
    if duration_seconds and first is not None and last is not None:
        gap = duration_seconds - float((last + step - first) * time_base)
        if gap > _UNNOTICED_GAP_SECONDS:
            missing = round(gap / float(step * time_base))
            notes[f"pictures end {gap:.1f} s before the file says: about {missing} frames lost"] += 1
