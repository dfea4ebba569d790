"""What a container, its streams and its frames say about themselves, in the terms of this package."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nerv_codec.base.errors import InputError
from nerv_codec.base.video import ColorInfo, PixelFormat
from nerv_codec.media import layout
from nerv_codec.media.containers import ratio

_LEFT, _CENTRE, _TOP_LEFT, _TOP = 1, 2, 3, 4
_MATROSKA_SITES = {(1, 2): _LEFT, (2, 2): _CENTRE, (1, 1): _TOP_LEFT, (2, 1): _TOP}
_CENTRE_SITED_CODECS = ("mjpeg", "mpeg1video")
_UNSPECIFIED = 2
_FASTEST_PLAUSIBLE_RATE = 480
_COARSE_TICKS = Fraction(11, 10)
"""So many frames a tick, and a unit of time is too long to tell frames apart."""


def check_file(path: Path, name: str) -> None:
    """Raises InputError, with a message about ``name``, where ``path`` cannot be a video file."""
    found = None
    try:
        if not path.exists():
            found = "no such file"
        elif path.is_dir():
            found = "a directory"
        elif not path.is_file():
            found = "a pipe or a device, which cannot be read twice (`nerv-codec encode -` reads y4m from stdin once)"
        elif path.stat().st_size == 0:
            found = "an empty file"
    except OSError as error:
        found = plain_reason(error)
    if found:
        raise InputError(f"{name}: expected a video file, found {found}")


def plain_reason(error: Exception) -> str:
    """Returns why a file does not open, on one line and without error numbers."""
    if isinstance(error, PermissionError):
        return "a file that may not be read"
    if isinstance(error, av.InvalidDataError | av.EOFError | av.ArgumentError):
        return "data in no known video format, or damaged at its start"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].lower()


def picture_tracks(container: InputContainer) -> list[VideoStream]:
    """Returns the video tracks of a file, without cover art and without :func:`alpha_track`."""
    tracks = [stream for stream in container.streams.video if not is_cover_art(stream)]
    return tracks[:1] if _is_avif(container) else tracks


def alpha_track(container: InputContainer) -> VideoStream | None:
    """Returns the track that holds the alpha plane of an animated AVIF; None where there is none.

    AVIF stores the colours first (MIAF, ISO 23000-22), and ffmpeg shows the alpha plane as a second video track.
    """
    tracks = [stream for stream in container.streams.video if not is_cover_art(stream)]
    return tracks[1] if _is_avif(container) and len(tracks) > 1 else None


def is_cover_art(stream: Stream) -> bool:
    """Whether a video track is one picture that players show beside sound."""
    return bool(stream.disposition & Disposition.attached_pic)


def _is_avif(container: InputContainer) -> bool:
    brands = container.metadata.get("major_brand", "") + container.metadata.get("compatible_brands", "")
    return "avis" in brands or "avif" in brands


def choose_track(container: InputContainer, name: str, track: int | None) -> VideoStream:
    """Returns the video track to read. Raises InputError where there is none, not so many, or an unknown codec."""
    tracks = picture_tracks(container)
    best = container.streams.best("video")
    if track is not None:
        if not 0 <= track < len(tracks):
            raise InputError(f"{name}: expected video track {track}, found {len(tracks)} of them, counted from 0")
        chosen = tracks[track]
    elif tracks:
        chosen = next((stream for stream in tracks if best is not None and stream.index == best.index), tracks[0])
    else:
        found = " and ".join(sorted({other.type for other in container.streams} - {"video"})) or "nothing"
        raise InputError(f"{name}: expected a video stream, found only {found}")
    if codec_context(chosen) is None:
        raise InputError(f"{name}: expected a video that can be decoded, found an unknown codec")
    return chosen


def codec_context(stream: Stream) -> CodecContext | None:
    """Returns the codec of a stream; None where ffmpeg does not know it, which PyAV's types leave out."""
    found: CodecContext | None = stream.codec_context
    return found


