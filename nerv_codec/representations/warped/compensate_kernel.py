"""Overlapped block motion compensation of one plane, compiled; the tests hold it to a plain form."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.motion import BACKWARD, BOTH, FORWARD
from nerv_codec.representations.warped.planes import UNIT

TAP_BITS = 6
GRAY = 255 * UNIT // 2
"""What blocks without a prediction show."""
_ROUND_BITS = 2 * TAP_BITS


@njit(nogil=True, cache=True, boundscheck=False)
def _read_block(plane, top, left, size, taps, bits, down, right, lines, out):
    """A square of a plane at a position in 1 / 2**bits samples."""
    height, width = plane.shape
    count = taps.shape[1]
    before = count // 2 - 1
    mask = (1 << bits) - 1
    row_taps, col_taps = taps[down & mask], taps[right & mask]
    first_row, first_col = top + (down >> bits) - before, left + (right >> bits) - before
    inside = first_col >= 0 and first_col + size + count <= width
    for i in range(size + count - 1):
        source = plane[min(max(first_row + i, 0), height - 1)]
        line = lines[i]
        for j in range(size):
            line[j] = 0
        for k in range(count):
            weight = col_taps[k]
            if weight == 0:
                continue
            if inside:
                for j in range(size):
                    line[j] += weight * np.int32(source[first_col + k + j])
            else:
                for j in range(size):
                    line[j] += weight * np.int32(source[min(max(first_col + k + j, 0), width - 1)])
    for i in range(size):
        for j in range(size):
            out[i, j] = 1 << (_ROUND_BITS - 1)
        for k in range(count):
            weight = row_taps[k]
            if weight != 0:
                for j in range(size):
                    out[i, j] += weight * lines[i + k, j]
        for j in range(size):
            out[i, j] >>= _ROUND_BITS


@njit(nogil=True, cache=True)
def ramp(index, size, first, last):
    """Weight of a block for line ``index`` of its support (twice its size); first and last blocks fill their border."""
    half = size // 2
    if index < half:
        return size if first else 2 * index + 1
    return size if last else 2 * (size - index) - 1


@njit(nogil=True, cache=True, boundscheck=False)
def compensate_plane(first, second, vectors, modes, block, taps, bits, prediction, doubt):
    """Prediction and doubt of one plane, int32, from int16 parents."""
    rows, cols = modes.shape
    height, width = first.shape
    size = 2 * block
    lines = np.zeros((size + 7, size), np.int32)
    one, two = np.zeros((size, size), np.int32), np.zeros((size, size), np.int32)
    for r in range(rows):
        for c in range(cols):
            top, left = r * block - block // 2, c * block - block // 2
            mode = modes[r, c]
            if mode in (FORWARD, BOTH):
                _read_block(first, top, left, size, taps, bits, vectors[0, r, c, 0], vectors[0, r, c, 1], lines, one)
            if mode in (BACKWARD, BOTH):
                _read_block(second, top, left, size, taps, bits, vectors[1, r, c, 0], vectors[1, r, c, 1], lines, two)
            for i in range(max(0, -top), min(size, height - top)):
                down = ramp(i, size, r == 0, r == rows - 1)
                for j in range(max(0, -left), min(size, width - left)):
                    weight = down * ramp(j, size, c == 0, c == cols - 1)
                    if mode == BOTH:
                        prediction[top + i, left + j] += weight * ((one[i, j] + two[i, j] + 1) >> 1)
                        doubt[top + i, left + j] += weight * ((one[i, j] - two[i, j]) >> 1)
                    elif mode == FORWARD:
                        prediction[top + i, left + j] += weight * one[i, j]
                    elif mode == BACKWARD:
                        prediction[top + i, left + j] += weight * two[i, j]
                    else:
                        prediction[top + i, left + j] += weight * GRAY
    bits_of_weights = 0
    while (1 << bits_of_weights) < size * size:
        bits_of_weights += 1
    half = 1 << (bits_of_weights - 1)
    for i in range(height):
        for j in range(width):
            prediction[i, j] = (prediction[i, j] + half) >> bits_of_weights
            doubt[i, j] = (doubt[i, j] + half) >> bits_of_weights
