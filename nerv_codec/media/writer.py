"""Writing pictures to ordinary files: MP4 to look at, Matroska to keep, y4m to pipe, PNG, and a digest."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal

from nerv_codec.base.companions import Companions, TrackPacket
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import DEFAULT_RATE, VideoInfo
from nerv_codec.media.container_writer import ContainerWriter
from nerv_codec.media.plain_writers import Md5Writer, PngWriter, VideoWriter, Y4mWriter

__all__ = ["Format", "VideoWriter", "open_writer"]

Format = Literal["mp4", "mkv", "y4m", "png", "md5", "null"]


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

    * ``mp4``: H.264 at CRF 10 in 8 or 10 bits. 4:2:0, 4:2:2 and 4:4:4 stay as they are; other samplings are converted
      to the nearest of these, gray to 4:2:0 and RGB to BT.709 4:4:4; a picture of odd size that its subsampling
      cannot halve becomes 4:4:4. Times are exact.
    * ``mkv``: FFV1, which gives back every code value. Times are rounded to Matroska's milliseconds, and the shape
      of pixels is lost, because PyAV cannot set it on a Matroska track.
    * ``y4m``: raw frames at a constant rate; RGB becomes 4:4:4 in BT.601 below 720 rows, else in BT.709, as
      readers assume.
    * ``png``: 8-bit RGB pictures: ``000000.png`` and so on in a directory, those of a pattern, or a single one.
    * ``md5``: one line, the digest of all planes of all frames, 16-bit samples as little endian.
    * ``null``: nothing.

    ``mp4`` and ``mkv`` begin at 0: all times are shifted by the earliest one, of a picture or of sound beside it, so
    that a part of a video and a recording whose clock says ten o'clock play at once, and in sync.

    Args:
        target: A path, which is written over if it exists (for ``png`` a directory, a pattern such as
            ``zoom_%04d.png``, or for one picture a name that ends in ``.png``); or, except for ``png``, a binary
            stream, which stays open.
        format: One of the above.
        info: What all frames look like.
        frame_rate: Frames per second, where the format asks for it; None is 25.
        companions: Tracks, chapters, tags and HDR metadata to write beside the pictures, where the format is ``mp4``
            or ``mkv``; the others hold pictures only.
        packets: The packets of those tracks, on the clock of the frames and in the order of their times.

    Raises:
        UsageError: The format cannot hold such pictures.
        OSError: The target cannot be written, here or in any later call.
    """
    rate = frame_rate or DEFAULT_RATE
    if format == "png":
        if not isinstance(target, Path):
            raise UsageError("png: expected a directory to write to, found a stream")
        return PngWriter(target, info)
    if format == "null":
        return VideoWriter()
    if format == "md5":
        return Md5Writer(target)
    if format == "y4m":
        return Y4mWriter(target, info, rate)
    return ContainerWriter(target, format, info, rate, companions or Companions(), packets)
