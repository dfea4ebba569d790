"""The context model in floating point: how latents are distributed, given what has been decoded. Trained in this form.

Every band has a small network: hidden = relu(w x + b(lambda)), (location, log2 scale) = v hidden + u x + c(lambda).
Inputs x are integer latents through a saturating table (`layout.context_taps`), and features of the coarser grids
(`prior`). Nothing but integers goes in, and so it has an integer form (`integer_context`), which is what codes.

Low-pass bands are coded as differences to the median predictor of LOCO-I (Weinberger, Seroussi, Sapiro 2000): then
the magnitudes around say how rough the place is, and the network corrects the prediction.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nerv_codec.representations.shared.layout import (
    LEVELS,
    PRIOR_FEATURES,
    PRIOR_HIDDEN,
    Design,
    Orientation,
    Tap,
    bands,
    context_taps,
    prior_taps,
)
from nerv_codec.representations.shared.quality import NUM_CONDITIONS

TABLE_UNIT = 8
"""The table gives eighths."""
TABLE_SIZE = 128
"""Magnitudes from here on look the same."""
SATURATION = tuple(round(TABLE_UNIT * math.log2(1 + magnitude)) for magnitude in range(TABLE_SIZE))
"""What a magnitude looks like to the networks, 0..56 eighths."""
_MARGIN = 2
_MIN_LOG2_SCALE, _MAX_LOG2_SCALE = -4.0, 7.75
_MIN_PROBABILITY = 2.0**-20


def predicted_low_pass(plane: Tensor) -> Tensor:
    """What LOCO-I predicts for every integer of (..., rows, cols) from its west, north and north-west neighbours."""
    padded = functional.pad(plane, (1, 0, 1, 0))
    west, north, corner = padded[..., 1:, :-1], padded[..., :-1, 1:], padded[..., :-1, :-1]
    median = torch.maximum(torch.minimum(west, north), torch.minimum(torch.maximum(west, north), west + north - corner))
    median[..., 0, :] = west[..., 0, :]
    median[..., :, 0] = north[..., :, 0]
    return median


def low_pass_shift(level: int, latents: Tensor, parents: Tensor) -> Tensor:
    """What is taken off the latents of a grid before coding.

    The LOCO-I prediction of low-pass bands of pictures without parents; elsewhere 0.
    """
    shift = torch.zeros_like(latents)
    alone = (parents == 0).to(latents.dtype)[:, None, None]
    for index, band in enumerate(bands(level)):
        if band.orientation == Orientation.LL:
            shift[:, index] = alone * predicted_low_pass(latents[:, index])
    return shift


@functools.lru_cache(maxsize=4)
def _table(device: torch.device) -> Tensor:
    return torch.tensor(SATURATION, dtype=torch.float32, device=device) / TABLE_UNIT


class _Gathered(torch.autograd.Function):
    """Windows of planes, stacked. Its gradient adds into planes in place, where that of slices makes new ones."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, magnitudes: Tensor, taps: tuple[Tap, ...], shape: torch.Size) -> Tensor:
        ctx.taps, ctx.shape, ctx.padded = taps, shape, values.shape
        found = [_window(values if tap.signed else magnitudes, tap, shape) for tap in taps]
        return torch.stack(found, 1).flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        values, magnitudes = (gradient.new_zeros(ctx.padded) for _ in range(2))
        for tap, windows in zip(ctx.taps, gradient.unflatten(2, ctx.shape).unbind(1), strict=True):
            _window(values if tap.signed else magnitudes, tap, ctx.shape).add_(windows)
        return values, magnitudes, None, None


def _window(planes: Tensor, tap: Tap, shape: torch.Size) -> Tensor:
    """What a tap sees of padded planes from all places of a grid, (batch, rows, cols)."""
    top, left = _MARGIN + tap.rows, _MARGIN + tap.cols
    return planes[:, tap.source, top : top + shape[0], left : left + shape[1]]


class Inputs:
    """Symbols of one grid as network inputs: values and magnitudes through the table, with zeros around.

    Those between integers look like the nearest ones; their gradient is that of the curve that the table follows.
    """

    def __init__(self, symbols: Tensor) -> None:
        whole = symbols.detach().round()
        table = _table(symbols.device)[whole.abs().clamp(max=TABLE_SIZE - 1).long()]
        curve = torch.log2(1 + symbols.abs())
        self._shape = symbols.shape[-2:]
        self._magnitudes = _padded(table, curve)
        self._values = _padded(table * whole.sign(), curve * symbols.sign())

    def gather(self, taps: tuple[Tap, ...]) -> Tensor:
        """(batch, taps, rows * cols)."""
        found: Tensor = _Gathered.apply(self._values, self._magnitudes, taps, self._shape)
        return found


def _padded(values: Tensor, slopes: Tensor) -> Tensor:
    """These values with the gradient of others, with zeros around."""
    return functional.pad(values + (slopes - slopes.detach()), (_MARGIN,) * 4)


