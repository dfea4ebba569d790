"""Weighted least squares over a few dozen regressors, compiled: sums kept as packed triangles, solved by elimination.

A *triangle* of N regressors holds the rows 0..N-1 of the symmetric (N + 1) x (N + 1) matrix of sums of products, each
from its diagonal on; column N is the target's. Row i begins at i (2 N + 3 - i) / 2. All arithmetic is IEEE binary64 in
the order written, one rounding an operation: no step may be contracted or reordered.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit

_LEAST_PIVOT = 1e-6


def triangle_size(num_regressors: int) -> int:
    """Numbers in a triangle."""
    return num_regressors * (num_regressors + 3) // 2


@njit(nogil=True, cache=True)
def accumulate(triangle, x, n, weight):
    """Adds weight * x[i] * x[j]; x holds n regressors and the target."""
    at = 0
    for i in range(n):
        scaled = weight * x[i]
        row = triangle[at - i :]
        for j in range(i, n + 1):
            row[j] += scaled * x[j]
        at += n + 1 - i


@njit(nogil=True, cache=True)
def scaled_sum(out, scale, triangle):
    """out = scale * out + triangle."""
    for i in range(out.shape[0]):
        out[i] = scale * out[i] + triangle[i]


@njit(nogil=True, cache=True)
def add_scaled(out, triangle, scale):
    """out += scale * triangle."""
    for i in range(out.shape[0]):
        out[i] += scale * triangle[i]


@njit(nogil=True, cache=True)
def shrink(triangle, n, ridge, relative, towards):
    """Pulls the solution towards a given one, by ``ridge`` and by ``relative`` of the mean square regressor."""
    trace, at = 0.0, 0
    for i in range(n):
        trace += triangle[at]
        at += n + 1 - i
    pull = ridge + relative * trace / n
    at = 0
    for i in range(n):
        triangle[at] += pull
        triangle[at + n - i] += pull * towards[i]
        at += n + 1 - i


@njit(nogil=True, cache=True)
def eliminate(triangle, n, lower, z):
    """Gaussian elimination in place, without pivoting; fills lower (n, n), unit triangular, and z (n) for `solve`."""
    at = 0
    for k in range(n):
        inverse = 1.0 / max(triangle[at], _LEAST_PIVOT)
        head = triangle[at : at + n + 1 - k]
        z[k] = head[n - k] * inverse
        below = at + n + 1 - k
        for i in range(k + 1, n):
            factor = head[i - k] * inverse
            lower[i, k] = factor
            row, source = triangle[below : below + n + 1 - i], head[i - k :]
            for j in range(n + 1 - i):
                row[j] -= factor * source[j]
            below += n + 1 - i
        at += n + 1 - k


@njit(nogil=True, cache=True)
def solve(lower, z, order, w, column):
    """Weights of the first ``order`` regressors alone, into w[:order, column]; `eliminate` has been called."""
    part = np.empty(order)
    for i in range(order):
        part[i] = z[i]
    for i in range(order - 1, -1, -1):
        t = part[i]
        w[i, column] = t
        row = lower[i]
        for k in range(i):
            part[k] -= row[k] * t
