"""Latents of one picture by gradient descent on D / lambda + R, from those of the analysis on; networks stay.

Rounding is approached by a soft round whose temperature falls, with a little noise (Leguay et al., Cool-Chic, 2023). It
begins beside the integers that the analysis decided for, so that what these have gained is not lost first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.shared.band_coder import Conditions, Latents
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.layout import bands
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import conditions, lambda_value
from nerv_codec.representations.shared.transform import Subbands
from nerv_codec.representations.shared.weights import SharedWeights

_CPU = torch.device("cpu")
_RATE = 0.02
"""How far a latent goes in the first step, in steps of latents, where its slope is a common one of its band."""
_MOMENTUM = 0.6
_MEMORY = 0.95
"""Of what slopes of a band are like."""
_TEMPERATURES = (0.35, 0.1)
"""Of the soft round, at the first step and at the last."""
_NOISE = (0.2, 0.12)
"""Likewise, standard deviation, from `_ROUGH_STEPS` steps on. Fewer have no time to average it."""
_ROUGH_STEPS = 60
_TINY = 1e-12
_WITHIN = 0.45
"""How far from the integers descent begins, at the most."""
CHROMA = 2.0
"""Weight of errors of chroma: in dB, of which 6 : 1 : 1 are reported, they are worth more than they add to D."""
_WORTH_STEPS = 64
"""Bits, those that error is worth among them, below which nothing is left to gain: black, or a handful of samples."""
_LOOKS = 5
"""How often the integers of the moment are counted; the best are kept."""


def refined(
    canvas: Tensor,
    real: Subbands,
    start: Latents,
    prediction: IntegerPrediction,
    told: Conditions,
    weights: SharedWeights,
    steps: int,
    stop: Callable[[], bool] = lambda: False,
    device: torch.device = _CPU,
) -> Latents:
    """Better latents for a picture; ``start`` if nothing better is found.

    Args:
        canvas: (1, 6, rows, cols) from `canvas.to_canvas`.
        real: Latents before rounding, from `analysing.analysed`.
        start: As integers, from there.
        prediction: What is known of the picture.
        told: Price of bits, and which components are coded.
        weights: The shared networks.
        steps: How many, 0 or more.
        stop: Asked before each.
        device: Where the descent runs.

    Raises:
        Interrupted: It was to stop.
    """
    if not steps:
        return start
    # in the order in which processors convolve fastest: a step takes 0.85 to 0.95 of the time
    order = torch.channels_last if device.type == "cpu" else torch.preserve_format
    networks = copy.deepcopy(weights.of(prediction.parents).floating).to(device, memory_format=order)
    expected = prediction.floating().to(device)
    canvas, at = canvas.to(device), torch.tensor([float(told.lambda_index)], device=device)
    given = conditions(at, expected.parents)
    price, samples = lambda_value(told.lambda_index), 4 * canvas[0, 0].numel()
    coded = {
        level: torch.tensor([band.component < told.components for band in bands(level)], device=device)[:, None, None]
        for level in start
    }

    def cost(latents: Subbands) -> Tensor:
        bits = torch.stack([grid.sum() for grid in networks.rates(latents, expected, at).values()]).sum()
        return distortion(canvas, networks.synthesis(latents, expected, given), CHROMA)[0] / price + bits / samples

    best = {level: torch.from_numpy(grid)[None].to(device, torch.float32) for level, grid in start.items()}
    latents = {
        level: (real[level].to(device).clamp(grid - _WITHIN, grid + _WITHIN) * coded[level]).requires_grad_()
        for level, grid in best.items()
    }
    with torch.no_grad():
        least = cost(best)
    if least * samples < _WORTH_STEPS:
        return start
    noises = torch.Generator(device).manual_seed(0)
    moving = {level: _Moving(grid) for level, grid in latents.items()}
    rough = min(1.0, math.sqrt(steps / _ROUGH_STEPS))
    for step in range(1, steps + 1):
        if stop():
            raise Interrupted("interrupted; nothing was written")
        done = (step - 1) / steps
        temperature, noise = (first + (last - first) * done for first, last in (_TEMPERATURES, _NOISE))
        rate = _RATE * 0.5 * (1 + math.cos(math.pi * done))
        soft = {}
        for level, grid in latents.items():
            once = _soft_round(grid, temperature)
            noisy = once + rough * noise * torch.randn(once.shape, generator=noises, device=device)
            soft[level] = _soft_round(noisy, temperature) * coded[level]
        slopes = torch.autograd.grad(cost(soft), list(latents.values()))
        for one, slope in zip(moving.values(), slopes, strict=True):
            one.step(slope, rate)
        if step % max(1, steps // _LOOKS) == 0 or step == steps:
            with torch.no_grad():
                rounded = {level: torch.round(grid) for level, grid in latents.items()}
                found = cost(rounded)
            if found < least:
                least, best = found, rounded
    return {level: grid[0].cpu().numpy().astype("int32") for level, grid in best.items()}


class _Moving:
    """A grid on its way down, with momentum, each band by what its slopes are like: their root mean square.

    The cost curves about alike all over a band, so that latents whose slope is steeper have further to go; Adam, which
    takes each by its own slopes, sends them all equally far. (One such number for a block of weights: Zhang et al.,
    Adam-mini, 2024.)
    """

    def __init__(self, grid: Tensor) -> None:
        self._grid, self._momentum = grid, torch.zeros_like(grid)
        self._power = grid.new_zeros(*grid.shape[:2], 1, 1)
        self._count = 0

    @torch.no_grad()
    def step(self, slope: Tensor, rate: float) -> None:
        """Goes ``rate`` where the slope is the root mean square of its band's."""
        self._count += 1
        self._momentum.lerp_(slope, 1 - _MOMENTUM)
        self._power.lerp_(slope.square().mean((2, 3), keepdim=True), 1 - _MEMORY)
        momentum, power = (
            sums / (1 - share**self._count) for sums, share in ((self._momentum, _MOMENTUM), (self._power, _MEMORY))
        )
        self._grid -= rate * momentum / (power.sqrt() + _TINY)


def _soft_round(y: Tensor, temperature: float) -> Tensor:
    middle = torch.floor(y) + 0.5
    return middle + 0.5 * torch.tanh((y - middle) / temperature) / math.tanh(0.5 / temperature)
