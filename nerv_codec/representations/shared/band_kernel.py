"""One band through the range coder, in one compiled loop: neighbours, integer network, table, code.

Row by row, all distributions are found at once as if nothing lay to the west in the row, and those where something
does again in their turn. What loops are told of a band is that of `network_kernel`; the band that is coded is filled
into the planes on the way. `band_coder.reference_indices` says the same in numpy.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.laplace import MAX_LATENT
from nerv_codec.entropy.range_kernel import (
    ESCAPE,
    PRECISION,
    RENORM,
    WINDOW,
    WORD,
    draw_escape,
    next_word,
    put,
    put_escape,
    take_escape,
)
from nerv_codec.representations.shared.network_kernel import (
    LARGEST,
    MARGIN,
    distributions,
    first_layer,
    look_west,
)


@njit(nogil=True, cache=True)
def _cut(value):
    return np.int8(min(max(value, -LARGEST), LARGEST))


@njit(nogil=True, cache=True, boundscheck=False)
def _begin_row(network, bias, planes, features, i, room):
    """Finds all distributions of a row as if it were zero."""
    first_layer(network, planes, features, i, room.sums)
    distributions(network, bias, room)


@njit(nogil=True, cache=True)
def predict_band(symbols, band, planes, features, network, bias, room, found_locations, found_scales):
    """Location (1/16) and scale index of every symbol of (rows, cols)."""
    rows, cols = symbols.shape
    locations, scales = room.locations, room.scales
    for i in range(rows):
        _begin_row(network, bias, planes, features, i, room)
        own = planes[band, i + MARGIN]
        for j in range(cols):
            near, far = np.int32(own[j + MARGIN - 1]), np.int32(own[j + MARGIN - 2])
            if near != 0 or far != 0:
                look_west(network, bias, near, far, j, room)
            found_locations[i, j], found_scales[i, j] = locations[j], scales[j]
            own[j + MARGIN] = _cut(symbols[i, j])


@njit(nogil=True, cache=True, boundscheck=False)
def encode_band(symbols, band, planes, features, network, bias, room, cumulative, state, words, used):
    """Appends a band; returns the number of words (more than there is room for: in vain), -1: a symbol too large."""
    rows, cols = symbols.shape
    locations, scales = room.locations, room.scales
    for i in range(rows):
        _begin_row(network, bias, planes, features, i, room)
        own = planes[band, i + MARGIN]
        for j in range(cols):
            near, far = np.int32(own[j + MARGIN - 1]), np.int32(own[j + MARGIN - 2])
            if near != 0 or far != 0:
                look_west(network, bias, near, far, j, room)
            location, index = locations[j], scales[j]
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
            own[j + MARGIN] = _cut(symbol)
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
def decide_band(real, band, planes, features, network, bias, room, lengths, price, symbols):
    """Rounds real latents (rows, cols), each to what costs least: price * error**2 + bits, given those before.

    Tried are the two nearest integers and, where it is not among them, the next one towards zero.
    """
    rows, cols = real.shape
    locations, scales = room.locations, room.scales
    for i in range(rows):
        _begin_row(network, bias, planes, features, i, room)
        own = planes[band, i + MARGIN]
        for j in range(cols):
            y = real[i, j]
            first = np.int64(np.rint(y))
            best = first
            if first != 0 or abs(y) > 0.25:
                near, far = np.int32(own[j + MARGIN - 1]), np.int32(own[j + MARGIN - 2])
                if near != 0 or far != 0:
                    look_west(network, bias, near, far, j, room)
                location, index = locations[j], scales[j]
                least = price * (y - first) ** 2 + _length(first, location, index, lengths)
                inward = first - 1 if first > 0 else first + 1
                for other in (inward, 2 * np.int64(np.floor(y)) + 1 - first):
                    cost = price * (y - other) ** 2 + _length(other, location, index, lengths)
                    if cost < least and abs(other - y) < 1.5:
                        best, least = other, cost
            symbols[i, j] = np.int32(best)
            own[j + MARGIN] = _cut(best)


@njit(nogil=True, cache=True, boundscheck=False)
def decode_band(words, position, state, symbols, band, planes, features, network, bias, room, cumulative):
    """Fills the symbols of a band, zero before; returns the next word's position, or -1 if the data is damaged."""
    rows, cols = symbols.shape
    locations, scales = room.locations, room.scales
    span, point, bounds = state[1], state[2] - state[0], cumulative.reshape(-1)
    for i in range(rows):
        _begin_row(network, bias, planes, features, i, room)
        own = planes[band, i + MARGIN]
        for j in range(cols):
            near, far = np.int32(own[j + MARGIN - 1]), np.int32(own[j + MARGIN - 2])
            if near != 0 or far != 0:
                look_west(network, bias, near, far, j, room)
            location, index = locations[j], scales[j]
            rounded = (location + 8) >> 4
            table = ((index << 4) + location - 16 * rounded + 8) * (ESCAPE + 2)
            scale = span >> PRECISION
            code = WINDOW  # the likely codes are around it
            if point >= scale * np.uint64(bounds[table + code + 1]):
                code += 1
                while code < ESCAPE and point >= scale * np.uint64(bounds[table + code + 1]):
                    code += 1
            else:
                while code > 0 and point < scale * np.uint64(bounds[table + code]):
                    code -= 1
            start = np.uint64(bounds[table + code])
            point -= scale * start
            span = scale * (np.uint64(bounds[table + code + 1]) - start)
            if span < RENORM:
                span, point = span << WORD, (point << WORD) | next_word(words, position)
                position += 1
            distance = np.int64(code - WINDOW)
            if code == ESCAPE:
                state[0], state[1], state[2] = 0, span, point
                distance, position = take_escape(state, words, position, index)
                if distance == 0:
                    return np.int64(-1)
                span, point = state[1], state[2] - state[0]
            symbol = rounded + distance
            if symbol != 0:
                if abs(symbol) > MAX_LATENT:
                    return np.int64(-1)
                symbols[i, j] = np.int32(symbol)
                own[j + MARGIN] = _cut(symbol)
    state[0], state[1], state[2] = 0, span, point
    return position


@njit(nogil=True, cache=True)
def draw_band(chance, symbols, band, planes, features, network, bias, room, cumulative):
    """Fills the symbols of a band as the tables say, from random uint64 (rows, cols): 24 bits for the code, the others
    for what an escape would write."""
    rows, cols = symbols.shape
    locations, scales = room.locations, room.scales
    for i in range(rows):
        _begin_row(network, bias, planes, features, i, room)
        own = planes[band, i + MARGIN]
        for j in range(cols):
            near, far = np.int32(own[j + MARGIN - 1]), np.int32(own[j + MARGIN - 2])
            if near != 0 or far != 0:
                look_west(network, bias, near, far, j, room)
            location, index = locations[j], scales[j]
            rounded = (location + 8) >> 4
            table = cumulative[index, location - 16 * rounded + 8]
            point = np.uint32(chance[i, j] >> (np.uint64(64) - PRECISION))
            code = np.searchsorted(table, point, side="right") - 1
            distance = draw_escape(chance[i, j], index) if code == ESCAPE else np.int64(code - WINDOW)
            symbol = min(max(rounded + distance, -MAX_LATENT), MAX_LATENT)
            symbols[i, j] = np.int32(symbol)
            own[j + MARGIN] = _cut(symbol)
