"""Tables of the logistic function and of its inverse, correctly rounded, so that they are the same on every machine."""

from __future__ import annotations

import functools
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt

REACH = 20
"""The logistic function is known for -REACH..REACH."""
STEPS = 32
"""Entries per unit."""
LOGITS = 4096
"""Probabilities that have a logit."""
_EXACT = Context(prec=40)


@functools.cache
def logistic_table() -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-z)) at z = i / STEPS - REACH, i = 0..2 REACH STEPS."""
    powers, root = [Decimal(1)], _EXACT.exp(Decimal(1) / STEPS)
    for _ in range(REACH * STEPS):
        powers.append(_EXACT.multiply(powers[-1], root))
    below = [_EXACT.divide(Decimal(1), _EXACT.add(Decimal(1), power)) for power in powers[:0:-1]]
    above = [_EXACT.divide(power, _EXACT.add(Decimal(1), power)) for power in powers]
    return np.array([float(value) for value in below + above])


@functools.cache
def logit_table() -> npt.NDArray[np.float64]:
    """ln(p / (1 - p)) at p = (i + 1/2) / LOGITS, i = 0..LOGITS-1."""
    odds = (_EXACT.divide(Decimal(2 * index + 1), Decimal(2 * (LOGITS - index) - 1)) for index in range(LOGITS // 2))
    below = np.array([float(_EXACT.ln(ratio)) for ratio in odds])
    return np.concatenate([below, -below[::-1]])
