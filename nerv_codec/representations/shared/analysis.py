"""From planes to latents, in the encoder only: wavelet, gains, learned shrinkage, and a correction that starts at zero.

The wavelet sees the difference to the prediction. The correction of a grid sees picture, prediction and doubt
(bottom-up features) and what the decoder already knows (the lifted features of the synthesis), so that finer grids can
answer for what coarser ones lost in rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nerv_codec.representations.shared.layout import LEVELS, NUM_PLANES, Design, bands
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import NUM_CONDITIONS
from nerv_codec.representations.shared.synthesis import Block, Modulation
from nerv_codec.representations.shared.transform import GRAY

_LARGEST_FEATURE = 64.0
_LARGEST_CORRECTION = 6.0
"""In steps of the latents. Natural pictures stay below both; without them the network runs away, on strange ones at
once and at the coarse levels in training."""
_KNEE = 1.5
"""Magnitudes above are not shrunk, so that large latents keep their value."""


class Analysis(nn.Module):
    """Real-valued latents, grid after grid."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design, widths = design, design.analysis_widths
        self.down, self.blocks = nn.ModuleDict(), nn.ModuleDict()
        self.head, self.known, self.out = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.down_modulation, self.head_modulation = nn.ModuleDict(), nn.ModuleDict()
        self.gains, self.shrinkage = nn.ParameterDict(), nn.ParameterDict()
        for level in LEVELS:
            key, width, count = str(level), widths[level], len(bands(level))
            if level == LEVELS[-1]:
                self.down[key] = nn.Conv2d((3 if design.predicted else 1) * NUM_PLANES, width, 3, padding=1)
            else:
                self.down[key] = nn.Conv2d(widths[level // 2], width, 3, stride=2, padding=1)
            self.blocks[key] = nn.ModuleList(Block(width) for _ in range(design.analysis_blocks[level]))
            self.head[key] = nn.Conv2d(width, width, 3, padding=1)
            if level != LEVELS[0]:
                self.known[key] = nn.Conv2d(design.widths[level], width, 3, padding=1)
            self.out[key] = nn.Conv2d(width, count, 1)
            self.down_modulation[key], self.head_modulation[key] = Modulation(width), Modulation(width)
            self.gains[key] = nn.Parameter(torch.zeros(NUM_CONDITIONS, count))
            self.shrinkage[key] = nn.Parameter(torch.full((count,), -1.7))
            nn.init.zeros_(self.out[key].weight)
            nn.init.zeros_(self.out[key].bias)

    def features(self, planes: Tensor, prediction: Prediction, conditions: Tensor) -> dict[int, Tensor]:
        """What the picture shows at every level beside its prediction; planes (batch, 6, rows, cols)."""
        x = planes - GRAY
        if self.design.predicted:
            x = torch.cat([x, prediction.planes - GRAY, prediction.doubt], 1)
        found = {}
        for level in reversed(LEVELS):
            key = str(level)
            x = self.down_modulation[key](torch.relu(self.down[key](x)), conditions)
            for block in self.blocks[key]:
                x = x + block.second(torch.relu(block.first(x)))
            x = x.clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)
            found[level] = x
        return found

    def latents(
        self, level: int, subbands: Tensor, features: Tensor, lifted: Tensor | None, conditions: Tensor
    ) -> Tensor:
        """Latents of a grid before rounding, (batch, bands, rows, cols).

        Args:
            level: Which grid.
            subbands: Its wavelet bands of the difference to the prediction.
            features: From :meth:`features`.
            lifted: What the decoder knows of this grid from the coarser ones, None at 1/16.
            conditions: From :func:`quality.conditions`.
        """
        key = str(level)
        scaled = subbands * torch.exp(conditions @ self.gains[key])[..., None, None]
        x = self.head[key](features)
        if lifted is not None:
            x = x + self.known[key](lifted)
        correction: Tensor = self.out[key](self.head_modulation[key](torch.relu(x), conditions))
        return self._shrunk(level, scaled) + correction.clamp(-_LARGEST_CORRECTION, _LARGEST_CORRECTION)

    def _shrunk(self, level: int, latents: Tensor) -> Tensor:
        threshold = torch.sigmoid(self.shrinkage[str(level)])[:, None, None]
        magnitude = latents.abs()
        shrunk = latents.sign() * (magnitude - threshold).clamp(min=0) * (_KNEE / (_KNEE - threshold))
        return torch.where(magnitude < _KNEE, shrunk, latents)