class BandModel(nn.Module):
    """The network of one band; the rows of its first matrix are the hidden units, then the two outputs' direct path."""

    def __init__(self, taps: tuple[Tap, ...], features: int, hidden: int) -> None:
        super().__init__()
        self.taps = taps
        self.hidden = hidden
        inputs = len(taps) + features
        first = torch.randn(hidden + 2, inputs) * inputs**-0.5
        first[hidden:] = 0
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(torch.randn(2, hidden) * 0.1 * hidden**-0.5)
        bias = torch.zeros(NUM_CONDITIONS, hidden + 2)
        bias[0, hidden + 1] = -1
        self.bias = nn.Parameter(bias)

    def forward(self, inputs: Inputs, features: Tensor | None, conditions: Tensor) -> Tensor:
        """(batch, 2, rows * cols); features (batch, features, rows * cols), conditions (batch, NUM_CONDITIONS)."""
        x = inputs.gather(self.taps)
        if features is not None:
            x = torch.cat([x, features], 1)
        sums = torch.matmul(self.first, x) + (conditions @ self.bias)[..., None]
        direct: Tensor = sums[:, self.hidden :]
        return direct + torch.matmul(self.second, torch.relu(sums[:, : self.hidden]))


class PriorModel(nn.Module):
    """What a finished grid tells the next finer one: two layers, then features for the four children of a position."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.taps = prior_taps(level)
        inputs, hidden = len(self.taps) + PRIOR_FEATURES.get(level, 0), PRIOR_HIDDEN[level]
        self.first = nn.Parameter(torch.randn(hidden, inputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.second = nn.Parameter(torch.randn(4 * PRIOR_FEATURES[level // 2], hidden) * hidden**-0.5)
        self.second_bias = nn.Parameter(torch.zeros(4 * PRIOR_FEATURES[level // 2]))

    def forward(self, inputs: Inputs, features: Tensor | None, rows: int, cols: int) -> Tensor:
        """(batch, features, 4 * rows * cols) of the finer grid, not negative."""
        x = inputs.gather(self.taps)
        if features is not None:
            x = torch.cat([x, features], 1)
        x = torch.relu(torch.matmul(self.first, x) + self.bias[:, None])
        x = torch.relu(torch.matmul(self.second, x) + self.second_bias[:, None])
        return functional.pixel_shuffle(x.unflatten(2, (rows, cols)), 2).flatten(2)


class ContextModel(nn.Module):
    """Distributions of all latents of a picture, grid by grid, coarse to fine."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.bands = nn.ModuleDict()
        self.priors = nn.ModuleDict()
        for level in LEVELS:
            features, hidden = PRIOR_FEATURES.get(level, 0), design.hidden[level]
            taps = [context_taps(level, index, design.predicted) for index in range(len(bands(level)))]
            self.bands[str(level)] = nn.ModuleList(BandModel(seen, features, hidden) for seen in taps)
            if level in PRIOR_HIDDEN:
                self.priors[str(level)] = PriorModel(level)

    def grid(
        self, level: int, symbols: Tensor, sides: Tensor, features: Tensor | None, conditions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """One grid.

        Args:
            level: Which.
            symbols: Integers as coded (low-pass bands less their prediction), (batch, bands, rows, cols), or near them.
            sides: Prediction and doubt in steps of the latents, (batch, 2 * bands, rows, cols).
            features: What the coarser grids told, or None at 1/16.
            conditions: As from :func:`quality.conditions`.

        Returns:
            Location and log2 of the scale, shaped as the symbols, and the features of the next finer grid, if any.
        """
        inputs = Inputs(torch.cat([symbols, sides], 1) if self.design.predicted else symbols)
        out = torch.stack([model(inputs, features, conditions) for model in self.bands[str(level)]], 1)
        location, log2_scale = out.unflatten(-1, symbols.shape[-2:]).unbind(2)
        told = None
        if level in PRIOR_HIDDEN:
            told = self.priors[str(level)](inputs, features, *symbols.shape[-2:])
        return location, log2_scale.clamp(_MIN_LOG2_SCALE, _MAX_LOG2_SCALE), told


def laplace_bits(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
    """Bits of values under Laplace distributions, integrated over unit bins; at most 20."""
    scale = torch.exp2(log2_scale)
    distance = (values - location).abs()
    outside = 0.5 * torch.exp(-(distance - 0.5).clamp(min=0) / scale) * (1 - torch.exp(-1 / scale))
    around = 1 - 0.5 * torch.exp(-(distance + 0.5) / scale) - 0.5 * torch.exp(-(0.5 - distance).clamp(min=0) / scale)
    probability = torch.where(distance > 0.5, outside, around)
    return -torch.log2(probability.clamp(min=_MIN_PROBABILITY))
