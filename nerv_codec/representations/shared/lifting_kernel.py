"""The wavelet CDF 9/7 on integers, compiled: the lifting of `transform`, each step rounded, so that all machines agree.

A product with a constant c is floor((round(c * 2**20) * x + 2**19) / 2**20), in 64 bits. The gains of both directions
cancel in HL and LH; LL and HH get theirs at once.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit

BITS = 20
PREDICT = (-1663182, 925799)
UPDATE = (-55554, 465051)
LOW_GAIN, HIGH_GAIN = 1385788, 793420
"""Of LL and of HH: the square of 1.149604398, and one over it."""
_P0, _P1, _U0, _U1 = (np.int64(value) for value in (*PREDICT, *UPDATE))
_LOW, _HIGH = np.int64(LOW_GAIN), np.int64(HIGH_GAIN)
_HALF, _BITS = np.int64(1 << (BITS - 1)), np.int64(BITS)


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _times(factor, x):
    return np.int32((factor * np.int64(x) + _HALF) >> _BITS)


@njit(nogil=True, cache=True, boundscheck=False)
def _lift_row(target, source, factor, ahead):
    """target += factor * (source + its neighbour): the next of a low row, the previous of a high row."""
    count = target.shape[0]
    if ahead:
        for j in range(count - 1):
            target[j] += _times(factor, source[j] + source[j + 1])
        target[count - 1] += _times(factor, 2 * source[count - 1])
    else:
        target[0] += _times(factor, 2 * source[0])
        for j in range(1, count):
            target[j] += _times(factor, source[j] + source[j - 1])


@njit(nogil=True, cache=True, boundscheck=False)
def _lift_rows(target, source, factor, ahead):
    """The same down the columns of (rows, cols)."""
    rows, cols = target.shape
    for i in range(rows):
        one, other = source[i], source[min(i + 1, rows - 1) if ahead else max(i - 1, 0)]
        into = target[i]
        for j in range(cols):
            into[j] += _times(factor, one[j] + other[j])


@njit(nogil=True, cache=True, boundscheck=False)
def _split_rows(low, high):
    _lift_rows(high, low, _P0, True)
    _lift_rows(low, high, _U0, False)
    _lift_rows(high, low, _P1, True)
    _lift_rows(low, high, _U1, False)


@njit(nogil=True, cache=True, boundscheck=False)
def _join_rows(low, high):
    _lift_rows(low, high, -_U1, False)
    _lift_rows(high, low, -_P1, True)
    _lift_rows(low, high, -_U0, False)
    _lift_rows(high, low, -_P0, True)


@njit(nogil=True, cache=True, boundscheck=False)
def _scale(values, factor):
    for i in range(values.shape[0]):
        row = values[i]
        for j in range(row.shape[0]):
            row[j] = _times(factor, row[j])


@njit(nogil=True, cache=True)
def forward_level(plane, ll, hl, lh, hh):
    """Splits int32 (2 rows, 2 cols) into four bands (rows, cols)."""
    rows, cols = ll.shape
    for i in range(2 * rows):
        low, high = (ll, hl) if i % 2 == 0 else (lh, hh)
        low_row, high_row, row = low[i // 2], high[i // 2], plane[i]
        for j in range(cols):
            low_row[j], high_row[j] = row[2 * j], row[2 * j + 1]
        _lift_row(high_row, low_row, _P0, True)
        _lift_row(low_row, high_row, _U0, False)
        _lift_row(high_row, low_row, _P1, True)
        _lift_row(low_row, high_row, _U1, False)
    _split_rows(ll, lh)
    _split_rows(hl, hh)
    _scale(ll, _LOW)
    _scale(hh, _HIGH)


@njit(nogil=True, cache=True)
def inverse_level(ll, hl, lh, hh, plane):
    """The inverse of `forward_level`; the bands are used up."""
    rows, cols = ll.shape
    _scale(ll, _HIGH)
    _scale(hh, _LOW)
    _join_rows(ll, lh)
    _join_rows(hl, hh)
    for i in range(2 * rows):
        low, high = (ll, hl) if i % 2 == 0 else (lh, hh)
        low_row, high_row, row = low[i // 2], high[i // 2], plane[i]
        _lift_row(low_row, high_row, -_U1, False)
        _lift_row(high_row, low_row, -_P1, True)
        _lift_row(low_row, high_row, -_U0, False)
        _lift_row(high_row, low_row, -_P0, True)
        for j in range(cols):
            row[2 * j], row[2 * j + 1] = low_row[j], high_row[j]


@njit(nogil=True, cache=True)
def quantise(band, times, step, largest, out):
    """floor(times * band / step + 1/2), cut to +-largest; whole numbers of this size are exact in doubles."""
    divisor = np.float64(2 * step)
    for i in range(band.shape[0]):
        row, into = band[i], out[i]
        for j in range(row.shape[0]):
            quotient = np.floor((2 * times * np.float64(row[j]) + step) / divisor)
            into[j] = np.int8(min(max(quotient, -largest), largest))


@njit(nogil=True, cache=True)
def dequantise(latents, step, bits, largest, out):
    """floor(step * latents / 2**bits + 1/2), cut to +-largest."""
    half = np.int64(1) << (bits - 1)
    for i in range(latents.shape[0]):
        row, into = latents[i], out[i]
        for j in range(row.shape[0]):
            into[j] = np.int32(min(max((np.int64(row[j]) * step + half) >> bits, -largest), largest))
