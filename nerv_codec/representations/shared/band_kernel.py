"""One band through the range coder, in one compiled loop: neighbours, integer network, table, code.

`planes` (bands, rows, cols) holds the symbols of a grid, cut to +-LARGEST, with MARGIN zeros around each band; the band
that is coded is filled in on the way. `taps` are offsets in it, `known` (flat, float32) what is known of the sums
before a band starts. A neighbour of 0 adds nothing and is passed over, so that calm places cost little.
`band_coder.reference_indices` says the same in numpy.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.context_model import MAX_LATENT, MAX_LOCATION
from nerv_codec.entropy.range_kernel import (
    ESCAPE,
    PRECISION,
    WINDOW,
    ZERO_SCALE,
    advance,
    draw_escape,
    put,
    put_escape,
    take_escape,
)

MARGIN = 2
LARGEST = 127
_MAX_HIDDEN = 1023
_HIDDEN_SHIFT, _HIDDEN_HALF = np.int32(8), np.int32(128)
_LOCATION_SHIFT, _SCALE_SHIFT = 10, 12
_SCALES = 48
_NIL, _PEAK = np.int32(0), np.int32(_MAX_HIDDEN)


@njit(nogil=True, cache=True, boundscheck=False)
def _add_neighbours(sums, flat, at, taps, weights, inputs):
    """sums += what the taps see from place `at` of the flat planes; weights are flat (taps, 2 signs, units)."""
    units = sums.shape[0]
    for k in range(taps.shape[0]):
        value = np.int32(flat[at + taps[k]])
        if value != 0:
            size = inputs[abs(value)]
            row = 2 * units * k + (units if value < 0 else 0)
            for h in range(units):
                sums[h] += np.int32(size * weights[row + h])


@njit(nogil=True, cache=True, boundscheck=False)
def add_neighbours(sums, planes, taps, weights, inputs):
    """The same for all places: sums (rows * cols, units), planes (bands, rows, cols) with their margins."""
    width = planes.shape[2]
    cols = width - 2 * MARGIN
    flat = planes.reshape(-1)
    for i in range(planes.shape[1] - 2 * MARGIN):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            _add_neighbours(sums[i * cols + j], flat, at, taps, weights, inputs)


@njit(nogil=True, cache=True, boundscheck=False)
def _indices(sums, known, place, flat, at, taps, weights, inputs, second):
    """Location in 1/16 and scale index of a symbol: the `place`-th of its band, at `at` in the planes."""
    units = sums.shape[0]
    first = place * units
    for h in range(units):
        sums[h] = np.int32(known[first + h])
    _add_neighbours(sums, flat, at, taps, weights, inputs)
    location = np.int32(2 * sums[units - 2])
    scale = np.int32(2 * sums[units - 1])
    for h in range(units):
        v = np.int32(np.int32(sums[h] + _HIDDEN_HALF) >> _HIDDEN_SHIFT)
        v = min(max(v, _NIL), _PEAK)
        location += np.int32(v * second[0, h])
        scale += np.int32(v * second[1, h])
    sixteenths = (np.int64(location) + (1 << (_LOCATION_SHIFT - 1))) >> _LOCATION_SHIFT
    index = ZERO_SCALE + ((np.int64(scale) + (1 << (_SCALE_SHIFT - 1))) >> _SCALE_SHIFT)
    return min(max(sixteenths, -MAX_LOCATION), MAX_LOCATION), min(max(index, 0), _SCALES - 1)


@njit(nogil=True, cache=True)
def _cut(value):
    return np.int8(min(max(value, -LARGEST), LARGEST))


@njit(nogil=True, cache=True)
def predict_band(symbols, band, planes, known, taps, weights, inputs, second, locations, scales):
    """Location (1/16) and scale index of every symbol of (rows, cols)."""
    rows, cols = symbols.shape
    sums = np.zeros(second.shape[1], np.int32)
    width = planes.shape[2]
    flat = planes.reshape(-1)
    start_of_band = band * planes.shape[1] * width
    for i in range(rows):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            locations[i, j], scales[i, j] = _indices(sums, known, i * cols + j, flat, at, taps, weights, inputs, second)
            flat[start_of_band + at] = _cut(symbols[i, j])


@njit(nogil=True, cache=True, boundscheck=False)
def encode_band(symbols, band, planes, known, taps, weights, inputs, second, cumulative, state, words, used):
    """Appends a band; returns the number of words (more than there is room for: in vain), -1: a symbol too large."""
    rows, cols = symbols.shape
    sums = np.zeros(second.shape[1], np.int32)
    width = planes.shape[2]
    flat = planes.reshape(-1)
    start_of_band = band * planes.shape[1] * width
    for i in range(rows):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            location, index = _indices(sums, known, i * cols + j, flat, at, taps, weights, inputs, second)
            symbol = np.int64(symbols[i, j])
            if abs(symbol) > MAX_LATENT:
                return np.int64(-1)
            rounded = (location + 8) >> 4
            distance = symbol - rounded
            code = distance + WINDOW if abs(distance) <= WINDOW else ESCAPE
            table = cumulative[index, location - 16 * rounded + 8]
            start = np.uint64(table[code])
            used = put(state, words, used, start, np.uint64(table[code + 1]) - start)
            if code == ESCAPE:
                used = put_escape(state, words, used, distance, index)
            flat[start_of_band + at] = _cut(symbol)
    return used


@njit(nogil=True, cache=True, boundscheck=False)
def _length(symbol, location, index, lengths):
    """Bits of a symbol; escapes about as they are."""
    rounded = (location + 8) >> 4
    distance = symbol - rounded
    if abs(distance) <= WINDOW:
        return lengths[index, location - 16 * rounded + 8, distance + WINDOW]
    return lengths[index, location - 16 * rounded + 8, ESCAPE] + 2 + 2 * np.log2(abs(distance) - WINDOW)


@njit(nogil=True, cache=True, boundscheck=False)
def decide_band(real, band, planes, known, taps, weights, inputs, second, lengths, price, symbols):
    """Rounds real latents (rows, cols), each to what costs least: price * error**2 + bits, given those before.

    Tried are the two nearest integers and, where it is not among them, the next one towards zero.
    """
    rows, cols = real.shape
    sums = np.zeros(second.shape[1], np.int32)
    width = planes.shape[2]
    flat = planes.reshape(-1)
    start_of_band = band * planes.shape[1] * width
    for i in range(rows):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            y = real[i, j]
            first = np.int64(np.rint(y))
            best = first
            if first != 0 or abs(y) > 0.25:
                location, index = _indices(sums, known, i * cols + j, flat, at, taps, weights, inputs, second)
                least = price * (y - first) ** 2 + _length(first, location, index, lengths)
                inward = first - 1 if first > 0 else first + 1
                for other in (inward, 2 * np.int64(np.floor(y)) + 1 - first):
                    cost = price * (y - other) ** 2 + _length(other, location, index, lengths)
                    if cost < least and abs(other - y) < 1.5:
                        best, least = other, cost
            symbols[i, j] = np.int32(best)
            flat[start_of_band + at] = _cut(best)


@njit(nogil=True, cache=True, boundscheck=False)
def decode_band(words, position, state, symbols, band, planes, known, taps, weights, inputs, second, cumulative):
    """Fills the symbols of a band; returns the next word's position, or -1 if the data is damaged."""
    rows, cols = symbols.shape
    sums = np.zeros(second.shape[1], np.int32)
    width = planes.shape[2]
    flat = planes.reshape(-1)
    start_of_band = band * planes.shape[1] * width
    for i in range(rows):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            location, index = _indices(sums, known, i * cols + j, flat, at, taps, weights, inputs, second)
            rounded = (location + 8) >> 4
            table = cumulative[index, location - 16 * rounded + 8]
            scale = state[1] >> PRECISION
            point = state[2] - state[0]
            code = WINDOW  # the likely codes are around it
            if point >= scale * np.uint64(table[code + 1]):
                code += 1
                while code < ESCAPE and point >= scale * np.uint64(table[code + 1]):
                    code += 1
            else:
                while code > 0 and point < scale * np.uint64(table[code]):
                    code -= 1
            start = np.uint64(table[code])
            position = advance(state, words, position, start, np.uint64(table[code + 1]) - start)
            distance = np.int64(code - WINDOW)
            if code == ESCAPE:
                distance, position = take_escape(state, words, position, index)
                if distance == 0:
                    return np.int64(-1)
            symbol = rounded + distance
            if abs(symbol) > MAX_LATENT:
                return np.int64(-1)
            symbols[i, j] = np.int32(symbol)
            flat[start_of_band + at] = _cut(symbol)
    return position


@njit(nogil=True, cache=True)
def draw_band(chance, symbols, band, planes, known, taps, weights, inputs, second, cumulative):
    """Fills the symbols of a band as the tables say, from random uint64 (rows, cols): 24 bits for the code, the others
    for what an escape would write."""
    rows, cols = symbols.shape
    sums = np.zeros(second.shape[1], np.int32)
    width = planes.shape[2]
    flat = planes.reshape(-1)
    start_of_band = band * planes.shape[1] * width
    for i in range(rows):
        for j in range(cols):
            at = (i + MARGIN) * width + j + MARGIN
            location, index = _indices(sums, known, i * cols + j, flat, at, taps, weights, inputs, second)
            rounded = (location + 8) >> 4
            table = cumulative[index, location - 16 * rounded + 8]
            point = np.uint32(chance[i, j] >> (np.uint64(64) - PRECISION))
            code = np.searchsorted(table, point, side="right") - 1
            distance = draw_escape(chance[i, j], index) if code == ESCAPE else np.int64(code - WINDOW)
            symbol = min(max(rounded + distance, -MAX_LATENT), MAX_LATENT)
            symbols[i, j] = np.int32(symbol)
            flat[start_of_band + at] = _cut(symbol)
