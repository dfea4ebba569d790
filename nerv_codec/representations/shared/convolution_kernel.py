"""Convolutions of whole numbers in float32, compiled: only where they are wanted, with what follows them.

Features are (rows + 2, cols + RIGHT + 1, channels): place (i, j) of a grid is at (i + 1, j + 1), all around it is zero.
Layers are (blocks, lines * columns * inputs * outputs), from the top left of what they look at, with blocks of 8, 16 or
24 outputs; their biases, half of a unit included, (blocks, outputs).
Numbers are exact in any order while all sums that may occur stay below 2**24 (`integer_convolution`).
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared.tile_product import TILE, product_8, product_16, product_24

RIGHT = TILE // 8
"""Columns right of a grid: tiles that begin in its last column reach as far."""


@njit(nogil=True, cache=True, boundscheck=False)
def _tile(flat, start, step, lines, pitch, count, weights, bias, sums):
    """Sums of TILE // len(bias) places side by side, rounded down."""
    if bias.shape[0] == 24:
        product_24(flat, start, step, lines, pitch, count, weights, bias, sums)
    elif bias.shape[0] == 16:
        product_16(flat, start, step, lines, pitch, count, weights, bias, sums)
    else:
        product_8(flat, start, step, lines, pitch, count, weights, bias, sums)
    for n in range(TILE):
        sums[n] = np.floor(sums[n])


@njit(nogil=True, cache=True, boundscheck=False)
def convolve(x, size, weights, bias, wanted, low, high, scale, shift, add, out):
    """out = convolution of x, cut to low..high, at least at the wanted places (rows, cols) of the grid.

    Args:
        x: Features.
        size: 1 or 3, the side of the kernel.
        weights: The layer.
        bias: Of the layer.
        wanted: Places; others may hold anything afterwards.
        low: The least value.
        high: The largest.
        scale: (blocks, outputs), what each output is multiplied with afterwards, or (0, 0),
        shift: and what is added then; the result is rounded down and cut once more.
        add: Whether out is added to the convolution.
        out: Features, changed in place.
    """
    rows, cols = wanted.shape
    width, channels, stride = x.shape[1], x.shape[2], out.shape[2]
    blocks, outputs = bias.shape
    flat, into = x.reshape(-1), out.reshape(-1)
    sums = np.zeros(TILE, np.float32)
    reach = size // 2
    places = TILE // outputs
    for i in range(rows):
        j = 0
        while j < cols:
            if not wanted[i, j]:
                j += 1
                continue
            start = ((i + 1 - reach) * width + j + 1 - reach) * channels
            for b in range(blocks):
                _tile(flat, start, channels, size, width * channels, size * channels, weights[b], bias[b], sums)
                at = ((i + 1) * width + j + 1) * stride + b * outputs
                for p in range(places):
                    for o in range(outputs):
                        value = sums[p * outputs + o]
                        if add:
                            value += into[at + p * stride + o]
                        value = min(max(value, low), high)
                        if scale.shape[0] > 0:
                            value = min(max(np.floor(value * scale[b, o] + shift[b, o]), low), high)
                        into[at + p * stride + o] = value
            j += places
        if j > cols:
            out[i + 1, cols + 1 :] = 0


@njit(nogil=True, cache=True, boundscheck=False)
def lift(x, weights, bias, wanted, low, high, out):
    """Features of a grid twice as fine: a fourth of a layer's blocks for each of the 2 x 2 places below one.

    Args:
        x: Features of the coarser grid.
        weights: Blocks of top left, top right, bottom left, bottom right.
        bias: Of the layer.
        wanted: Places (rows, cols) of the coarser grid.
        low: The least value.
        high: The largest.
        out: Features of the finer grid, zero before.
    """
    rows, cols = wanted.shape
    width, channels = x.shape[1], x.shape[2]
    blocks, outputs = bias.shape
    flat = x.reshape(-1)
    sums = np.zeros(TILE, np.float32)
    for i in range(rows):
        j = 0
        while j < cols:
            if not wanted[i, j]:
                j += 1
                continue
            start = ((i + 1) * width + j + 1) * channels
            places = min(TILE // outputs, cols - j)
            for b in range(blocks):
                _tile(flat, start, channels, 1, 0, channels, weights[b], bias[b], sums)
                phase, first = 4 * b // blocks, b % (blocks // 4) * outputs
                for p in range(places):
                    row = out[2 * i + 1 + phase // 2, 2 * (j + p) + 1 + phase % 2]
                    for o in range(outputs):
                        row[first + o] = min(max(sums[p * outputs + o], low), high)
            j += places


@njit(nogil=True, cache=True, boundscheck=False)
def show(values, bits, largest, wanted, first, out):
    """Integers (channels, rows, cols) over 2**bits, rounded half up and cut to +-largest, from channel ``first`` on."""
    half = np.int32((1 << bits) >> 1)
    for i in range(wanted.shape[0]):
        for c in range(values.shape[0]):
            for j in range(wanted.shape[1]):
                if wanted[i, j]:
                    value = (values[c, i, j] + half) >> bits
                    out[i + 1, j + 1, first + c] = np.float32(min(max(value, -largest), largest))
