from __future__ import annotations

import dataclasses
import io
import zlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.bitstream import container
from nerv_codec.bitstream.container import (
    SECTION_GOP,
    SECTION_TOOL,
    ContainerReader,
    pack_section,
    write_prologue,
)
from nerv_codec.bitstream.headers import GopEntry, StreamHeader
from nerv_codec.bitstream.tool import ToolInfo, parse_tool, write_tool

INFO = VideoInfo(2, 1, PixelFormat(1, 0, 0, 8), ColorInfo(), Fraction(1), Fraction(1, 25))
GOPS = (pack_section(SECTION_GOP, b"first"), pack_section(SECTION_GOP, b"2"))
TOOL = pack_section(SECTION_TOOL, write_tool(ToolInfo("test", 1500)))
ENTRIES = (GopEntry(2, False, len(GOPS[0])), GopEntry(2, True, len(GOPS[1])))
HEADER = StreamHeader(1, INFO, (0, 1, 2), 1, ENTRIES, len(TOOL))
FILE = write_prologue(HEADER) + b"".join(GOPS) + TOOL


def read_all(data: bytes) -> list[bytes]:
    """Everything that a decoder of the whole file reads."""
    reader = ContainerReader(io.BytesIO(data))
    return [reader.read_gop(index) for index in range(len(reader.header.gops))]


def test_exact_bytes():
    sections = (
        "01 18 0102 0100 0802 0202 0201 0101 1900 01 010102 02040b0507 0c",  # header: 2x1, gray, 8 bits, 1/25 s ...
        "02 05 6669727374",
        "02 01 32",
        "81 06 dc0b 74657374",
    )
    plain = [bytes.fromhex(section) for section in sections]
    framed = [section + zlib.crc32(section).to_bytes(4, "little") for section in plain]
    assert b"\x93NVC\x02" + b"".join(framed) == FILE


def test_reads_back():
    reader = ContainerReader(io.BytesIO(FILE))
    assert dataclasses.replace(reader.header, pts=tuple(reader.header.pts)) == HEADER
    assert [reader.read_gop(index) for index in (1, 0)] == [b"2", b"first"]
    (tool,) = reader.trailing_sections()
    assert parse_tool(tool.payload) == ToolInfo("test", 1500)
    assert reader.header_bytes + sum(map(len, GOPS)) + tool.section_bytes == reader.file_bytes == len(FILE)


@given(st.binary(max_size=400), st.integers(0, 255))
def test_section_round_trip(payload, kind):
    section = pack_section(kind, payload)
    assert section[-4:] == zlib.crc32(section[:-4]).to_bytes(4, "little")
    assert section[0] == kind and payload in section


@pytest.mark.parametrize("position", range(len(FILE)))
def test_every_damaged_byte_is_detected(position):
    for change in (0x01, 0x80, 0xFF):
        data = bytearray(FILE)
        data[position] ^= change
        with pytest.raises(BitstreamError):
            read_all(bytes(data))


@pytest.mark.parametrize("size", range(len(FILE)))
def test_every_truncation_is_detected(size):
    with pytest.raises(BitstreamError):
        read_all(FILE[:size])


def with_sections(*sections: bytes) -> bytes:
    """A file with these behind its GOPs."""
    return write_prologue(dataclasses.replace(HEADER, other_bytes=len(b"".join(sections)))) + b"".join(
        [*GOPS, *sections]
    )


def test_every_lost_section_is_detected():
    sections = [TOOL, pack_section(0x83, b"sound"), pack_section(0x83, b"more")]
    whole = with_sections(*sections)
    for count in range(3):
        lost = sum(map(len, sections[count:]))
        with pytest.raises(BitstreamError, match=f"truncated: {lost} bytes are missing"):
            read_all(whole[:-lost])
        cut = ContainerReader(io.BytesIO(whole[:-lost]), keep_going=True)
        assert len(list(cut.trailing_sections())) == count and f"{lost} bytes" in cut.damage[0]


def test_unknown_ancillary_section_is_skipped():
    assert read_all(with_sections(TOOL, pack_section(0xFE, b"from the future"))) == [b"first", b"2"]


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 0x7F])
def test_unknown_critical_section_is_refused(kind):
    with pytest.raises(UnsupportedVersionError, match=f"section type {kind}"):
        ContainerReader(io.BytesIO(with_sections(TOOL, pack_section(kind, b""))))


def test_bytes_behind_the_last_section_are_refused():
    for more in (b"\0", pack_section(0xFE, b"whole")):
        with pytest.raises(BitstreamError, match=f"{len(more)} bytes more than its header says"):
            ContainerReader(io.BytesIO(FILE + more))


@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_other_versions_are_named(version):
    with pytest.raises(UnsupportedVersionError, match=f"expected format version 2, found {version}"):
        ContainerReader(io.BytesIO(FILE[:4] + bytes([version]) + FILE[5:]))


def test_other_files_are_named():
    with pytest.raises(BitstreamError, match="magic"):
        ContainerReader(io.BytesIO(b"\0\0\0 ftypisom"))


def test_gop_of_another_size_than_in_the_index_is_refused():
    swapped = write_prologue(HEADER) + GOPS[1] + GOPS[0] + TOOL
    with pytest.raises(BitstreamError, match="GOP 0"):
        read_all(swapped)


def test_section_limit(monkeypatch):
    monkeypatch.setattr(container, "MAX_SECTION_BYTES", 30)
    assert len(pack_section(2, bytes(24))) == 30
    with pytest.raises(BitstreamError, match="at most 30 bytes, found 31"):
        pack_section(2, bytes(25))
    reader = ContainerReader(io.BytesIO(FILE))
    assert reader.read_gop(0) == b"first"
    with pytest.raises(BitstreamError, match="at most 30 bytes"):
        ContainerReader(io.BytesIO(with_sections(bytes([0x90, 25]) + bytes(29))))


def test_tool_section_limits():
    assert parse_tool(write_tool(ToolInfo("x" * 200, 0))).name == "x" * 64
    for payload in (b"", b"\x00" + b"x" * 65, b"\xff" * 8 + b"\x01x"):
        with pytest.raises(BitstreamError):
            parse_tool(payload)
