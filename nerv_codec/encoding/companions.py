"""What travels beside the pictures, from the source into sections of the file: sound, subtitles, fonts, tags."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from nerv_codec.base.companions import TrackPacket
from nerv_codec.base.errors import BitstreamError
from nerv_codec.bitstream.companions import MAX_ATTACHMENTS, write_attachment, write_companions, write_packets
from nerv_codec.bitstream.container import SECTION_ATTACHMENT, SECTION_COMPANIONS, SECTION_PACKETS, pack_section
from nerv_codec.bitstream.headers import StreamHeader
from nerv_codec.encoding.source import EncodeSource
from nerv_codec.media.reader import VideoReader
from nerv_codec.media.tracks import open_tracks


@dataclass(frozen=True)
class WrittenCompanions:
    """What was written beside the pictures."""

    digest: str | None = None
    """SHA-256 of all attachments, and of all packets and their times; None where there is nothing."""
    notes: tuple[str, ...] = ()
    """What had to be left out, a sentence each."""


class Digest(Protocol):
    """A hash that takes bytes in."""

    def update(self, data: bytes, /) -> None: ...


def write_beside(file: IO[bytes], source: EncodeSource, reader: VideoReader, header: StreamHeader) -> WrittenCompanions:
    """Writes sound, subtitles, tags, chapters and attachments of the source into the ``.nvc``, behind the pictures.

    Args:
        file: Takes the sections.
        source: A stream has nothing but pictures; of a file's part the chapters that play
            within it are kept, cut off at its ends, and such packets, whole.
        reader: Has read the pictures.
        header: Says from when to when they are shown.
    """
    if source.path is None:
        return WrittenCompanions()
    with open_tracks(source.path, audio=source.audio) as tracks:
        bounds = source.bounds(header)
        found = tracks.companions(reader.tags, mastering=reader.mastering, light=reader.light)
        companions = found.within(*bounds)
        if not companions:
            return WrittenCompanions(notes=tuple(tracks.notes))
        file.write(pack_section(SECTION_COMPANIONS, write_companions(companions)))
        digest, left_out = hashlib.sha256(), 0
        for number, attachment in enumerate(companions.attachments):
            try:
                section = pack_section(SECTION_ATTACHMENT, write_attachment(attachment))
            except BitstreamError:
                section = b""
            if not section or number - left_out == MAX_ATTACHMENTS:
                left_out += 1
                continue
            file.write(section)
            digest.update(attachment.data)
        notes = [f"attachments that the format cannot hold, left out: {left_out}"] if left_out else []
        for payload in write_packets(digested(tracks.packets(*bounds), digest)):
            file.write(pack_section(SECTION_PACKETS, payload))
        return WrittenCompanions(digest.hexdigest(), (*tracks.notes, *notes))


def digested(packets: Iterable[TrackPacket], digest: Digest) -> Iterator[TrackPacket]:
    """The packets, passed through while ``digest`` takes them in."""
    for packet in packets:
        digest.update(repr((packet.track, packet.pts, packet.dts, packet.duration, packet.is_key)).encode())
        digest.update(packet.data)
        yield packet
