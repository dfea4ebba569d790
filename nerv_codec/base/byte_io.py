"""Bytes to integers and back: the bounded reader and writer that every header goes through."""

from __future__ import annotations

from nerv_codec.base.errors import BitstreamError

_MAX_VARINT_BYTES = 9
"""Nine groups of seven bits: no value in a stream needs more than 63 bits."""


class ByteWriter:
    """Appends integers to a growing buffer, little endian."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def u8(self, value: int) -> None:
        """Appends one byte, 0..255."""
        self._buffer.append(value)

    def u32(self, value: int) -> None:
        """Appends four bytes, 0..2**32-1."""
        self._buffer += value.to_bytes(4, "little")

    def i8(self, value: int) -> None:
        """Appends one signed byte, -128..127."""
        self._buffer += value.to_bytes(1, "little", signed=True)

    def varint(self, value: int) -> None:
        """Appends an unsigned LEB128 integer, 0..2**63-1, in as few bytes as possible."""
        if not 0 <= value < 1 << 63:
            raise ValueError(f"Expected a varint in 0..2**63-1, got {value}.")
        while value >= 0x80:
            self._buffer.append(value & 0x7F | 0x80)
            value >>= 7
        self._buffer.append(value)

    def signed_varint(self, value: int) -> None:
        """Appends a zigzag integer: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
        self.varint(2 * value if value >= 0 else -2 * value - 1)

    def raw(self, data: bytes) -> None:
        """Appends bytes as they are."""
        self._buffer += data

    def getvalue(self) -> bytes:
        """All that was appended."""
        return bytes(self._buffer)


class ByteReader:
    """Takes integers from the front of a buffer.

    Raises:
        BitstreamError: from every method, where the buffer ends too early or a value is out of its range.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def position(self) -> int:
        """Bytes taken so far."""
        return self._position

    def raw(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._position + size
        if end > len(self._data):
            raise BitstreamError(f"expected {size} more bytes, found {len(self._data) - self._position}")
        chunk = self._data[self._position : end]
        self._position = end
        return chunk

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.raw(len(self._data) - self._position)

    def u8(self) -> int:
        """One byte."""
        return self.raw(1)[0]

    def u32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.raw(4), "little")

    def i8(self) -> int:
        """One signed byte."""
        return int.from_bytes(self.raw(1), "little", signed=True)

    def varint(self, low: int = 0, high: int = (1 << 63) - 1, what: str = "value") -> int:
        """An unsigned LEB128 integer that must lie in ``low``..``high`` and be written in its shortest form."""
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise BitstreamError(f"{what} is not in its shortest form")
                if not low <= value <= high:
                    raise BitstreamError(f"expected {what} in {low}..{high}, found {value}")
                return value
        raise BitstreamError(f"{what} is longer than {_MAX_VARINT_BYTES} bytes")

    def signed_varint(self, what: str = "value") -> int:
        """A zigzag integer."""
        value = self.varint(what=what)
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def expect_end(self, what: str) -> None:
        """Raises unless every byte was taken: a stream has no holes."""
        if self._position != len(self._data):
            raise BitstreamError(f"{what} has {len(self._data) - self._position} bytes too many")
