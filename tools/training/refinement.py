"""Latents of one picture by gradient descent on D + lambda R, from the analysis on; networks stay as shipped.

Rounding is approached by a soft round whose temperature falls, with a little noise (Leguay et al., Cool-Chic, 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions, Latents
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import conditions, lambda_value
from nerv_codec.representations.shared.transform import Subbands
from nerv_codec.representations.shared.weights import SharedWeights
from tools.training.pictures import Plane

RATE = 0.05
TEMPERATURES = (0.3, 0.1)
NOISE = (0.2, 0.12)


def _soft_round(y: Tensor, temperature: float) -> Tensor:
    middle = torch.floor(y) + 0.5
    return middle + 0.5 * torch.tanh((y - middle) / temperature) / math.tanh(0.5 / temperature)


def refine(
    planes: tuple[Plane, Plane, Plane], start: Latents, index: int, weights: SharedWeights, steps: int
) -> Latents:
    """Better latents for a 4:2:0 picture; `start` if nothing better is found."""
    canvas = to_canvas(planes, 8, parts([plane.shape for plane in planes])[0])
    prediction = Prediction.none(canvas)
    networks = weights.alone.floating
    at = torch.tensor([float(index)])
    price, pixels = lambda_value(index), planes[0].size

    def cost(latents: Subbands) -> Tensor:
        bits = torch.stack([grid.sum() for grid in networks.rates(latents, prediction, at).values()]).sum()
        return (
            distortion(canvas, networks.synthesis(latents, prediction, conditions(at, torch.zeros(1))))[0]
            + price * bits / pixels
        )

    nothing = IntegerPrediction.none(2 * canvas.shape[2], 2 * canvas.shape[3])
    real, _ = analysed(canvas, nothing, Conditions(index), weights)
    with torch.no_grad():
        latents = {level: nn.Parameter(grid.clone()) for level, grid in real.items()}
        integers = {level: torch.from_numpy(grid)[None].float() for level, grid in start.items()}
        best = float(cost(integers))
    optimiser = torch.optim.Adam(latents.values(), RATE, (0.8, 0.95))
    for step in range(steps + 1):
        done = step / steps
        if step == steps or (step and step % max(10, steps // 10) == 0):
            with torch.no_grad():
                rounded = {level: torch.round(grid) for level, grid in latents.items()}
                found = float(cost(rounded))
            if found < best:
                best, integers = found, rounded
        if step == steps:
            break
        temperature = TEMPERATURES[0] + (TEMPERATURES[1] - TEMPERATURES[0]) * done
        noise = NOISE[0] + (NOISE[1] - NOISE[0]) * done
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * done))
        soft = {}
        for level, grid in latents.items():
            once = _soft_round(grid, temperature)
            soft[level] = _soft_round(once + noise * torch.randn_like(once), temperature)
        optimiser.zero_grad(set_to_none=True)
        (cost(soft) * 1e3).backward()
        optimiser.step()
    return {level: grid[0].numpy().astype("int32") for level, grid in integers.items()}
