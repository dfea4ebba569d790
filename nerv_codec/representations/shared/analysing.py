"""The encoder's pass: grid after grid, real latents from the picture, integers from the real latents.

Rounding is decided by what it costs (rate-distortion optimised quantisation): the integer context model says what each
candidate takes, after what has been decided already, and the step of the band what it errs. Real latents come shrunk
from the analysis, which was trained with plain rounding; so the error is counted more than once (`_EAGERNESS`).
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from nerv_codec.entropy.laplace import latent_code_lengths
from nerv_codec.representations.shared import band_kernel
from nerv_codec.representations.shared.band_coder import Conditions, Latents, Sides, coded_symbols, walk
from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import conditions, lambda_value
from nerv_codec.representations.shared.transform import Subbands, forward
from nerv_codec.representations.shared.weights import SharedWeights

_LUMA_SHARE, _CHROMA_SHARE = 6 / 8, 4 / 8
"""What a unit of squared error of one latent adds to D, times luma samples: a chroma sample counts for four."""
_EAGERNESS, _EAGERNESS_SLOPE = 2.3, 0.017
"""Error counts 2.3 times at index 0, and 1.7 % more with each index; found on held-out pictures."""


@torch.no_grad()
def sides(prediction: Prediction, conditions: torch.Tensor, weights: SharedWeights) -> Sides:
    """The prediction as the contexts of one picture see it."""
    found = {}
    for level in LEVELS:
        seen = prediction.quantised(level, weights.synthesis.steps(level, conditions))[0]
        found[level] = seen.clamp(-band_kernel.LARGEST, band_kernel.LARGEST).to(torch.int8).numpy()
    return found


@torch.no_grad()
def analysed(
    canvas: torch.Tensor, prediction: Prediction, told: Conditions, weights: SharedWeights, decide: bool = True
) -> tuple[Subbands, Latents]:
    """Latents of a picture, before rounding and as integers.

    Args:
        canvas: (1, 6, rows, cols) from `canvas.to_canvas`.
        prediction: What is known of it.
        told: Price of bits, and what the contexts see of the prediction. Without chroma, its latents are zero.
        weights: The shared networks.
        decide: Whether rounding weighs error against bits, or just rounds.
    """
    at = conditions(torch.tensor([told.lambda_index]), prediction.parents)
    subbands = forward(canvas - prediction.planes)
    shown = weights.analysis.features(canvas, prediction, at)
    steps = walk(weights.context, {level: grid.shape[1:] for level, grid in subbands.items()}, told)
    lifted = known = None
    real: Subbands = {}
    decoded: Subbands = {}
    integers: Latents = {}
    for level in LEVELS:
        if known is not None:
            lifted = weights.synthesis.lifted(level, known)
        real[level] = weights.analysis.latents(level, subbands[level], shown[level], lifted, at)
        values = real[level][0].double().numpy()
        widths = weights.synthesis.steps(level, at)
        grid = np.zeros(values.shape, np.int32)
        coded = [band for band in bands(level) if band.component < told.components]
        for step in islice(steps, len(coded)):
            share = _LUMA_SHARE if bands(level)[step.index].component == 0 else _CHROMA_SHARE
            price = share * float(widths[0, step.index]) ** 2 / lambda_value(told.lambda_index)
            price *= _EAGERNESS * (1 + _EAGERNESS_SLOPE) ** told.lambda_index
            arguments = step.arguments(grid[0].size)
            if decide and not step.low_pass:
                band_kernel.decide_band(
                    np.ascontiguousarray(values[step.index]), *arguments, latent_code_lengths(), price, grid[step.index]
                )
            else:
                grid[step.index] = np.rint(values[step.index])
                step.show(coded_symbols(grid[step.index], step.low_pass))
        integers[level] = grid
        if level != LEVELS[-1]:
            decoded[level] = torch.from_numpy(grid)[None].float() * widths[..., None, None]
            known = weights.synthesis.stage(level, lifted, decoded, prediction, at)
    return real, integers
