"""A stream of decisions as a kernel sees it: the coder's numbers, and bytes with room to grow."""

from __future__ import annotations

import numpy as np

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.lossless.bit_kernel import (
    DECODE,
    ENCODE,
    POSITION,
    finish_encoding,
    start_coder,
    start_decoding,
)


class ByteStream:
    """What is read from, or written to.

    Args:
        data: The bytes to read; None writes some.
    """

    def __init__(self, data: bytes | None = None) -> None:
        self.mode = ENCODE if data is None else DECODE
        self.coder = start_coder()
        self.data = np.zeros(1 << 12, np.uint8) if data is None else np.frombuffer(bytearray(data), np.uint8)
        if data is not None:
            start_decoding(self.coder, self.data)

    @property
    def num_bytes(self) -> int:
        """Bytes read or written so far."""
        return int(self.coder[POSITION])

    def make_room(self, num_bytes: int) -> None:
        """Sees to it that so many more bytes can be written."""
        need = self.num_bytes + num_bytes
        if self.mode == ENCODE and need > len(self.data):
            self.data = np.concatenate([self.data, np.zeros(need, np.uint8)])

    def getvalue(self) -> bytes:
        """All that was written, finished."""
        self.make_room(1)
        finish_encoding(self.coder, self.data)
        return self.data[: self.num_bytes].tobytes()

    def check_end(self) -> None:
        """Raises BitstreamError where more was read than there is: what follows would be made of nothing."""
        if self.mode == DECODE and self.num_bytes - 3 > len(self.data):
            raise BitstreamError("the coded data end too early")

    def expect_end(self, what: str) -> None:
        """Raises BitstreamError unless every byte was read, and three behind the end, which are left out."""
        if self.num_bytes - 3 != len(self.data):
            raise BitstreamError(f"expected {self.num_bytes - 3} bytes of {what}, found {len(self.data)}")
