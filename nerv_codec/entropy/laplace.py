"""Discretised Laplace tables made from integers alone, so that they are the same on every machine.

The scale of table ``i`` is b = 2**((i - 16) / 4), in quantisation steps. Its cumulative distribution is
known on a grid of 1/16 step through the recurrence tail[j + 1] = tail[j] * decay[i] >> 32, where decay[i]
is exp(-1 / (16 b)) in units of 2**-32, given as a constant (docs/format.md, section 4).
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_SYMBOL = 127
"""Symbols -127..127 have a code of their own; index ESCAPE stands for all others."""
ESCAPE = 2 * MAX_SYMBOL + 1
NUM_CODES = ESCAPE + 1
PRECISION_BITS = 24
"""Every table sums to 2**24."""
_GRID = 16

_DECAY = (
    1580030169,
    1852521207,
    2117713904,
    2369882518,
    2605029347,
    2820730047,
    3015876649,
    3190386796,
    3344923893,
    3480652712,
    3599040369,
    3701703250,
    3790295335,
    3866431115,
    3931635878,
    3987316692,
    4034748382,
    4075069962,
    4109287957,
    4138284039,
    4162825044,
    4183574096,
    4201101925,
    4215897841,
    4228380000,
    4238904802,
    4247775344,
    4255248918,
    4261543595,
    4266843974,
    4271306145,
    4275061981,
    4278222805,
    4280882540,
    4283120382,
    4285003080,
    4286586875,
    4287919135,
    4289039749,
    4289982295,
    4290775039,
    4291441769,
    4292002499,
    4292474072,
    4292870656,
    4293204170,
    4293484642,
    4293720503,
)
NUM_SCALES = len(_DECAY)


@functools.cache
def laplace_counts(scale_index: int) -> tuple[int, ...]:
    """NUM_CODES positive integers that sum to 2**24: how probable each code is under a zero-mean Laplace.

    Code ``c < ESCAPE`` is the symbol c - MAX_SYMBOL. Each code has at least one count, so every symbol
    can be coded whatever the scale; what rounding leaves over goes to symbol 0.

    Args:
        scale_index: 0..NUM_SCALES-1.
    """
    decay = _DECAY[scale_index]
    tail = 1 << 31  # P(x > 0) in units of 2**-32
    beyond = []  # P(x > k + 1/2), k = 0..MAX_SYMBOL
    for position in range(1, _GRID * (MAX_SYMBOL + 1)):
        tail = tail * decay >> 32
        if position % _GRID == _GRID // 2:
            beyond.append(tail)
    positive = [beyond[k - 1] - beyond[k] for k in range(1, MAX_SYMBOL + 1)]
    masses = [*reversed(positive), (1 << 32) - 2 * beyond[0], *positive, 2 * beyond[MAX_SYMBOL]]
    counts = [1 + (mass * ((1 << PRECISION_BITS) - NUM_CODES) >> 32) for mass in masses]
    counts[MAX_SYMBOL] += (1 << PRECISION_BITS) - sum(counts)
    return tuple(counts)


@functools.cache
def code_lengths() -> npt.NDArray[np.float64]:
    """Bits of every code under every table, (NUM_SCALES, NUM_CODES); an escaped value costs more on top."""
    counts = np.array([laplace_counts(index) for index in range(NUM_SCALES)], dtype=np.float64)
    lengths: npt.NDArray[Any] = PRECISION_BITS - np.log2(counts)
    return lengths


WINDOW = 31
"""Latents at most this far from the rounded location have a code of their own."""
NUM_PHASES = 16
"""Locations lie on a grid of 1/16; phase p is the location p/16 - 1/2 from the symbol it rounds to."""
MAX_LOCATION = 127 * 16
"""Locations lie within +-MAX_LOCATION, in 1/16."""
MAX_LATENT = 32767
"""No latent may be further from zero."""
LATENT_ESCAPE = 2 * WINDOW + 1
NUM_LATENT_CODES = LATENT_ESCAPE + 1


@functools.cache
def located_laplace_counts(scale_index: int, phase: int) -> tuple[int, ...]:
    """NUM_LATENT_CODES positive integers that sum to 2**24, under a Laplace at p/16 - 1/2.

    Code ``c < LATENT_ESCAPE`` is the symbol c - WINDOW, counted from the rounded location. What rounding leaves
    over goes to symbol 0.

    Args:
        scale_index: 0..NUM_SCALES-1.
        phase: p, 0..NUM_PHASES-1.
    """
    tails, location = _tails(scale_index), phase - NUM_PHASES // 2

    def beyond(symbol: int) -> int:  # P(x > symbol + 1/2) in units of 2**-32
        position = _GRID * symbol + _GRID // 2 - location
        return tails[position] if position >= 0 else (1 << 32) - tails[-position]

    edges = [beyond(symbol) for symbol in range(-WINDOW - 1, WINDOW + 1)]
    masses = [left - right for left, right in pairwise(edges)]
    masses.append((1 << 32) - sum(masses))
    counts = [1 + (mass * ((1 << PRECISION_BITS) - NUM_LATENT_CODES) >> 32) for mass in masses]
    counts[WINDOW] += (1 << PRECISION_BITS) - sum(counts)
    return tuple(counts)


@functools.cache
def _tails(scale_index: int) -> list[int]:
    """P(x > j/16), j >= 0, in units of 2**-32, as far as latent codes need it."""
    tails = [1 << 31]
    for _ in range(_GRID * (WINDOW + 1)):
        tails.append(tails[-1] * _DECAY[scale_index] >> 32)
    return tails


@functools.cache
def latent_cumulative() -> npt.NDArray[np.uint32]:
    """Cumulative counts of all tables, (NUM_SCALES, NUM_PHASES, NUM_LATENT_CODES + 1): from 0 to 2**24."""
    counts = [[located_laplace_counts(scale, phase) for phase in range(NUM_PHASES)] for scale in range(NUM_SCALES)]
    cumulative = np.zeros((NUM_SCALES, NUM_PHASES, NUM_LATENT_CODES + 1), np.uint32)
    cumulative[..., 1:] = np.cumsum(np.array(counts, np.int64), axis=-1)
    return cumulative


@functools.cache
def latent_code_lengths() -> npt.NDArray[np.float64]:
    """Bits of every latent code, (NUM_SCALES, NUM_PHASES, NUM_LATENT_CODES); an escaped value costs more."""
    counts = np.diff(latent_cumulative().astype(np.float64), axis=-1)
    lengths: npt.NDArray[Any] = PRECISION_BITS - np.log2(counts)
    return lengths
