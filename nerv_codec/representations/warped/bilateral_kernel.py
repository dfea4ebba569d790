"""Motion through the middle between two frames, compiled: its search, and where points between frames are read."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.motion import BLOCK
from nerv_codec.representations.warped.quarter_kernel import PAD

WINDOW = 2 * BLOCK
"""Samples a side of what is compared around a block."""
PRICE = 6 * WINDOW * WINDOW
"""Difference of samples that a quarter sample of difference between a block and one beside it counts."""
_TURNS = 4
"""How often a block goes on to the best move around, at most."""
_LEAST_SHARE = 1e-3
"""Of a place outside of the picture."""
_UNKNOWN = np.int64(1) << 62


@njit(nogil=True, cache=True, boundscheck=False)
def difference(one, two, r, c, down, right):
    """Sum of absolute differences over a block's window: the frame before at minus the move, the one after at it."""
    height, width = one.shape[2:]
    top, left = PAD + r * BLOCK - BLOCK // 2, PAD + c * BLOCK - BLOCK // 2
    before, after = one[-down & 3, -right & 3], two[down & 3, right & 3]
    y, x = min(max(top + (-down >> 2), 0), height - WINDOW), min(max(left + (-right >> 2), 0), width - WINDOW)
    v, u = min(max(top + (down >> 2), 0), height - WINDOW), min(max(left + (right >> 2), 0), width - WINDOW)
    total = np.int32(0)
    for i in range(WINDOW):
        for j in range(WINDOW):
            total += abs(np.int32(before[y + i, x + j]) - np.int32(after[v + i, u + j]))
    return np.int64(total)


@njit(nogil=True, cache=True, boundscheck=False)
def _cost(one, two, found, r, c, down, right, limit):
    """What a move costs a block, or anything that is not below the limit."""
    rows, cols = found.shape[:2]
    apart = np.int64(0)
    for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
        if 0 <= y < rows and 0 <= x < cols:
            apart += abs(down - found[y, x, 0]) + abs(right - found[y, x, 1])
    paid = PRICE * apart
    return paid if paid >= limit else paid + difference(one, two, r, c, down, right)


@njit(nogil=True, cache=True, boundscheck=False)
def sweep(one, two, starts, found, backwards):
    """Every block once, in raster order or backwards: the cheapest move of those it is offered, then those around it.

    Args:
        one: The frame before at quarter samples, see `quarter_kernel.phases`.
        two: The frame after.
        starts: Moves that were coded, (rows, cols, 2).
        found: Moves as they stand, changed.
        backwards: From the last block on.
    """
    rows, cols = found.shape[:2]
    for number in range(rows * cols):
        r, c = divmod(rows * cols - 1 - number if backwards else number, cols)
        down, right = found[r, c]
        least = _cost(one, two, found, r, c, down, right, _UNKNOWN)
        for k in range(19):
            y, x = r + k % 9 // 3 - 1, c + k % 3 - 1
            v0, v1 = np.int64(0), np.int64(0)
            if k < 18:
                if not (0 <= y < rows and 0 <= x < cols):
                    continue
                v0, v1 = found[y, x] if k < 9 else starts[y, x]
            if v0 != down or v1 != right:
                cost = _cost(one, two, found, r, c, v0, v1, least)
                if cost < least:
                    least, down, right = cost, v0, v1
        for _ in range(_TURNS):
            c0, c1 = down, right
            for k in range(9):
                v0, v1 = c0 + k // 3 - 1, c1 + k % 3 - 1
                if k != 4:
                    cost = _cost(one, two, found, r, c, v0, v1, least)
                    if cost < least:
                        least, down, right = cost, v0, v1
            if c0 == down and c1 == right:
                break
        found[r, c, 0], found[r, c, 1] = down, right


@njit(nogil=True, cache=True)
def differences(one, two, moves, out):
    """out (rows, cols) = :func:`difference` of every block."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = difference(one, two, r, c, moves[r, c, 0], moves[r, c, 1])


@njit(nogil=True, cache=True)
def _inside(row, col, height, width):
    """1 in the picture, falling to next to nothing over the first sample outside."""
    beyond = max(-row, row - (height - 1), -col, col - (width - 1))
    return min(max(1 - beyond, _LEAST_SHARE), 1.0)


@njit(nogil=True, cache=True, allocates=True)
def follow(moves, share, rows, cols, way, extent, moved, weights):
    """What points between two frames read of them.

    Args:
        moves: (2, blocks down, blocks across, 2), in quarter samples from the middle, linear between centres of blocks.
        share: Of the second ones, (blocks down, blocks across).
        rows: Of the points, in pixels.
        cols: Alike.
        way: Time since the frame before, 0..1.
        extent: Height and width of the picture.
        moved: (2, 2, 2, points): for each of the moves and frame, how far down and right it is read.
        weights: (2, 2, points): how much it counts. Where both moves are the same, the second ones count nothing.
    """
    down, across = share.shape
    height, width = extent
    mean = np.zeros(5)
    for p in range(len(rows)):
        y, x = (rows[p] + 0.5) / BLOCK - 0.5, (cols[p] + 0.5) / BLOCK - 0.5
        top, left = np.int64(np.floor(y)), np.int64(np.floor(x))
        mean[:] = 0
        for i in range(2):
            for j in range(2):
                r, c = min(max(top + i, 0), down - 1), min(max(left + j, 0), across - 1)
                weight = (1 - abs(y - (top + i))) * (1 - abs(x - (left + j)))
                for k in range(4):
                    mean[k] += weight * moves[k // 2, r, c, k % 2]
                mean[4] += weight * share[r, c]
        same = mean[0] == mean[2] and mean[1] == mean[3]
        for number in range(2):
            part = mean[4] if number else 1 - mean[4]
            if same:
                part = 1.0 - number
            # moves are quarters of half of the motion
            v0, v1 = mean[2 * number] / 2, mean[2 * number + 1] / 2
            for frame in range(2):
                far = frame - way
                moved[number, frame, 0, p], moved[number, frame, 1, p] = far * v0, far * v1
                weights[number, frame, p] = (1 - abs(far)) * _inside(
                    rows[p] + far * v0, cols[p] + far * v1, height, width
                )
            total = weights[number, 0, p] + weights[number, 1, p]
            for frame in range(2):
                weights[number, frame, p] *= part / total
