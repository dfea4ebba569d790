"""Low-pass latents as differences to the median predictor of LOCO-I, compiled; `context` has it for tensors."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit


@njit(nogil=True, cache=True)
def _median(west, north, corner):
    low, high = min(west, north), max(west, north)
    return max(low, min(high, west + north - corner))


@njit(nogil=True, cache=True)
def predict_low_pass(values, out):
    """Integers (rows, cols) less their LOCO-I prediction."""
    rows, cols = values.shape
    for i in range(rows):
        for j in range(cols):
            out[i, j] = values[i, j] - _low_pass_at(values, i, j)


@njit(nogil=True, cache=True)
def _low_pass_at(values, i, j):
    if i == 0:
        return values[i, j - 1] if j > 0 else np.int32(0)
    if j == 0:
        return values[i - 1, j]
    return _median(values[i, j - 1], values[i - 1, j], values[i - 1, j - 1])


@njit(nogil=True, cache=True)
def restore_low_pass(symbols):
    """The inverse of `predict_low_pass`, in place."""
    rows, cols = symbols.shape
    for i in range(rows):
        for j in range(cols):
            symbols[i, j] += _low_pass_at(symbols, i, j)
