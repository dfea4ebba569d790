"""From dequantised subbands to planes: prediction, inverse wavelet, and a learned residual that starts at zero.

The residual is a coarse-to-fine network over the grids, all of it at half resolution or coarser. Every stage sees the
bands of the latents and, where there are any, of the prediction and of its doubt; the last one also the six planes
themselves, so that edges, chroma, the marks of quantisation and of motion compensation can be mended together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nerv_codec.representations.shared.layout import LEVELS, NUM_PLANES, Design, bands
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import NUM_CONDITIONS
from nerv_codec.representations.shared.transform import GRAY, Subbands, inverse

LATENT_GAIN = 4.0
"""Of everything that stages see."""
FEATURE_BITS = {16: 10, 8: 10, 4: 11, 2: 11}
"""Of features after the point, where they are integers (`integer_synthesis`)."""
LARGEST_FEATURE = 3071
"""Their magnitude, in units of the last bit: features are cut to it in floats as well."""


class Modulation(nn.Module):
    """Scale and shift of channels by lambda and kind of picture (FiLM: Perez et al. 2018), none at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(NUM_CONDITIONS, 2 * channels))

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        scale, shift = (conditions @ self.weight)[..., None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class Block(nn.Module):
    """Two convolutions around an identity, which add nothing at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)


class Stage(nn.Module):
    """The features of one grid: what the coarser one says, what is seen, and blocks."""

    def __init__(self, level: int, design: Design) -> None:
        super().__init__()
        width = design.widths[level]
        self.largest = LARGEST_FEATURE * 2.0 ** -FEATURE_BITS[level]
        self.merge = nn.Conv2d(design.seen(level), width, 1)
        self.above = None if level == LEVELS[0] else nn.Conv2d(design.widths[2 * level], 4 * width, 1)
        self.modulation = Modulation(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(design.blocks[level]))

    def lifted(self, coarser: Tensor) -> Tensor:
        """Features of the coarser stage on this grid."""
        assert self.above is not None
        return self._cut(functional.pixel_shuffle(self.above(coarser), 2))

    def forward(self, lifted: Tensor | None, seen: Tensor, conditions: Tensor) -> Tensor:
        x = self.merge(seen)
        x = self._cut(self.modulation(self._cut(x if lifted is None else x + lifted), conditions))
        for block in self.blocks:
            x = self._cut(x + block.second(block.first(x).clamp(0, self.largest)))
        return x

    def _cut(self, x: Tensor) -> Tensor:
        return x.clamp(-self.largest, self.largest)


class Synthesis(nn.Module):
    """Dequantisation, inverse wavelet and residual. `gains` are logarithms of the steps, per band."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.stages = nn.ModuleDict({str(level): Stage(level, design) for level in LEVELS})
        self.out = nn.Conv2d(design.widths[LEVELS[-1]], NUM_PLANES, 3, padding=1)
        self.gains = nn.ParameterDict(
            {str(level): nn.Parameter(torch.zeros(NUM_CONDITIONS, len(bands(level)))) for level in LEVELS}
        )
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def steps(self, level: int, conditions: Tensor) -> Tensor:
        """What a unit of a latent is worth, (batch, bands)."""
        return torch.exp(conditions @ self.gains[str(level)])

    def lifted(self, level: int, coarser: Tensor) -> Tensor:
        """What the stage of ``2 * level`` says about this grid."""
        lifted: Tensor = self.stages[str(level)].lifted(coarser)
        return lifted

    def stage(
        self, level: int, lifted: Tensor | None, subbands: Subbands, prediction: Prediction, conditions: Tensor
    ) -> Tensor:
        """Features of a grid; at the finest, all subbands must be there."""
        seen = [subbands[level]]
        if self.design.predicted:
            seen += [prediction.subbands[level], prediction.doubt_subbands[level]]
        if level == LEVELS[-1]:
            seen.append(inverse(subbands) + prediction.planes - GRAY)
            if self.design.predicted:
                seen.append(prediction.doubt)
        features: Tensor = self.stages[str(level)](lifted, torch.cat(seen, 1) * LATENT_GAIN, conditions)
        return features

    def planes(self, features: Tensor, subbands: Subbands, prediction: Prediction) -> Tensor:
        """The picture as six planes (batch, 6, rows, cols) from the finest features, not clipped."""
        residual: Tensor = self.out(features)
        return prediction.planes + inverse(subbands) + residual

    def forward(self, latents: Subbands, prediction: Prediction, conditions: Tensor) -> Tensor:
        """Six planes from integer latents."""
        features, subbands = None, {}
        for level in LEVELS:
            subbands[level] = latents[level] * self.steps(level, conditions)[..., None, None]
            lifted: Tensor | None = None if features is None else self.lifted(level, features)
            features = self.stage(level, lifted, subbands, prediction, conditions)
        assert features is not None
        return self.planes(features, subbands, prediction)
