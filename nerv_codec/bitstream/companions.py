"""The sections for what travels beside the pictures: what describes it, packets and attachments (format.md, 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TypeVar

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.companions import (
    Attachment,
    Chapter,
    Companions,
    LightLevel,
    MasteringDisplay,
    Track,
    TrackPacket,
)
from nerv_codec.base.errors import BitstreamError

MAX_TRACKS = 64
MAX_CHAPTERS = 4096
MAX_TAGS = 256
MAX_TEXT_BYTES = 1 << 12
MAX_STUB_BYTES = 1 << 20
MAX_PACKET_BYTES = 1 << 24
MAX_COMPANIONS_BYTES = 1 << 24
MAX_PACKETS_BYTES = 1 << 25
MAX_ATTACHMENTS = 256
MAX_TIME = 1 << 59
_STUB_FORMATS = ("matroska", "mp4")
_SECTION_BYTES = 1 << 18
"""A packets section is closed when its packets have so many bytes."""
_KEY, _TIMED, _LASTING = 1, 2, 4
_FLAG_BITS = 3
_Item = TypeVar("_Item")


def write_companions(companions: Companions) -> bytes:
    """Returns the payload of the companions section; attachments have sections of their own.

    Raises:
        BitstreamError: A limit of the format is broken.
    """
    out = ByteWriter()
    mastering, light = companions.mastering, companions.light
    out.u8((mastering is not None) | (light is not None) << 1)
    if mastering is not None:
        for value in (*mastering.chromaticity, *mastering.luminance):
            out.varint(value)
    if light is not None:
        out.varint(light.max_content)
        out.varint(light.max_frame_average)
    _write_tags(out, companions.tags)
    _write_tags(out, companions.video_tags)
    out.varint(len(companions.chapters))
    for chapter in companions.chapters:
        out.signed_varint(chapter.start_us)
        out.varint(chapter.end_us - chapter.start_us)
        _write_bytes(out, chapter.title.encode())
    out.varint(len(companions.tracks))
    for track in companions.tracks:
        out.u8(_STUB_FORMATS.index(track.stub_format))
        _write_bytes(out, track.stub)
        out.varint(track.time_base.numerator)
        out.varint(track.time_base.denominator)
        out.varint(track.disposition)
        _write_tags(out, track.tags)
    payload = out.getvalue()
    parse_companions(payload)  # whatever a decoder would refuse is never written
    return payload


def parse_companions(payload: bytes) -> Companions:
    """Returns what a companions section holds. Raises BitstreamError for what docs/format.md does not allow."""
    if len(payload) > MAX_COMPANIONS_BYTES:
        raise BitstreamError(f"expected at most {MAX_COMPANIONS_BYTES} bytes of companions, found {len(payload)}")
    data = ByteReader(payload)
    flags = data.u8()
    if flags >> 2:
        raise BitstreamError(f"unknown companion flags {flags:#04x}")
    mastering = light = None
    if flags & 1:
        mastering = _parse_mastering(data)
    if flags & 2:
        light = LightLevel(data.varint(0, 0xFFFF, "a light level"), data.varint(0, 0xFFFF, "a light level"))
    tags, video_tags = _parse_tags(data), _parse_tags(data)
    chapters = _parse_list(data, MAX_CHAPTERS, "chapters", _parse_chapter)
    tracks = _parse_list(data, MAX_TRACKS, "tracks", _parse_track)
    data.expect_end("the companions section")
    return Companions(tuple(tracks), tuple(chapters), tags, video_tags, mastering, light)


def write_attachment(attachment: Attachment) -> bytes:
    """Returns the payload of an attachment's section. Raises BitstreamError where a limit of the format is broken."""
    out = ByteWriter()
    out.u8(attachment.is_cover)
    _write_bytes(out, attachment.name.encode())
    _write_bytes(out, attachment.media_type.encode())
    out.raw(attachment.data)
    payload = out.getvalue()
    parse_attachment(payload)
    return payload


def parse_attachment(payload: bytes) -> Attachment:
    """Returns what an attachment's section holds. Raises BitstreamError for what docs/format.md does not allow."""
    data = ByteReader(payload)
    role = data.u8()
    if role > 1:
        raise BitstreamError(f"unknown role of an attachment {role}")
    name, media_type, content = _parse_text(data), _parse_text(data), data.rest()
    if not name or "/" in name or "\\" in name:
        raise BitstreamError(f"expected an attachment's name without a path, found {name!r}")
    if not content:
        raise BitstreamError(f"the attachment {name!r} is empty")
    return Attachment(name, media_type, content, role == 1)


def write_packets(packets: Iterable[TrackPacket]) -> Iterator[bytes]:
    """Yields the payloads of packets sections, each of some hundred kilobytes and readable without the others.

    Raises:
        BitstreamError: A packet is larger than the format allows, or its time is beyond the format's range.
    """
    section = _SectionWriter()
    for packet in packets:
        section.add(packet)
        if section.num_bytes >= _SECTION_BYTES:
            yield section.getvalue()
            section = _SectionWriter()
    if section.num_bytes:
        yield section.getvalue()


