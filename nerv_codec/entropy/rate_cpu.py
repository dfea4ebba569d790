"""Bits of continuous latents under the context model, and their gradients, in one pass.

All latents lie in one flat vector; a `GridTable` says where each grid is and what it refers to. Every latent sees
NUM_INPUTS numbers made from its causal neighbours, the next coarser grid and the motion-compensated parents; a small
network (`context_model`) maps them to location and log2-scale of a Laplace distribution.

Work is cut into bands of rows that share nothing but the output; `parts` of equal size accumulate in buffers of
their own, which are summed in order. So the result depends on `parts`, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.context_model import CLIP, NUM_INPUTS, FloatArray, RateParameters
from nerv_codec.entropy.grids import COARSE, COLS, CONTEXT_CLASS, OFFSET, REF0, REF1, ROWS, SHIFT, GridTable

MIN_LOG2_SCALE, MAX_LOG2_SCALE = -4.0, 7.75
FLOOR_BITS, FLOOR_SPAN = 20.0, 12.0
"""Beyond FLOOR_BITS the cost x of a symbol rises only as x / (1 + x / FLOOR_SPAN): that of an escape, roughly."""

_BLOCK = 256
_BAND_ROWS = 8
_FAST = {"contract", "reassoc", "nsz", "nnan", "ninf", "arcp"}

_f = np.float32
_CLIP, _ZERO, _HALF, _ONE, _TWO, _THREE, _FOUR = _f(CLIP), _f(0), _f(0.5), _f(1), _f(2), _f(3), _f(4)
_LOG2E, _LN2 = _f(1 / np.log(2)), _f(np.log(2))
_LOW, _HIGH, _FLOOR, _SPAN = _f(MIN_LOG2_SCALE), _f(MAX_LOG2_SCALE), _f(FLOOR_BITS), _f(FLOOR_SPAN)
_TINY, _LOWEST = _f(1e-30), _f(-126)
_E1, _E2, _E3, _E4, _E5, _E6 = (
    _f(np.log(2) ** n / d) for n, d in ((1, 1), (2, 2), (3, 6), (4, 24), (5, 120), (6, 720))
)
_L = tuple(_f(2 / np.log(2) / n) for n in (1, 3, 5, 7, 9))
_L0, _L1, _L2, _L3, _L4 = _L
_SQRT_HALF_BITS, _MANTISSA_BITS = np.int32(0x3F3504F3), np.int32(23)
_EXPONENT_BIAS = np.int32(127)

Runner = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]


class RateResult(NamedTuple):
    """Bits, and the derivatives of their sum."""

    bits: npt.NDArray[np.float64]
    """One number per grid; 0 for inactive ones."""
    latents: FloatArray
    parameters: RateParameters


@njit(fastmath=_FAST, error_model="numpy")
def _exp2(x):  # -126 <= x <= 8
    x = max(x, _LOWEST)
    whole = np.int32(x)
    x = x - np.float32(whole)  # -1 < x <= 0 for x <= 0: halve the range, then square
    x = x * _HALF
    p = _ONE + x * (_E1 + x * (_E2 + x * (_E3 + x * (_E4 + x * (_E5 + x * _E6)))))
    return p * p * np.int32((whole + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


@njit(fastmath=_FAST, error_model="numpy")
def _log2(x):  # x > 0, normal
    bits = np.int32(np.float32(x).view(np.int32) - _SQRT_HALF_BITS)
    exponent = np.int32(bits >> _MANTISSA_BITS)
    mantissa = np.int32(np.float32(x).view(np.int32) - np.int32(exponent << _MANTISSA_BITS)).view(np.float32)
    s = (mantissa - _ONE) / (mantissa + _ONE)
    q = s * s
    return np.float32(exponent) + s * (_L0 + q * (_L1 + q * (_L2 + q * (_L3 + q * _L4))))


@njit(fastmath=_FAST, error_model="numpy")
def _clipped(v):
    return min(max(v, -_CLIP), _CLIP)


@njit(fastmath=_FAST, error_model="numpy")
def _magnitude(v):
    """|v| beyond 1, 2 v^2 - |v|^3 within: equal to |v| at integers, and noise around zero stays small."""
    u = abs(v)
    return u if u > _ONE else u * u * (_TWO - u)


@njit(fastmath=_FAST, error_model="numpy")
def _magnitude_slope(v):
    u = abs(v)
    slope = _ONE if u > _ONE else u * (_FOUR - _THREE * u)
    return slope if v > _ZERO else -slope


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _laplace(y, mu, scale, grad_mu, grad_scale, n):
    """Bits of n values; leaves d bits / d mu and d bits / d log2-scale in the last two."""
    total = _ZERO
    for j in range(n):
        s = min(max(scale[j], _LOW), _HIGH)
        a = _exp2(-s)
        r = y[j] - mu[j]
        u = abs(r)
        inside = u < _HALF
        near = _exp2(-a * abs(u - _HALF) * _LOG2E)
        whole = _exp2(-a * _LOG2E)
        far = _exp2(-a * (u + _HALF) * _LOG2E)
        p_in = max(_ONE - _HALF * (near + far), _TINY)
        p_out = _HALF * (_ONE - whole)
        linear = _ZERO if inside else a * (u - _HALF) * _LOG2E
        bits = linear - _log2(p_in if inside else p_out)
        # both derivatives in nats
        by_u = _HALF * a * (near - far) / p_in if inside else a
        by_a_in = -_HALF * ((_HALF - u) * near + (_HALF + u) * far) / p_in
        by_a = by_a_in if inside else (u - _HALF) - whole / (_ONE - whole)
        over = max(bits - _FLOOR, _ZERO)
        q = _ONE / (_ONE + over / _SPAN)
        total += min(bits, _FLOOR) + over * q
        slope = q * q * _LOG2E
        by_u *= slope
        grad_mu[j] = by_u if r < _ZERO else -by_u
        by_s = -by_a * a * _LN2 * slope
        # at the ends of the range a derivative passes only if it leads back inside
        outward = (scale[j] < _LOW and by_s > _ZERO) or (scale[j] > _HIGH and by_s < _ZERO)
        grad_scale[j] = _ZERO if outward else by_s
    return total


@njit(nogil=True, cache=True, fastmath=_FAST)
def _combine(out, x, weights, bias, n):
    """out = bias + weights @ x over n columns; the number of rows of x is a multiple of 2."""
    rows = weights.shape[0]
    for j in range(n):
        out[j] = bias
    k = 0
    while k + 4 <= rows:
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        xa, xb, xc, xd = x[k], x[k + 1], x[k + 2], x[k + 3]
        for j in range(n):
            out[j] += a * xa[j] + b * xb[j] + c * xc[j] + d * xd[j]
        k += 4
    while k < rows:
        a = weights[k]
        xa = x[k]
        for j in range(n):
            out[j] += a * xa[j]
        k += 1


@njit(nogil=True, cache=True, fastmath=_FAST)
def _add_dots(out, g, x, n):
    """out[k] += g . x[k], four rows at a time."""
    rows = out.shape[0]
    k = 0
    while k + 4 <= rows:
        xa, xb, xc, xd = x[k], x[k + 1], x[k + 2], x[k + 3]
        a = b = c = d = _ZERO
        for j in range(n):
            v = g[j]
            a += v * xa[j]
            b += v * xb[j]
            c += v * xc[j]
            d += v * xd[j]
        out[k] += a
        out[k + 1] += b
        out[k + 2] += c
        out[k + 3] += d
        k += 4
    while k < rows:
        xa = x[k]
        a = _ZERO
        for j in range(n):
            a += g[j] * xa[j]
        out[k] += a
        k += 1


@njit(nogil=True, cache=True, fastmath=_FAST)
def _total(x, n):
    total = _ZERO
    for j in range(n):
        total += x[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST)
def _network(y, x, gx, scratch, n, context_class, w1, b1, w2, b2, w3, back, dw1, db1, dw2, db2, dw3):
    """Bits of n latents whose inputs are x; gx and the parameter gradients. scratch: 2 hidden + 4 rows.

    back is w1, then w3, transposed: (NUM_INPUTS, hidden + 2).
    """
    hidden = w1.shape[0]
    row = min(context_class, b1.shape[0] - 1)
    for h in range(hidden):
        target = scratch[h]
        _combine(target, x, w1[h], b1[row, h], n)
        for j in range(n):
            target[j] = max(target[j], _ZERO)
    mu, scale = scratch[2 * hidden + 2], scratch[2 * hidden + 3]
    for out in range(2):
        target = scratch[2 * hidden + 2 + out]
        _combine(target, x, w3[out], b2[context_class, out], n)
        for h in range(hidden):
            w, source = w2[out, h], scratch[h]
            for j in range(n):
                target[j] += w * source[j]
    grad_mu, grad_scale = scratch[2 * hidden], scratch[2 * hidden + 1]
    bits = _laplace(y, mu, scale, grad_mu, grad_scale, n)
    db2[context_class, 0] += _total(grad_mu, n)
    db2[context_class, 1] += _total(grad_scale, n)
    _add_dots(dw3[0], grad_mu, x, n)
    _add_dots(dw3[1], grad_scale, x, n)
    _add_dots(dw2[0], grad_mu, scratch, n)
    _add_dots(dw2[1], grad_scale, scratch, n)
    for h in range(hidden):
        a, b, source, target = w2[0, h], w2[1, h], scratch[h], scratch[hidden + h]
        for j in range(n):
            g = a * grad_mu[j] + b * grad_scale[j]
            target[j] = g if source[j] > _ZERO else _ZERO
        db1[row, h] += _total(target, n)
        _add_dots(dw1[h], target, x, n)
    for k in range(NUM_INPUTS):
        _combine(gx[k], scratch[hidden:], back[k], _ZERO, n)
    return bits


@njit(nogil=True, cache=True, fastmath=_FAST)
def _load(values, magnitudes, slopes, y, start, n):
    """One row of a grid into padded buffers (2 zeros on either side)."""
    for j in range(n):
        v = y[start + j]
        inside = abs(v) < _CLIP
        v = _clipped(v)
        values[j + 2] = v
        magnitudes[j + 2] = _magnitude(v)
        slopes[j + 2] = _magnitude_slope(v) if inside else _ZERO


@njit(nogil=True, cache=True, fastmath=_FAST)
def _load_reference(values, magnitudes, y, refs, start, n, weight):
    for j in range(n):
        v = _clipped(y[refs[start + j]])
        values[j + 2] += weight * v
        magnitudes[j + 2] += weight * _magnitude(v)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _scatter_reference(dy, grad_values, grad_magnitudes, y, refs, start, n, weight):
    for j in range(n):
        at = refs[start + j]
        v = y[at]
        if abs(v) < _CLIP:
            dy[at] += weight * (grad_values[j + 2] + grad_magnitudes[j + 2] * _magnitude_slope(v))


@njit(nogil=True, cache=True, fastmath=_FAST)
def _own_inputs(x, p, v0, v1, m0, m1, m2, c, n):
    """Inputs 0..7 of n latents from column c on; v0, m0: this row, v1, m1: the one above, m2: two above."""
    i0, i1, i2, i3, i4, i5, i6, i7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    for j in range(n):
        q, t = c + j, p + j
        i0[t] = v0[q + 1]
        i1[t] = v0[q]
        i2[t] = v1[q + 1]
        i3[t] = v1[q + 2]
        i4[t] = v1[q + 3]
    for j in range(n):
        q, t = c + j, p + j
        i5[t] = m0[q + 1] + m1[q + 2]
        i6[t] = m1[q + 1] + m1[q + 3]
        i7[t] = m0[q] + m2[q + 2] + m1[q] + m1[q + 4]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _own_gradients(gx, p, gv0, gv1, gm0, gm1, gm2, c, n):
    for t in range(5):
        target = gv0 if t < 2 else gv1
        shift = c + (1 - t if t < 2 else t - 1)
        source = gx[t]
        for j in range(n):
            target[shift + j] += source[p + j]
    a, b, d = gx[5], gx[6], gx[7]
    for j in range(n):
        gm0[c + j + 1] += a[p + j]
    for j in range(n):
        gm0[c + j] += d[p + j]
    for j in range(n):
        gm1[c + j + 2] += a[p + j]
    for j in range(n):
        gm1[c + j + 1] += b[p + j]
    for j in range(n):
        gm1[c + j + 3] += b[p + j]
    for j in range(n):
        gm1[c + j] += d[p + j]
    for j in range(n):
        gm1[c + j + 4] += d[p + j]
    for j in range(n):
        gm2[c + j + 2] += d[p + j]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _cross(out, above, row, below, n):
    for j in range(n):
        out[j] = above[j + 2] + below[j + 2] + row[j + 1] + row[j + 3]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _add_cross(g, above, row, below, n):
    """The transpose of `_cross`."""
    for j in range(n):
        above[j + 2] += g[j]
    for j in range(n):
        below[j + 2] += g[j]
    for j in range(n):
        row[j + 1] += g[j]
    for j in range(n):
        row[j + 3] += g[j]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _expand(out, p, source, first, c, n, shift):
    if shift == 0:
        for j in range(n):
            out[p + j] = source[first + c + j]
    else:
        for j in range(n >> 1):
            v = source[first + (c >> 1) + j]
            out[p + 2 * j] = v
            out[p + 2 * j + 1] = v
        if n & 1:
            out[p + n - 1] = source[first + ((c + n - 1) >> 1)]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _reduce(g, p, target, first, c, n, shift):
    """The transpose of `_expand`."""
    if shift == 0:
        for j in range(n):
            target[first + c + j] += g[p + j]
    else:
        for j in range(n >> 1):
            target[first + (c >> 1) + j] += g[p + 2 * j] + g[p + 2 * j + 1]
        if n & 1:
            target[first + ((c + n - 1) >> 1)] += g[p + n - 1]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _flush(dy, start, values_grad, magnitudes_grad, slopes, y, n):
    for j in range(n):
        inside = abs(y[start + j]) < _CLIP
        value = values_grad[j + 2] if inside else _ZERO
        dy[start + j] += value + magnitudes_grad[j + 2] * slopes[j + 2]


@njit(nogil=True, cache=True, fastmath=_FAST)
def _band(
    y,
    grids,
    maps,
    g,
    first,
    last,
    w1,
    b1,
    w2,
    b2,
    w3,
    back,
    dy,
    dw1,
    db1,
    dw2,
    db2,
    dw3,
    x,
    gx,
    yy,
    scratch,
    own,
    cell,
    ref,
):
    """Rows first..last-1 of grid g. own, cell, ref: plane buffers (kind, row, column), see `rate_part`."""
    offset, rows, cols = grids[g, OFFSET], grids[g, ROWS], grids[g, COLS]
    coarse, shift = grids[g, COARSE], grids[g, SHIFT]
    ref0, ref1, context_class = grids[g, REF0], grids[g, REF1], grids[g, CONTEXT_CLASS]
    count = last - first
    has_ref = ref0 >= 0 or ref1 >= 0
    weight = _ONE if ref0 >= 0 and ref1 >= 0 else _TWO
    own[:, : count + 2, : cols + 4] = _ZERO
    for r in range(count + 2):
        i = first + r - 2
        if i >= 0:
            _load(own[0, r], own[1, r], own[2, r], y, offset + i * cols, cols)
    if has_ref:
        ref[:, : count + 2, : cols + 4] = _ZERO
        for r in range(count + 2):
            i = first + r - 1
            if 0 <= i < rows:
                if ref0 >= 0:
                    _load_reference(ref[0, r], ref[1, r], y, maps, ref0 + i * cols, cols, weight)
                if ref1 >= 0:
                    _load_reference(ref[0, r], ref[1, r], y, maps, ref1 + i * cols, cols, weight)
    else:
        x[11:14] = _ZERO
    c_off = c_rows = c_cols = c_first = c_count = 0
    if coarse >= 0:
        c_off, c_rows, c_cols = grids[coarse, OFFSET], grids[coarse, ROWS], grids[coarse, COLS]
        c_first = first >> shift
        c_count = ((last - 1) >> shift) - c_first + 1
        cell[:, : c_count + 2, : c_cols + 4] = _ZERO
        for r in range(c_count + 2):
            i = c_first + r - 1
            if 0 <= i < c_rows:
                _load(cell[0, r], cell[1, r], cell[2, r], y, c_off + i * c_cols, c_cols)
        for r in range(1, c_count + 1):
            _cross(cell[3, r], cell[1, r - 1], cell[1, r], cell[1, r + 1], c_cols)
    else:
        x[8:11] = _ZERO
    bits = 0.0
    per_row = (cols + _BLOCK - 1) // _BLOCK
    pieces = count * per_row
    piece = 0
    while piece < pieces:
        begin, p = piece, 0
        while piece < pieces:  # gather pieces of rows until the block is full
            r, c = piece // per_row, (piece % per_row) * _BLOCK
            n = min(_BLOCK, cols - c)
            if p + n > _BLOCK:
                break
            start = offset + (first + r) * cols + c
            for j in range(n):
                yy[p + j] = y[start + j]
            _own_inputs(x, p, own[0, r + 2], own[0, r + 1], own[1, r + 2], own[1, r + 1], own[1, r], c, n)
            if coarse >= 0:
                q = ((first + r) >> shift) - c_first + 1
                _expand(x[8], p, cell[0, q], 2, c, n, shift)
                _expand(x[9], p, cell[1, q], 2, c, n, shift)
                _expand(x[10], p, cell[3, q], 0, c, n, shift)
            if has_ref:
                for j in range(n):
                    x[11, p + j] = ref[0, r + 1, c + j + 2]
                for j in range(n):
                    x[12, p + j] = ref[1, r + 1, c + j + 2]
                _cross(x[13, p:], ref[1, r, c:], ref[1, r + 1, c:], ref[1, r + 2, c:], n)
            p += n
            piece += 1
        bits += _network(yy, x, gx, scratch, p, context_class, w1, b1, w2, b2, w3, back, dw1, db1, dw2, db2, dw3)
        grad_mu = scratch[2 * w1.shape[0]]
        p = 0
        for t in range(begin, piece):
            r, c = t // per_row, (t % per_row) * _BLOCK
            n = min(_BLOCK, cols - c)
            start = offset + (first + r) * cols + c
            for j in range(n):
                dy[start + j] -= grad_mu[p + j]
            _own_gradients(gx, p, own[3, r + 2], own[3, r + 1], own[4, r + 2], own[4, r + 1], own[4, r], c, n)
            if coarse >= 0:
                q = ((first + r) >> shift) - c_first + 1
                _reduce(gx[8], p, cell[4, q], 2, c, n, shift)
                _reduce(gx[9], p, cell[5, q], 2, c, n, shift)
                _reduce(gx[10], p, cell[6, q], 0, c, n, shift)
            if has_ref:
                for j in range(n):
                    ref[2, r + 1, c + j + 2] += gx[11, p + j]
                for j in range(n):
                    ref[3, r + 1, c + j + 2] += gx[12, p + j]
                _add_cross(gx[13, p:], ref[3, r, c:], ref[3, r + 1, c:], ref[3, r + 2, c:], n)
            p += n
    for r in range(count + 2):
        i = first + r - 2
        if i >= 0:
            _flush(dy, offset + i * cols, own[3, r], own[4, r], own[2, r], y, cols)
    if coarse >= 0:
        for r in range(1, c_count + 1):
            _add_cross(cell[6, r], cell[5, r - 1], cell[5, r], cell[5, r + 1], c_cols)
        for r in range(c_count + 2):
            i = c_first + r - 1
            if 0 <= i < c_rows:
                _flush(dy, c_off + i * c_cols, cell[4, r], cell[5, r], cell[2, r], y, c_cols)
    if has_ref:
        for r in range(count + 2):
            i = first + r - 1
            if 0 <= i < rows:
                if ref0 >= 0:
                    _scatter_reference(dy, ref[2, r], ref[3, r], y, maps, ref0 + i * cols, cols, weight)
                if ref1 >= 0:
                    _scatter_reference(dy, ref[2, r], ref[3, r], y, maps, ref1 + i * cols, cols, weight)
    return bits


@njit(nogil=True, cache=True, fastmath=_FAST)
def rate_part(y, grids, maps, bands, w1, b1, w2, b2, w3, bits, dy, dw1, db1, dw2, db2, dw3):
    """Adds bits and gradients of the given bands (rows: grid, first row, last row + 1) to the outputs."""
    hidden = w1.shape[0]
    cols = count = 1
    for t in range(bands.shape[0]):
        cols = max(cols, grids[bands[t, 0], COLS])
        count = max(count, bands[t, 2] - bands[t, 1])
    x = np.zeros((NUM_INPUTS, _BLOCK), np.float32)
    gx = np.zeros((NUM_INPUTS, _BLOCK), np.float32)
    yy = np.zeros(_BLOCK, np.float32)
    scratch = np.zeros((2 * hidden + 4, _BLOCK), np.float32)
    # own: values, magnitudes, slopes, gradients of the first two. cell: the same and cross (3), gradient of cross (6).
    # ref: values, magnitudes, their gradients. Four columns of padding.
    own = np.zeros((5, count + 2, cols + 4), np.float32)
    cell = np.zeros((7, count + 2, cols + 4), np.float32)
    ref = np.zeros((4, count + 2, cols + 4), np.float32)
    back = np.zeros((NUM_INPUTS, hidden + 2), np.float32)
    back[:, :hidden] = w1.T
    back[:, hidden:] = w3.T
    for t in range(bands.shape[0]):
        g = bands[t, 0]
        bits[g] += _band(
            y, grids, maps, g, bands[t, 1], bands[t, 2], w1, b1, w2, b2, w3, back,
            dy, dw1, db1, dw2, db2, dw3, x, gx, yy, scratch, own, cell, ref,
        )  # fmt: skip


def rate_forward_backward(
    y: FloatArray,
    table: GridTable,
    maps: npt.NDArray[np.int32],
    parameters: RateParameters,
    parts: int = 2,
    run: Runner = map,
    out: FloatArray | None = None,
) -> RateResult:
    """Bits of all active grids, and the gradients of their sum.

    Args:
        y: All latents, float32, contiguous.
        table: One that `GridTable.check` accepted.
        maps: Reference maps.
        parameters: The network, float32.
        parts: How many private gradient buffers; the result depends on it (by rounding), but not on the threads.
        run: Calls a function for each of some numbers, as ``map`` does, or side by side in threads.
        out: Room for `parts` gradients, (parts, len(y)) float32; allocated if None. The result's `latents` is out[0].
    """
    hidden, inputs = parameters.w1.shape
    if inputs != NUM_INPUTS or parameters.w3.shape != (2, NUM_INPUTS) or parameters.w2.shape != (2, hidden):
        raise ValueError("Expected w1 (hidden, 14), w2 (2, hidden), w3 (2, 14).")
    parameters = RateParameters(*(np.ascontiguousarray(p, np.float32) for p in parameters))
    grids = table.array
    pieces = table.bands(parts, _BAND_ROWS, 2 * _BLOCK)
    latents = np.empty((max(len(pieces), 1), y.size), np.float32) if out is None else out
    results = [
        (np.zeros(len(grids)), latents[index], *(np.zeros_like(p) for p in parameters)) for index in range(len(pieces))
    ]

    def work(index: int) -> None:
        latents[index] = 0
        rate_part(y, grids, maps, pieces[index], *parameters, *results[index])

    list(run(work, range(len(pieces))))
    if not pieces:
        latents[0] = 0
        return RateResult(np.zeros(len(grids)), latents[0], RateParameters(*(np.zeros_like(p) for p in parameters)))
    for index in range(1, len(pieces)):
        latents[0] += latents[index]
    bits = np.sum([result[0] for result in results], axis=0)
    gradients = RateParameters(*(np.sum(p, axis=0) for p in list(zip(*results, strict=True))[2:]))
    return RateResult(bits, latents[0], gradients)
