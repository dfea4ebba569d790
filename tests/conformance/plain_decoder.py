"""What plain decoders share, written from the text of docs/format.md alone: slow and short.

Numbers in docstrings are sections of that text. Rules are asserted where the data could not be read otherwise.
"""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import exp

TOTAL = 1 << 24
DECAY = [round(2**32 * exp(-1 / (16 * 2 ** ((i - 16) / 4)))) for i in range(48)]


class Reader:
    """Numbers of section 1 out of a byte string."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int | None = None) -> bytes:
        """The next bytes, or all that are left."""
        size = len(self.data) - self.at if size is None else size
        assert size <= len(self.data) - self.at, "the data end too early"
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize(code)))[0])

    def varint(self) -> int:
        groups = [self.number("B")]
        while groups[-1] > 127:
            groups.append(self.number("B"))
        return sum((group & 127) << 7 * i for i, group in enumerate(groups))


@cache
def grid_table(scale: int, p: int) -> list[int]:
    """Cumulative counts of table (scale, p) (6.4)."""
    t = list(accumulate(range(512), lambda before, _: before * DECAY[scale] >> 32, initial=1 << 31))
    beyond = [t[j] if j >= 0 else 2**32 - t[-j] for j in range(16 * -32 + 16 - p, 16 * 32 + 1 - p, 16)]
    masses = [a - b for a, b in pairwise(beyond)]
    counts = [1 + (mass * (TOTAL - 64) >> 32) for mass in (*masses, 2**32 - sum(masses))]
    counts[31] += TOTAL - sum(counts)
    return list(accumulate(counts, initial=0))


class RangeDecoder:
    """The range coder (4)."""

    def __init__(self, data: bytes) -> None:
        self.words = struct.unpack(f"<{len(data) // 4}I", data)
        self.low, self.range, self.point, self.taken = 0, 2**64 - 1, 0, 0
        self.take()
        self.take()

    def take(self) -> None:
        word = self.words[self.taken] if self.taken < len(self.words) else 0
        self.point, self.taken = (self.point << 32 | word) % 2**64, self.taken + 1

    def code(self, table: Sequence[int] = (0, TOTAL // 2, TOTAL)) -> int:
        scale = self.range >> 24
        code = bisect_right(table, min((self.point - self.low) % 2**64 // scale, TOTAL - 1)) - 1
        self.low = (self.low + scale * table[code]) % 2**64
        self.range = scale * (table[code + 1] - table[code])
        if self.range < 2**32:
            self.low, self.range = self.low << 32, self.range << 32
            self.take()
        return code

    def flag(self, counts: list[int]) -> int:
        """A flag of a kind with so many zeros and ones so far, which are counted on (6.4)."""
        zeros, ones = counts
        flag = self.code((0, (2 * zeros + 1 << 24) // (2 * zeros + 2 * ones + 2), TOTAL))
        counts[flag] += 1
        return flag

    def symbol(self, location: int, scale: int) -> int:
        """A symbol by its table, and what follows an escape (6.4)."""
        nearest = location + 8 >> 4
        if (near := self.code(grid_table(scale, location - 16 * nearest + 8))) < 63:
            return nearest + near - 31
        below, g, x = self.code(), max(0, scale - 16 >> 2), 1
        bits = g
        while self.code():
            bits += 1
        for _ in range(bits):
            x = 2 * x + self.code()
        return nearest + (1 - 2 * below) * (x + 32 - 2**g)

    def finish(self) -> None:
        """How a stream of symbols ends (6.4)."""
        assert self.words[-1:] != (0,), "the last word is 0"
        assert len(self.words) < self.taken, "words are left"
