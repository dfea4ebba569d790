"""Decoding a whole ``.nvc`` to an ordinary video, at any frame rate and size."""

from __future__ import annotations

import bisect
import dataclasses
import math
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from nerv_codec.base.background import write_behind
from nerv_codec.base.errors import BitstreamError, UsageError
from nerv_codec.base.moments import time_or_number
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.base.video import PlanarFrame, Plane
from nerv_codec.decoding.output_name import atomic_target, check_target, choose_format, default_target, is_one_picture
from nerv_codec.decoding.timeline import Timeline, exact_rate
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.media.writer import Format, open_writer
from nerv_codec.representations.rendering import View, check_size, scaled_size, view_info

MAX_PICTURES = 1 << 24
"""What one call writes at the most, so that a header's absurd times cannot fill a disk."""
_WAITING_PICTURES = 2
"""Made but not written yet."""


@dataclass(frozen=True)
class DecodeReport:
    """What a whole-file decode did."""

    target: str
    """The file or folder, or the name of the stream."""
    num_frames: int
    width: int
    height: int
    seconds: float
    """Wall time."""
    warnings: tuple[str, ...] = ()
    """What the output cannot hold, and what ``keep_going`` had to fill."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON report."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Picture:
    """One entry of the output's schedule."""

    position: Fraction
    """Frame number, real-valued."""
    seconds: Fraction
    """When it is shown."""
    duration: Fraction
    """How long, in seconds."""

    def frame(self, planes: tuple[Plane, ...], time_base: Fraction) -> PlanarFrame:
        """The picture with its times in ``time_base``, which they fit but where --fps starts between ticks."""
        pts = math.floor(self.seconds / time_base + Fraction(1, 2))  # round() would put two halves together
        return PlanarFrame(planes, pts, round(self.duration / time_base))


@dataclass(frozen=True)
class _Schedule:
    """Which pictures are written; a long one is not held in memory."""

    length: int
    picture: Callable[[int], _Picture]
    """The picture of index 0..length-1."""


