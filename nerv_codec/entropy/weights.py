"""Quantised network weights to bytes and back (docs/format.md, section 4)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.laplace import ESCAPE, MAX_SYMBOL, NUM_SCALES, code_lengths
from nerv_codec.entropy.range_coder import RangeDecoder, RangeEncoder

MIN_STEP_LOG2, MAX_STEP_LOG2 = -24, 8
MAX_MAGNITUDE = 1 << 23
"""Beyond it a float32 could not hold every symbol exactly."""


@dataclass(frozen=True)
class QuantizedTensor:
    """A weight tensor as it is stored: the value is ``symbols * 2**step_log2``."""

    symbols: npt.NDArray[np.int32]
    step_log2: int

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The dequantised weights, exactly."""
        return np.ldexp(self.symbols.astype(np.float32), self.step_log2)


def symbol_digest(tensors: Sequence[QuantizedTensor]) -> int:
    """CRC-32 of all symbols as little-endian int32, tensor after tensor."""
    digest = 0
    for tensor in tensors:
        digest = zlib.crc32(tensor.symbols.astype("<i4").tobytes(), digest)
    return digest


def best_scale(symbols: npt.NDArray[np.integer[Any]]) -> tuple[int, float]:
    """The table under which ``symbols`` cost least, and that cost in bits, escapes included."""
    codes, escaped = _codes(symbols)
    histogram = np.bincount(codes.ravel(), minlength=ESCAPE + 1).astype(np.float64)
    costs = code_lengths() @ histogram
    scale_index = int(np.argmin(costs))
    return scale_index, float(costs[scale_index]) + 8 * sum(_varint_bytes(value) for value in escaped)


def estimate_bits(tensors: Sequence[QuantizedTensor]) -> float:
    """What ``encode_weights`` will write, in bits, from the tables: side information included."""
    return 8 * (2 * len(tensors) + 5) + sum(best_scale(tensor.symbols)[1] for tensor in tensors)


def encode_weights(tensors: Sequence[QuantizedTensor]) -> bytes:
    """Codes tensors one after the other. Their shapes are not stored: the decoder knows them.

    Raises:
        ValueError: A step or a symbol is outside what the format holds.
    """
    out, coder, escapes = ByteWriter(), RangeEncoder(), []
    out.u32(symbol_digest(tensors))
    for tensor in tensors:
        if not MIN_STEP_LOG2 <= tensor.step_log2 <= MAX_STEP_LOG2:
            raise ValueError(f"Expected a step of 2**-24..2**8, got 2**{tensor.step_log2}.")
        if np.abs(tensor.symbols).max(initial=0) > MAX_MAGNITUDE:
            raise ValueError(f"Expected symbols within +-{MAX_MAGNITUDE}.")
        scale_index, _ = best_scale(tensor.symbols)
        codes, escaped = _codes(tensor.symbols)
        out.i8(tensor.step_log2)
        out.u8(scale_index)
        coder.encode(codes.ravel(), scale_index)
        escapes += escaped
    out.varint(len(escapes))
    for value in escapes:
        out.signed_varint(value)
    out.raw(coder.getvalue())
    return out.getvalue()


def decode_weights(data: bytes, shapes: Sequence[tuple[int, ...]]) -> list[QuantizedTensor]:
    """The inverse of :func:`encode_weights`.

    Raises:
        BitstreamError: The data is damaged: a field out of range, codes left over, or another digest.
    """
    reader = ByteReader(data)
    digest = reader.u32()
    heads = []
    for _ in shapes:
        step_log2, scale_index = reader.i8(), reader.u8()
        if not MIN_STEP_LOG2 <= step_log2 <= MAX_STEP_LOG2 or scale_index >= NUM_SCALES:
            raise BitstreamError(f"unknown quantiser: step 2**{step_log2}, scale {scale_index}")
        heads.append((step_log2, scale_index))
    escapes = [reader.signed_varint("a weight") for _ in range(reader.varint(0, len(data), "escapes"))]
    coder = RangeDecoder(reader.rest())
    tensors, used = [], 0
    for shape, (step_log2, scale_index) in zip(shapes, heads, strict=True):
        codes = coder.decode(math.prod(shape), scale_index)
        symbols = codes - np.int32(MAX_SYMBOL)
        outside = np.flatnonzero(codes == ESCAPE)
        values = escapes[used : used + len(outside)]
        if len(values) != len(outside) or not all(MAX_SYMBOL < abs(value) <= MAX_MAGNITUDE for value in values):
            raise BitstreamError("escaped weights do not match the entropy-coded data")
        symbols[outside] = values
        used += len(outside)
        tensors.append(QuantizedTensor(symbols.reshape(shape), step_log2))
    coder.expect_exhausted()
    if used != len(escapes) or symbol_digest(tensors) != digest:
        raise BitstreamError("the decoded weights do not have the digest that the encoder stored")
    return tensors


def _codes(symbols: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Table codes of symbols, and the values of those that have none."""
    outside = np.abs(symbols) > MAX_SYMBOL
    codes = np.where(outside, ESCAPE, symbols + MAX_SYMBOL).astype(np.int32)
    return codes, [int(value) for value in symbols[outside]]


def _varint_bytes(value: int) -> int:
    zigzag = 2 * value if value >= 0 else -2 * value - 1
    return max(1, -(-zigzag.bit_length() // 7))
