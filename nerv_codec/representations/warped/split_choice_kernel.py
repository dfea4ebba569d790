"""Which blocks are split, in the encoder only: error of what their corners show against the bits that it takes."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.motion import BACKWARD, BLOCK, BOTH
from nerv_codec.representations.warped.quarter_kernel import PAD
from nerv_codec.representations.warped.search_kernel import mean_of_two, ramp
from nerv_codec.representations.warped.split_kernel import (
    OVERLAPPED,
    SOURCES,
    corner_models,
    is_edge,
    source_of,
    sources,
    split_model,
)
from nerv_codec.representations.warped.tint_kernel import corner_error, read_corner

_CORNER = BLOCK // 2
_WHOLE = 4 * BLOCK * BLOCK
"""The weight of one block alone."""


@njit(nogil=True, cache=True, allocates=True)
def choose(source, quarters, tints, field, modes, total, corners, bits_of, price):
    """Decides for every block whether it is split and what its corners show; returns the cost that this saves.

    Args:
        source: Luma (rows, cols) of the picture.
        quarters: (parents, 4, 4, rows, cols) from `quarter_kernel.phases`.
        tints: Chroma, see `tint_kernel`.
        field: Vectors (2, rows, cols, 2).
        modes: (rows, cols).
        total: The weighted prediction of all blocks, with borders of 4 samples, changed.
        corners: What corners show (2 rows, 2 cols), changed.
        bits_of: Of decisions (model, bit).
        price: Of a bit.
    """
    rows, cols = modes.shape
    found, numbers = np.zeros(SOURCES, np.int64), np.zeros(3, np.int64)
    said, other = np.zeros((_CORNER, _CORNER), np.int32), np.zeros((_CORNER, _CORNER), np.int32)
    blends, shown = np.zeros((4, _CORNER, _CORNER), np.int32), np.zeros((4, _CORNER, _CORNER), np.int32)
    hue, blended_hue = np.zeros((2, 4), np.int64), np.zeros((2, 4), np.int64)
    rest, room = np.zeros((BLOCK, BLOCK), np.int32), np.zeros((BLOCK, BLOCK), np.int32)
    saved = 0.0
    for r in range(rows):
        for c in range(cols):
            top, left = 2 * r, 2 * c
            was, edge = corners[top, left] != OVERLAPPED, is_edge(field, modes, r, c)
            corners[top : top + 2, left : left + 2] = OVERLAPPED
            if not edge and not was:
                continue
            model, gain = split_model(corners, r, c), 0.0
            if edge:
                gain = price * (bits_of[model, 0] - bits_of[model, 1])
            for q in range(4):
                y, x = top + q // 2, left + q % 2
                _blend(quarters, tints, field, modes, y, x, other, said, hue, blends[q], blended_hue)
                shown[q] = blends[q]
                count = sources(field, modes, y, x, found)
                corners[y, x] = 1
                if count == 1:
                    continue
                corner_models(field, modes, corners, y, x, found, numbers)
                _lacking(source, total, y, x, rest)
                overlapped = _error(source, rest, blends[q], y, x, room) + corner_error(tints, y, x, blended_hue)
                best, bits = np.inf, 0.0
                for k in range(count):
                    one = source_of((rows, cols), y, x, found[k])
                    _say(quarters, field, modes, one[0], one[1], y, x, other, said)
                    read_corner(tints, field, modes, one[0], one[1], y, x, hue)
                    said *= _WHOLE
                    ending = bits_of[numbers[k], 0] if k < count - 1 else 0.0
                    cost = _error(source, rest, said, y, x, room) + corner_error(tints, y, x, hue)
                    cost += price * (bits + ending)
                    if cost < best:
                        best, corners[y, x] = cost, found[k] + 1
                        shown[q] = said
                    if k < count - 1:
                        bits += bits_of[numbers[k], 1]
                gain += overlapped - best
            if gain > 0:
                saved += gain
                _put(total, shown, top, left)
            else:
                corners[top : top + 2, left : left + 2] = OVERLAPPED
                if was:
                    _put(total, blends, top, left)
    return saved


@njit(nogil=True, cache=True, boundscheck=False)
def _read(quarters, field, number, r, c, y, x, out):
    """A corner as a block reads it from a parent, whose support is moved in where it lies too far out."""
    height, width = quarters.shape[3:]
    down, right = field[number, r, c, 0], field[number, r, c, 1]
    top = min(max(PAD + r * BLOCK - _CORNER + (down >> 2), 0), height - 2 * BLOCK) + _CORNER * (y - 2 * r + 1)
    left = min(max(PAD + c * BLOCK - _CORNER + (right >> 2), 0), width - 2 * BLOCK) + _CORNER * (x - 2 * c + 1)
    plane = quarters[number, down & 3, right & 3]
    for i in range(_CORNER):
        for j in range(_CORNER):
            out[i, j] = plane[top + i, left + j]


@njit(nogil=True, cache=True, boundscheck=False)
def _say(quarters, field, modes, r, c, y, x, other, out):
    """What a block says of a corner."""
    mode = modes[r, c]
    _read(quarters, field, 1 if mode == BACKWARD else 0, r, c, y, x, out)
    if mode == BOTH:
        _read(quarters, field, 1, r, c, y, x, other)
        v0, v1, w0, w1 = field[0, r, c, 0], field[0, r, c, 1], field[1, r, c, 0], field[1, r, c, 1]
        extent = BLOCK * modes.shape[0], BLOCK * modes.shape[1]
        mean_of_two(extent, _CORNER * y, _CORNER * x, v0, v1, w0, w1, out, other)


@njit(nogil=True, cache=True)
def _ramp(index, half, later, other):
    """Weight in a line of a corner, of so many, the later half of its block: of the own block, or of the other one."""
    own = ramp((half if not later else 2 * half) + index, 4 * half, False, False)
    return 4 * half - own if other else own


@njit(nogil=True, cache=True, boundscheck=False)
def _blend(quarters, tints, field, modes, y, x, other, said, hue, out, out_hue):
    """What a corner shows that is overlapped: luma with weights that sum to _WHOLE, chroma."""
    out[:], out_hue[:] = 0, 0
    for number in range(SOURCES):
        r, c = source_of(modes.shape, y, x, number)
        _say(quarters, field, modes, r, c, y, x, other, said)
        read_corner(tints, field, modes, r, c, y, x, hue)
        for i in range(_CORNER):
            down = _ramp(i, _CORNER, y % 2, number & 2)
            for j in range(_CORNER):
                out[i, j] += down * _ramp(j, _CORNER, x % 2, number & 1) * said[i, j]
        for i in range(2):
            down = _ramp(i, 2, y % 2, number & 2)
            for j in range(4):
                out_hue[i, j] += down * _ramp(j // 2, 2, x % 2, number & 1) * hue[i, j]
    out_hue >>= 6


@njit(nogil=True, cache=True, boundscheck=False)
def _put(total, values, y, x):
    """Four corners of a block into the weighted prediction."""
    for q in range(4):
        top, left = _CORNER * (y + q // 2 + 1), _CORNER * (x + q % 2 + 1)
        for i in range(_CORNER):
            for j in range(_CORNER):
                total[top + i, left + j] = values[q, i, j]


@njit(nogil=True, cache=True, boundscheck=False)
def _lacking(source, total, y, x, rest):
    """What the cell between four blocks lacks, (8, 8), in which a corner lies; 0 beyond the border."""
    top, left = BLOCK * ((y + 1) // 2) - _CORNER, BLOCK * ((x + 1) // 2) - _CORNER
    for i in range(BLOCK):
        for j in range(BLOCK):
            a, b = top + i, left + j
            inside = 0 <= a < source.shape[0] and 0 <= b < source.shape[1]
            rest[i, j] = _WHOLE * np.int32(source[a, b]) - total[a + _CORNER, b + _CORNER] if inside else 0


@njit(nogil=True, cache=True, boundscheck=False)
def _error(source, rest, said, y, x, room):
    """An eighth of the sum of absolute Hadamard coefficients of a cell, in 1/16, if a corner of it shows this."""
    top, left = _CORNER * ((y + 1) % 2), _CORNER * ((x + 1) % 2)
    for i in range(_CORNER):
        for j in range(_CORNER):
            rest[top + i, left + j] = _WHOLE * np.int32(source[_CORNER * y + i, _CORNER * x + j]) - said[i, j]
    for i in range(BLOCK):
        for j in range(BLOCK):
            room[i, j] = rest[i, j] >> 4
    apart = BLOCK // 2
    while apart:
        for k in range(BLOCK):
            if not k & apart:
                for m in range(BLOCK):
                    a, b = room[k, m], room[k + apart, m]
                    room[k, m], room[k + apart, m] = a + b, a - b
        for k in range(BLOCK):
            if not k & apart:
                for m in range(BLOCK):
                    a, b = room[m, k], room[m, k + apart]
                    room[m, k], room[m, k + apart] = a + b, a - b
        apart >>= 1
    total = 0
    for i in range(BLOCK):
        for j in range(BLOCK):
            total += abs(room[i, j])
    return total >> 3
