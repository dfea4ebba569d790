"""Weighted least squares over a few dozen regressors, compiled: sums of products, solved by elimination.

*Sums* of N regressors are the symmetric (N + 1) x (N + 1) matrix of sums of products, of which rows 0..N-1 are kept,
each from its diagonal on; column N is the target's. They lie as *stairs*: rows in blocks of four, all four from the
block's first column to the last column, rounded up to a multiple of four. So everything is done in fours, which
compilers turn into vectors; what lies left of the diagonal and behind the target is never used.

All arithmetic is IEEE binary64 in the order that the format says for each element, one rounding an operation: no step
may be contracted or reordered.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import load, splat, store

_LEAST_PIVOT = 1e-6


def stairs_width(num_regressors: int) -> int:
    """Columns of stairs: regressors and the target, rounded up to fours."""
    return num_regressors // 4 * 4 + 4


def triangle_places(num_regressors: int) -> npt.NDArray[np.int64]:
    """Where the elements of the upper triangle, row after row, lie in stairs."""
    width, places, first = stairs_width(num_regressors), [], 0
    for row in range(num_regressors):
        left = row // 4 * 4
        places += [first + col - left for col in range(row, num_regressors + 1)]
        first += width - left
    return np.array(places)


def stairs_size(num_regressors: int) -> int:
    """Numbers in stairs: rows are whole blocks."""
    width = stairs_width(num_regressors)
    return sum(4 * (width - left) for left in range(0, num_regressors, 4))


@njit(nogil=True, cache=True)
def accumulate(sums, x, n, weight):
    """Adds weight * x[i] * x[j]; x holds n regressors, the target, and zeros up to the width of stairs."""
    width, at = x.shape[0], 0
    for i in range(n):
        scaled = splat(weight * x[i])
        for j in range(i & ~3, width, 4):
            store(sums, at, load(sums, at) + scaled * load(x, j))
            at += 4


@njit(nogil=True, cache=True)
def learn(near, near_share, wide, wide_share, slow, slow_share, x, weights, n):
    """Adds the sums of four samples, x (4, width), each with its weight, to a share of each of three sums."""
    width, at = x.shape[1], 0
    near_share, wide_share, slow_share = splat(near_share), splat(wide_share), splat(slow_share)
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    for i in range(n):
        a, b = splat(weights[0] * x0[i]), splat(weights[1] * x1[i])
        c, d = splat(weights[2] * x2[i]), splat(weights[3] * x3[i])
        for j in range(i & ~3, width, 4):
            fresh = ((a * load(x0, j) + b * load(x1, j)) + c * load(x2, j)) + d * load(x3, j)
            store(near, at, near_share * load(near, at) + fresh)
            store(wide, at, wide_share * load(wide, at) + fresh)
            store(slow, at, slow_share * load(slow, at) + fresh)
            at += 4


@njit(nogil=True, cache=True)
def add_around(out, sums, segment, fall):
    """Sums of a segment and of two on either side, which weigh less; two segments of zeros lie at each end of sums."""
    here, left, right = sums[segment + 2], sums[segment + 1], sums[segment + 3]
    far_left, far_right = sums[segment], sums[segment + 4]
    near, far = splat(fall), splat(fall * fall)
    for i in range(0, out.shape[0], 4):
        total = (load(here, i) + near * load(left, i)) + near * load(right, i)
        store(out, i, (total + far * load(far_left, i)) + far * load(far_right, i))


@njit(nogil=True, cache=True)
def shrink(sums, n, ridge, relative, towards):
    """Pulls the solution towards a given one, by ``ridge`` and by ``relative`` of the mean square regressor."""
    width = n // 4 * 4 + 4
    trace, at = 0.0, 0
    for i in range(n):
        trace += sums[at + (i & 3)]
        at += width - (i & ~3)
    pull = ridge + relative * trace / n
    at = 0
    for i in range(n):
        sums[at + (i & 3)] += pull
        sums[at + n - (i & ~3)] += pull * towards[i]
        at += width - (i & ~3)


@njit(nogil=True, cache=True)
def eliminate(sums, n, upper, lower, z):
    """Gaussian elimination in place, without pivoting; fills lower, unit triangular, and z for `solve`.

    upper, lower: (4 blocks, width), factors by row and by column; z: (width).
    """
    width, first = n // 4 * 4 + 4, 0
    for top in range(0, n, 4):
        span = width - top
        # Rows before this block, from four rows and four columns at a time
        for j in range(top, width, 4):
            at = first + j - top
            r0, r1 = load(sums, at), load(sums, at + span)
            r2, r3 = load(sums, at + 2 * span), load(sums, at + 3 * span)
            above = j
            for k in range(top):
                source = load(sums, above)
                r0, r1 = r0 - splat(upper[k, top]) * source, r1 - splat(upper[k, top + 1]) * source
                r2, r3 = r2 - splat(upper[k, top + 2]) * source, r3 - splat(upper[k, top + 3]) * source
                above += width - (k & ~3) - (4 if k & 3 == 3 else 0)
            store(sums, at, r0)
            store(sums, at + span, r1)
            store(sums, at + 2 * span, r2)
            store(sums, at + 3 * span, r3)
        # Rows of the block
        for k in range(top, min(top + 4, n)):
            row = first + (k - top) * span - top
            inverse = 1.0 / max(sums[row + k], _LEAST_PIVOT)
            z[k] = sums[row + n] * inverse
            scale = splat(inverse)
            for j in range(top, width, 4):
                store(upper[k], j, scale * load(sums, row + j))
            for i in range(k + 1, top + 4):
                factor = splat(sums[row + i] * inverse)
                below = first + (i - top) * span - top
                for j in range(top, width, 4):
                    store(sums, below + j, load(sums, below + j) - factor * load(sums, row + j))
        for i in range(top + 1, n):
            lower[i, top] = upper[top, i]
            lower[i, top + 1] = upper[top + 1, i]
            lower[i, top + 2] = upper[top + 2, i]
            lower[i, top + 3] = upper[top + 3, i]
        first += 4 * span


@njit(nogil=True, cache=True)
def solve(lower, z, order, part, w, column):
    """Weights of the first ``order`` regressors alone, into w[:order, column]; `eliminate` has been called."""
    for i in range(order):
        part[i] = z[i]
    for i in range(order - 1, -1, -1):
        w[i, column] = part[i]
        answer, row = splat(part[i]), lower[i]
        for k in range(0, i, 4):
            store(part, k, load(part, k) - answer * load(row, k))