def y4m_siting(source: str | Path | BinaryIO) -> int | None:
    """Returns the chroma location that a y4m header names, which ffmpeg does not keep; None for any other file.

    Nothing is consumed: a pipe that cannot be looked into is left alone.
    """
    head = b""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            head = file.read(256)
    elif hasattr(source, "peek"):
        head = source.peek(256)[:256]
    elif source.seekable():
        position = source.tell()
        head = source.read(256)
        source.seek(position)
    if not head.startswith(b"YUV4MPEG2 "):
        return None
    tags = head.split(b"\n")[0].split(b" ")
    if b"C420jpeg" in tags or b"C420" in tags:
        return _CENTRE
    return _TOP_LEFT if b"C420paldv" in tags else _LEFT


def stream_siting(stream: VideoStream) -> int | None:
    """Returns the chroma location that ffmpeg found in a stream or its container; None where there is none.

    PyAV does not show it, but Matroska's muxer writes all of them but the bottom ones at the head of a file.
    """
    head = io.BytesIO()
    try:
        with av.open(head, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
    except (av.FFmpegError, ValueError, AttributeError, NotImplementedError):
        return None  # no codec that Matroska knows
    found = re.search(rb"\x55\xb7\x81(.)\x55\xb8\x81(.)", head.getvalue(), re.DOTALL)  # ChromaSitingHorz, -Vert
    return _MATROSKA_SITES.get((found[1][0], found[2][0])) if found else None


def color_info(
    frame: VideoFrame, stream: VideoStream, pixel_format: PixelFormat, chroma_location: int | None
) -> ColorInfo:
    """Returns the colour of a frame as code points, those of its stream where the frame does not say it.

    Args:
        frame: A decoded frame, in its original format.
        stream: Where it comes from.
        pixel_format: The layout that it is converted to.
        chroma_location: Where chroma sits, if that is known; else it is where the codec usually has it (left, but
            centre for MPEG-1 and Motion JPEG).
    """
    context = stream.codec_context

    def code(of_frame: int, of_stream: int) -> int:
        known = [int(value) for value in (of_frame, of_stream) if value not in (0, _UNSPECIFIED)]
        return known[0] if known else _UNSPECIFIED

    subsampled = pixel_format.chroma_row_shift or pixel_format.chroma_col_shift
    planes_are_gbr = frame.colorspace == 0 and pixel_format.num_planes == 3 and not subsampled
    code_range = int(frame.color_range) or int(context.color_range)
    return ColorInfo(
        matrix=0 if layout.is_rgb(frame.format) or planes_are_gbr else code(frame.colorspace, context.colorspace),
        primaries=code(frame.color_primaries, context.color_primaries),
        transfer=code(frame.color_trc, context.color_trc),
        full_range=code_range == 2 or (code_range == 0 and layout.is_full_range_name(frame.format)),
        chroma_location=chroma_location or (_CENTRE if context.name in _CENTRE_SITED_CODECS else _LEFT),
    )


def frame_rate(stream: VideoStream) -> Fraction | None:
    """Returns average frames per second, or None where the container does not know.

    Some files have only the resolution of their time base there; then ffmpeg's guess is better.
    """
    average, guessed = ratio(stream.average_rate), ratio(stream.guessed_rate)
    if average and (average <= _FASTEST_PLAUSIBLE_RATE or not guessed or is_too_fast(average, ratio(stream.time_base))):
        return average
    return guessed


def is_too_fast(rate: Fraction, time_base: Fraction | None) -> bool:
    """Whether a file's unit of time is longer than its frames last, so that it cannot give each a time of its own."""
    return time_base is not None and rate * time_base > _COARSE_TICKS


def duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Returns how long a video track plays, or else the whole file; a hint, None where neither is known."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def own_duration_seconds(stream: VideoStream) -> float | None:
    """Returns how long a track says that its own pictures last; None where it does not say it.

    A container's duration is no such statement, nor is what ffmpeg estimates where there is no index of frames.
    """
    if stream.frames and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if found := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = found.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    return None
