"""Pixels out of ordinary video files: anything ffmpeg opens, as planes of code values with their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from nerv_codec.base.companions import LightLevel, MasteringDisplay
from nerv_codec.base.errors import InputError
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media import layout, probe, side_data
from nerv_codec.media.clock import mended
from nerv_codec.media.deinterlace import deinterlaced
from nerv_codec.media.losses import LostFrames
from nerv_codec.media.part import Part

_WHOLE = Part()
_TEXT_ART = {"tty", "bin", "xbin", "adf", "idf"}
"""Formats of pictures made of letters: by its suffix ffmpeg takes any text file for one of them."""


def open_video(
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,
    track: int | None = None,
    part: Part = _WHOLE,
    drop_alpha: bool = True,
    scale_to_first: bool = True,
) -> VideoReader:
    """Opens a video file or stream and decodes it up to the first frame that is wanted.

    Args:
        source: a path, or a binary stream such as ``sys.stdin.buffer``, which need not be seekable
            where the format (y4m, Matroska, MPEG-TS) can be read in one go.
        format: ffmpeg's name of the container, such as ``yuv4mpegpipe``; None detects it.
        track: Which of several video tracks, from 0; None lets ffmpeg choose.
        part: Which frames are wanted.
        drop_alpha: Whether transparency may be left out, with a warning; else it is refused.
        scale_to_first: Whether frames of another size than the part's first one may be scaled to it, with a
            warning; else the first such frame is refused.

    Returns:
        A reader that stands before the first frame. Close it, or use it in a ``with`` statement.

    Raises:
        InputError: there is no such file, or not one frame of the part can be decoded from it; here or where
            frames are read: one of them may not be taken as it is.
    """
    if isinstance(source, str | Path):
        name = str(source)
        probe.check_file(Path(source), name)
        target: str | BinaryIO = f"file:{source}"  # else "a:b.mp4" would be taken for a URL
    else:
        name, target = str(getattr(source, "name", "input stream")), source
    try:
        siting = probe.y4m_siting(source)
        container = av.open(target, "r", format=format, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{name}: expected a video, found {probe.plain_reason(error)}") from error
    try:
        return VideoReader(container, name, siting, track, part, drop_alpha, scale_to_first)
    except BaseException:
        container.close()
        raise


class VideoReader:
    """An iterator over the frames of a part of one video, in presentation order, with strictly increasing pts.

    Attributes:
        info: size, layout, colour and time base of all its frames.
        frame_rate: average frames per second, a hint; None where the container does not know.
        num_frames: how many frames there are, a hint that can be wrong; None likewise.
        duration_seconds: how long it plays, a hint that can be wrong; None likewise.
        mastering, light: static HDR metadata, where there is some.
        tags: of the video track.
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
    ) -> None:
        if container.format.name in _TEXT_ART:
            raise InputError(f"{name}: expected a video, found text")
        stream = probe.choose_track(container, name, track)
        self._container = container
        self._stream = stream
        self._name = name
        self._drop_alpha, self._scale_to_first = drop_alpha, scale_to_first
        self._notes: Counter[str] = Counter()
        self.tags: dict[str, str] = dict(stream.metadata)
        self.frame_rate: Fraction | None = probe.frame_rate(stream)
        self.duration_seconds = probe.duration_seconds(container, stream)
        decoded = deinterlaced(self._decode(), stream.time_base or Fraction(1, 1000))
        opening = next(decoded, None)
        if opening is None:
            codec = stream.codec_context.name
            raise InputError(f"{name}: expected video frames, found no {codec} frame that can be decoded")
        self._time_base = opening.time_base or stream.time_base or Fraction(1, 1000)
        self._origin = opening.pts or 0
        timed = mended(chain([opening], decoded), self._time_base, self.frame_rate, self.duration_seconds, self._notes)
        wanted = part.select(timed, self._time_base)
        number, first = next(wanted, (0, None))
        if first is None:
            raise InputError(f"{name}: no frame in the chosen range")

        self._layout = layout.native_layout(first.format) or layout.nearest_layout(first.format)
        self._native_name = layout.format_name(self._layout, rgb=layout.is_rgb(first.format))
        self._size = first.width, first.height
        self.info = VideoInfo(
            width=first.width,
            height=first.height,
            pixel_format=self._layout,
            color=probe.color_info(first, stream, self._layout, chroma_location or probe.stream_siting(stream)),
            sample_aspect=stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1),
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
        self._container.close()

    def _decode(self) -> Iterator[VideoFrame]:
        """All frames that ffmpeg can decode, past packets that it cannot."""
        packets = self._container.demux(self._stream)
        losses = LostFrames(self._stream.codec_context.codec.canonical_name)
        tainted = False
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._notes["the file is damaged or cut off and could not be read to its end"] += 1
                packet = None
            noticed = packet is not None and losses.sent(packet)
            try:
                # The packet after the last one is empty and drains the decoder; a broken file lacks it.
                frames = self._stream.decode(packet)
            except av.EOFError:  # drained already
                frames = []
            except av.FFmpegError:
                frames, tainted = [], True
                if not noticed:
                    self._lose(1)
            for frame in frames:
                lost = losses.until(frame.pts) if frame.pts is not None else 0
                self._lose(lost)
                tainted = frame.is_corrupt or ((tainted or lost > 0) and not frame.key_frame)
                if frame.is_corrupt:
                    self._notes["damaged frames, shown as far as they decode: {}"] += 1
                elif tainted:
                    self._notes["frames up to the next key frame, which may show that damage: {}"] += 1
                if frame.interlaced_frame:
                    self._notes["interlaced frames, deinterlaced (bwdif): {}"] += 1
                yield frame
            if packet is None:
                self._lose(losses.until(None))
                return

    def _lose(self, count: int) -> None:
        if count:
            self._notes["damaged input, frames lost: {}"] += count

    def _orientation(self, frame: VideoFrame) -> int:
        found = side_data.orientation(frame)
        if found is None:
            self._notes["a rotation by other than quarter turns is dropped"] += 1
        return found or 0

    def _check_alpha(self, frame: VideoFrame) -> None:
        if not layout.has_alpha(frame.format) and self._stream.metadata.get("alpha_mode") != "1":
            return
        if not self._drop_alpha:
            raise InputError(
                f"{self._name}: expected opaque pictures, found {frame.format.name} with an alpha channel, which "
                "a .nvc cannot hold; --drop-alpha encodes the colours alone"
            )
        self._notes["alpha is dropped"] = 1

    def _normal(self, number: int, frame: VideoFrame) -> VideoFrame:
        """The frame in the layout and size of the part's first one."""
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
            return layout.convert(frame, str(self._native_name), width=width, height=height)
        except (av.FFmpegError, ValueError) as error:
            found = f"{frame.format.name}, which cannot be converted"
            raise InputError(f"{self._name}: expected planar pixels, found {found}") from error

    def _planar(self, frames: Iterable[tuple[int, VideoFrame]]) -> Iterator[PlanarFrame]:
        """Frames as arrays."""
        for number, frame in frames:
            planes = layout.frame_planes(self._normal(number, frame), self._layout)
            yield PlanarFrame(planes, frame.pts or 0, max(0, frame.duration or 0))
