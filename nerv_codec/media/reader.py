"""Reading pictures: anything ffmpeg opens, as planes of code values with their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from nerv_codec.base.companions import LightLevel, MasteringDisplay
from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media import layout, probe, sequence, side_data
from nerv_codec.media.clock import even, mended
from nerv_codec.media.containers import open_input, ratio
from nerv_codec.media.deinterlace import deinterlaced
from nerv_codec.media.part import Part
from nerv_codec.media.picture_stream import decoded_frames

_WHOLE = Part()
_TEXT_ART = {"tty", "bin", "xbin", "adf", "idf"}
"""Formats of pictures made of letters: by its suffix ffmpeg takes any text file for one of them."""
_SLOWEST_TICK = Fraction(1, 1000)


def open_video(
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,
    rate: Fraction | None = None,
    track: int | None = None,
    part: Part = _WHOLE,
    drop_alpha: bool = True,
    scale_to_first: bool = True,
) -> VideoReader:
    """Opens a video file, numbered pictures or a stream, and decodes it up to the first frame that is wanted.

    Args:
        source: A file; a folder of pictures or a pattern such as ``frame_%04d.png``; or a binary stream such as
            ``sys.stdin.buffer``, which need not be seekable where the format (y4m, Matroska, MPEG-TS) can be read in
            one go.
        format: ffmpeg's name of the container, such as ``yuv4mpegpipe``; None detects it.
        rate: Frames per second of numbered pictures; None is 25.
        track: Which of several video tracks, from 0; None lets ffmpeg choose.
        part: Which frames are wanted.
        drop_alpha: Whether transparency may be left out, with a warning; else a frame that is not opaque is refused.
        scale_to_first: Whether frames of another size than the part's first one may be scaled to it, with a
            warning; else the first such frame is refused.

    Returns:
        A reader that stands before the first frame. Close it, or use it in a ``with`` statement.

    Raises:
        InputError: There is no such file, or not one frame of the part can be decoded from it. Reading frames raises
            it too, where one of them may not be taken as it is.
        UsageError: ``rate`` is given for something other than numbered pictures.
    """
    named = isinstance(source, str | Path)
    name = str(source) if named else _stream_name(getattr(source, "name", "input stream"))
    pictures = isinstance(source, str | Path) and sequence.is_sequence(Path(source))
    if rate is not None and not pictures:
        raise UsageError(f"{name}: a rate is for numbered pictures, and a video has its own times")
    with ExitStack() as stack:
        siting = pipe = None
        try:
            if isinstance(source, str | Path) and pictures:
                container, links = sequence.open_sequence(Path(source), rate)
                stack.callback(links.cleanup)
            else:
                if isinstance(source, str | Path):
                    probe.check_file(Path(source), name)
                elif not source.seekable():
                    pipe = _Pipe(source)
                siting = probe.y4m_siting(source)
                # Without "file:", ffmpeg would take "a:b.mp4" for a URL.
                target = pipe or (f"file:{source}" if isinstance(source, str | Path) else source)
                container = open_input(target, format=format)
        except (av.FFmpegError, OSError, ValueError) as error:
            expected = "y4m" if format == "yuv4mpegpipe" else "a video"
            raise InputError(f"{name}: expected {expected}, found {probe.plain_reason(error)}") from error
        stack.callback(container.close)
        size = pipe.num_read if pipe is not None else lambda: container.size or 0
        reader = VideoReader(container, name, siting, track, part, drop_alpha, scale_to_first, size)
        if isinstance(source, str | Path) and pictures and (missing := sequence.missing_numbers(Path(source))):
            reader.note("numbers without a picture, passed over: {}", missing)
        reader.on_close(stack.pop_all().close)
        return reader


def _stream_name(name: str | int) -> str:
    """What a stream is called in messages: streams of a process have numbers for names."""
    return {0: "stdin"}.get(name, f"descriptor {name}") if isinstance(name, int) else name


class _Pipe:
    """A stream that cannot seek, which counts what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._count = 0

    def num_read(self) -> int:
        return self._count

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        return data


