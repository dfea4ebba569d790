"""Frame times that can be relied on: none is missing, and each is later than the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from av.video.frame import VideoFrame

from nerv_codec.base.video import DEFAULT_RATE

_UNNOTICED_GAP_SECONDS = 1.0
"""Where pictures end so much before their track says it does, frames are probably missing."""
_MOST_IN_CONFLICT = 16
"""Frames with one time that are held until a later time comes."""


def mended(
    frames: Iterable[VideoFrame],
    time_base: Fraction,
    frame_rate: Fraction | None,
    duration_seconds: float | None,
    notes: Counter[str],
) -> Iterator[VideoFrame]:
    """Yields all frames, each with a pts that is greater than that of the frame before.

    A missing time is made up from the frame rate. Of frames with one time, or with times that go back, the last one
    keeps the time and those before move into the gap in front of it, so that what comes later stays where it is.

    Args:
        frames: In presentation order.
        time_base: Seconds per unit of their pts.
        frame_rate: Frames per second, where it is known.
        duration_seconds: How long the track says that its pictures last, None where it does not.
        notes: Told how many times were mended, and at the end what seems to be missing.
    """
    step = max(1, round(1 / ((frame_rate or DEFAULT_RATE) * time_base)))
    held: list[VideoFrame] = []
    latest: int | None = None
    last: int | None = None
    first: int | None = None
    for frame in frames:
        if frame.pts is None:
            frame.pts = 0 if latest is None else latest + step
        if latest is not None and held and (frame.pts > latest or len(held) == _MOST_IN_CONFLICT):
            yield from _placed(held, last, latest, frame.pts if frame.pts > latest else None, step, notes)
            last = held[-1].pts
            first = held[0].pts if first is None else first
            held = []
        latest = frame.pts if not held or latest is None else max(latest, frame.pts)
        if last is not None:
            latest = max(latest, last)
        held.append(frame)
    if latest is None:
        return
    yield from _placed(held, last, latest, None, step, notes)
    first = held[0].pts if first is None else first
    if duration_seconds and first is not None:
        end = (held[-1].pts or 0) + step
        # Matroska's statement is the time of the end, MP4's the time from the first picture on.
        gap = duration_seconds - float((end - min(first, 0)) * time_base)
        if gap > _UNNOTICED_GAP_SECONDS:
            missing = round(gap / float(step * time_base))
            notes[f"pictures end {gap:.1f} s before the file says: about {missing} frames lost"] += 1


def even(frames: Iterable[VideoFrame], time_base: Fraction, frame_rate: Fraction) -> Iterator[VideoFrame]:
    """Yields all frames with their pts in units of 1 / ``frame_rate``, for a unit that is longer than a frame lasts.

    A time that is rounded to such a unit says when a frame is shown only up to a unit; within that, frames follow each
    other evenly.

    Args:
        frames: In presentation order.
        time_base: Seconds per unit of their pts.
        frame_rate: Frames per second, more than 1 / ``time_base``.
    """
    tolerance = time_base * frame_rate
    last: int | None = None
    for frame in frames:
        stated = None if frame.pts is None else round(frame.pts * tolerance)
        if last is not None and (stated is None or abs(stated - last - 1) <= tolerance):
            stated = last + 1
        frame.pts = last = stated or 0
        frame.duration, frame.time_base = 1, 1 / frame_rate
        yield frame


def _placed(
    held: Sequence[VideoFrame], last: int | None, latest: int, following: int | None, step: int, notes: Counter[str]
) -> Sequence[VideoFrame]:
    """Returns frames that claim to be shown at one time, ``latest``, with a time for each.

    Args:
        held: The frames, at least one.
        last: The time of the frame before, if there is one.
        latest: The greatest time that one of them claims.
        following: The time of the frame after, if there is one.
        step: A frame's usual duration.
        notes: Told how many were moved.
    """
    count = len(held)
    if count == 1 and (last is None or latest > last):
        held[0].pts = latest
        return held
    if last is not None and latest - last >= count:
        times = [last + (latest - last) * number // count for number in range(1, count + 1)]
    else:
        start = latest if last is None else max(latest, last + 1)
        room = step * count if following is None else following - start
        spacing = max(1, min(step, room // count))
        times = [start + spacing * number for number in range(count)]
    notes["frames whose time did not increase, moved: {}"] += sum(
        frame.pts != time for frame, time in zip(held, times, strict=True)
    )
    for frame, time in zip(held, times, strict=True):
        frame.pts = time
    return held
