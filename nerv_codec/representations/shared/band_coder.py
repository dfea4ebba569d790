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
from nerv_codec.entropy.laplace import MAX_LOCATION, NUM_SCALES, latent_cumulative
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
from nerv_codec.representations.shared.network_kernel import LARGEST, MARGIN, Halves, Network, room_for
from nerv_codec.representations.shared.prepared import blank_features, next_features
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter

_CRC_BYTES = 4

Latents = dict[int, Ints]
"""Level to integers (bands, rows, cols)."""
Sides = dict[int, npt.NDArray[np.int8]]
"""Level to prediction and doubt in steps of the latents, (2 * bands, rows, cols), cut to +-LARGEST."""


def grid_shapes(rows: int, cols: int) -> dict[int, tuple[int, int, int]]:
    """Level to (bands, rows, cols) of a picture of luma size (rows, cols), which are rounded up to multiples of 16."""
    coarsest = LEVELS[0]
    down, across = -(-rows // coarsest), -(-cols // coarsest)
    return {level: (len(bands(level)), down * coarsest // level, across * coarsest // level) for level in LEVELS}


@dataclass(frozen=True)
class Conditions:
    """What the context model is told of a picture beside its latents.

    Attributes:
        lambda_index: Price of bits, 0..80.
        parents: How many pictures the prediction is made from, 0..2.
        sides: The prediction for the contexts, None without parents.
        components: 3, or 1: bands of chroma are not coded (and must be zero).
    """

    lambda_index: int
    parents: int = 0
    sides: Sides | None = None
    components: int = 3


@dataclass(frozen=True)
class Step:
    """One band about to be coded; `planes` are those of its grid, as in `band_kernel`."""

    level: int
    index: int
    low_pass: bool
    bias: Ints
    network: IntegerNetwork
    prepared: Network
    planes: npt.NDArray[np.int8]
    features: Halves

    def show(self, symbols: Ints) -> None:
        """Fills the band in where the loops did not."""
        inner = slice(MARGIN, -MARGIN)
        self.planes[self.index, inner, inner] = np.clip(symbols, -LARGEST, LARGEST)

    def arguments(self) -> tuple[object, ...]:
        """What the loops of `band_kernel` want to know of it."""
        room = room_for(self.planes.shape[2] - 2 * MARGIN, self.prepared)
        return self.index, self.planes, self.features, self.prepared, self.bias, room


def walk(context: IntegerContext, shapes: Mapping[int, tuple[int, ...]], told: Conditions) -> Iterator[Step]:
    """The bands in coding order; each must be in the planes before the next is asked for.

    Low-pass bands are coded as differences to their median prediction if nothing else predicts them (`Step.low_pass`).
    """
    networks, priors = context.prepared
    _, rows, cols = shapes[LEVELS[0]]
    features = blank_features(rows, cols, 0)
    for level in LEVELS:
        count, rows, cols = shapes[level]
        depth = count if told.sides is None else 3 * count
        planes = np.zeros((depth, rows + 2 * MARGIN, cols + 2 * MARGIN), np.int8)
        if told.sides is not None:
            planes[count:, MARGIN:-MARGIN, MARGIN:-MARGIN] = told.sides[level]
        for index, band in enumerate(bands(level)):
            if band.component < told.components:
                low = band.orientation == Orientation.LL and told.parents == 0
                network = context.bands[level][index]
                bias = network.biases(told.lambda_index, told.parents)
                yield Step(level, index, low, bias, network, networks[level][index], planes, features)
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


def flag_counts() -> dict[int, npt.NDArray[np.int64]]:
    """Level to (bands, 2): how often a band was all zero, and was not, so far."""
    return {level: np.zeros((len(bands(level)), 2), np.int64) for level in LEVELS}


def put_latents(
    latents: Latents,
    context: IntegerContext,
    told: Conditions,
    counts: dict[int, npt.NDArray[np.int64]],
    out: StreamWriter,
) -> None:
    """Appends a picture's latents to a stream.

    Args:
        latents: Integers of every grid, (bands, rows, cols), magnitudes at most 16383.
        context: The integer context model.
        told: What it is told.
        counts: Flags so far (`flag_counts`), counted on.
        out: The stream.

    Raises:
        ValueError: A latent is too large.
    """
    shapes = {level: latents[level].shape for level in LEVELS}
    for step in walk(context, shapes, told):
        symbols = coded_symbols(latents[step.level][step.index], step.low_pass)
        active = bool(symbols.any())
        out.flag(active, counts[step.level][step.index])
        if active:
            out.reserve(symbols.size)
            arguments = step.arguments()
            out.used = band_kernel.encode_band(symbols, *arguments, latent_cumulative(), out.state, out.words, out.used)
            if out.used < 0:
                raise ValueError("A latent is too large to be coded.")


def take_latents(
    shapes: Mapping[int, tuple[int, int, int]],
    context: IntegerContext,
    told: Conditions,
    counts: dict[int, npt.NDArray[np.int64]],
    source: StreamReader,
) -> Latents:
    """The inverse of :func:`put_latents` for grids of these shapes (`grid_shapes`).

    Raises:
        BitstreamError: The data is damaged.
    """
    latents = {level: np.zeros(shape, np.int32) for level, shape in shapes.items()}
    for step in walk(context, shapes, told):
        if not source.flag(counts[step.level][step.index]):
            continue
        symbols = latents[step.level][step.index]
        arguments = step.arguments()
        source.position = band_kernel.decode_band(
            source.words, source.position, source.state, symbols, *arguments, latent_cumulative()
        )
        if source.position < 0:
            raise BitstreamError("the entropy-coded latents cannot be decoded")
        if step.low_pass:
            restore_low_pass(symbols)
    return latents


def encode_latents(latents: Latents, context: IntegerContext, told: Conditions) -> bytes:
    """Bytes of one picture's latents: their checksum, and a stream of its own (see :func:`put_latents`)."""
    out = StreamWriter()
    put_latents(latents, context, told, flag_counts(), out)
    return checksum(latents).to_bytes(_CRC_BYTES, "little") + out.bytes()


def decode_latents(data: bytes, rows: int, cols: int, context: IntegerContext, told: Conditions) -> Latents:
    """The inverse of :func:`encode_latents` for a picture of luma size (rows, cols).

    Raises:
        BitstreamError: The data is damaged.
    """
    if len(data) < _CRC_BYTES:
        raise BitstreamError(f"expected a checksum and whole 32-bit words, found {len(data)} bytes")
    source = StreamReader(data[_CRC_BYTES:])
    latents = take_latents(grid_shapes(rows, cols), context, told, flag_counts(), source)
    source.check_end()
    if checksum(latents).to_bytes(_CRC_BYTES, "little") != data[:_CRC_BYTES]:
        raise BitstreamError("the decoded latents do not have the checksum that the encoder stored")
    return latents


def reference_indices(
    network: IntegerNetwork,
    planes: npt.NDArray[np.int8],
    features: Halves,
    bias: Ints,
) -> tuple[Ints, Ints]:
    """Location (1/16) and scale index of every symbol of a band that is in the planes already: `band_kernel`'s rule."""
    rows, cols = (extent - 2 * MARGIN for extent in planes.shape[1:])
    inputs = []
    for tap in network.taps:
        if tap.source >= len(planes):
            inputs.append(np.zeros(rows * cols, np.int64))
            continue
        top, left = MARGIN + tap.rows, MARGIN + tap.cols
        seen = planes[tap.source, top : top + rows, left : left + cols].astype(np.int64).ravel()
        inputs.append(INPUT_TABLE[np.abs(seen)] * (np.sign(seen) if tap.signed else 1))
    inputs += list(features[: rows * cols].T.astype(np.int64))
    sums = network.first.units.astype(np.int64) @ np.stack(inputs) + bias[:, None]
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
    latents: Latents, context: IntegerContext, told: Conditions, reference: bool = False
) -> Iterator[tuple[int, int, Ints, Ints, Ints]]:
    """(level, band, symbols, locations, scales) of every band that is not all zero; for counting, and for tests."""
    shapes = {level: latents[level].shape for level in LEVELS}
    for step in walk(context, shapes, told):
        symbols = coded_symbols(latents[step.level][step.index], step.low_pass)
        if not symbols.any():
            continue
        locations, scales = np.empty_like(symbols), np.empty_like(symbols)
        band_kernel.predict_band(symbols, *step.arguments(), locations, scales)
        if reference:
            locations, scales = reference_indices(step.network, step.planes, step.features, step.bias)
        yield step.level, step.index, symbols, locations, scales