class VideoReader:
    """An iterator over the frames of a part of one video, in presentation order, with strictly increasing pts.

    Attributes:
        info: Size, layout, colour and time base of all its frames.
        frame_rate: Average frames per second, a hint; None where the container does not know.
        num_frames: How many frames there are, a hint that can be wrong; None where the container does not know.
        duration_seconds: How long it plays, a hint that can be wrong; None where the container does not know.
        mastering: The display that an HDR video was graded on, where the file says it.
        light: The light level of an HDR video, where the file says it.
        tags: Those of the video track.
        latest_pts: Of the last frame that was read: where the part ends before the video does, the first one behind it.
    """

    def __init__(
        self,
        container: InputContainer,
        name: str,
        chroma_location: int | None,
        track: int | None,
        part: Part,
        drop_alpha: bool,
        scale_to_first: bool,
        size: Callable[[], int],
    ) -> None:
        if container.format.name in _TEXT_ART:
            raise InputError(f"{name}: expected a video, found text")
        stream = probe.choose_track(container, name, track)
        self._name = name
        self._drop_alpha, self._scale_to_first = drop_alpha, scale_to_first
        self._separate_alpha = probe.alpha_track(container) is not None or stream.metadata.get("alpha_mode") == "1"
        self._notes: Counter[str] = Counter()
        self._close: Callable[[], None] = container.close
        self.tags: dict[str, str] = dict(stream.metadata)
        self.frame_rate: Fraction | None = probe.frame_rate(stream)
        self.duration_seconds = probe.duration_seconds(container, stream)
        unit = ratio(stream.time_base) or _SLOWEST_TICK
        decoded = deinterlaced(decoded_frames(container, stream, name, self._notes, size), unit)
        if self.frame_rate and probe.is_too_fast(self.frame_rate, unit):
            decoded, unit = even(decoded, unit, self.frame_rate), 1 / self.frame_rate
        opening = next(decoded, None)
        if opening is None:
            codec = stream.codec_context.name
            raise InputError(f"{name}: expected video frames, found no {codec} frame that can be decoded")
        self._time_base = ratio(opening.time_base) or unit
        self._origin = opening.pts or 0
        own_duration = probe.own_duration_seconds(stream)
        timed = mended(chain([opening], decoded), self._time_base, self.frame_rate, own_duration, self._notes)
        self.latest_pts = self._origin
        wanted = part.select(self._remembered(timed), self._time_base)
        number, first = next(wanted, (0, None))
        if first is None:
            raise InputError(f"{name}: no frame in the chosen range")

        shape = ratio(stream.sample_aspect_ratio) or ratio(stream.codec_context.sample_aspect_ratio)
        self._layout = layout.native_layout(first.format) or layout.nearest_layout(first.format)
        self._native_name = layout.format_name(self._layout, rgb=layout.is_rgb(first.format))
        self._size = first.width, first.height
        self.info = VideoInfo(
            width=first.width,
            height=first.height,
            pixel_format=self._layout,
            color=probe.color_info(first, stream, self._layout, chroma_location or probe.stream_siting(stream)),
            sample_aspect=shape or Fraction(1),
            time_base=self._time_base,
            orientation=self._orientation(first),
        )
        # Some codecs say it once, at the beginning.
        mastering, light = side_data.mastering_display, side_data.light_level
        self.mastering: MasteringDisplay | None = mastering(first) or mastering(opening)
        self.light: LightLevel | None = light(first) or light(opening)
        self.num_frames = stream.frames or None
        if self.num_frames is None and self.duration_seconds and self.frame_rate:
            self.num_frames = round(self.duration_seconds * self.frame_rate)
        self._check_alpha(first)
        self._frames = self._planar(chain([(number, first)], wanted))

    @property
    def warnings(self) -> list[str]:
        """What was lost or mended so far, one plain sentence each."""
        return [note.format(count) for note, count in self._notes.items()]

    def note(self, note: str, count: int) -> None:
        """Adds to the warnings; ``{}`` in the note stands for the count."""
        self._notes[note] += count

    def on_close(self, close: Callable[[], None]) -> None:
        """Sets what is called when the reader is closed; it has to close the container, too."""
        self._close = close

    def __iter__(self) -> Iterator[PlanarFrame]:
        return self

    def __next__(self) -> PlanarFrame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the reader gives no more frames."""
        self._frames = iter(())
        self._close()

    def _remembered(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            self.latest_pts = frame.pts or 0
            yield frame

    def _orientation(self, frame: VideoFrame) -> int:
        found = side_data.orientation(frame)
        if found is None:
            self._notes["a rotation by other than quarter turns is dropped"] += 1
        return found or 0

    def _check_alpha(self, frame: VideoFrame) -> None:
        """Raises InputError for a frame that is not opaque, where its transparency may not be dropped."""
        if not self._separate_alpha and (not layout.has_alpha(frame.format) or layout.is_opaque(frame)):
            return
        if not self._drop_alpha:
            raise InputError(
                f"{self._name}: expected opaque pictures, found {frame.format.name} with an alpha channel, which "
                "a .nvc cannot hold; --drop-alpha encodes the colours alone"
            )
        self._notes["alpha is dropped"] = 1

    def _normal(self, number: int, frame: VideoFrame) -> VideoFrame:
        """Returns the frame in the layout and size of the part's first one."""
        width, height = self._size
        self._check_alpha(frame)
        if (frame.width, frame.height) != self._size:
            if not self._scale_to_first:
                at = float(((frame.pts or 0) - self._origin) * self._time_base)
                found = f"{frame.width}x{frame.height} from frame {number} ({at:.3f} s) on"
                raise InputError(
                    f"{self._name}: expected pictures of {width}x{height}, found {found}; --end f:{number} encodes "
                    f"those before, --start f:{number} those from there, --scale-to-first all of them"
                )
            self._notes[f"frames of another size, scaled to {width}x{height}: {{}}"] += 1
        elif layout.native_layout(frame.format) == self._layout:
            return frame
        try:
            converted: VideoFrame = layout.convert(frame, str(self._native_name), width=width, height=height)
        except (av.FFmpegError, ValueError) as error:
            found = f"{frame.format.name}, which cannot be converted"
            raise InputError(f"{self._name}: expected planar pixels, found {found}") from error
        return converted

    def _planar(self, frames: Iterable[tuple[int, VideoFrame]]) -> Iterator[PlanarFrame]:
        """Yields frames as arrays."""
        for number, frame in frames:
            planes = layout.frame_planes(self._normal(number, frame), self._layout)
            if any(int(plane.max()) > self._layout.max_value for plane in planes):
                planes = tuple(np.minimum(plane, self._layout.max_value).astype(plane.dtype) for plane in planes)
                self._notes[f"frames with samples above {self._layout.max_value}, clipped: {{}}"] += 1
            yield PlanarFrame(layout.with_full_scale(planes, frame.format), frame.pts or 0, max(0, frame.duration or 0))
