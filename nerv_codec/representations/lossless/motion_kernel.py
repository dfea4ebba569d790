"""Where blocks lie in earlier frames, compiled: a search by sums of absolute differences, and the vectors' code."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.lossless.bit_kernel import COUNTER_ONE, code_flag, count

BLOCK = 16
"""Rows and columns of a block."""
OUTSIDE = 16
"""How far a block may leave the picture."""
NUM_MOTION_COUNTERS = 2 * (2 * 3 + 2 + 12)
"""For frames one back, and further: a difference of 0, its sign, its size."""

_FULL = 1 << 60
_SIGN, _SIZE, _PREFIXES = 6, 8, 12


@njit(nogil=True, cache=True)
def _cost(current, past, top, left, bottom, right, dy, dx, margin, limit):
    """Sum of absolute differences of a block, or anything from ``limit`` on."""
    total = 0
    for y in range(top + margin, bottom + margin):
        line, other = current[y], past[y + dy]
        part = 0
        for x in range(left + margin, right + margin):
            part += abs(line[x] - other[x + dx])
        total += part
        if total >= limit:
            break
    return total


@njit(nogil=True, cache=True)
def search(current, past, guess, height, width, margin, reach, step_cost, vectors):
    """Fills vectors (rows, cols, 2), whole samples; ``guess`` (rows, cols, 2) is what is expected.

    Looked at is what lies within ``reach`` of the guess, corrected by the block before, and of no motion. An octave
    of the distance from what is expected costs ``step_cost``.
    """
    for row in range(vectors.shape[0]):
        for col in range(vectors.shape[1]):
            top, left = row * BLOCK, col * BLOCK
            bottom, right = min(height, top + BLOCK), min(width, left + BLOCK)
            pull_y, pull_x = guess[row, col, 0], guess[row, col, 1]
            if row > 0 or col > 0:
                r, c = (row, col - 1) if col > 0 else (row - 1, col)
                pull_y += vectors[r, c, 0] - guess[r, c, 0]
                pull_x += vectors[r, c, 1] - guess[r, c, 1]
            best, best_y, best_x = _FULL, 0, 0
            for centre in range(2):
                middle_y, middle_x = (pull_y, pull_x) if centre == 0 else (0, 0)
                first_y, last_y = (
                    max(-OUTSIDE - top, middle_y - reach),
                    min(height + OUTSIDE - bottom, middle_y + reach),
                )
                first_x, last_x = max(-OUTSIDE - left, middle_x - reach), min(width + OUTSIDE - right, middle_x + reach)
                for dy in range(first_y, last_y + 1):
                    for dx in range(first_x, last_x + 1):
                        if centre == 1 and abs(dy - pull_y) <= reach and abs(dx - pull_x) <= reach:
                            continue
                        away, cost = 1 + abs(dy - pull_y) + abs(dx - pull_x), 0
                        while away > 1:
                            away >>= 1
                            cost += step_cost
                        if cost < best:
                            cost += _cost(current, past, top, left, bottom, right, dy, dx, margin, best - cost)
                            if cost < best:
                                best, best_y, best_x = cost, dy, dx
            vectors[row, col, 0], vectors[row, col, 1] = best_y, best_x


@njit(nogil=True, cache=True, allocates=True)
def motion_counters():
    """Counters of `code_vectors` that have seen nothing."""
    return np.full(NUM_MOTION_COUNTERS, COUNTER_ONE // 2 << 8, np.int32)


@njit(nogil=True, cache=True)
def _flag(coder, data, mode, bit, counters, at):
    bit = code_flag(coder, data, mode, bit, counters[at] >> 12)
    count(counters, at, bit)
    return bit


@njit(nogil=True, cache=True)
def _difference(coder, data, mode, value, counters, base, context):
    """Codes one number: whether it is 0, its sign, the length of its size and its bits."""
    if _flag(coder, data, mode, 1 if value == 0 else 0, counters, base + context):
        return 0
    negative = _flag(coder, data, mode, 1 if value < 0 else 0, counters, base + _SIGN + context // 3)
    size, length = abs(value), 0
    while length < _PREFIXES - 1:
        if not _flag(coder, data, mode, 1 if size >> (length + 1) else 0, counters, base + _SIZE + length):
            break
        length += 1
    found = 1
    for place in range(length - 1, -1, -1):
        found = found << 1 | code_flag(coder, data, mode, size >> place & 1, 1 << 15)
    return -found if negative else found


@njit(nogil=True, cache=True, allocates=True)
def code_vectors(coder, data, mode, vectors, count_back, counters, height, width):
    """Codes the vectors towards the first ``count_back`` frames before: (back, rows, cols, 2).

    Those towards the frame before are coded less the median of three neighbours; those further back as what they
    differ by from as many times the first ones, less the median of that.

    Returns:
        False where a block lies too far outside of the picture.
    """
    rows, cols = vectors.shape[1], vectors.shape[2]
    field = np.zeros((rows, cols, 2), np.int64)
    expected = np.zeros(2, np.int64)
    for back in range(count_back):
        base = NUM_MOTION_COUNTERS // 2 if back else 0
        for row in range(rows):
            for col in range(cols):
                unrest = 0
                for axis in range(2):
                    left = field[row, col - 1, axis] if col > 0 else 0
                    top = field[row - 1, col, axis] if row > 0 else left
                    if col == 0:
                        left = top
                    corner = field[row - 1, min(col + 1, cols - 1), axis] if row > 0 else left
                    low, high = min(left, top), max(left, top)
                    expected[axis] = max(low, min(high, corner))
                    unrest += max(high, corner) - min(low, corner)
                context = 0 if unrest == 0 else (1 if unrest < 4 else 2)
                for axis in range(2):
                    scaled = (back + 1) * vectors[0, row, col, axis] if back else 0
                    offset = expected[axis] + scaled
                    value = vectors[back, row, col, axis] - offset
                    value = _difference(coder, data, mode, value, counters, base, 3 * axis + context)
                    vectors[back, row, col, axis] = value + offset
                    field[row, col, axis] = value + expected[axis]
                top, left = row * BLOCK + vectors[back, row, col, 0], col * BLOCK + vectors[back, row, col, 1]
                bottom = min(height, row * BLOCK + BLOCK) + vectors[back, row, col, 0]
                right = min(width, col * BLOCK + BLOCK) + vectors[back, row, col, 1]
                if min(top, left) < -OUTSIDE or bottom > height + OUTSIDE or right > width + OUTSIDE:
                    return False
    return True
