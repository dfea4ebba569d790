"""Files inside of files: the fonts of subtitles, and cover art."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from nerv_codec.base.companions import Attachment
from nerv_codec.media import probe

_COVERS = {
    "mjpeg": ("cover.jpg", "image/jpeg"),
    "png": ("cover.png", "image/png"),
    "bmp": ("cover.bmp", "image/bmp"),
    "gif": ("cover.gif", "image/gif"),
    "webp": ("cover.webp", "image/webp"),
    "tiff": ("cover.tiff", "image/tiff"),
}
"""ffmpeg's names of the codecs of cover art, and what such a picture is called where its file does not say it."""
_MP4_COVERS = {"image/jpeg": "mjpeg", "image/png": "png", "image/bmp": "bmp"}
_UNKNOWN = "application/octet-stream"
_TICK = Fraction(1, 1000)


def read_attachments(container: InputContainer, notes: Counter[str]) -> tuple[Attachment, ...]:
    """Returns all files that a container holds; of cover art the packets are read, which stand before all others.

    Args:
        container: Opened for this alone.
        notes: Told what has to be left out.
    """
    found = list(_attached(container, notes))
    covers = [stream for stream in container.streams.video if probe.is_cover_art(stream)]
    return (*found, *_pictures(container, covers, notes))


def _attached(container: InputContainer, notes: Counter[str]) -> Iterator[Attachment]:
    for stream in container.streams:
        if isinstance(stream, AttachmentStream):
            name, data = _plain_name(stream.metadata.get("filename", "")), bytes(stream.data or b"")
            if name and data:
                yield Attachment(name, stream.metadata.get("mimetype") or _UNKNOWN, data)
            else:
                notes["attachments without a name or content left out: {}"] += 1


def _pictures(container: InputContainer, covers: Sequence[VideoStream], notes: Counter[str]) -> Iterator[Attachment]:
    waiting, kept = {stream.index: stream for stream in covers}, 0
    with suppress(av.FFmpegError):
        for packet in container.demux(*covers) if covers else ():
            stream = waiting.pop(packet.stream_index, None) if packet.size else None
            if stream is not None and (context := probe.codec_context(stream)) and context.name in _COVERS:
                name, media_type = _COVERS[context.name]
                name = _plain_name(stream.metadata.get("filename", "")) or name
                yield Attachment(name, stream.metadata.get("mimetype") or media_type, bytes(packet), is_cover=True)
                kept += 1
            if not waiting:
                break
    if kept < len(covers):
        notes["pictures of cover art that cannot be read, left out: {}"] += len(covers) - kept


def _plain_name(name: str) -> str:
    """Returns a name without a path, as no system can take it for one."""
    return PureWindowsPath(PurePosixPath(name.replace("\0", "")).name).name


class AttachmentMuxer:
    """Puts files into a container that is being written.

    Args:
        container: Opened for writing, with its video stream.
        muxer: ffmpeg's name of its format.
        attachments: What to write.
        notes: Told what the format cannot hold.
    """

    def __init__(
        self, container: OutputContainer, muxer: str, attachments: Sequence[Attachment], notes: list[str]
    ) -> None:
        self._container = container
        self._covers: list[tuple[Stream, Attachment]] = []
        left_out = 0
        for attachment in attachments:
            if muxer == "matroska":
                container.add_attachment(attachment.name, attachment.media_type or _UNKNOWN, attachment.data)
            elif attachment.is_cover and (cover := _add_cover(container, attachment)):
                self._covers.append((cover, attachment))
            else:
                left_out += 1
        if left_out:
            notes.append(f"mp4: attachments such as fonts are left out: {left_out}; mkv holds them")

    def write(self) -> None:
        """Writes the pictures, once, when the container's header has been written."""
        for stream, attachment in self._covers:
            packet = av.Packet(attachment.data)
            packet.stream, packet.time_base = stream, _TICK
            packet.pts = packet.dts = 0
            packet.is_keyframe = True
            self._container.mux_one(packet)


def _add_cover(container: OutputContainer, attachment: Attachment) -> Stream | None:
    """Adds a track for cover art; None where MP4 has no such pictures, or it cannot be read."""
    codec = _MP4_COVERS.get(attachment.media_type)
    size = _picture_size(codec, attachment.data) if codec else None
    if codec is None or size is None:
        return None
    stream = container.add_mux_stream(codec, width=size[0], height=size[1])
    stream.time_base = _TICK
    stream.disposition = Disposition.attached_pic
    return stream


def _picture_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """Returns width and height of a picture; None where it is damaged."""
    try:
        decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError):
        return None
    return next(((frame.width, frame.height) for frame in frames), None)
