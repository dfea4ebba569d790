"""From dequantised subbands to planes: the inverse wavelet, and a learned residual that starts at zero.

The residual is a coarse-to-fine network over the grids, all of it at half resolution or coarser; its last stage sees
the inverse wavelet of all six planes, so that edges, chroma and the marks of quantisation can be mended together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.transform import Subbands, inverse

WIDTHS = {16: 32, 8: 32, 4: 24, 2: 16}
"""Features of each stage."""
_LATENT_GAIN = 4.0
NUM_PLANES = 6


class Modulation(nn.Module):
    """Scale and shift of channels by lambda (FiLM: Perez et al. 2018), none at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 2 * channels))

    def forward(self, x: Tensor, lambdas: Tensor) -> Tensor:
        scale, shift = (lambdas @ self.weight)[..., None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class Stage(nn.Module):
    """The features of one grid: what the coarser one says, its latents, two convolutions around an identity."""

    def __init__(self, level: int) -> None:
        super().__init__()
        width, finest = WIDTHS[level], level == LEVELS[-1]
        self.merge = nn.Conv2d(len(bands(level)) + (NUM_PLANES if finest else 0), width, 1)
        self.above = None if level == LEVELS[0] else nn.Conv2d(WIDTHS[2 * level], 4 * width, 1)
        self.modulation = Modulation(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = None if finest else nn.Conv2d(width, width, 3, padding=1)
        if self.second is not None:
            with torch.no_grad():
                self.second.weight.mul_(0.3)

    def lifted(self, coarser: Tensor) -> Tensor:
        """Features of the coarser stage on this grid."""
        assert self.above is not None
        return functional.pixel_shuffle(self.above(coarser), 2)

    def forward(self, lifted: Tensor | None, latents: Tensor, lambdas: Tensor) -> Tensor:
        x = self.merge(latents)
        x = self.modulation(x if lifted is None else x + lifted, lambdas)
        change = torch.relu(self.first(x))
        return x + (change if self.second is None else self.second(change))


class Synthesis(nn.Module):
    """Dequantisation, inverse wavelet and residual. `gains` are log-quadratic in lambda, per band."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleDict({str(level): Stage(level) for level in LEVELS})
        self.out = nn.Conv2d(WIDTHS[LEVELS[-1]], NUM_PLANES, 3, padding=1)
        self.gains = nn.ParameterDict({str(level): nn.Parameter(torch.zeros(3, len(bands(level)))) for level in LEVELS})
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def dequantised(self, level: int, latents: Tensor, lambdas: Tensor) -> Tensor:
        """Latents (batch, bands, rows, cols) times the step of their band."""
        return latents * torch.exp(lambdas @ self.gains[str(level)])[..., None, None]

    def lifted(self, level: int, coarser: Tensor) -> Tensor:
        """What the stage of ``2 * level`` says about this grid."""
        lifted: Tensor = self.stages[str(level)].lifted(coarser)
        return lifted

    def stage(self, level: int, lifted: Tensor | None, subbands: Subbands, lambdas: Tensor) -> Tensor:
        """Features of a grid; at the finest, all subbands must be there."""
        x = subbands[level] * _LATENT_GAIN
        if level == LEVELS[-1]:
            x = torch.cat([x, (inverse(subbands) - 0.5) * _LATENT_GAIN], 1)
        features: Tensor = self.stages[str(level)](lifted, x, lambdas)
        return features

    def planes(self, features: Tensor, subbands: Subbands) -> Tensor:
        """The picture as six planes (batch, 6, rows, cols) from the finest features, not clipped."""
        residual: Tensor = self.out(features)
        return inverse(subbands) + residual

    def forward(self, latents: Subbands, lambdas: Tensor) -> Tensor:
        """Six planes from integer latents."""
        features, subbands = None, {}
        for level in LEVELS:
            subbands[level] = self.dequantised(level, latents[level], lambdas)
            lifted: Tensor | None = None if features is None else self.lifted(level, features)
            features = self.stage(level, lifted, subbands, lambdas)
        return self.planes(features, subbands)
