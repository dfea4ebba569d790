"""The file around the sections: magic, framing, checksums, random access (FORMAT.md, sections 1 and 2)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from nerv_codec.bitstream.headers import (
    MAX_HEADER_BYTES,
    MAX_SECTION_BYTES,
    StreamHeader,
    parse_header,
    write_header,
)
from nerv_codec.bitstream.primitives import ByteReader, ByteWriter
from nerv_codec.errors import BitstreamError, UnsupportedVersionError

MAGIC = b"\x93NVC"
VERSION = 1
SECTION_HEADER = 1
SECTION_GOP = 2
SECTION_TOOL = 0x81
ANCILLARY = 0x80
"""Section types from here on may be skipped by a decoder that does not know them."""

_PROLOGUE = MAGIC + bytes([VERSION])
_MAX_FRAMING = 1 + 9
"""Bytes before a section's payload at the most: the type and the length."""


@dataclass(frozen=True)
class Section:
    """One framed piece of a file."""

    kind: int
    payload: bytes
    section_bytes: int
    """Framing included."""


def pack_section(kind: int, payload: bytes) -> bytes:
    """Frames a payload: type, length, payload, CRC-32 of all three."""
    out = ByteWriter()
    out.u8(kind)
    out.varint(len(payload))
    out.raw(payload)
    out.u32(zlib.crc32(out.getvalue()))
    section = out.getvalue()
    if len(section) > MAX_SECTION_BYTES:
        raise BitstreamError(f"expected a section of at most {MAX_SECTION_BYTES} bytes, found {len(section)}")
    return section


def write_prologue(header: StreamHeader) -> bytes:
    """All bytes before the first GOP section."""
    return _PROLOGUE + pack_section(SECTION_HEADER, write_header(header))


class ContainerReader:
    """Random access to the sections of a ``.nvc``.

    Args:
        file: A seekable binary file, positioned anywhere. It stays open; the caller closes it.

    Raises:
        BitstreamError: The file is no ``.nvc``, anything but its GOPs is damaged, or it is shorter than its
            index says. The GOPs are checked when they are read.
        UnsupportedVersionError: It was written for a later version of the format.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.file_bytes = file.seek(0, 2)
        file.seek(0)
        prologue = file.read(len(_PROLOGUE))
        if not prologue.startswith(MAGIC):
            raise BitstreamError("expected a .nvc file, found other content (wrong magic bytes)")
        if len(prologue) < len(_PROLOGUE):
            raise BitstreamError("the file is truncated: it ends before the version")
        if prologue[-1] != VERSION:
            raise UnsupportedVersionError(f"expected format version {VERSION}, found {prologue[-1]}")
        section = self._read_section(len(_PROLOGUE), MAX_HEADER_BYTES)
        if section.kind != SECTION_HEADER:
            raise BitstreamError(f"expected the header section, found section type {section.kind}")
        self.header = parse_header(section.payload)
        self.header_bytes = len(_PROLOGUE) + section.section_bytes
        self._offsets = [self.header_bytes]
        for gop in self.header.gops:
            self._offsets.append(self._offsets[-1] + gop.section_bytes)
        if self._offsets[-1] > self.file_bytes:
            missing = self._offsets[-1] - self.file_bytes
            raise BitstreamError(f"the file is truncated: {missing} bytes are missing at its end")
        for _ in self.trailing_sections():
            pass  # damage in them, or one that must be known, is an error whoever asks for them

    def read_gop(self, index: int) -> bytes:
        """The payload of one GOP. Raises BitstreamError where it is damaged or missing."""
        expected = self.header.gops[index].section_bytes
        try:
            section = self._read_section(self._offsets[index], expected)
        except BitstreamError as error:
            raise BitstreamError(f"GOP {index}: {error}") from error
        if section.kind != SECTION_GOP or section.section_bytes != expected:
            raise BitstreamError(f"GOP {index}: expected a GOP section of {expected} bytes")
        return section.payload

    def trailing_sections(self) -> Iterator[Section]:
        """The sections behind the GOPs. Raises BitstreamError for damage and for unknown kinds that matter."""
        offset = self._offsets[-1]
        while offset < self.file_bytes:
            section = self._read_section(offset, MAX_SECTION_BYTES)
            if section.kind < ANCILLARY:
                raise UnsupportedVersionError(f"unknown section type {section.kind}")
            yield section
            offset += section.section_bytes

    def _read_section(self, offset: int, limit: int) -> Section:
        self._file.seek(offset)
        framing = ByteReader(self._file.read(_MAX_FRAMING))
        kind = framing.u8()
        size = framing.varint(what="a section's size")
        start = framing.position
        total = start + size + 4
        if total > limit:
            raise BitstreamError(f"expected a section of at most {limit} bytes, found {total}")
        if offset + total > self.file_bytes:
            raise BitstreamError("the file is truncated: a section runs past its end")
        self._file.seek(offset)
        body = self._file.read(start + size)
        stored = int.from_bytes(self._file.read(4), "little")
        if zlib.crc32(body) != stored:
            raise BitstreamError("checksum mismatch: the data is damaged")
        return Section(kind, body[start:], total)
