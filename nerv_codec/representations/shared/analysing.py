"""The encoder's pass: grid after grid, real latents from the picture, integers from the real latents.

Rounding is decided by what it costs (rate-distortion optimised quantisation): the integer context model says what each
candidate takes, after what has been decided already, and the step of the band what it errs.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.entropy.laplace import latent_code_lengths
from nerv_codec.representations.shared import band_kernel
from nerv_codec.representations.shared.band_coder import Conditions, Latents, coded_symbols, walk
from nerv_codec.representations.shared.integer_convolution import inside
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.integer_synthesis import everywhere
from nerv_codec.representations.shared.integer_transform import STEP_SCALE, Grids, dequantised
from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.quality import SHARES, conditions, lambda_value, rounding_weight
from nerv_codec.representations.shared.synthesis import FEATURE_BITS
from nerv_codec.representations.shared.transform import Subbands, forward
from nerv_codec.representations.shared.weights import SharedWeights


@torch.no_grad()
def analysed(
    canvas: torch.Tensor,
    prediction: IntegerPrediction,
    told: Conditions,
    weights: SharedWeights,
    decide: bool = True,
    given: Subbands | None = None,
    worth: float = 1.0,
    workers: Workers | None = None,
) -> tuple[Subbands, Latents]:
    """Latents of a picture, before rounding and as integers.

    Args:
        canvas: (1, 6, rows, cols) from `canvas.to_canvas`.
        prediction: What is known of it.
        told: Price of bits, and what the contexts see of the prediction. Without chroma, its latents are zero.
        weights: The shared networks.
        decide: Whether rounding weighs error against bits, or just rounds.
        given: Latents before rounding, in place of those of the analysis.
        worth: Factor of the weight of error in rounding.
        workers: Who share the work of what decodes.
    """
    expected = prediction.floating()
    index = torch.tensor([told.lambda_index])
    at = conditions(index, expected.parents)
    subbands = forward(canvas - expected.planes)
    networks = weights.of(prediction.parents)
    shown = networks.analysis.features(canvas, expected, at) if given is None else {}
    synthesis, decoder = networks.synthesis, networks.synthesis.told(told.lambda_index, prediction.parents)
    steps = walk(networks.context, {level: grid.shape[1:] for level, grid in subbands.items()}, told)
    worth *= float(rounding_weight(index, expected.parents)) / lambda_value(told.lambda_index)
    lifted = features = seen = None
    real: Subbands = {}
    decoded: Grids = {}
    integers: Latents = {}
    for level in LEVELS:
        if features is not None:
            lifted = synthesis.lifted(level, features, everywhere(decoded[2 * level]))
            seen = torch.from_numpy(inside(lifted) * np.float32(2.0 ** -FEATURE_BITS[level]))[None]
        if given is None:
            real[level] = networks.analysis.latents(level, subbands[level], shown[level], seen, at)
        else:
            real[level] = given[level]
        values = real[level][0].double().numpy()
        widths = decoder.steps[level]
        grid = np.zeros(values.shape, np.int32)
        coded = [band for band in bands(level) if band.component < told.components]
        for step in islice(steps, len(coded)):
            share = SHARES[bands(level)[step.index].component]
            price = share * (widths[step.index] / STEP_SCALE) ** 2 * worth
            arguments = step.arguments()
            if decide and not step.low_pass:
                band_kernel.decide_band(
                    np.ascontiguousarray(values[step.index]), *arguments, latent_code_lengths(), price, grid[step.index]
                )
            else:
                grid[step.index] = np.rint(values[step.index])
                step.show(coded_symbols(grid[step.index], step.low_pass))
        integers[level] = grid
        if level != LEVELS[-1]:
            decoded[level] = dequantised(grid, widths)
            around = synthesis.stages[level].around(everywhere(grid))
            features = synthesis.stage(level, lifted, decoded[level], prediction, decoder, around, workers=workers)
    return real, integers
