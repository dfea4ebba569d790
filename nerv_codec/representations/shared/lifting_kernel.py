"""The wavelet CDF 9/7 on integers, compiled: the lifting of `transform`, each step rounded, so that all machines agree.

A product with a constant c is floor((round(c * 2**20) * x + 2**19) / 2**20), in 64 bits (`vector_code.lift`). The gains
of both directions cancel in HL and LH; LL and HH get theirs at once.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared.vector_code import LANES, apart, lift, scale, together

PREDICT = (-1663182, 925799)
UPDATE = (-55554, 465051)
LOW_GAIN, HIGH_GAIN = 1385788, 793420
"""Of LL and of HH: the square of 1.149604398, and one over it."""
_P0, _P1, _U0, _U1 = (np.int32(value) for value in (*PREDICT, *UPDATE))
_LOW, _HIGH = np.int32(LOW_GAIN), np.int32(HIGH_GAIN)
_KEPT = 4
"""Rows of a band that are under way."""


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _lift_high(low, high, at, count, factor):
    """A high row by the low numbers on both sides of each."""
    low[at + count] = low[at + count - 1]
    lift(high, at, low, at, at + 1, count, factor)


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _lift_low(low, high, at, count, factor):
    """A low row by the high numbers on both sides of each."""
    high[at - 1] = high[at]
    lift(low, at, high, at, at - 1, count, factor)


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _split(plane, start, gray, bits, low, high, at, count):
    """A row of samples less gray, times 2**bits, to a low and a high one."""
    whole = count & -LANES
    apart(plane, start, gray, bits, low, high, at, whole)
    for j in range(whole, count):
        low[at + j] = (np.int32(plane[start + 2 * j]) - gray) << bits
        high[at + j] = (np.int32(plane[start + 2 * j + 1]) - gray) << bits
    _lift_high(low, high, at, count, _P0)
    _lift_low(low, high, at, count, _U0)
    _lift_high(low, high, at, count, _P1)
    _lift_low(low, high, at, count, _U1)


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _join(low, high, at, count, plane, start):
    """The inverse, of which low and high are used up."""
    _lift_low(low, high, at, count, -_U1)
    _lift_high(low, high, at, count, -_P1)
    _lift_low(low, high, at, count, -_U0)
    _lift_high(low, high, at, count, -_P0)
    whole = count & -LANES
    together(low, high, at, plane, start, whole)
    for j in range(whole, count):
        plane[start + 2 * j], plane[start + 2 * j + 1] = low[at + j], high[at + j]


@njit(nogil=True, cache=True, allocates=True)
def _rooms(cols):
    """Flat room for rows of four bands that are under way, and how far these lie apart; vectors may look beyond."""
    pitch = (cols + 3 * LANES - 1) & -LANES
    return np.zeros((4, _KEPT * pitch + LANES), np.int32), pitch


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _place(k, rows, pitch):
    """Where row k, or the nearest one that there is, begins."""
    return min(max(k, 0), rows - 1) % _KEPT * pitch + LANES


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def forward_level(plane, gray, bits, ll, hl, lh, hh):
    """Splits (2 rows, 2 cols), less gray and times 2**bits, into four bands of int32 (rows, cols).

    Rows go through a step as soon as those around them are there, while they are in the cache.
    """
    rows, cols = ll.shape
    samples, ((low, right, below, high), pitch) = plane.reshape(-1), _rooms(cols)
    for i in range(rows + 3):
        if i < rows:
            at = _place(i, rows, pitch)
            _split(samples, 4 * i * cols, gray, bits, low, right, at, cols)
            _split(samples, (4 * i + 2) * cols, gray, bits, below, high, at, cols)
        for k, predict, update in ((i - 1, _P0, _U0), (i - 2, _P1, _U1)):
            if 0 <= k < rows:
                at, before, after = _place(k, rows, pitch), _place(k - 1, rows, pitch), _place(k + 1, rows, pitch)
                lift(below, at, low, at, after, cols, predict)
                lift(high, at, right, at, after, cols, predict)
                lift(low, at, below, at, before, cols, update)
                lift(right, at, high, at, before, cols, update)
        if i >= 3:
            at = _place(i - 3, rows, pitch)
            scale(low, at, cols, _LOW)
            scale(high, at, cols, _HIGH)
            for j in range(cols):
                ll[i - 3, j], hl[i - 3, j] = low[at + j], right[at + j]
                lh[i - 3, j], hh[i - 3, j] = below[at + j], high[at + j]


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def inverse_level(ll, hl, lh, hh, plane):
    """The inverse of `forward_level`, without gray and bits; bands stay as they are."""
    rows, cols = ll.shape
    samples, ((low, right, below, high), pitch) = plane.reshape(-1), _rooms(cols)
    for i in range(rows + 2):
        if i < rows:
            at, before = _place(i, rows, pitch), _place(i - 1, rows, pitch)
            for j in range(cols):
                low[at + j], right[at + j], below[at + j], high[at + j] = ll[i, j], hl[i, j], lh[i, j], hh[i, j]
            scale(low, at, cols, _HIGH)
            scale(high, at, cols, _LOW)
            lift(low, at, below, at, before, cols, -_U1)
            lift(right, at, high, at, before, cols, -_U1)
        if 1 <= i <= rows:
            at, before, after = _place(i - 1, rows, pitch), _place(i - 2, rows, pitch), _place(i, rows, pitch)
            lift(below, at, low, at, after, cols, -_P1)
            lift(high, at, right, at, after, cols, -_P1)
            lift(low, at, below, at, before, cols, -_U0)
            lift(right, at, high, at, before, cols, -_U0)
        if i >= 2:
            at, after = _place(i - 2, rows, pitch), _place(i - 1, rows, pitch)
            lift(below, at, low, at, after, cols, -_P0)
            lift(high, at, right, at, after, cols, -_P0)
            _join(low, right, at, cols, samples, 4 * (i - 2) * cols)
            _join(below, high, at, cols, samples, (4 * i - 6) * cols)


@njit(nogil=True, cache=True)
def _details(component, number):
    """Where HL, LH and HH of a component lie in a grid, of which the coarsest, number 0, has LL of all before them."""
    stride = 2 if component else 1
    first = (2 + component if component else 0) + (0 if number else 3)
    return first, first + stride, first + 2 * stride


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def forward_planes(planes, gray, bits, grids):
    """Splits Y, U and V, less gray and times 2**bits, into the grids (bands, rows, cols), coarse to fine.

    A grid holds the three bands of luma, then each of them for U and V; the finest has none of chroma.
    """
    for component in range(3):
        last = len(grids) - (2 if component else 1)
        low, (hl, lh, hh) = np.empty(grids[last].shape[1:], np.int32), _details(component, last)
        forward_level(planes[component], gray, bits, low, grids[last][hl], grids[last][lh], grids[last][hh])
        for number in range(last - 1, -1, -1):
            grid, (hl, lh, hh) = grids[number], _details(component, number)
            below = np.empty(grid.shape[1:], np.int32) if number else grid[component]
            forward_level(low, np.int32(0), np.int32(0), below, grid[hl], grid[lh], grid[hh])
            low = below


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def inverse_planes(grids, planes):
    """The inverse of `forward_planes`, without gray and bits; bands stay as they are."""
    for component in range(3):
        last, low = len(grids) - (2 if component else 1), grids[0][component]
        for number in range(last + 1):
            grid, (hl, lh, hh), (rows, cols) = grids[number], _details(component, number), low.shape
            plane = planes[component] if number == last else np.empty((2 * rows, 2 * cols), np.int32)
            inverse_level(low, grid[hl], grid[lh], grid[hh], plane)
            low = plane


@njit(nogil=True, cache=True)
def add_samples(plane, samples, gray, bits):
    """Adds samples less gray, times 2**bits."""
    for i in range(plane.shape[0]):
        row, more = plane[i], samples[i]
        for j in range(row.shape[0]):
            row[j] += (np.int32(more[j]) - gray) << bits


@njit(nogil=True, cache=True)
def to_samples(plane, gray, bits, largest, out):
    """plane over 2**bits, rounded half up, plus gray, held in 0..largest."""
    more = (gray << bits) + ((np.int32(1) << bits) >> np.int32(1))
    for i in range(plane.shape[0]):
        row, into = plane[i], out[i]
        for j in range(row.shape[0]):
            into[j] = min(max(np.int32(row[j] + more) >> bits, np.int32(0)), largest)


@njit(nogil=True, cache=True)
def quantise(grid, times, steps, largest, out):
    """floor(times * band / step + 1/2), cut to +-largest; whole numbers of this size are exact in doubles."""
    for b in range(grid.shape[0]):
        step = np.int64(steps[b])
        divisor = np.float64(2 * step)
        for i in range(grid.shape[1]):
            row, into = grid[b, i], out[b, i]
            for j in range(row.shape[0]):
                quotient = np.floor((2 * times * np.float64(row[j]) + step) / divisor)
                into[j] = np.int8(min(max(quotient, -largest), largest))


@njit(nogil=True, cache=True)
def dequantise(latents, steps, bits, largest, out):
    """floor(step * latents / 2**bits + 1/2), cut to +-largest."""
    half = np.int64(1) << (bits - 1)
    for b in range(latents.shape[0]):
        step = np.int64(steps[b])
        for i in range(latents.shape[1]):
            row, into = latents[b, i], out[b, i]
            for j in range(row.shape[0]):
                into[j] = np.int32(min(max((np.int64(row[j]) * step + half) >> bits, -largest), largest))
