"""A decoder of coded weights written from docs/format.md, section 4, and from nothing else.

That it reads what the package writes shows that the text says enough to write a decoder.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from nerv_codec.entropy import laplace as tables
from nerv_codec.entropy.weights import QuantizedTensor, encode_weights

WORD = (1 << 64) - 1


def table(index: int) -> list[int]:
    scale = 2 ** ((index - 16) / 4)
    decay = round(2**32 * math.exp(-1 / (16 * scale)))
    assert decay == tables._DECAY[index]
    tails = [1 << 31]
    for _ in range(16 * 127 + 8):
        tails.append(tails[-1] * decay // 2**32)
    beyond = [tails[16 * k + 8] for k in range(128)]
    mass = {0: 2**32 - 2 * beyond[0]}
    for k in range(1, 128):
        mass[k] = mass[-k] = beyond[k - 1] - beyond[k]
    masses = [mass[k] for k in range(-127, 128)] + [2 * beyond[127]]
    counts = [1 + m * (2**24 - 256) // 2**32 for m in masses]
    counts[127] += 2**24 - sum(counts)
    return counts


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def u32(self) -> int:
        return sum(self.byte() << 8 * i for i in range(4))

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def svarint(self) -> int:
        value = self.varint()
        return value // 2 if value % 2 == 0 else -(value + 1) // 2


class Coder:
    def __init__(self, words: list[int]) -> None:
        self.words, self.taken = words, 0
        self.low, self.range = 0, WORD
        self.point = self.next() << 32
        self.point |= self.next()

    def next(self) -> int:
        self.taken += 1
        return self.words[self.taken - 1] if self.taken <= len(self.words) else 0

    def code(self, counts: list[int]) -> int:
        scale = self.range >> 24
        q = min((self.point - self.low & WORD) // scale, 2**24 - 1)
        left, code = 0, 0
        while q >= left + counts[code]:
            left += counts[code]
            code += 1
        self.low = self.low + scale * left & WORD
        self.range = scale * counts[code]
        if self.range < 2**32:
            self.low = self.low << 32 & WORD
            self.range = self.range << 32 & WORD
            self.point = (self.point << 32 | self.next()) & WORD
        return code


def decode(data: bytes, sizes: list[int]) -> list[tuple[int, list[int]]]:
    reader = Reader(data)
    digest = reader.u32()
    heads = [((reader.byte() ^ 128) - 128, reader.byte()) for _ in sizes]
    escapes = iter([reader.svarint() for _ in range(reader.varint())])
    words = [Reader(data[at : at + 4]).u32() for at in range(reader.at, len(data), 4)]
    coder, tensors = Coder(words), []
    for size, (step, scale) in zip(sizes, heads, strict=True):
        counts = table(scale)
        codes = [coder.code(counts) for _ in range(size)]
        tensors.append((step, [next(escapes) if code == 255 else code - 127 for code in codes]))
    assert next(escapes, None) is None
    assert coder.taken >= len(words)
    stored = b"".join(value.to_bytes(4, "little", signed=True) for _, values in tensors for value in values)
    assert zlib.crc32(stored) == digest
    return tensors


@pytest.mark.parametrize("seed", range(12))
def test_a_decoder_written_from_the_text_reads_what_the_package_writes(seed):
    rng = np.random.default_rng(seed)
    sizes = [int(size) for size in rng.integers(0, 120, 4)]
    tensors = []
    for size in sizes:
        spread = 2.0 ** rng.uniform(-5, 9)
        values = np.rint(rng.laplace(0, spread, size)).astype(np.int32)
        tensors.append(QuantizedTensor(values, int(rng.integers(-24, 9))))
    expected = [(tensor.step_log2, tensor.symbols.tolist()) for tensor in tensors]
    assert decode(encode_weights(tensors), sizes) == expected


def test_carries_and_rare_symbols():
    """Improbable codes, at which the range shrinks fastest, one after the other."""
    values = np.array([0] * 500 + [127, -127, 128, -(1 << 23), 0, 127, 127, 127] + [0] * 500, np.int32)
    assert decode(encode_weights([QuantizedTensor(values, 0)]), [values.size]) == [(0, values.tolist())]