class _SectionWriter:
    """Collects the packets of one section."""

    def __init__(self) -> None:
        self._out = ByteWriter()
        self._clocks: dict[int, _Clock] = {}
        self.num_bytes = 0

    def add(self, packet: TrackPacket) -> None:
        if not 0 <= packet.track < MAX_TRACKS or len(packet.data) > MAX_PACKET_BYTES:
            raise BitstreamError(f"expected packets of at most {MAX_PACKET_BYTES} bytes, found {len(packet.data)}")
        if max(abs(packet.pts), abs(packet.dts), packet.duration) > MAX_TIME:
            raise BitstreamError(f"expected packet times within +-{MAX_TIME}, found {packet.pts}, {packet.dts}")
        clock = self._clocks.setdefault(packet.track, _Clock())
        timed = packet.dts != clock.next_dts or packet.pts != packet.dts
        lasting = packet.duration != clock.duration
        out = self._out
        flags = (_KEY if packet.is_key else 0) | (_TIMED if timed else 0) | (_LASTING if lasting else 0)
        out.varint(packet.track << _FLAG_BITS | flags)
        if timed:
            out.signed_varint(packet.dts - clock.next_dts)
            out.signed_varint(packet.pts - packet.dts)
        if lasting:
            out.varint(packet.duration)
        _write_bytes(out, packet.data)
        clock.advance(packet.dts, packet.duration)
        self.num_bytes += len(packet.data) + 2

    def getvalue(self) -> bytes:
        return self._out.getvalue()


def parse_packets(payload: bytes, num_tracks: int) -> Iterator[TrackPacket]:
    """Yields the packets of one section. Raises BitstreamError where it breaks a rule of the format."""
    data = ByteReader(payload)
    clocks: dict[int, _Clock] = {}
    while data.position < len(payload):
        head = data.varint(what="a packet's track")
        track = head >> _FLAG_BITS
        if track >= num_tracks:
            raise BitstreamError(f"a packet belongs to track {track} of {num_tracks}")
        clock = clocks.setdefault(track, _Clock())
        dts = pts = clock.next_dts
        if head & _TIMED:
            dts += data.signed_varint("a packet's time")
            pts = dts + data.signed_varint("a packet's time")
        duration = data.varint(0, MAX_TIME, "a packet's duration") if head & _LASTING else clock.duration
        if max(abs(pts), abs(dts)) > MAX_TIME:
            raise BitstreamError(f"expected packet times within +-{MAX_TIME}, found {pts}, {dts}")
        body = _parse_bytes(data, MAX_PACKET_BYTES, "a packet")
        yield TrackPacket(track, body, pts, dts, duration, bool(head & _KEY))
        clock.advance(dts, duration)


class _Clock:
    """The decoding time and duration expected of a track's next packet; both start at 0 in every section."""

    def __init__(self) -> None:
        self.next_dts = 0
        self.duration = 0

    def advance(self, dts: int, duration: int) -> None:
        self.next_dts, self.duration = dts + duration, duration


def _parse_mastering(data: ByteReader) -> MasteringDisplay:
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = (
        data.varint(0, 0xFFFF, "a chromaticity") for _ in range(8)
    )
    low, high = (data.varint(0, 0xFFFFFFFF, "a luminance") for _ in range(2))
    return MasteringDisplay((red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y), (low, high))


def _parse_chapter(data: ByteReader) -> Chapter:
    start = data.signed_varint("a chapter's start")
    end = start + data.varint(0, MAX_TIME, "a chapter's length")
    if max(abs(start), abs(end)) > MAX_TIME:
        raise BitstreamError(f"expected chapter times within +-{MAX_TIME}, found {start}..{end}")
    return Chapter(start, end, _parse_text(data))


def _parse_track(data: ByteReader) -> Track:
    kind = data.u8()
    if kind >= len(_STUB_FORMATS):
        raise BitstreamError(f"unknown kind of track {kind}")
    return Track(
        stub_format=_STUB_FORMATS[kind],
        stub=_parse_bytes(data, MAX_STUB_BYTES, "a track's description"),
        time_base=Fraction(data.varint(1, 1 << 31, "a time base"), data.varint(1, 1 << 31, "a time base")),
        disposition=data.varint(0, (1 << 31) - 1, "a disposition"),
        tags=_parse_tags(data),
    )


def _parse_list(data: ByteReader, most: int, what: str, parse: Callable[[ByteReader], _Item]) -> list[_Item]:
    return [parse(data) for _ in range(data.varint(0, most, f"the number of {what}"))]


def _write_tags(out: ByteWriter, tags: Mapping[str, str]) -> None:
    out.varint(len(tags))
    for key, value in sorted(tags.items()):
        _write_bytes(out, key.encode())
        _write_bytes(out, value.encode())


def _parse_tags(data: ByteReader) -> dict[str, str]:
    count = data.varint(0, MAX_TAGS, "the number of tags")
    return {_parse_text(data): _parse_text(data) for _ in range(count)}


def _write_bytes(out: ByteWriter, value: bytes) -> None:
    out.varint(len(value))
    out.raw(value)


def _parse_bytes(data: ByteReader, most: int, what: str) -> bytes:
    return data.raw(data.varint(0, most, f"the size of {what}"))


def _parse_text(data: ByteReader) -> str:
    try:
        text = _parse_bytes(data, MAX_TEXT_BYTES, "a text").decode()
    except UnicodeDecodeError as error:
        raise BitstreamError("expected text in UTF-8") from error
    if "\0" in text:
        raise BitstreamError("expected text without NUL")
    return text
