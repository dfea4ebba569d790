"""The integer latents of a picture to bytes and back.

Grids from coarse to fine, bands one after another: a flag `not all zero`, then the symbols in raster order under the
integer context model and the range coder. Low-pass bands are coded as differences to their prediction.
The bytes are a CRC-32 of all latents (bands in coding order as little-endian int32) and whole 32-bit words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.context_model import MAX_LOCATION
from nerv_codec.entropy.laplace import NUM_SCALES, latent_cumulative
from nerv_codec.representations.shared import band_kernel
from nerv_codec.representations.shared.integer_context import IntegerContext
from nerv_codec.representations.shared.integer_network import (
    HIDDEN_BITS,
    INPUT_TABLE,
    MAX_HIDDEN,
    SUM_BITS,
    WEIGHT_BITS,
    IntegerNetwork,
    Ints,
)
from nerv_codec.representations.shared.layout import LEVELS, Orientation, bands
from nerv_codec.representations.shared.low_pass import predict_low_pass, restore_low_pass
from nerv_codec.representations.shared.prepared import Prepared, next_features
from nerv_codec.representations.shared.stream_kernel import finish, put_flag, take_flag

Latents = dict[int, Ints]
"""Level to integers (bands, rows, cols)."""
_FULL = 0xFFFFFFFFFFFFFFFF
_CRC_BYTES = 4


def grid_shapes(rows: int, cols: int) -> dict[int, tuple[int, int, int]]:
    """Level to (bands, rows, cols) of a picture of luma size (rows, cols), which are rounded up to multiples of 16."""
    coarsest = LEVELS[0]
    down, across = -(-rows // coarsest), -(-cols // coarsest)
    return {level: (len(bands(level)), down * coarsest // level, across * coarsest // level) for level in LEVELS}


@dataclass(frozen=True)
class Step:
    """One band about to be coded; `planes` are those of its grid, as in `band_kernel`."""

    level: int
    index: int
    low_pass: bool
    network: IntegerNetwork
    prepared: Prepared
    planes: npt.NDArray[np.int8]
    features: npt.NDArray[np.float32] | None

    def show(self, symbols: Ints) -> None:
        """Fills the band in where the loops did not."""
        inner = slice(band_kernel.MARGIN, -band_kernel.MARGIN)
        self.planes[self.index, inner, inner] = np.clip(symbols, -band_kernel.LARGEST, band_kernel.LARGEST)

    def arguments(self, lambda_index: int, count: int) -> tuple[object, ...]:
        """What the loops of `band_kernel` want to know of it."""
        ready = self.prepared
        known = ready.known_sums(self.network.biases(lambda_index), self.features, count).ravel()
        taps = ready.offsets(self.planes)
        return self.index, self.planes, known, taps, ready.weights, INPUT_TABLE, ready.second


def walk(context: IntegerContext, shapes: Mapping[int, tuple[int, ...]], components: int) -> Iterator[Step]:
    """The bands in coding order; each must be in the planes before the next is asked for."""
    features = None
    networks, priors = context.prepared
    for level in LEVELS:
        count, rows, cols = shapes[level]
        planes = np.zeros((count, rows + 2 * band_kernel.MARGIN, cols + 2 * band_kernel.MARGIN), np.int8)
        for index, band in enumerate(bands(level)):
            if band.component < components:
                low = band.orientation == Orientation.LL
                network = context.bands[level][index]
                yield Step(level, index, low, network, networks[level][index], planes, features)
        if level in priors:
            features = next_features(context.priors[level], priors[level], planes, features)


def coded_symbols(latents: Ints, low_pass: bool) -> Ints:
    """What is coded of a band: low-pass latents less their prediction, others as they are."""
    values = np.ascontiguousarray(latents, np.int32)
    if not low_pass:
        return values
    out = np.empty_like(values)
    predict_low_pass(values, out)
    return out


def checksum(latents: Latents) -> int:
    """CRC-32 of all latents."""
    crc = 0
    for level in LEVELS:
        crc = zlib.crc32(np.ascontiguousarray(latents[level], "<i4").tobytes(), crc)
    return crc


def encode_latents(latents: Latents, lambda_index: int, context: IntegerContext, components: int = 3) -> bytes:
    """Bytes of a picture's latents.

    Args:
        latents: Integers of every grid, (bands, rows, cols), magnitudes at most 16383.
        lambda_index: What the networks are told of lambda, 0..80.
        context: The integer context model.
        components: 3, or 1: bands of chroma are not coded (and must be zero).

    Raises:
        ValueError: A latent is too large.
    """
    shapes = {level: latents[level].shape for level in LEVELS}
    room = sum(grid.size for grid in latents.values()) // 8 + 1024
    while True:
        words, used = np.empty(room, np.uint32), 0
        state, seen = np.array([0, _FULL], np.uint64), np.zeros(2, np.int64)
        for step in walk(context, shapes, components):
            symbols = coded_symbols(latents[step.level][step.index], step.low_pass)
            active = bool(symbols.any())
            used = put_flag(int(active), seen, state, words, used)
            if active:
                arguments = step.arguments(lambda_index, symbols.size)
                used = band_kernel.encode_band(symbols, *arguments, latent_cumulative(), state, words, used)
                if used < 0:
                    raise ValueError("A latent is too large to be coded.")
        if used + 2 <= room:
            used = finish(state, words, used)
            return checksum(latents).to_bytes(_CRC_BYTES, "little") + words[:used].astype("<u4").tobytes()
        room *= 4


def decode_latents(
    data: bytes, rows: int, cols: int, lambda_index: int, context: IntegerContext, components: int = 3
) -> Latents:
    """The inverse of :func:`encode_latents` for a picture of luma size (rows, cols).

    Raises:
        BitstreamError: The data is damaged.
    """
    if len(data) < _CRC_BYTES or len(data) % 4:
        raise BitstreamError(f"expected a checksum and whole 32-bit words, found {len(data)} bytes")
    words = np.frombuffer(data[_CRC_BYTES:], "<u4").astype(np.uint32)
    start = [int(word) for word in words[:2]] + [0, 0]
    state, seen = np.array([0, _FULL, start[0] << 32 | start[1]], np.uint64), np.zeros(2, np.int64)
    position = 2
    shapes = grid_shapes(rows, cols)
    latents = {level: np.zeros(shape, np.int32) for level, shape in shapes.items()}
    for step in walk(context, shapes, components):
        active, position = take_flag(seen, state, words, position)
        if not active:
            continue
        symbols = latents[step.level][step.index]
        arguments = step.arguments(lambda_index, symbols.size)
        position = band_kernel.decode_band(words, position, state, symbols, *arguments, latent_cumulative())
        if position < 0:
            raise BitstreamError("the entropy-coded latents cannot be decoded")
        if step.low_pass:
            restore_low_pass(symbols)
    if position - 1 < len(words) or (len(words) and words[-1] == 0):
        raise BitstreamError("the entropy-coded latents are longer than expected")
    if checksum(latents).to_bytes(_CRC_BYTES, "little") != data[:_CRC_BYTES]:
        raise BitstreamError("the decoded latents do not have the checksum that the encoder stored")
    return latents


def reference_indices(
    network: IntegerNetwork,
    planes: npt.NDArray[np.int8],
    features: npt.NDArray[np.float32] | None,
    lambda_index: int,
) -> tuple[Ints, Ints]:
    """Location (1/16) and scale index of every symbol of a band that is in the planes already: `band_kernel`'s rule."""
    margin = band_kernel.MARGIN
    rows, cols = (extent - 2 * margin for extent in planes.shape[1:])
    inputs = []
    for tap in network.taps:
        top, left = margin + tap.rows, margin + tap.cols
        seen = planes[tap.source, top : top + rows, left : left + cols].astype(np.int64).ravel()
        inputs.append(INPUT_TABLE[np.abs(seen)] * (np.sign(seen) if tap.signed else 1))
    if features is not None:
        inputs += list(features.T.astype(np.int64))
    sums = network.first.units.astype(np.int64) @ np.stack(inputs) + network.biases(lambda_index)[:, None]
    drop = SUM_BITS - HIDDEN_BITS
    hidden = np.clip((sums[:-2] + (1 << (drop - 1))) >> drop, 0, MAX_HIDDEN)
    out = 2 * sums[-2:] + network.second.units.astype(np.int64) @ hidden
    unit = HIDDEN_BITS + WEIGHT_BITS
    location = (out[0] + (1 << (unit - 5))) >> (unit - 4)
    scale = 16 + ((out[1] + (1 << (unit - 3))) >> (unit - 2))
    return (
        np.clip(location, -MAX_LOCATION, MAX_LOCATION).astype(np.int32).reshape(rows, cols),
        np.clip(scale, 0, NUM_SCALES - 1).astype(np.int32).reshape(rows, cols),
    )


def predicted_indices(
    latents: Latents, lambda_index: int, context: IntegerContext, components: int = 3, reference: bool = False
) -> Iterator[tuple[int, int, Ints, Ints, Ints]]:
    """(level, band, symbols, locations, scales) of every band that is not all zero; for counting, and for tests."""
    shapes = {level: latents[level].shape for level in LEVELS}
    for step in walk(context, shapes, components):
        symbols = coded_symbols(latents[step.level][step.index], step.low_pass)
        if not symbols.any():
            continue
        locations, scales = np.empty_like(symbols), np.empty_like(symbols)
        arguments = step.arguments(lambda_index, symbols.size)
        band_kernel.predict_band(symbols, *arguments, locations, scales)
        if reference:
            locations, scales = reference_indices(step.network, step.planes, step.features, lambda_index)
        yield step.level, step.index, symbols, locations, scales
