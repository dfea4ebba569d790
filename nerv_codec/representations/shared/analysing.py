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
from nerv_codec.representations.shared.band_coder import Latents, coded_symbols, walk
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.quality import features, lambda_value
from nerv_codec.representations.shared.transform import Subbands, forward
from nerv_codec.representations.shared.weights import SharedWeights

_LUMA_SHARE, _CHROMA_SHARE = 6 / 8, 4 / 8
"""What a unit of squared error of one latent adds to D, times luma samples: a chroma sample counts for four."""
_EAGERNESS, _EAGERNESS_SLOPE = 2.3, 0.017
"""Error counts 2.3 times at index 0, and 1.7 % more with each index; found on held-out pictures."""


@torch.no_grad()
def analysed(
    canvas: torch.Tensor, part: Part, lambda_index: int, weights: SharedWeights, decide: bool = True
) -> tuple[Subbands, Latents]:
    """Latents of a part of a picture, before rounding and as integers.

    Args:
        canvas: (1, 6, rows, cols) from `canvas.to_canvas`.
        part: What it shows. Without chroma, latents of chroma are zero.
        lambda_index: Price of bits of the whole picture.
        weights: The shared networks.
        decide: Whether rounding weighs error against bits, or just rounds.
    """
    index = part.lambda_index(lambda_index)
    lambdas, subbands = features(torch.tensor([index])), forward(canvas)
    shown = weights.analysis.features(canvas, lambdas)
    steps = walk(weights.context, {level: grid.shape[1:] for level, grid in subbands.items()}, part.components)
    lifted = known = None
    real: Subbands = {}
    decoded: Subbands = {}
    integers: Latents = {}
    for level in LEVELS:
        if known is not None:
            lifted = weights.synthesis.lifted(level, known)
        real[level] = weights.analysis.latents(level, subbands[level], shown[level], lifted, lambdas)
        values = real[level][0].double().numpy()
        widths = torch.exp(lambdas @ weights.synthesis.gains[str(level)])[0].double().numpy()
        grid = np.zeros(values.shape, np.int32)
        coded = [band for band in bands(level) if band.component < part.components]
        for step in islice(steps, len(coded)):
            share = _LUMA_SHARE if bands(level)[step.index].component == 0 else _CHROMA_SHARE
            price = share * widths[step.index] ** 2 / lambda_value(index)
            price *= _EAGERNESS * (1 + _EAGERNESS_SLOPE) ** index
            arguments = step.arguments(index, grid[0].size)
            if decide and not step.low_pass:
                band_kernel.decide_band(
                    np.ascontiguousarray(values[step.index]), *arguments, latent_code_lengths(), price, grid[step.index]
                )
            else:
                grid[step.index] = np.rint(values[step.index])
                step.show(coded_symbols(grid[step.index], step.low_pass))
        integers[level] = grid
        if level != LEVELS[-1]:
            decoded[level] = weights.synthesis.dequantised(level, torch.from_numpy(grid)[None].float(), lambdas)
            known = weights.synthesis.stage(level, lifted, decoded, lambdas)
    return real, integers
