"""All shared networks together, with the passes that training and fitting differentiate."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerv_codec.representations.shared.analysis import Analysis
from nerv_codec.representations.shared.context import ContextModel, laplace_bits, low_pass_shift
from nerv_codec.representations.shared.layout import LEVELS, Design, Orientation, bands
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import (
    CENTRE,
    HALF_RANGE,
    SHARES,
    STEPS_PER_OCTAVE,
    conditions,
    lambda_value,
    lambda_values,
    rounding_weight,
)
from nerv_codec.representations.shared.synthesis import Synthesis
from nerv_codec.representations.shared.transform import Subbands, forward

_HIGH_RATE_STEP = 11.5
"""At high rate the best step is near sqrt(11.5 lambda): D = step**2 / 12 and dR/dD of a Laplace source."""
_CHROMA_STEP = 1.22


@dataclass(frozen=True)
class Pass:
    """What one pass over pictures gives.

    Attributes:
        planes: Reconstruction, (batch, 6, rows, cols), in 0..1 but not clipped.
        bits: Bits of each grid, level to (batch,).
        latents: Integers of each grid.
        real: The same before rounding.
    """

    planes: Tensor
    bits: dict[int, Tensor]
    latents: Subbands
    real: Subbands


class SharedNetworks(nn.Module):
    """Analysis (encoder only), synthesis and context model."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.analysis = Analysis(design)
        self.synthesis = Synthesis(design)
        self.context = ContextModel(design)
        self._start_gains()

    def _start_gains(self) -> None:
        """Steps of sqrt(11.5 lambda), in both directions, 22 % wider for chroma, whose weight is less."""
        centre = 0.5 * math.log(_HIGH_RATE_STEP * lambda_value(CENTRE))
        slope = 0.5 * math.log(2) * HALF_RANGE / STEPS_PER_OCTAVE
        for level in LEVELS:
            chroma = torch.tensor([math.log(_CHROMA_STEP) * (band.component > 0) for band in bands(level)])
            for gains, sign in ((self.analysis.gains, -1), (self.synthesis.gains, 1)):
                with torch.no_grad():
                    gains[str(level)][0] = sign * (centre + chroma)
                    gains[str(level)][1] = sign * slope

    def forward(self, planes: Tensor, prediction: Prediction, index: Tensor) -> Pass:
        """Codes pictures, differentiably.

        The decoder and the contexts get latents that were rounded by cost, as an encoder does it (straight through to
        the analysis for the decoder, constants for the contexts); the rate counts these for the gradient of the context
        model, and latents with uniform noise for that of the analysis.

        Args:
            planes: (batch, 6, rows, cols), rows and cols multiples of 8.
            prediction: What is known of them.
            index: Lambda indices, (batch,), not necessarily whole.
        """
        told_of = conditions(index, prediction.parents)
        subbands = forward(planes - prediction.planes)
        shown = self.analysis.features(planes, prediction, told_of)
        worth = (rounding_weight(index, prediction.parents) / lambda_values(index))[:, None]
        told = done = None
        bits: dict[int, Tensor] = {}
        real: Subbands = {}
        integers: Subbands = {}
        decoded: Subbands = {}
        for level in LEVELS:
            lifted: Tensor | None = None if done is None else self.synthesis.lifted(level, done)
            steps = self.synthesis.steps(level, told_of)
            y = self.analysis.latents(level, subbands[level], shown[level], lifted, told_of)
            sides = prediction.quantised(level, steps.detach())
            share, _ = _told_of_bands(level, steps.device)
            rounded = self._decided(level, y, sides, told, told_of, prediction.parents, worth * share * steps**2)
            shift = low_pass_shift(level, rounded, prediction.parents)
            symbols = rounded - shift
            location, log2_scale, told = self.context.grid(level, symbols, sides, told, told_of)
            spent = laplace_bits(symbols, location, log2_scale)
            if self.training:
                noisy = y + torch.rand_like(y) - 0.5 - shift
                proxy = laplace_bits(noisy, location.detach(), log2_scale.detach())
                spent = spent + proxy - proxy.detach()
            bits[level] = spent.sum((1, 2, 3))
            real[level], integers[level] = y, rounded
            decoded[level] = (y + (rounded - y).detach()) * steps[..., None, None]
            done = self.synthesis.stage(level, lifted, decoded, prediction, told_of)
        assert done is not None
        return Pass(self.synthesis.planes(done, decoded, prediction), bits, integers, real)

    @torch.no_grad()
    def _decided(
        self,
        level: int,
        real: Tensor,
        sides: Tensor,
        told: Tensor | None,
        told_of: Tensor,
        parents: Tensor,
        prices: Tensor,
    ) -> Tensor:
        """Rounded latents, one step nearer to zero where that costs less, as `analysing` decides one after another.

        Here all are decided at once, with the contexts of plainly rounded ones. Low-pass bands without parents stay.
        """
        rounded = torch.round(real)
        inward = rounded - rounded.sign()
        shift = low_pass_shift(level, rounded, parents)
        location, log2_scale, _ = self.context.grid(level, rounded - shift, sides, told, told_of)
        cost, other = (
            prices[..., None, None] * (real - latents) ** 2 + laplace_bits(latents - shift, location, log2_scale)
            for latents in (rounded, inward)
        )
        _, low = _told_of_bands(level, real.device)
        stays = (low & (parents == 0)[:, None])[..., None, None]
        return torch.where((other < cost) & ~stays, inward, rounded)

    def rates(self, latents: Subbands, prediction: Prediction, index: Tensor) -> dict[int, Tensor]:
        """Bits of every latent, shaped as they are, with contexts from rounded ones; for fitting and for counting.

        Gradients also tell what a latent does to the contexts of others.
        """
        told_of, told = conditions(index, prediction.parents), None
        found = {}
        for level in LEVELS:
            rounded = torch.round(latents[level]).detach()
            shift = low_pass_shift(level, rounded, prediction.parents)
            sides = prediction.quantised(level, self.synthesis.steps(level, told_of).detach())
            location, log2_scale, told = self.context.grid(level, latents[level] - shift, sides, told, told_of)
            found[level] = laplace_bits(latents[level] - shift, location, log2_scale)
        return found


@functools.lru_cache(maxsize=16)
def _told_of_bands(level: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What an error of each band counts, and which are low-pass: kept, as no graph of a GPU may copy from the host."""
    share = torch.tensor([SHARES[band.component] for band in bands(level)], device=device)
    return share, torch.tensor([band.orientation == Orientation.LL for band in bands(level)], device=device)


def distortion(planes: Tensor, decoded: Tensor, chroma: float = 1.0) -> Tensor:
    """Mean squared error of six-plane pictures, weighted 6 : chroma : chroma over 8, per picture (batch,)."""
    error = (planes - decoded).square().mean((2, 3))
    return (6 * error[:, :4].mean(1) + chroma * (error[:, 4] + error[:, 5])) / 8
