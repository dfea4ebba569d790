"""Writers whose output needs no container: y4m, PNG pictures, a digest, and nothing at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from nerv_codec.base.numbering import numbered
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media import layout
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.media.encodable import Encodable, encodable


class VideoWriter:
    """Takes frames one after another. This base class throws them away; the others write them.

    Leaving a ``with`` statement by an exception lets go of the target without completing it.

    Attributes:
        notes: What the format cannot hold, one plain sentence each.
    """

    notes: Sequence[str] = ()

    def write(self, frame: PlanarFrame) -> None:
        """Writes one frame; its pts must be greater than that of the frame before."""

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
    """A writer of bytes to a path, or to a binary stream, which stays open."""

    def __init__(self, target: Path | BinaryIO) -> None:
        self._owned = isinstance(target, Path)
        self._stream: BinaryIO = target.open("wb") if isinstance(target, Path) else target

    def close(self) -> None:
        self._stream.flush()
        self.abort()

    def abort(self) -> None:
        if self._owned:
            self._stream.close()


class Md5Writer(_StreamWriter):
    """Writes one line: the MD5 digest of all planes of all frames, 16-bit samples as little endian."""

    def __init__(self, target: Path | BinaryIO) -> None:
        super().__init__(target)
        self._digest = hashlib.md5(usedforsecurity=False)

    def write(self, frame: PlanarFrame) -> None:
        self._digest.update(layout.plane_bytes(frame.planes))

    def close(self) -> None:
        self._stream.write(f"{self._digest.hexdigest()}\n".encode())
        super().close()


class Y4mWriter(_StreamWriter):
    """Writes raw frames at a constant rate.

    PyAV could write y4m too, but it has no field for the siting of chroma and none for the range of code values.
    """

    def __init__(self, target: Path | BinaryIO, info: VideoInfo, rate: Fraction) -> None:
        self._form = encodable(info, "y4m")
        self._unit, self._rate = info.time_base, rate
        self._begin, self._count, self._moved = Fraction(0), 0, 0
        super().__init__(target)
        aspect = info.sample_aspect
        tags = (
            f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} {_y4m_colour(self._form)}\n"
        )
        self._stream.write(tags.encode())

    def write(self, frame: PlanarFrame) -> None:
        seconds = frame.pts * self._unit
        self._begin = self._begin if self._count else seconds
        if abs((seconds - self._begin) * self._rate - self._count) > Fraction(1, 2):
            self._moved += 1
            self.notes = (
                f"y4m has one rate for all frames: {self._moved} of these are off by more than half a frame; mkv keeps "
                "the times, --fps R asks for pictures at even ones",
            )
        self._count += 1
        self._stream.write(b"FRAME\n" + layout.plane_bytes(self._form.planes(frame.planes)))


class PngWriter(VideoWriter):
    """Writes 8-bit RGB pictures.

    Args:
        target: A pattern such as ``zoom_%04d.png``, whose numbers begin at 0; a name that ends in ``.png``, for one
            picture; or a directory, which is made if need be, for ``000000.png``, ``000001.png`` ...
        info: What the frames look like.
    """

    def __init__(self, target: Path, info: VideoInfo) -> None:
        if target.is_dir() or target.suffix.lower() != ".png":
            target.mkdir(parents=True, exist_ok=True)
            target = target / "%06d.png"
        self._target = target
        self._info = info
        self._numbers = count()
        self._encoder = VideoCodecContext.create("png", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = info.width, info.height, "rgb24"
        self._encoder.time_base = Fraction(1)  # PNG has no times, but an encoder does not open without it

    def write(self, frame: PlanarFrame) -> None:
        picture = planes_to_rgb(frame.planes, self._info).permute(1, 2, 0).contiguous().numpy()
        packets = self._encoder.encode(VideoFrame.from_ndarray(picture, format="rgb24"))
        numbered(self._target, next(self._numbers)).write_bytes(b"".join(map(bytes, packets)))


def _y4m_colour(form: Encodable) -> str:
    """Returns y4m's C tag, which names the siting where it has a name for it, and ffmpeg's tag for the range."""
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
