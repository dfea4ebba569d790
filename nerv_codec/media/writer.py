"""Pixels into ordinary files: H.264 in MP4 to look at, FFV1 in Matroska to keep, y4m to pipe, and more."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import av
import torch
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from nerv_codec.base.companions import Companions, TrackPacket
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media import layout
from nerv_codec.media.color import yuv_to_rgb
from nerv_codec.media.encodable import Encodable, encodable
from nerv_codec.media.matroska_hdr import add_hdr_stream
from nerv_codec.media.side_data import display_matrix, x264_hdr_params
from nerv_codec.media.track_muxer import TrackMuxer

Format = Literal["mp4", "mkv", "y4m", "png", "md5", "null"]

_DEFAULT_RATE = Fraction(25)
_MOST_TICKS, _MICROSECONDS = 100_000_000, 1_000_000
_SITING_NAMES = {1: "left", 2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}
_CODECS = {
    "mp4": ("libx264", {"crf": "10", "preset": "veryfast"}),
    # Level 3 cuts pictures in slices, which ffmpeg refuses for small ones and which damages 4:1:0 and 4:1:1.
    "mkv": ("ffv1", {"level": "1"}),
}


def open_writer(
    target: Path | BinaryIO,
    format: Format,
    info: VideoInfo,
    *,
    frame_rate: Fraction | None = None,
    companions: Companions | None = None,
    packets: Iterable[TrackPacket] = (),
) -> VideoWriter:
    """Opens a file or stream to write frames to.

    * ``mp4``: H.264 at CRF 10 in 8 or 10 bits. 4:2:0, 4:2:2 and 4:4:4 stay as they are, other
      samplings go to the nearest of these, gray to 4:2:0, RGB to BT.709 4:4:4; a picture whose odd
      size its subsampling cannot halve becomes 4:4:4. Times are exact.
    * ``mkv``: FFV1, which gives back every code value. Times are rounded to Matroska's milliseconds,
      and the shape of pixels is lost (PyAV has no way to set it on a Matroska track).
    * ``y4m``: raw frames at a constant rate; RGB becomes BT.709 4:4:4.
    * ``png``: a directory of 8-bit RGB pictures ``000000.png`` and so on.
    * ``md5``: one line, the digest of all planes of all frames (16-bit samples as little endian).
    * ``null``: nothing.

    Where the first time is negative, which neither container can hold, all are shifted to begin at 0.

    Args:
        target: a path (a directory for ``png``), written over if it exists; or, except for ``png``, a
            binary stream, which stays open.
        format: one of the above.
        info: what all frames look like.
        frame_rate: frames per second, where the format asks for one; None is 25.
        companions: tracks, chapters, tags and HDR metadata to write beside the pictures; ``mp4`` and ``mkv``
            alone hold them, the others write pictures only.
        packets: of those tracks, on the clock of the frames, in the order of their times.

    Raises:
        UsageError: the format cannot hold such pictures.
        OSError: the target cannot be written, here or in any later call.
    """
    rate = frame_rate or _DEFAULT_RATE
    if format == "png":
        if not isinstance(target, Path):
            raise UsageError("png: expected a directory to write to, found a stream")
        return _PngWriter(target, info)
    if format == "null":
        return VideoWriter()
    if format == "md5":
        return _Md5Writer(target)
    if format == "y4m":
        return _Y4mWriter(target, info, rate)
    return _ContainerWriter(target, format, info, rate, companions or Companions(), packets)


class VideoWriter:
    """Takes frames one after another; this one throws them away.

    Leaving a ``with`` statement by an exception closes the target without completing it.

    Attributes:
        notes: what the format cannot hold, one plain sentence each.
    """

    notes: Sequence[str] = ()

    def write(self, frame: PlanarFrame) -> None:
        """Writes one frame; pts must increase."""

    def close(self) -> None:
        """Completes the file. Nothing may be written after that."""

    def abort(self) -> None:
        """Lets go of the file without completing it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class _StreamWriter(VideoWriter):
    """What writes bytes to a path, or to a stream that stays open."""

    def __init__(self, target: Path | BinaryIO) -> None:
        self._owned = isinstance(target, Path)
        self._stream: BinaryIO = target.open("wb") if isinstance(target, Path) else target

    def close(self) -> None:
        self._stream.flush()
        self.abort()

    def abort(self) -> None:
        if self._owned:
            self._stream.close()


class _Md5Writer(_StreamWriter):
    def __init__(self, target: Path | BinaryIO) -> None:
        super().__init__(target)
        self._digest = hashlib.md5(usedforsecurity=False)

    def write(self, frame: PlanarFrame) -> None:
        self._digest.update(layout.plane_bytes(frame.planes))

    def close(self) -> None:
        self._stream.write(f"{self._digest.hexdigest()}\n".encode())
        super().close()


class _Y4mWriter(_StreamWriter):
    def __init__(self, target: Path | BinaryIO, info: VideoInfo, rate: Fraction) -> None:
        self._form = encodable(info, "y4m")
        super().__init__(target)
        aspect = info.sample_aspect
        tags = (
            f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} {_y4m_colour(self._form)}\n"
        )
        self._stream.write(tags.encode())

    def write(self, frame: PlanarFrame) -> None:
        self._stream.write(b"FRAME\n" + layout.plane_bytes(self._form.planes(frame.planes)))


