"""A small network that says how the next sample is distributed, given all that is known of it, compiled.

Two hidden layers and three logistic distributions with shares; it was trained beforehand and does not adapt. All facts
are in units of the expected error, so that it holds for any depth. Doubles are IEEE binary64 in the order written.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import load, splat, store
from nerv_codec.representations.lossless.bit_kernel import logistic

NUM_OTHER_FACTS = 30
"""What a network is told beside the regressors."""
NUM_HIDDEN = 32
"""Of each hidden layer."""
NUM_PARTS = 3
"""Logistic distributions of an answer: their shares' logits, then their places, then logarithms of steepness."""
ANSWERS_WIDTH = 16
"""Numbers of an answer, rounded up to what `layer` does at a time."""
LEAST_ERROR = 0.3
"""Added to the expected error, which is the unit of everything."""

_MOST, _MOST_RATIO = 8.0, 4.0
_MOST_OCTAVES = 6
_POWERS = 2.0 ** np.arange(-_MOST_OCTAVES, _MOST_OCTAVES + 1)


@njit(nogil=True, cache=True)
def _within(value):
    return min(max(value, -_MOST), _MOST)


@njit(nogil=True, cache=True)
def gather_facts(facts, x, n, base, predictions, nearby, activity, features, errors, unit, scale_class, part):
    """Fills facts (n + NUM_OTHER_FACTS).

    x: n regressors, less ``base``; predictions: 8, the last the final one; nearby: errors of each nearby; features: see
    `plane_kernel`; errors: what was not expected of six neighbours; part: the final prediction less its centre.
    """
    best = predictions[7]
    for i in range(n):
        facts[i] = _within(x[i] * unit)
    facts[n] = _within((base - best) * unit)
    for k in range(7):
        facts[n + 1 + k] = _within((predictions[k] - best) * unit * 4.0)
    for k in range(8):
        facts[n + 8 + k] = min(nearby[k] / (activity + 0.5), _MOST_RATIO)
    for k in range(6):
        facts[n + 16 + k] = min(features[k + 1] * unit, _MOST)
    for k in range(6):
        facts[n + 22 + k] = _within(errors[k] * unit)
    facts[n + 28] = scale_class * 0.125
    facts[n + 29] = part


@njit(nogil=True, cache=True)
def layer(weights, x, out):
    """out = the first row of weights, and x[i] times each of the others; 16 at a time."""
    width = out.shape[0]
    for j in range(0, width, 16):
        a, b, c, d = load(weights, j), load(weights, j + 4), load(weights, j + 8), load(weights, j + 12)
        at = width + j
        for i in range(x.shape[0]):
            four = splat(x[i])
            a, b = a + four * load(weights, at), b + four * load(weights, at + 4)
            c, d = c + four * load(weights, at + 8), d + four * load(weights, at + 12)
            at += width
        store(out, j, a)
        store(out, j + 4, b)
        store(out, j + 8, c)
        store(out, j + 12, d)


@njit(nogil=True, cache=True)
def _rectify(values):
    for i in range(values.shape[0]):
        values[i] = max(values[i], 0.0)


@njit(nogil=True, cache=True)
def _power(octaves):
    """2 ** octaves, linear within each octave."""
    held = min(max(octaves, -float(_MOST_OCTAVES)), float(_MOST_OCTAVES))
    whole = int(held + _MOST_OCTAVES)
    return _POWERS[whole] * (1.0 + (held + _MOST_OCTAVES - whole))


@njit(nogil=True, cache=True)
def answer(facts, layers, hidden, out, unit, place, places_of, steepness, shares):
    """Fills NUM_PARTS places, counted as ``place`` is, which is the final prediction's, steepnesses and shares."""
    first, second, last = layers
    layer(first, facts, hidden[0])
    _rectify(hidden[0])
    layer(second, hidden[0], hidden[1])
    _rectify(hidden[1])
    layer(last, hidden[1], out)
    total = 0.0
    for k in range(NUM_PARTS):
        shares[k] = logistic(out[k])
        total += shares[k]
        places_of[k] = place + out[NUM_PARTS + k] / unit
        steepness[k] = _power(out[2 * NUM_PARTS + k]) * unit
    for k in range(NUM_PARTS):
        shares[k] /= total
