"""Convolutions of whole numbers in 16 bits, compiled: only where they are wanted, with what follows them.

Features are int16 (rows + 3, cols + 3, channels): place (i, j) of a grid is at (i + 1, j + 1), all around it is zero;
channels are even. Layers come in blocks of 8 to 48 outputs, their inputs in pairs (`vector_code`); biases, half of a
unit included, and shifts are (blocks, outputs). Sums are modulo 2**32, whatever is on the way to them: loaders check
that they are below 2**28 themselves (`integer_convolution`).

Of 3 x 3 the minimal filtering of Winograd takes 16 multiplications for 2 x 2 places instead of 36 (Lavin, Gray 2016);
its matrix of weights is doubled along both axes, so that all of it is whole, and sums are four times what they are.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared.vector_code import TILE, modulate, product, settle, tile_places, turn, turn_back

MODULATION_BITS = 10
TURNED = 16
"""Numbers that stand for the 4 x 4 places which 2 x 2 look at."""
_TILES = min(TILE // 8, 12)
"""Of 2 x 2 places that are turned together, at most: a near cache holds them."""


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _cut(value, low, high):
    return min(max(value, low), high)


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _any(wanted, i, j):
    """Whether one of 2 x 2 places is wanted."""
    below, right = min(i + 1, wanted.shape[0] - 1), min(j + 1, wanted.shape[1] - 1)
    return wanted[i, j] or wanted[i, right] or wanted[below, j] or wanted[below, right]


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def convolve(x, weights, bias, shift, wanted, first_row, last_row, low, high, add, out):
    """out = convolution of 3 x 3 of x, cut to low..high, at least at the wanted places (rows, cols) of these rows.

    Args:
        x: Features.
        weights: The layer, (blocks, TURNED, inputs * outputs).
        bias: Four times that of the layer.
        shift: That of the layer, and two.
        wanted: Places; others may hold anything afterwards.
        first_row: The first row that is made, even.
        last_row: The first one that is not, even or the end.
        low: The least value.
        high: The largest.
        add: Whether out is added to the convolution.
        out: Features, or the same in int32; changed in place.
    """
    rows, cols = wanted.shape
    width, channels, stride = x.shape[1], x.shape[2], out.shape[2]
    blocks, outputs = bias.shape
    places = tile_places(outputs)
    tiles = _TILES // places * places
    step, gap = tiles * channels, tiles * outputs
    flat, into, offsets, shifts = x.reshape(-1), out.reshape(-1), bias.reshape(-1), shift.reshape(-1)
    turned, sums = np.zeros(TURNED * step, np.int16), np.zeros(TURNED * gap, np.int32)
    columns = np.zeros(tiles, np.int64)
    table, size = weights.reshape(-1), channels * outputs
    for i in range(first_row, last_row, 2):
        j = 0
        while j < cols:
            count = 0
            while j < cols and count < tiles:
                if _any(wanted, i, j):
                    turn(flat, (i * width + j) * channels, width * channels, channels, turned, count * channels, step)
                    columns[count] = j
                    count += 1
                j += 2
            for b in range(blocks if count else 0):
                for n in range(TURNED):
                    for first in range(0, count, places):
                        start, at = n * step + first * channels, n * gap + first * outputs
                        product(turned, start, channels, channels, table, (b * TURNED + n) * size, outputs, sums, at)
                for tile in range(count):
                    at = ((i + 1) * width + columns[tile] + 1) * stride + b * outputs
                    turn_back(
                        sums, tile * outputs, gap, outputs, offsets, shifts, b * outputs,
                        low, high, add, into, at, width * stride, stride,
                    )  # fmt: skip
    out[first_row + 1 : last_row + 1, cols + 1] = 0
    if last_row == rows:
        out[rows + 1] = 0


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def merge(x, weights, bias, shift, wanted, largest, scale, offset, out):
    """out + convolution of 1 x 1 of x, cut, times scale plus offset, cut again, at least at the wanted places.

    Args:
        x: Features.
        weights: The layer, (blocks, inputs * outputs).
        bias: Of the layer.
        shift: Of the layer.
        wanted: Places (rows, cols); others may hold anything afterwards.
        largest: Results are cut to this magnitude.
        scale: (blocks, outputs), what each output is multiplied with, in 2**-MODULATION_BITS,
        offset: and what is added to the product, half of a unit included.
        out: Features, changed in place.
    """
    rows, cols = wanted.shape
    width, channels, stride = x.shape[1], x.shape[2], out.shape[2]
    blocks, outputs = bias.shape
    flat, into, table = x.reshape(-1), out.reshape(-1), weights.reshape(-1)
    offsets, shifts, scales, more = bias.reshape(-1), shift.reshape(-1), scale.reshape(-1), offset.reshape(-1)
    sums = np.zeros(TILE, np.int32)
    for i in range(rows):
        j = 0
        while j < cols:
            if not wanted[i, j]:
                j += 1
                continue
            places, place = min(tile_places(outputs), cols - j), (i + 1) * width + j + 1
            for b in range(blocks):
                product(flat, place * channels, channels, channels, table, b * channels * outputs, outputs, sums, 0)
                for p in range(places):
                    at = (place + p) * stride + b * outputs
                    modulate(
                        sums, p * outputs, outputs, offsets, shifts, b * outputs, largest, into, at,
                        scales, more, np.int32(MODULATION_BITS),
                    )  # fmt: skip
            j += places


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def lift(x, weights, bias, shift, wanted, largest, out):
    """Features of a grid twice as fine: a fourth of a layer's blocks for each of the 2 x 2 places below one.

    Args:
        x: Features of the coarser grid.
        weights: (blocks, inputs * outputs): blocks of top left, top right, bottom left, bottom right.
        bias: Of the layer.
        shift: Of the layer.
        wanted: Places (rows, cols) of the coarser grid.
        largest: Results are cut to this magnitude.
        out: Features of the finer grid.
    """
    rows, cols = wanted.shape
    width, channels, wide, stride = x.shape[1], x.shape[2], out.shape[1], out.shape[2]
    blocks, outputs = bias.shape
    flat, into, table = x.reshape(-1), out.reshape(-1), weights.reshape(-1)
    offsets, shifts = bias.reshape(-1), shift.reshape(-1)
    sums = np.zeros(TILE, np.int32)
    for i in range(rows):
        j = 0
        while j < cols:
            if not wanted[i, j]:
                j += 1
                continue
            places, start = min(tile_places(outputs), cols - j), ((i + 1) * width + j + 1) * channels
            for b in range(blocks):
                product(flat, start, channels, channels, table, b * channels * outputs, outputs, sums, 0)
                phase, first = 4 * b // blocks, b % (blocks // 4) * outputs
                at = ((2 * i + 1 + phase // 2) * wide + 2 * j + 1 + phase % 2) * stride + first
                for p in range(places):
                    settle(sums, p * outputs, outputs, offsets, shifts, b * outputs, largest, into, at + 2 * p * stride)
            j += places


@njit(nogil=True, cache=True, boundscheck=False)
def show(grids, bits, largest, wanted, out):
    """Integers of grids (channels, rows, cols), one behind another, over 2**bits, rounded half up, cut to +-largest."""
    half, first = np.int32((1 << bits) >> 1), 0
    for number in range(len(grids)):
        values = grids[number]
        for i in range(wanted.shape[0]):
            for c in range(values.shape[0]):
                for j in range(wanted.shape[1]):
                    if wanted[i, j]:
                        value = np.int32(values[c, i, j] + half) >> bits
                        out[i + 1, j + 1, first + c] = _cut(value, -largest, largest)
        first += values.shape[0]


@njit(nogil=True, cache=True, boundscheck=False)
def show_picture(y, u, v, bits, largest, wanted, first, out):
    """The same for a picture as six planes: the four phases of luma, U and V."""
    half = np.int32((1 << bits) >> 1)
    for i in range(wanted.shape[0]):
        for j in range(wanted.shape[1]):
            if wanted[i, j]:
                into = out[i + 1, j + 1]
                for k in range(4):
                    value = np.int32(y[2 * i + k // 2, 2 * j + k % 2] + half) >> bits
                    into[first + k] = _cut(value, -largest, largest)
                into[first + 4] = _cut(np.int32(u[i, j] + half) >> bits, -largest, largest)
                into[first + 5] = _cut(np.int32(v[i, j] + half) >> bits, -largest, largest)


@njit(nogil=True, cache=True, boundscheck=False)
def add_residual(residual, wanted, y, u, v, to_u, to_v):
    """Adds six planes of int32 features to a picture where they are wanted, to U and V if they are to have it."""
    for i in range(wanted.shape[0]):
        for j in range(wanted.shape[1]):
            if wanted[i, j]:
                more = residual[i + 1, j + 1]
                for k in range(4):
                    y[2 * i + k // 2, 2 * j + k % 2] += more[k]
                if to_u:
                    u[i, j] += more[4]
                if to_v:
                    v[i, j] += more[5]