def decode(
    source: str | Path,
    target: str | Path | BinaryIO | None = None,
    *,
    fps: Fraction | float | None = None,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    format: Format | None = None,
    device: str = "auto",
    overwrite: bool = False,
    audio: bool = True,
    keep_going: bool = False,
    progress: ProgressSink = ignore_progress,
) -> DecodeReport:
    """Decodes a ``.nvc`` to an ordinary video.

    Args:
        source: The ``.nvc``.
        target: A file; for ``png`` one of one frame where the name ends in ``.png``, several where it has a
            number as ``zoom_%04d.png`` has, else a folder of them; or a binary stream for ``y4m`` and ``md5``. Where
            it is not given, a name is made from the source's and what is asked for, as ``clip.60fps.x2.mp4``.
        fps: Frames a second on a uniform clock from the first frame; None gives the source's own times.
        scale: Size against the source's; or give ``size``, (width, height).
        crop: (width, height, left, top) in pixels of the picture after scaling.
        start: Where to begin: seconds since the first frame (float), or a frame number (int).
        end: Where to stop, not included: seconds since the first frame (float), or a frame number (int).
        format: Taken from the target's suffix where it is not given.
        device: Where the network is evaluated: ``auto``, ``cpu``, ``cuda`` ...
        overwrite: Whether an existing target may be replaced.
        audio: Whether sound, subtitles, chapters and tags go into ``mp4`` and ``mkv``, on the clock of the
            pictures; of a range of time, the packets that play within it, whole, and chapters cut off at its ends.
        keep_going: Fill damaged GOPs with the nearest good frame and end a file that is cut off at the cut,
            instead of an error; the report's warnings say so.
        progress: Told about every frame.

    Raises:
        InputError: The source cannot be opened.
        BitstreamError: The source is damaged.
        UsageError: The arguments make no sense together.
        OutputExistsError: The target exists, or is the source.
    """
    began = time.monotonic()
    source = Path(source)
    with VideoDecoder(source, device=device, keep_going=keep_going) as video:
        info = video.header.info
        view = choose_view(info.height, info.width, scale=scale, size=size, crop=crop)
        chosen = choose_format(target, format)
        rate = None if fps is None else exact_rate(fps)
        begin, stop = _range(video, start, end)
        schedule = _schedule(video.timeline, rate, begin, stop)
        # Where nobody asks for a part, sound may begin before the pictures and end after them.
        within = (None if start is None else begin, None if end is None else stop)
        warnings: list[str] = []
        if target is None and chosen != "null":
            target = default_target(source, chosen, fps=fps, scale=scale, size=size, crop=crop)
        # A picture file has a colour for every pixel, so f is asked for one; a video keeps the source's layout.
        out = view_info(info, view, info.pixel_format.unsubsampled if chosen == "png" else None)
        if rate is not None:
            out = dataclasses.replace(out, time_base=1 / rate)
        frame_rate = rate or _nominal_rate(video.timeline.average_rate)

        def write(place: Path | BinaryIO) -> None:
            wanted = audio and chosen in ("mp4", "mkv")
            beside = (video.companions.within(*within), video.packets(*within)) if wanted else (None, ())
            opened = open_writer(place, chosen, out, frame_rate=frame_rate, companions=beside[0], packets=beside[1])
            gops = (video.timeline.locate(schedule.picture(n).position)[0] for n in range(schedule.length))
            needed = (gop for gop, _ in groupby(gops))
            # Three things go on at a time: unpacking the next GOP, evaluating this one, writing the last picture; the
            # first one ends before what waits is written.
            with opened as writer, write_behind(writer.write, _WAITING_PICTURES) as put, video.in_order(needed):
                for picture in _told(schedule, progress):
                    frame = video.render(picture.position, view, out.pixel_format)
                    put(picture.frame(frame.planes, out.time_base))
            warnings.extend([*video.damage, *writer.notes])

        place = Path("null") if target is None else Path(target) if isinstance(target, str | Path) else target
        if isinstance(place, Path) and is_one_picture(place, chosen) and schedule.length != 1:
            several = f"found {schedule.length}; for several name a folder, or a pattern as {place.stem}_%04d.png"
            raise UsageError(f"{place}: expected one frame for one picture, {several}")
        _deliver(place, chosen, write, source=source, overwrite=overwrite)
    progress(Progress("done", 1.0))
    return DecodeReport(
        target=str(place) if isinstance(place, Path) and chosen != "null" else chosen,
        num_frames=schedule.length,
        width=view.width,
        height=view.height,
        seconds=time.monotonic() - began,
        warnings=tuple(warnings),
    )


def _deliver(
    target: Path | BinaryIO, chosen: Format, write: Callable[[Path | BinaryIO], None], *, source: Path, overwrite: bool
) -> None:
    """Has the output written: to a stream, or under a temporary name that becomes the target's when it is whole."""
    if chosen == "null":
        write(target)
    elif isinstance(target, Path):
        check_target(target, chosen, source=source, overwrite=overwrite)
        with atomic_target(target, chosen, overwrite=overwrite) as temporary:
            write(temporary)
    elif chosen == "mp4" and not target.seekable():
        raise UsageError("expected y4m, mkv or md5 for a pipe, found mp4: its writer has to seek")
    else:
        write(target)


