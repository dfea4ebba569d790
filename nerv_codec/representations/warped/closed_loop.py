"""Analysis in a closed loop: what a decoder would still lack is analysed again, as long as that pays.

The analysis guesses latents from the picture alone. What the decoded picture lacks, taken apart into bands, says how
far it was off, as the synthesis is nearly the inverse wavelet: a step of Landweber's iteration (1951) without a
gradient. Photos gain little; drawings and text, which the analysis has hardly seen, much.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Latents, flag_counts, put_latents
from nerv_codec.representations.shared.integer_transform import STEP_SCALE
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.refining import CHROMA
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.transform import Subbands, forward
from nerv_codec.representations.shared.weights import SharedWeights
from nerv_codec.representations.warped.coding import Told, mended

_TIMES = 4
"""At most."""
_SHARE = 0.5
"""Of the way that is gone each time."""
_WORTH = 0.5
"""Weight of error in rounding, as a share of what is right for latents that the analysis has shrunk."""
_GAIN = 0.003
"""Share of the cost that must be gained for another turn."""


def analysed_in_loop(
    canvas: Tensor, told: Told, weights: SharedWeights, workers: Workers | None = None
) -> tuple[Subbands, Latents]:
    """Latents of a picture before rounding and as integers, see `shared.analysing.analysed`.

    Args:
        canvas: (1, 6, rows, cols), what is to be coded.
        told: What is known of it.
        weights: The shared networks.
        workers: Who share the work.
    """
    prediction, conditions = told.prediction, told.conditions
    index = conditions.lambda_index
    networks = weights.of(prediction.parents)
    steps = networks.synthesis.told(index, prediction.parents).steps
    widths = {level: torch.tensor(row / STEP_SCALE, dtype=torch.float32)[:, None, None] for level, row in steps.items()}

    def bits(latents: Latents) -> float:
        out = StreamWriter()
        put_latents(latents, networks.context, conditions, flag_counts(), out)
        return out.bits

    def error(latents: Latents) -> tuple[float, Tensor]:
        found = mended(latents, told, weights, workers=workers).tensor()
        return float(distortion(canvas, found, CHROMA)[0]), canvas - found

    def tried(latents: Latents) -> tuple[float, Tensor]:
        """What latents cost, in bits a sample, and what they lack."""
        counted = None if workers is None else workers.begin(bits, latents)
        wrong, lacking = error(latents)
        taken = bits(latents) if counted is None else counted.result()
        return wrong / lambda_value(index) + taken / (4 * canvas[0, 0].numel()), lacking

    real, best = analysed(canvas, prediction, conditions, weights, workers=workers)
    least, lacking = tried(best)
    for _ in range(_TIMES):
        missing = forward(lacking)
        goal = {
            level: torch.from_numpy(grid).float()[None] + missing[level] / widths[level] for level, grid in best.items()
        }
        halfway = {level: torch.lerp(real[level], goal[level], _SHARE) for level in real}
        _, latents = analysed(canvas, prediction, conditions, weights, given=halfway, worth=_WORTH, workers=workers)
        cost, lacking = tried(latents)
        if cost >= least:
            break
        real, best, gained, least = halfway, latents, 1 - cost / least, cost
        if gained < _GAIN:
            break
    return real, best
