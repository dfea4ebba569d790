"""Planes at any positions, compiled: six taps of a table each way; beyond the border the last samples repeat.

What is learnt about the places between samples (`shared.between`) is added by functions of its own.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit

PHASES = 1024


@njit(nogil=True, cache=True)
def _taps(position, extent, places, weights, kernel):
    """The six samples around a position and their weights."""
    whole = np.int64(np.floor(position))
    phase = np.int64(np.rint((position - whole) * PHASES))
    for k in range(6):
        places[k] = min(max(whole - 2 + k, 0), extent - 1)
        weights[k] = kernel[phase, k]


@njit(nogil=True, cache=True, allocates=True)
def read_lattice(plane, rows, cols, kernel, out):
    """out (rows, cols) = plane at all combinations of positions, separably."""
    height, width = plane.shape
    places, weights = np.zeros((len(cols), 6), np.int64), np.zeros((len(cols), 6), np.float32)
    for j in range(len(cols)):
        _taps(cols[j], width, places[j], weights[j], kernel)
    row_places, row_weights = np.zeros(6, np.int64), np.zeros(6, np.float32)
    line = np.zeros(width, np.float32)
    for i in range(len(rows)):
        _taps(rows[i], height, row_places, row_weights, kernel)
        for c in range(width):
            line[c] = 0
        for k in range(6):
            source, weight = plane[row_places[k]], row_weights[k]
            for c in range(width):
                line[c] += weight * source[c]
        for j in range(len(cols)):
            total = np.float32(0)
            for k in range(6):
                total += weights[j, k] * line[places[j, k]]
            out[i, j] = total


@njit(nogil=True, cache=True, allocates=True)
def read_points(plane, rows, cols, kernel, out):
    """out (points,) = plane at single positions."""
    height, width = plane.shape
    row_places, row_weights = np.zeros(6, np.int64), np.zeros(6, np.float32)
    col_places, col_weights = np.zeros(6, np.int64), np.zeros(6, np.float32)
    for p in range(len(rows)):
        _taps(rows[p], height, row_places, row_weights, kernel)
        _taps(cols[p], width, col_places, col_weights, kernel)
        total = np.float32(0)
        for k in range(6):
            line = plane[row_places[k]]
            part = np.float32(0)
            for m in range(6):
                part += col_weights[m] * line[col_places[m]]
            total += row_weights[k] * part
        out[p] = total


@njit(nogil=True, cache=True)
def _detail(details, row, col):
    """What the polynomials of the four samples around a position say, mixed bilinearly."""
    top, left = np.int64(np.floor(row)), np.int64(np.floor(col))
    down, right = np.float32(row - top), np.float32(col - left)
    total = np.float32(0)
    for i in range(2):
        for j in range(2):
            u, v = down - np.float32(i), right - np.float32(j)
            share = (np.float32(1) - abs(u)) * (np.float32(1) - abs(v))
            a = details[top + i + 1, left + j + 1]
            said = u * (a[0] + u * (a[3] + v * (a[5] + v * a[7])) + v * (a[2] + v * a[6])) + v * (a[1] + v * a[4])
            total += share * said
    return total


@njit(nogil=True, cache=True)
def add_lattice(details, rows, cols, unit, out):
    """Adds to out (rows, cols) what is learnt at all combinations of positions, half a sample outside at the most.

    Args:
        details: (rows + 2, cols + 2, terms), from the samples one beyond the edges on.
        rows: Positions.
        cols: Positions.
        unit: What 1 of the details is.
        out: Changed in place.
    """
    for i in range(len(rows)):
        for j in range(len(cols)):
            out[i, j] += unit * _detail(details, rows[i], cols[j])


@njit(nogil=True, cache=True)
def add_points(details, rows, cols, unit, out):
    """Adds to out (points,) what is learnt at single positions, see `add_lattice`."""
    for p in range(len(rows)):
        out[p] += unit * _detail(details, rows[p], cols[p])