class _PngWriter(VideoWriter):
    def __init__(self, directory: Path, info: VideoInfo) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._info = info
        self._numbers = count()
        self._encoder = VideoCodecContext.create("png", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = info.width, info.height, "rgb24"
        self._encoder.time_base = Fraction(1, 25)

    def write(self, frame: PlanarFrame) -> None:
        planes = [torch.from_numpy(plane)[None] for plane in frame.planes]
        picture = yuv_to_rgb(planes, self._info)[0].permute(1, 2, 0).contiguous().numpy()
        number = next(self._numbers)
        packets = self._encoder.encode(VideoFrame.from_ndarray(picture, format="rgb24"))
        (self._directory / f"{number:06}.png").write_bytes(b"".join(map(bytes, packets)))


class _ContainerWriter(VideoWriter):
    def __init__(
        self,
        target: Path | BinaryIO,
        format: str,
        info: VideoInfo,
        rate: Fraction,
        companions: Companions,
        packets: Iterable[TrackPacket],
    ) -> None:
        self.notes: list[str] = []
        self._form = encodable(info, format)
        self._time_base = info.time_base
        muxer = "matroska" if format == "mkv" else "mp4"
        # Without this MP4 has a time scale of its own choice, and pts would be rounded to it.
        options = _mp4_scales(info, companions) if format == "mp4" else {}
        name = f"file:{target}" if isinstance(target, Path) else target
        self._container = av.open(name, "w", format=muxer, container_options=options)
        codec, codec_options = _CODECS[format]
        mastering, light = companions.mastering, companions.light
        if format == "mkv" and (mastering or light):
            self._stream = add_hdr_stream(self._container, mastering, light)
        else:
            self._stream = self._container.add_stream(codec)
            if hdr := x264_hdr_params(mastering, light):
                codec_options = codec_options | {"x264-params": hdr}
        context = self._stream.codec_context
        siting = {"chroma_sample_location": _SITING_NAMES[self._form.color.chroma_location]}
        context.options = codec_options | siting
        context.framerate = rate
        context.width, context.height, context.pix_fmt = info.width, info.height, self._form.name
        context.sample_aspect_ratio = info.sample_aspect
        context.time_base = self._stream.time_base = info.time_base
        context.colorspace, context.color_range = (
            self._form.color.matrix,
            2 if self._form.color.full_range else 1,
        )
        context.color_primaries, context.color_trc = self._form.color.primaries, self._form.color.transfer
        # Else an encoder makes up durations from the nominal rate, and the last frame's is lost.
        context.flags |= Flags.frame_duration.value
        if self._form.layout != info.pixel_format or self._form.color.matrix != info.color.matrix:
            self.notes.append(f"{format}: pixels are converted to {self._form.name}")
        if format == "mkv" and info.sample_aspect != 1:
            self.notes.append(f"mkv: the shape of pixels, {info.sample_aspect}, is left out; mp4 and y4m hold it")
        if info.orientation:
            self._stream.set_display_matrix(display_matrix(info.orientation))
        self._stream.metadata.update(companions.video_tags)
        try:
            context.open()
        except av.FFmpegError as error:
            self.abort()
            what = f"{info.width}x{info.height} {self._form.name}"
            raise UsageError(f"{format}: expected pictures that {codec} can encode, found {what}") from error
        self._tracks = TrackMuxer(self._container, muxer, companions, packets, self.notes)
        self._container.start_encoding()
        self._shift: int | None = None

    def write(self, frame: PlanarFrame) -> None:
        if self._shift is None:
            self._shift = max(0, -frame.pts)
        shift_seconds = self._shift * self._time_base
        self._tracks.write_until(frame.pts * self._time_base, shift_seconds)
        picture = self._form.frame(frame.planes)
        picture.pts, picture.time_base = frame.pts + self._shift, self._time_base
        picture.duration = frame.duration
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._tracks.write_until(None, (self._shift or 0) * self._time_base)
        self._container.close()

    def abort(self) -> None:
        with suppress(av.FFmpegError):
            self._container.close()


def _mp4_scales(info: VideoInfo, companions: Companions) -> dict[str, str]:
    """Units in which an MP4 counts the time of the pictures, and that at which tracks begin: 1 ms if nobody asks."""
    units = [info.time_base.denominator, *(track.time_base.denominator for track in companions.tracks)]
    common = math.lcm(*units)
    movie = common if common <= _MOST_TICKS else _MICROSECONDS
    return {"video_track_timescale": str(units[0]), "movie_timescale": str(movie)}


def _y4m_colour(form: Encodable) -> str:
    """The C tag, with the siting where there is a name for it, and ffmpeg's tag for the range."""
    shifts = form.layout.chroma_row_shift, form.layout.chroma_col_shift
    depth = form.layout.bit_depth
    if form.layout.num_planes == 1:
        space = "mono" if depth == 8 else f"mono{depth}"
    elif depth > 8:
        space = {(1, 1): "420", (0, 1): "422", (0, 0): "444"}[shifts] + f"p{depth}"
    else:
        space = {(1, 1): "420", (0, 1): "422", (0, 0): "444", (0, 2): "411"}[shifts]
        if shifts == (1, 1):
            space += {2: "jpeg", 3: "paldv"}.get(form.color.chroma_location, "mpeg2")
    return f"C{space} XCOLORRANGE={'FULL' if form.color.full_range else 'LIMITED'}"
