"""The file as a whole: magic, the framing and checksums of sections, and random access to them (format.md, 1 and 2)."""

from __future__ import annotations

import bisect
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.bitstream.headers import (
    MAX_HEADER_BYTES,
    MAX_SECTION_BYTES,
    StreamHeader,
    parse_header,
    write_header,
)

MAGIC = b"\x93NVC"
VERSION = 2
SECTION_HEADER = 1
SECTION_GOP = 2
SECTION_TOOL = 0x81
SECTION_COMPANIONS = 0x82
SECTION_PACKETS = 0x83
SECTION_ATTACHMENT = 0x84
ANCILLARY = 0x80
"""A decoder may skip sections of this type and above if it does not know them."""

_PROLOGUE = MAGIC + bytes([VERSION])
_MAX_FRAMING = 1 + 9
"""The most bytes that stand before a section's payload: its type and its length."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Section:
    """One section of a file, with its content."""

    kind: int
    payload: bytes
    section_bytes: int
    """The whole section, with type, length and checksum."""


@dataclass(frozen=True)
class _Frame:
    """Where a section lies in the file; its content has not been read yet."""

    kind: int
    offset: int
    payload_start: int
    """Bytes from the section's beginning to its payload."""
    section_bytes: int


def pack_section(kind: int, payload: bytes) -> bytes:
    """Returns a whole section: type, length, payload, and the CRC-32 of all three."""
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
    """Returns all bytes of a file before its first GOP section."""
    return _PROLOGUE + pack_section(SECTION_HEADER, write_header(header))


class ContainerReader:
    """Random access to the sections of a ``.nvc``.

    Args:
        file: A seekable binary file, positioned anywhere. It stays open; the caller closes it.
        keep_going: Whether a file that is cut off or damaged behind its header is accepted, with a note in ``damage``.

    Attributes:
        header: The header section.
        damage: What was found wrong with the file, one plain sentence each; empty without ``keep_going``.

    Raises:
        BitstreamError: The file is no ``.nvc``, it is shorter or longer than its header says, or anything but its
            GOPs is damaged; GOPs are checked when they are read.
        UnsupportedVersionError: The file was written for another version of the format.
    """

    def __init__(self, file: BinaryIO, *, keep_going: bool = False) -> None:
        self._file = file
        self._lock = threading.Lock()  # sections are read from several threads, and a file has one position
        self.damage: list[str] = []
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
        self._trailing_end = self._offsets[-1]
        try:
            self._check_end()
        except UnsupportedVersionError:
            raise
        except BitstreamError as error:
            if not keep_going:
                raise
            self.damage.append(str(error))

    def _check_end(self) -> None:
        """Checks all sections behind the GOPs. Raises BitstreamError for damage and for one that may not be skipped."""
        end = self._offsets[-1] + self.header.other_bytes
        while self._trailing_end < min(end, self.file_bytes):
            frame = self._frame(self._trailing_end, min(MAX_SECTION_BYTES, end - self._trailing_end))
            if frame.kind < ANCILLARY:
                raise UnsupportedVersionError(f"unknown section type {frame.kind}")
            self._check(frame)
            self._trailing_end += frame.section_bytes
        if end > self.file_bytes:
            raise BitstreamError(f"the file is truncated: {end - self.file_bytes} bytes are missing at its end")
        if end < self.file_bytes:
            raise BitstreamError(f"the file has {self.file_bytes - end} bytes more than its header says")

    @property
    def num_gops_present(self) -> int:
        """How many GOPs the file holds whole; only with ``keep_going`` can there be fewer than the header says."""
        return bisect.bisect_right(self._offsets, self.file_bytes) - 1

    def read_gop(self, index: int) -> bytes:
        """Returns the payload of one GOP. Raises BitstreamError where it is damaged or missing."""
        expected = self.header.gops[index].section_bytes
        try:
            section = self._read_section(self._offsets[index], expected)
        except BitstreamError as error:
            raise BitstreamError(f"GOP {index}: {error}") from error
        if section.kind != SECTION_GOP or section.section_bytes != expected:
            raise BitstreamError(f"GOP {index}: expected a GOP section of {expected} bytes")
        return section.payload

    def trailing_sections(self) -> Iterator[Section]:
        """Yields the sections behind the GOPs; with ``keep_going``, those before the first damage.

        Raises:
            BitstreamError: A section is damaged.
        """
        offset = self._offsets[-1]
        while offset < self._trailing_end:
            section = self._read_section(offset, MAX_SECTION_BYTES)
            yield section
            offset += section.section_bytes

    def _read_section(self, offset: int, limit: int) -> Section:
        with self._lock:
            frame = self._frame(offset, limit)
            self._file.seek(offset)
            body = self._file.read(frame.section_bytes - 4)
            checksum = int.from_bytes(self._file.read(4), "little")
        if zlib.crc32(body) != checksum:
            raise BitstreamError("checksum mismatch: the data is damaged")
        return Section(frame.kind, body[frame.payload_start :], frame.section_bytes)

    def _check(self, frame: _Frame) -> None:
        """Checks a section piece by piece, as it need not fit into memory. Raises BitstreamError if it is damaged."""
        self._file.seek(frame.offset)
        checksum, left = 0, frame.section_bytes - 4
        while left:
            piece = self._file.read(min(left, _PIECE_BYTES))
            if not piece:
                break
            checksum, left = zlib.crc32(piece, checksum), left - len(piece)
        if checksum != int.from_bytes(self._file.read(4), "little"):
            raise BitstreamError("checksum mismatch: the data is damaged")

    def _frame(self, offset: int, limit: int) -> _Frame:
        self._file.seek(offset)
        framing = ByteReader(self._file.read(_MAX_FRAMING))
        kind = framing.u8()
        size = framing.varint(what="a section's size")
        total = framing.position + size + 4
        if total > limit:
            raise BitstreamError(f"expected a section of at most {limit} bytes, found {total}")
        if offset + total > self.file_bytes:
            raise BitstreamError("the file is truncated: a section runs past its end")
        return _Frame(kind, offset, framing.position, total)
