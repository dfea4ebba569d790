"""A range-coded stream that grows: what several pictures and their motion are written to, one after another."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.range_kernel import FULL, begin, finish, put_flag, take_flag, words_left

_MARGIN_WORDS = 64

Counts = npt.NDArray[np.int64]
"""How often a flag was 0 and 1."""


class StreamWriter:
    """State of the range coder and the words so far; kernels write into `words` from `used` on."""

    def __init__(self) -> None:
        self.words = np.empty(1 << 12, np.uint32)
        self.state = np.array([0, FULL], np.uint64)
        self.used = 0

    @property
    def bits(self) -> float:
        """Information so far: what is in the words, and what narrows the range behind them."""
        return 32.0 * self.used + 64.0 - math.log2(float(self.state[1]))

    def reserve(self, symbols: int) -> None:
        """Room for so many symbols, 64 bits each at most."""
        needed = self.used + 2 * symbols + _MARGIN_WORDS
        if needed > len(self.words):
            grown = np.empty(2 * needed, np.uint32)
            grown[: self.used] = self.words[: self.used]
            self.words = grown

    def flag(self, value: bool, counts: Counts) -> None:
        """Codes a flag with what ``counts`` say of it, and counts it."""
        self.reserve(1)
        self.used = put_flag(int(value), counts, self.state, self.words, self.used)

    def bytes(self) -> bytes:
        """Ends the stream."""
        self.reserve(2)
        self.used = finish(self.state, self.words, self.used)
        return self.words[: self.used].astype("<u4").tobytes()


class StreamReader:
    """The inverse of `StreamWriter`; `position` is the next word's."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise BitstreamError(f"expected whole 32-bit words, found {len(data)} bytes")
        self.words = np.frombuffer(data, "<u4").astype(np.uint32)
        self.state = begin(self.words)
        self.position = 2

    def flag(self, counts: Counts) -> bool:
        """The next flag."""
        value, self.position = take_flag(counts, self.state, self.words, self.position)
        return bool(value)

    def check_end(self) -> None:
        """Refuses words that nothing was read from."""
        if words_left(self.words, self.position):
            raise BitstreamError("the entropy-coded data is longer than expected")
