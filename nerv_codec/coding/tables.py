"""Discretised Laplace tables made from integers alone, so that they are the same on every machine.

The scale of table ``i`` is b = 2**((i - 16) / 4), in quantisation steps. Its cumulative distribution is
known on a grid of 1/16 step through the recurrence tail[j + 1] = tail[j] * decay[i] >> 32, where decay[i]
is exp(-1 / (16 b)) in units of 2**-32, given as a constant (FORMAT.md, section 4).
"""

from __future__ import annotations

import functools
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
