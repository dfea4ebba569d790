"""The way back: latents drawn from the context model that codes them, so that coding them costs what it expects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.laplace import LATENT_ESCAPE, NUM_SCALES, PRECISION_BITS, latent_code_lengths, latent_cumulative
from nerv_codec.entropy.range_kernel import ZERO_SCALE
from nerv_codec.representations.shared import band_kernel
from nerv_codec.representations.shared.band_coder import (
    Conditions,
    Latents,
    coded_symbols,
    encode_latents,
    predicted_indices,
    walk,
)
from nerv_codec.representations.shared.integer_context import IntegerContext
from nerv_codec.representations.shared.low_pass import restore_low_pass


@dataclass(frozen=True)
class DrawnLatents:
    """A picture's latents of which the finer grids were drawn."""

    latents: Latents
    expected_bits: float
    """What coding the drawn ones is expected to take, each given all before."""


def draw_latents(
    latents: Latents,
    grid: int,
    context: IntegerContext,
    told: Conditions,
    *,
    seed: int = 0,
    temperature: float = 1.0,
) -> DrawnLatents:
    """Keeps the coarser grids and draws the others, symbol by symbol, given all that a decoder would know.

    Args:
        latents: Of the picture. Bands that are zero in it stay so: which they are is given, too.
        grid: The coarsest level that is drawn.
        context: The integer context model.
        told: What it is told.
        seed: Where chance begins.
        temperature: Above 0; 1 is the model's own distribution, less keeps to what is likely: the probabilities of
            codes are taken to the power of 1 / temperature. Codes of symbols too far off to have one keep theirs.
    """
    tables, costs = _tempered(temperature)
    chance = np.random.default_rng(seed)
    drawn = {level: values.copy() for level, values in latents.items()}
    for step in walk(context, {level: values.shape for level, values in latents.items()}, told):
        symbols = drawn[step.level][step.index]
        if step.level > grid:
            step.show(coded_symbols(symbols, step.low_pass))
        elif symbols.any():
            random = chance.integers(0, 1 << 64, symbols.shape, np.uint64)
            band_kernel.draw_band(random, symbols, *step.arguments(), tables)
            if step.low_pass:
                restore_low_pass(symbols)
    expected = sum(
        float(costs[scales, locations + 8 & 15].sum())
        for level, _, _, locations, scales in predicted_indices(drawn, context, told)
        if level <= grid
    )
    return DrawnLatents(drawn, expected)


def without(latents: Latents, grid: int) -> Latents:
    """Zeros in this grid and all finer ones."""
    return {level: np.zeros_like(values) if level <= grid else values for level, values in latents.items()}


def coded_bits(latents: Latents, grid: int, context: IntegerContext, told: Conditions) -> int:
    """What coding this grid and the finer ones takes behind the coarser ones."""
    whole, coarser = (len(encode_latents(one, context, told)) for one in (latents, without(latents, grid)))
    return 8 * (whole - coarser)


def _tempered(temperature: float) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
    """Tables of the context model at a temperature, and what drawing from each is expected to cost in its coder."""
    counts = np.diff(latent_cumulative().astype(np.float64), axis=-1)
    weights = (counts / counts.max(-1, keepdims=True)) ** (1 / temperature)
    chances = weights / weights.sum(-1, keepdims=True)
    tables = np.zeros(latent_cumulative().shape, np.uint32)
    tables[..., 1:] = np.rint(np.cumsum(chances, -1) * (1 << PRECISION_BITS))
    lengths = latent_code_lengths().copy()
    order = np.maximum(0, np.arange(NUM_SCALES) - ZERO_SCALE >> 2)
    lengths[..., LATENT_ESCAPE] += (
        4 + order[:, None]
    )  # sign, prefix of one bit on the average and its end, what it says
    return tables, (chances * lengths).sum(-1)
