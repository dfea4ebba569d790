"""The price of bits: lambda on a ladder of eighths of an octave, so that one byte in the file names it.

J = D + lambda R with D the mean squared error of planes in 0..1, weighted 6:1:1, and R in bits per luma sample.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NUM_LAMBDAS = 81
"""Indices 0..80."""
STEPS_PER_OCTAVE = 8
_LOG2_FIRST = -16
CENTRE = 40
"""The index around which networks see lambda; 2**-11."""
HALF_RANGE = 32
"""Indices from the centre that networks see as 1."""

Whole = int | npt.NDArray[np.int64]


def lambda_value(index: int) -> float:
    """Lambda of an index: 2**(index / 8 - 16), 1.5e-5 to 1.6e-2."""
    if not 0 <= index < NUM_LAMBDAS:
        raise ValueError(f"Expected a lambda index of 0..{NUM_LAMBDAS - 1}, got {index}.")
    return float(2.0 ** (index / STEPS_PER_OCTAVE + _LOG2_FIRST))


def lambda_values(index: Tensor) -> Tensor:
    """The same of many indices, not necessarily whole or within the ladder."""
    return torch.exp2(index / STEPS_PER_OCTAVE + _LOG2_FIRST)


def lambda_index(value: float) -> int:
    """The index nearest to a lambda; negative, or from NUM_LAMBDAS on, where that is beyond the ladder."""
    return round((math.log2(value) - _LOG2_FIRST) * STEPS_PER_OCTAVE)


NUM_CONDITIONS = 5
SHARES = (6 / 8, 2.0, 2.0)
"""What a unit of squared error of a latent counts where encoders round, times luma samples, by component.

Of luma what it adds to D. Chroma samples add 4 / 8, as they count for four, and are weighed four times that: in dB, of
which 6 : 1 : 1 are reported, the small errors of chroma are worth as much, and small things keep their colours.
"""


def conditions(index: Tensor, parents: Tensor) -> Tensor:
    """What networks are told beside pictures, (batch, NUM_CONDITIONS).

    1, u and u**2 with u = (index - CENTRE) / HALF_RANGE; 1 if the picture has parents; 1 if it lies between them.

    Args:
        index: Lambda indices, (batch,).
        parents: On how many sides in time the pictures lie that the prediction is made from, 0 to 2, (batch,).
    """
    u = (index.float() - CENTRE) / HALF_RANGE
    return torch.stack([torch.ones_like(u), u, u * u, (parents > 0).float(), (parents == 2).float()], -1)


_ROUNDING = ((3.2, 1.017), (8.0, 0.982), (0.7, 1.017))


def rounding_weight(index: Tensor, parents: Tensor) -> Tensor:
    """How often an encoder counts the squared error of a latent against its bits when it rounds, (batch,).

    By sides of parents: the weight at index 0, and its factor with each index. Without parents found on held-out
    pictures, else on clips of the training set: real latents come shrunk from the analysis already, and between parents
    fewer of them pay than it expects.
    """
    first, growth = _rounding(index.device)[parents.long()].unbind(-1)
    return first * growth**index


@functools.lru_cache(maxsize=4)
def _rounding(device: torch.device) -> Tensor:
    return torch.tensor(_ROUNDING, device=device)


def mixed(values: npt.NDArray[np.generic], lambda_index: Whole, parents: Whole) -> npt.NDArray[np.int64]:
    """Integers (NUM_CONDITIONS, ...) mixed with :func:`conditions` by an exact rule, rounded half up.

    Args:
        values: What every condition adds.
        lambda_index: 0 to NUM_LAMBDAS - 1.
        parents: 0 to 2. Or arrays of both, (..., 1), for values (NUM_CONDITIONS, n).
    """
    u = lambda_index - CENTRE
    v = values.astype(np.int64)
    bits = HALF_RANGE.bit_length() - 1
    slope = ((v[1] * u << bits) + v[2] * u * u + (1 << 2 * bits - 1)) >> 2 * bits
    total: npt.NDArray[np.int64] = v[0] + slope + v[3] * (parents > 0) + v[4] * (parents == 2)
    return total
