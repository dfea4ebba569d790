"""Quantisation while fitting, and the optimiser's update, each in one pass over the memory.

Soft rounding twice with noise in between (Agustsson and Theis 2020, "Universally Quantized Neural Compression", section
4); Adam (Kingma and Ba 2015). Spans are the stretches of a flat vector that take part; the rest stays as it is.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit

_FAST = {"nsz", "nnan", "ninf"}
"""Nothing that lets vectors round otherwise than a remainder: which of them an element meets is up to addresses."""
_JIT = {"cache": True, "nogil": True, "fastmath": _FAST, "error_model": "numpy"}

_ZERO, _HALF, _ONE, _TWO = (np.float32(v) for v in (0, 0.5, 1, 2))
_SCALE = np.float32(-2 / np.log(2))
_E1, _E2, _E3, _E4, _E5 = (np.float32(np.log(2) ** n / f) for n, f in ((1, 1), (2, 2), (3, 6), (4, 24), (5, 120)))
_BIAS, _MANTISSA = np.int32(127), np.int32(23)
_NOISE_UNIT = np.float32(1 / np.sqrt(4 * (256**2 - 1) / 12))
"""One over the deviation of the sum of four bytes."""


@njit(**_JIT)
def _tanh(x):
    u = max(abs(x) * _SCALE, np.float32(-60))
    whole = np.int32(u)
    f = u - np.float32(whole)
    e = _ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
    e = e * np.int32((whole + _BIAS) << _MANTISSA).view(np.float32)
    t = (_ONE - e) / (_ONE + e)
    return t if x > _ZERO else -t


@njit(**_JIT)
def _noise(index, seed):
    """About normal, of deviation 1: the sum of the bytes of a hashed counter."""
    h = np.uint32(np.uint32(index) * np.uint32(0x9E3779B1) + seed)
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    byte = np.uint32(255)
    total = (h & byte) + ((h >> np.uint32(8)) & byte) + ((h >> np.uint32(16)) & byte) + (h >> np.uint32(24))
    return (np.float32(np.int32(total)) - np.float32(510)) * _NOISE_UNIT


@njit(**_JIT)
def soft_round(values, spans, temperature, deviation, seed, out, slopes):
    """Values as if quantised, and the slope with which they follow the true ones.

    Args:
        values: (n,) float32.
        spans: (m, 2) int64: first, last + 1 of each stretch.
        temperature: float32 > 0: rounding hardens as it falls.
        deviation: float32, of the noise.
        seed: uint32.
        out: (n,) float32, written within the spans.
        slopes: (n,) float32, written within the spans.
    """
    inverse = _ONE / temperature
    half = _tanh(_HALF * inverse)
    scale = _HALF / half
    for m in range(spans.shape[0]):
        for i in range(spans[m, 0], spans[m, 1]):
            middle = np.floor(values[i]) + _HALF
            bent = _tanh((values[i] - middle) * inverse)
            slope = (_ONE - bent * bent) * scale * inverse
            x = middle + bent * scale + deviation * _noise(i, seed)
            middle = np.floor(x) + _HALF
            bent = _tanh((x - middle) * inverse)
            out[i] = middle + bent * scale
            slopes[i] = slope * (_ONE - bent * bent) * scale * inverse


@njit(**_JIT)
def adam(values, gradients, slopes, first, second, spans, rate, beta1, beta2, correction1, correction2, floor):
    """One step of Adam on ``values`` for the gradient ``gradients`` times ``slopes``; all (n,) float32.

    ``floor`` is Adam's epsilon: gradients well below it hardly move their value.
    """
    step = rate / correction1
    inverse = _ONE / correction2
    for m in range(spans.shape[0]):
        for i in range(spans[m, 0], spans[m, 1]):
            g = gradients[i] * slopes[i]
            a = beta1 * first[i] + (_ONE - beta1) * g
            b = beta2 * second[i] + (_ONE - beta2) * g * g
            first[i] = a
            second[i] = b
            values[i] -= step * a / (np.sqrt(b * inverse) + floor)