def choose_view(
    height: int,
    width: int,
    *,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> View:
    """The window that ``--scale``, ``--size`` and ``--crop`` describe. Raises UsageError."""
    if scale is not None and size is not None:
        raise UsageError("expected a scale or a size, found both")
    if size is not None:
        full_width, full_height = _whole("a size (width, height)", size, 2)
        check_size(full_height, full_width)
    else:
        full_height, full_width = scaled_size(height, width, 1.0 if scale is None else scale)
    if crop is None:
        return View.whole(full_height, full_width)
    crop_width, crop_height, left, top = _whole("a crop (width, height, left, top)", crop, 4)
    inside = left >= 0 and top >= 0 and left + crop_width <= full_width and top + crop_height <= full_height
    if crop_width < 1 or crop_height < 1 or not inside:
        found = f"{crop_width}x{crop_height}+{left}+{top}"
        raise UsageError(f"expected a crop inside of {full_width}x{full_height} pixels, found {found}")
    return View(full_height, full_width, top, left, crop_height, crop_width)


def _whole(what: str, numbers: Sequence[int], count: int) -> list[int]:
    """So many whole numbers. Raises UsageError."""
    with suppress(TypeError):
        found = [operator.index(number) for number in numbers]
        if len(found) == count:
            return found
    raise UsageError(f"expected {what} in whole pixels, found {numbers!r}")


def _range(video: VideoDecoder, start: float | int | None, end: float | int | None) -> tuple[Fraction, Fraction]:
    """From when to when to decode, in seconds; at the most what is there. Raises UsageError, BitstreamError."""
    line, present = video.timeline, video.num_present
    if present == 0:
        raise BitstreamError("the file is truncated: no whole GOP is left")
    limit = line.end if present == len(video) else line.frame_seconds(present)
    first = line.begin if start is None else _moment(line, start)
    stop = limit if end is None else min(_moment(line, end), limit)
    if not line.begin <= first < stop:
        expected = f"0..{float(limit - line.begin):g} s"
        found = f"{float(first - line.begin):g}..{float(stop - line.begin):g} s"
        raise UsageError(f"expected a time range within {expected}, found {found}")
    return first, stop


def _schedule(line: Timeline, rate: Fraction | None, first: Fraction, stop: Fraction) -> _Schedule:
    if rate is not None:
        length = line.count_ticks(first, stop, rate)
        if length > MAX_PICTURES:
            raise UsageError(f"expected at most {MAX_PICTURES} pictures, found {length}; choose a range of time")

        def tick(index: int) -> _Picture:
            seconds = first + index / rate
            return _Picture(line.position(seconds), seconds, 1 / rate)

        return _Schedule(length, tick)
    pts, unit = line.header.pts, line.header.info.time_base
    begin, end_index = bisect.bisect_left(pts, first / unit), bisect.bisect_left(pts, stop / unit)
    if begin >= end_index:
        raise UsageError("no frame begins within the time range")

    def shown(index: int) -> _Picture:
        frame = begin + index
        return _Picture(Fraction(frame), line.frame_seconds(frame), line.frame_duration(frame))

    return _Schedule(end_index - begin, shown)


def _nominal_rate(rate: Fraction) -> Fraction:
    """A rate as the ratio of small numbers that containers ask for; slow ones as one frame in so many seconds."""
    return rate.limit_denominator(1001) if rate >= 1 else 1 / (1 / rate).limit_denominator(1001)


def _moment(line: Timeline, where: float | int) -> Fraction:
    """Seconds on the file's clock, of seconds since its first frame or of a frame number."""
    where = time_or_number(where)
    if isinstance(where, float):
        return line.moment(where, origin=line.begin)
    if where < 0:
        raise UsageError(f"expected a frame number from 0, found {where}")
    return line.frame_seconds(where) if where < len(line.header.pts) else line.end


def _told(schedule: _Schedule, progress: ProgressSink) -> Iterator[_Picture]:
    """The pictures of a schedule, one after the other; ``progress`` is told about each one when it is done."""
    began = time.monotonic()
    progress(Progress("start", 0.0, "decode"))
    for index in range(schedule.length):
        yield schedule.picture(index)
        done = index + 1
        speed = done / max(1e-9, time.monotonic() - began)
        stage = f"decode {done}/{schedule.length}"
        progress(Progress("progress", done / schedule.length, stage, {"fps": speed}))
