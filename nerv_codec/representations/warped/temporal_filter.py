"""Frames that others inherit from, freed of what they share with no other: the encoder's motion-compensated filter.

Noise of a root would be coded once and then stand in the way of all that is predicted from it. So what it is coded
from is a mean of the frame and of its neighbours, moved onto it and brought to its brightness, where these are alike
within what a price allows (motion-compensated temporal filtering, as in the encoders of HEVC and VVC: Enhorn, Sjöberg,
Wennersten, ICIP 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.warped.brightness import changed
from nerv_codec.representations.warped.compensate import compensate
from nerv_codec.representations.warped.motion import BLOCK, Expectation
from nerv_codec.representations.warped.motion_coder import MotionModels
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.search import ROUGH_REACHES, search_changed

_WEIGHTS = (1.2, 1.0, 0.8, 0.7)
"""Of neighbours by distance, against the frame's own of 1 over the strength."""
_TOLERANCE = 2.0
"""Squared error, in lambdas, at which the weight has fallen by the square root of e; and where there is more noise than
that, in what noise makes of the error."""
_MOST_NOISE = 8.0
"""How many times louder than lambda noise may be: beyond, it is worth its bits in every frame."""
_QUIET = 0.25
"""Share of the samples of luma whose error is taken for noise alone, which all samples have."""
_WINDOW = 5
"""Samples a side over which errors are averaged."""


def filtered(canvases: Sequence[Tensor], frame: int, strength: float, price: float, workers: Workers) -> Tensor:
    """What a frame should be coded from.

    Args:
        canvases: All frames, (1, 6, rows, cols) each, in 0..1.
        frame: Which.
        strength: What neighbours count, 0..1: 0 leaves it as it is. They count more as noise is louder than lambda.
        price: Lambda of the frame.
        workers: Threads for its neighbours.
    """
    own, near = canvases[frame], len(_WEIGHTS) if strength > 0 else 0
    others = [other for other in range(frame - near, frame + near + 1) if other != frame and 0 <= other < len(canvases)]
    if not others:
        return own
    source = Planes.rounded(own)
    known = Expectation(np.zeros((2, source.y.shape[0] // BLOCK, source.y.shape[1] // BLOCK, 2), np.int32), 1, 0)
    estimates = MotionModels().estimates(known)

    def moved(other: int) -> tuple[Tensor, Tensor]:
        planes = [Planes.rounded(canvases[other])]
        brightness, field = search_changed(source, planes, price, known, estimates, ROUGH_REACHES)
        there = compensate(changed(planes, brightness), field)[0].tensor()
        error = torch.nn.functional.avg_pool2d(
            (there - own).square(), _WINDOW, 1, _WINDOW // 2, count_include_pad=False
        )
        return there, error

    found = workers.map(moved, others)
    noise = min(float(np.quantile(error[:, :4].numpy(), _QUIET)) for _, error in found)
    louder = max(noise / price, 1.0)
    tolerance, strength = _TOLERANCE * price * min(louder, _MOST_NOISE), min(strength * math.sqrt(louder), 1.0)
    total, weight = own, torch.ones(1)
    for other, (there, error) in zip(others, found, strict=True):
        share = strength * _WEIGHTS[abs(other - frame) - 1] * torch.exp(error / (-2 * tolerance))
        total, weight = total + share * there, weight + share
    return total / weight
