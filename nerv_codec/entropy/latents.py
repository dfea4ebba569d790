"""Integer latents to bytes and back under a context model.

The payload is a u32 digest (CRC-32 of all symbols as little-endian int32) and the words of the range coder: per grid a
flag `not all zero`, then its symbols in raster order. The decoder knows the table of grids and the reference maps
beforehand, but for which grids are active.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import numpy.typing as npt

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy import latent_coder
from nerv_codec.entropy.context_model import MAX_LATENT, EntropyModel
from nerv_codec.entropy.grids import GridTable
from nerv_codec.entropy.laplace import LATENT_ESCAPE, NUM_LATENT_CODES, WINDOW, latent_code_lengths, latent_cumulative

Symbols = npt.NDArray[np.int32]


def latent_digest(symbols: Symbols) -> int:
    """CRC-32 of symbols as little-endian int32."""
    return zlib.crc32(symbols.astype("<i4").tobytes())


def encode_latents(symbols: Symbols, table: GridTable, maps: Symbols, model: EntropyModel) -> bytes:
    """The payload; which grids are active is found here.

    Args:
        symbols: All latents.
        table: Where their grids are.
        maps: All reference maps, one after the other.
        model: What predicts them.

    Raises:
        ValueError: A bad grid table, or a symbol beyond MAX_LATENT.
    """
    symbols, maps = np.ascontiguousarray(symbols, np.int32), np.ascontiguousarray(maps, np.int32)
    table = table.marked(symbols)
    table.check(symbols.size, maps, model.classes)
    room = symbols.size // 16 + 1024
    while True:
        words = np.empty(room, np.uint32)
        status, used = latent_coder.encode(symbols, table.array, maps, *model.arrays, latent_cumulative(), words)
        if status != latent_coder.NO_ROOM:
            break
        room *= 4
    if status != latent_coder.OK:
        raise ValueError(f"Expected latents within +-{MAX_LATENT}.")
    out = ByteWriter()
    out.u32(latent_digest(symbols))
    out.raw(words[:used].astype("<u4").tobytes())
    return out.getvalue()


def decode_latents(data: bytes, table: GridTable, maps: Symbols, model: EntropyModel) -> Symbols:
    """The symbols that :func:`encode_latents` was given, under the same table, maps and model.

    Raises:
        BitstreamError: The data is damaged.
        ValueError: A bad grid table.
    """
    reader = ByteReader(data)
    digest, body = reader.u32(), reader.rest()
    if len(body) % 4:
        raise BitstreamError(f"expected whole 32-bit words of latents, found {len(body)} bytes")
    words = np.frombuffer(body, "<u4").astype(np.uint32)
    maps = np.ascontiguousarray(maps, np.int32)
    symbols = np.zeros(table.size, np.int32)
    table = table.marked(symbols)  # the decoder fills in which are active
    table.check(symbols.size, maps, model.classes)
    status = latent_coder.decode(words, table.array, maps, *model.arrays, latent_cumulative(), symbols)
    if status == latent_coder.BAD_SYMBOL:
        raise BitstreamError("the entropy-coded latents cannot be decoded")
    if status == latent_coder.WORDS_LEFT:
        raise BitstreamError("the entropy-coded latents are longer than expected")
    if latent_digest(symbols) != digest:
        raise BitstreamError("the decoded latents do not have the digest that the encoder stored")
    return symbols


def estimate_bits(symbols: Symbols, table: GridTable, maps: Symbols, model: EntropyModel) -> npt.NDArray[np.float64]:
    """Bits that each grid will take in the payload, flag included, from the integer tables.

    The digest and what fills the coder's last word are left out; arguments as for :func:`encode_latents`.
    """
    symbols, maps = np.ascontiguousarray(symbols, np.int32), np.ascontiguousarray(maps, np.int32)
    table = table.marked(symbols)
    table.check(symbols.size, maps, model.classes)
    locations, scales = np.zeros(symbols.size, np.int32), np.zeros(symbols.size, np.int32)
    latent_coder.predict(symbols, table.array, maps, *model.arrays, locations, scales)
    costs = symbol_bits(symbols, locations, scales)
    bits = np.zeros(len(table))
    seen = np.zeros((model.classes, 2))
    for index, grid in enumerate(table):
        flags = seen[grid.context_class]
        bits[index] = -math.log2((flags[grid.active] + 0.5) / (flags.sum() + 1))
        flags[grid.active] += 1
        if grid.active:
            bits[index] += costs[grid.part].sum()
    return bits


def symbol_bits(symbols: Symbols, locations: Symbols, scales: Symbols) -> npt.NDArray[np.float64]:
    """Bits of single symbols under the tables that location (1/16) and scale index name, escapes included."""
    rounded = (locations + 8) >> 4
    distance = symbols - rounded
    outside = np.abs(distance) > WINDOW
    codes = np.where(outside, LATENT_ESCAPE, distance + WINDOW)
    table = (scales.astype(np.int64) * 16 + (locations - 16 * rounded + 8)) * NUM_LATENT_CODES
    bits: npt.NDArray[np.float64] = latent_code_lengths().ravel()[table + codes]
    order = np.maximum(0, (scales[outside] - 16) >> 2).astype(np.int64)
    excess = np.abs(distance[outside]).astype(np.int64) - WINDOW - 1 + (1 << order)
    bits[outside] += 2 + 2 * np.floor(np.log2(excess)) - order
    return bits
