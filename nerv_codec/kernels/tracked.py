"""The `tracked` function on the CPU: latent pyramids to planes, planes to colour, and the gradients of both.

Compiled with numba. Every function here has its plain form in ``model/tracked.py``; tests hold the two together.

How it gets its speed: a pixel's FEATURES = 8 features lie side by side, so that a tap of an interpolation
kernel is one vector load; they are written out one by one, because that is the form in which LLVM sees the
vector. The network runs on tiles of TILE pixels with the pixels side by side, so that a tile's activations stay in the
first-level cache. Indices are plain variables and arrays are never sliced in inner loops: both keep
reference counts and wrap-around tests out of them.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import njit

numba.config.SLP_VECTORIZE = 1

FEATURES = 8
TILE = 64
_ONE = np.float32(1)
_BOUND = np.float32(8)
"""Pixels beyond the border at which a tracked place is held: every tap reads the edge there."""
_JIT = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"},
    "error_model": "numpy",
}


@njit(**_JIT)
def _clamp(value, high):
    return min(max(value, 0), high)


@njit(**_JIT)
def upsample_add(coarse, latent, mix, taps, out):
    """``out`` (r, c, 8) = ``coarse`` (rc, cc, 8) at twice the size, plus ``latent`` (r, c) times ``mix`` (8,)."""
    rows, cols = out.shape[0], out.shape[1]
    coarse_rows, coarse_cols = coarse.shape[0], coarse.shape[1]
    line = np.empty((coarse_cols, FEATURES), np.float32)
    m0, m1, m2, m3, m4, m5, m6, m7 = mix[0], mix[1], mix[2], mix[3], mix[4], mix[5], mix[6], mix[7]
    for i in range(rows):
        odd = i & 1
        base = (i >> 1) - 2 + odd
        r0, r1 = _clamp(base, coarse_rows - 1), _clamp(base + 1, coarse_rows - 1)
        r2, r3 = _clamp(base + 2, coarse_rows - 1), _clamp(base + 3, coarse_rows - 1)
        a, b, c, d = (taps[0], taps[1], taps[2], taps[3]) if odd else (taps[3], taps[2], taps[1], taps[0])
        for j in range(coarse_cols):
            line[j, 0] = a * coarse[r0, j, 0] + b * coarse[r1, j, 0] + c * coarse[r2, j, 0] + d * coarse[r3, j, 0]
            line[j, 1] = a * coarse[r0, j, 1] + b * coarse[r1, j, 1] + c * coarse[r2, j, 1] + d * coarse[r3, j, 1]
            line[j, 2] = a * coarse[r0, j, 2] + b * coarse[r1, j, 2] + c * coarse[r2, j, 2] + d * coarse[r3, j, 2]
            line[j, 3] = a * coarse[r0, j, 3] + b * coarse[r1, j, 3] + c * coarse[r2, j, 3] + d * coarse[r3, j, 3]
            line[j, 4] = a * coarse[r0, j, 4] + b * coarse[r1, j, 4] + c * coarse[r2, j, 4] + d * coarse[r3, j, 4]
            line[j, 5] = a * coarse[r0, j, 5] + b * coarse[r1, j, 5] + c * coarse[r2, j, 5] + d * coarse[r3, j, 5]
            line[j, 6] = a * coarse[r0, j, 6] + b * coarse[r1, j, 6] + c * coarse[r2, j, 6] + d * coarse[r3, j, 6]
            line[j, 7] = a * coarse[r0, j, 7] + b * coarse[r1, j, 7] + c * coarse[r2, j, 7] + d * coarse[r3, j, 7]
        for j in range(cols):
            odd = j & 1
            base = (j >> 1) - 2 + odd
            c0, c1 = _clamp(base, coarse_cols - 1), _clamp(base + 1, coarse_cols - 1)
            c2, c3 = _clamp(base + 2, coarse_cols - 1), _clamp(base + 3, coarse_cols - 1)
            a, b, c, d = (taps[0], taps[1], taps[2], taps[3]) if odd else (taps[3], taps[2], taps[1], taps[0])
            y = latent[i, j]
            out[i, j, 0] = a * line[c0, 0] + b * line[c1, 0] + c * line[c2, 0] + d * line[c3, 0] + y * m0
            out[i, j, 1] = a * line[c0, 1] + b * line[c1, 1] + c * line[c2, 1] + d * line[c3, 1] + y * m1
            out[i, j, 2] = a * line[c0, 2] + b * line[c1, 2] + c * line[c2, 2] + d * line[c3, 2] + y * m2
            out[i, j, 3] = a * line[c0, 3] + b * line[c1, 3] + c * line[c2, 3] + d * line[c3, 3] + y * m3
            out[i, j, 4] = a * line[c0, 4] + b * line[c1, 4] + c * line[c2, 4] + d * line[c3, 4] + y * m4
            out[i, j, 5] = a * line[c0, 5] + b * line[c1, 5] + c * line[c2, 5] + d * line[c3, 5] + y * m5
            out[i, j, 6] = a * line[c0, 6] + b * line[c1, 6] + c * line[c2, 6] + d * line[c3, 6] + y * m6
            out[i, j, 7] = a * line[c0, 7] + b * line[c1, 7] + c * line[c2, 7] + d * line[c3, 7] + y * m7


@njit(**_JIT)
def upsample_add_backward(gradient, latent, mix, taps, coarse_gradient, latent_gradient, mix_gradient):
    """Adjoint of :func:`upsample_add`: writes the first and second gradient, adds to that of ``mix``."""
    rows, cols = gradient.shape[0], gradient.shape[1]
    coarse_rows, coarse_cols = coarse_gradient.shape[0], coarse_gradient.shape[1]
    coarse_gradient[:] = 0
    line = np.empty((coarse_cols, FEATURES), np.float32)
    m0, m1, m2, m3, m4, m5, m6, m7 = mix[0], mix[1], mix[2], mix[3], mix[4], mix[5], mix[6], mix[7]
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = np.float32(0)
    for i in range(rows):
        line[:] = 0
        for j in range(cols):
            odd = j & 1
            base = (j >> 1) - 2 + odd
            c0, c1 = _clamp(base, coarse_cols - 1), _clamp(base + 1, coarse_cols - 1)
            c2, c3 = _clamp(base + 2, coarse_cols - 1), _clamp(base + 3, coarse_cols - 1)
            a, b, c, d = (taps[0], taps[1], taps[2], taps[3]) if odd else (taps[3], taps[2], taps[1], taps[0])
            y = latent[i, j]
            g0 = gradient[i, j, 0]
            g1 = gradient[i, j, 1]
            g2 = gradient[i, j, 2]
            g3 = gradient[i, j, 3]
            g4 = gradient[i, j, 4]
            g5 = gradient[i, j, 5]
            g6 = gradient[i, j, 6]
            g7 = gradient[i, j, 7]
            latent_gradient[i, j] = g0 * m0 + g1 * m1 + g2 * m2 + g3 * m3 + g4 * m4 + g5 * m5 + g6 * m6 + g7 * m7
            t0 += g0 * y
            t1 += g1 * y
            t2 += g2 * y
            t3 += g3 * y
            t4 += g4 * y
            t5 += g5 * y
            t6 += g6 * y
            t7 += g7 * y
            line[c0, 0] += a * g0
            line[c0, 1] += a * g1
            line[c0, 2] += a * g2
            line[c0, 3] += a * g3
            line[c0, 4] += a * g4
            line[c0, 5] += a * g5
            line[c0, 6] += a * g6
            line[c0, 7] += a * g7
            line[c1, 0] += b * g0
            line[c1, 1] += b * g1
            line[c1, 2] += b * g2
            line[c1, 3] += b * g3
            line[c1, 4] += b * g4
            line[c1, 5] += b * g5
            line[c1, 6] += b * g6
            line[c1, 7] += b * g7
            line[c2, 0] += c * g0
            line[c2, 1] += c * g1
            line[c2, 2] += c * g2
            line[c2, 3] += c * g3
            line[c2, 4] += c * g4
            line[c2, 5] += c * g5
            line[c2, 6] += c * g6
            line[c2, 7] += c * g7
            line[c3, 0] += d * g0
            line[c3, 1] += d * g1
            line[c3, 2] += d * g2
            line[c3, 3] += d * g3
            line[c3, 4] += d * g4
            line[c3, 5] += d * g5
            line[c3, 6] += d * g6
            line[c3, 7] += d * g7
        odd = i & 1
        base = (i >> 1) - 2 + odd
        r0, r1 = _clamp(base, coarse_rows - 1), _clamp(base + 1, coarse_rows - 1)
        r2, r3 = _clamp(base + 2, coarse_rows - 1), _clamp(base + 3, coarse_rows - 1)
        a, b, c, d = (taps[0], taps[1], taps[2], taps[3]) if odd else (taps[3], taps[2], taps[1], taps[0])
        for j in range(coarse_cols):
            g0 = line[j, 0]
            g1 = line[j, 1]
            g2 = line[j, 2]
            g3 = line[j, 3]
            g4 = line[j, 4]
            g5 = line[j, 5]
            g6 = line[j, 6]
            g7 = line[j, 7]
            coarse_gradient[r0, j, 0] += a * g0
            coarse_gradient[r0, j, 1] += a * g1
            coarse_gradient[r0, j, 2] += a * g2
            coarse_gradient[r0, j, 3] += a * g3
            coarse_gradient[r0, j, 4] += a * g4
            coarse_gradient[r0, j, 5] += a * g5
            coarse_gradient[r0, j, 6] += a * g6
            coarse_gradient[r0, j, 7] += a * g7
            coarse_gradient[r1, j, 0] += b * g0
            coarse_gradient[r1, j, 1] += b * g1
            coarse_gradient[r1, j, 2] += b * g2
            coarse_gradient[r1, j, 3] += b * g3
            coarse_gradient[r1, j, 4] += b * g4
            coarse_gradient[r1, j, 5] += b * g5
            coarse_gradient[r1, j, 6] += b * g6
            coarse_gradient[r1, j, 7] += b * g7
            coarse_gradient[r2, j, 0] += c * g0
            coarse_gradient[r2, j, 1] += c * g1
            coarse_gradient[r2, j, 2] += c * g2
            coarse_gradient[r2, j, 3] += c * g3
            coarse_gradient[r2, j, 4] += c * g4
            coarse_gradient[r2, j, 5] += c * g5
            coarse_gradient[r2, j, 6] += c * g6
            coarse_gradient[r2, j, 7] += c * g7
            coarse_gradient[r3, j, 0] += d * g0
            coarse_gradient[r3, j, 1] += d * g1
            coarse_gradient[r3, j, 2] += d * g2
            coarse_gradient[r3, j, 3] += d * g3
            coarse_gradient[r3, j, 4] += d * g4
            coarse_gradient[r3, j, 5] += d * g5
            coarse_gradient[r3, j, 6] += d * g6
            coarse_gradient[r3, j, 7] += d * g7
    mix_gradient[0] += t0
    mix_gradient[1] += t1
    mix_gradient[2] += t2
    mix_gradient[3] += t3
    mix_gradient[4] += t4
    mix_gradient[5] += t5
    mix_gradient[6] += t6
    mix_gradient[7] += t7


@njit(**_JIT)
def _cubic(f):
    """Catmull-Rom weights (Keys 1981, a = -1/2) of the four samples around a point at fraction f."""
    f2 = f * f
    f3 = f2 * f
    return (
        np.float32(-0.5) * f + f2 - np.float32(0.5) * f3,
        np.float32(1) - np.float32(2.5) * f2 + np.float32(1.5) * f3,
        np.float32(0.5) * f + np.float32(2) * f2 - np.float32(1.5) * f3,
        np.float32(0.5) * (f3 - f2),
    )


@njit(**_JIT)
def _cubic_slope(f):
    """Derivatives of :func:`_cubic` with respect to f."""
    f2 = f * f
    return (
        np.float32(-0.5) + np.float32(2) * f - np.float32(1.5) * f2,
        np.float32(-5) * f + np.float32(4.5) * f2,
        np.float32(0.5) + np.float32(4) * f - np.float32(4.5) * f2,
        -f + np.float32(1.5) * f2,
    )


@njit(**_JIT)
def _gather_cubic(planes, node, br, bc, a, b, out, p):
    """Adds to out[p] the 4 x 4 samples from (br, bc) on, weighted by a[i] b[j]; beyond the border the edge."""
    height, width = planes.shape[1], planes.shape[2]
    c0, c1 = _clamp(bc, width - 1), _clamp(bc + 1, width - 1)
    c2, c3 = _clamp(bc + 2, width - 1), _clamp(bc + 3, width - 1)
    v0, v1, v2, v3, v4, v5, v6, v7 = (
        out[p, 0], out[p, 1], out[p, 2], out[p, 3], out[p, 4], out[p, 5], out[p, 6], out[p, 7]
    )  # fmt: skip
    for i in range(4):
        r = _clamp(br + i, height - 1)
        w0, w1, w2, w3 = a[i] * b[0], a[i] * b[1], a[i] * b[2], a[i] * b[3]
        v0 += (w0 * planes[node, r, c0, 0] + w1 * planes[node, r, c1, 0]) + (
            w2 * planes[node, r, c2, 0] + w3 * planes[node, r, c3, 0]
        )
        v1 += (w0 * planes[node, r, c0, 1] + w1 * planes[node, r, c1, 1]) + (
            w2 * planes[node, r, c2, 1] + w3 * planes[node, r, c3, 1]
        )
        v2 += (w0 * planes[node, r, c0, 2] + w1 * planes[node, r, c1, 2]) + (
            w2 * planes[node, r, c2, 2] + w3 * planes[node, r, c3, 2]
        )
        v3 += (w0 * planes[node, r, c0, 3] + w1 * planes[node, r, c1, 3]) + (
            w2 * planes[node, r, c2, 3] + w3 * planes[node, r, c3, 3]
        )
        v4 += (w0 * planes[node, r, c0, 4] + w1 * planes[node, r, c1, 4]) + (
            w2 * planes[node, r, c2, 4] + w3 * planes[node, r, c3, 4]
        )
        v5 += (w0 * planes[node, r, c0, 5] + w1 * planes[node, r, c1, 5]) + (
            w2 * planes[node, r, c2, 5] + w3 * planes[node, r, c3, 5]
        )
        v6 += (w0 * planes[node, r, c0, 6] + w1 * planes[node, r, c1, 6]) + (
            w2 * planes[node, r, c2, 6] + w3 * planes[node, r, c3, 6]
        )
        v7 += (w0 * planes[node, r, c0, 7] + w1 * planes[node, r, c1, 7]) + (
            w2 * planes[node, r, c2, 7] + w3 * planes[node, r, c3, 7]
        )
    out[p, 0] = v0
    out[p, 1] = v1
    out[p, 2] = v2
    out[p, 3] = v3
    out[p, 4] = v4
    out[p, 5] = v5
    out[p, 6] = v6
    out[p, 7] = v7


@njit(**_JIT)
def _gather_linear(planes, node, br, bc, a, b, out, p):
    """Adds to out[p] the 2 x 2 samples from (br, bc) on, weighted by a[i] b[j]."""
    height, width = planes.shape[1], planes.shape[2]
    r0, r1 = _clamp(br, height - 1), _clamp(br + 1, height - 1)
    c0, c1 = _clamp(bc, width - 1), _clamp(bc + 1, width - 1)
    w0, w1, w2, w3 = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    out[p, 0] += (w0 * planes[node, r0, c0, 0] + w1 * planes[node, r0, c1, 0]) + (
        w2 * planes[node, r1, c0, 0] + w3 * planes[node, r1, c1, 0]
    )
    out[p, 1] += (w0 * planes[node, r0, c0, 1] + w1 * planes[node, r0, c1, 1]) + (
        w2 * planes[node, r1, c0, 1] + w3 * planes[node, r1, c1, 1]
    )
    out[p, 2] += (w0 * planes[node, r0, c0, 2] + w1 * planes[node, r0, c1, 2]) + (
        w2 * planes[node, r1, c0, 2] + w3 * planes[node, r1, c1, 2]
    )
    out[p, 3] += (w0 * planes[node, r0, c0, 3] + w1 * planes[node, r0, c1, 3]) + (
        w2 * planes[node, r1, c0, 3] + w3 * planes[node, r1, c1, 3]
    )
    out[p, 4] += (w0 * planes[node, r0, c0, 4] + w1 * planes[node, r0, c1, 4]) + (
        w2 * planes[node, r1, c0, 4] + w3 * planes[node, r1, c1, 4]
    )
    out[p, 5] += (w0 * planes[node, r0, c0, 5] + w1 * planes[node, r0, c1, 5]) + (
        w2 * planes[node, r1, c0, 5] + w3 * planes[node, r1, c1, 5]
    )
    out[p, 6] += (w0 * planes[node, r0, c0, 6] + w1 * planes[node, r0, c1, 6]) + (
        w2 * planes[node, r1, c0, 6] + w3 * planes[node, r1, c1, 6]
    )
    out[p, 7] += (w0 * planes[node, r0, c0, 7] + w1 * planes[node, r0, c1, 7]) + (
        w2 * planes[node, r1, c0, 7] + w3 * planes[node, r1, c1, 7]
    )


@njit(**_JIT)
def _scatter_cubic(gradients, buffer, br, bc, a, b, dz, p):
    """Adjoint of :func:`_gather_cubic`, for dz[p]."""
    height, width = gradients.shape[1], gradients.shape[2]
    c0, c1 = _clamp(bc, width - 1), _clamp(bc + 1, width - 1)
    c2, c3 = _clamp(bc + 2, width - 1), _clamp(bc + 3, width - 1)
    d0, d1, d2, d3, d4, d5, d6, d7 = dz[p, 0], dz[p, 1], dz[p, 2], dz[p, 3], dz[p, 4], dz[p, 5], dz[p, 6], dz[p, 7]
    for i in range(4):
        r = _clamp(br + i, height - 1)
        for j in range(4):
            c = c0 if j == 0 else c1 if j == 1 else c2 if j == 2 else c3
            w = a[i] * b[j]
            gradients[buffer, r, c, 0] += w * d0
            gradients[buffer, r, c, 1] += w * d1
            gradients[buffer, r, c, 2] += w * d2
            gradients[buffer, r, c, 3] += w * d3
            gradients[buffer, r, c, 4] += w * d4
            gradients[buffer, r, c, 5] += w * d5
            gradients[buffer, r, c, 6] += w * d6
            gradients[buffer, r, c, 7] += w * d7


@njit(**_JIT)
def _scatter_linear(gradients, buffer, br, bc, a, b, dz, p):
    """Adjoint of :func:`_gather_linear`, for dz[p]."""
    height, width = gradients.shape[1], gradients.shape[2]
    d0, d1, d2, d3, d4, d5, d6, d7 = dz[p, 0], dz[p, 1], dz[p, 2], dz[p, 3], dz[p, 4], dz[p, 5], dz[p, 6], dz[p, 7]
    for i in range(2):
        r = _clamp(br + i, height - 1)
        for j in range(2):
            c = _clamp(bc + j, width - 1)
            w = a[i] * b[j]
            gradients[buffer, r, c, 0] += w * d0
            gradients[buffer, r, c, 1] += w * d1
            gradients[buffer, r, c, 2] += w * d2
            gradients[buffer, r, c, 3] += w * d3
            gradients[buffer, r, c, 4] += w * d4
            gradients[buffer, r, c, 5] += w * d5
            gradients[buffer, r, c, 6] += w * d6
            gradients[buffer, r, c, 7] += w * d7


@njit(**_JIT)
def _positions(chain, scales, motion, row, col, where):
    """Fills ``where`` (K, 2) with the place of every sample of the chain for the point (row, col)."""
    height, width = motion.shape[1], motion.shape[2]
    for k in range(chain.shape[0]):
        source = chain[k, 1]
        r, c = row, col
        if source >= 0:
            r, c = where[source, 0], where[source, 1]
        node = chain[k, 2]
        if node >= 0:
            channel = chain[k, 3]
            fr, fc = np.floor(r), np.floor(c)
            tr, tc = r - fr, c - fc
            r0, r1 = _clamp(int(fr), height - 1), _clamp(int(fr) + 1, height - 1)
            c0, c1 = _clamp(int(fc), width - 1), _clamp(int(fc) + 1, width - 1)
            scale = scales[k]
            w00, w01 = scale * (_ONE - tr) * (_ONE - tc), scale * (_ONE - tr) * tc
            w10, w11 = scale * tr * (_ONE - tc), scale * tr * tc
            r += (
                w00 * motion[node, r0, c0, channel]
                + w01 * motion[node, r0, c1, channel]
                + w10 * motion[node, r1, c0, channel]
                + w11 * motion[node, r1, c1, channel]
            )
            c += (
                w00 * motion[node, r0, c0, channel + 1]
                + w01 * motion[node, r0, c1, channel + 1]
                + w10 * motion[node, r1, c0, channel + 1]
                + w11 * motion[node, r1, c1, channel + 1]
            )
            r = min(max(r, -_BOUND), np.float32(height) + _BOUND)
            c = min(max(c, -_BOUND), np.float32(width) + _BOUND)
        where[k, 0] = r
        where[k, 1] = c


@njit(**_JIT)
def _positions_backward(chain, scales, motion, row, col, where, slopes, motion_gradients, buffers):
    """Carries d/d(place) of every sample back along the chain into the motion fields.

    ``slopes`` (K, 2) holds each sample's own, and collects what later samples pass on to their source.
    """
    height, width = motion.shape[1], motion.shape[2]
    for k in range(chain.shape[0] - 1, -1, -1):
        node, source = chain[k, 2], chain[k, 1]
        if node < 0:
            continue
        g0, g1 = slopes[k, 0], slopes[k, 1]
        # A place that is held at the bound does not move.
        if where[k, 0] <= -_BOUND or where[k, 0] >= np.float32(height) + _BOUND:
            g0 = np.float32(0)
        if where[k, 1] <= -_BOUND or where[k, 1] >= np.float32(width) + _BOUND:
            g1 = np.float32(0)
        channel = chain[k, 3]
        r, c = row, col
        if source >= 0:
            r, c = where[source, 0], where[source, 1]
        fr, fc = np.floor(r), np.floor(c)
        tr, tc = r - fr, c - fc
        r0, r1 = _clamp(int(fr), height - 1), _clamp(int(fr) + 1, height - 1)
        c0, c1 = _clamp(int(fc), width - 1), _clamp(int(fc) + 1, width - 1)
        s0, s1 = scales[k] * g0, scales[k] * g1
        out = buffers[node]
        w00, w01, w10, w11 = (_ONE - tr) * (_ONE - tc), (_ONE - tr) * tc, tr * (_ONE - tc), tr * tc
        motion_gradients[out, r0, c0, channel] += s0 * w00
        motion_gradients[out, r0, c1, channel] += s0 * w01
        motion_gradients[out, r1, c0, channel] += s0 * w10
        motion_gradients[out, r1, c1, channel] += s0 * w11
        motion_gradients[out, r0, c0, channel + 1] += s1 * w00
        motion_gradients[out, r0, c1, channel + 1] += s1 * w01
        motion_gradients[out, r1, c0, channel + 1] += s1 * w10
        motion_gradients[out, r1, c1, channel + 1] += s1 * w11
        if source >= 0:
            m00 = s0 * motion[node, r0, c0, channel] + s1 * motion[node, r0, c0, channel + 1]
            m01 = s0 * motion[node, r0, c1, channel] + s1 * motion[node, r0, c1, channel + 1]
            m10 = s0 * motion[node, r1, c0, channel] + s1 * motion[node, r1, c0, channel + 1]
            m11 = s0 * motion[node, r1, c1, channel] + s1 * motion[node, r1, c1, channel + 1]
            slopes[source, 0] += g0 + (m10 - m00) * (_ONE - tc) + (m11 - m01) * tc
            slopes[source, 1] += g1 + (m01 - m00) * (_ONE - tr) + (m11 - m10) * tr


@njit(**_JIT)
def _sine(x, sine, cosine, o):
    """sin and cos of row ``o``; within 1e-6 for |x| up to some hundreds (Taylor, after reduction by pi)."""
    for p in range(TILE):
        n = np.floor(x[o, p] * np.float32(0.3183098861837907) + np.float32(0.5))
        r = (x[o, p] - n * np.float32(3.140625)) - n * np.float32(9.67653589793e-4)
        sign = np.float32(1) - np.float32(2) * (n - np.float32(2) * np.floor(n * np.float32(0.5)))
        q = r * r
        s = np.float32(-2.505210838e-8) * q + np.float32(2.755731922e-6)
        s = s * q - np.float32(1.984126984e-4)
        s = s * q + np.float32(8.333333333e-3)
        s = s * q - np.float32(1.666666667e-1)
        sine[o, p] = sign * (r + r * q * s)
        c = np.float32(2.087675699e-9) * q - np.float32(2.755731922e-7)
        c = c * q + np.float32(2.480158730e-5)
        c = c * q - np.float32(1.388888889e-3)
        c = c * q + np.float32(4.166666667e-2)
        c = c * q - np.float32(0.5)
        cosine[o, p] = sign * (np.float32(1) + q * c)


@njit(**_JIT)
def _dense(x, weight, bias, out):
    """``out`` (O, TILE) = bias + weight.T @ x for ``x`` (I, TILE), ``weight`` (I, O); I is a multiple of 4."""
    for o in range(weight.shape[1]):
        for p in range(TILE):
            out[o, p] = bias[o]
        for i in range(0, weight.shape[0], 4):
            w0, w1, w2, w3 = weight[i, o], weight[i + 1, o], weight[i + 2, o], weight[i + 3, o]
            for p in range(TILE):
                out[o, p] += w0 * x[i, p] + w1 * x[i + 1, p] + w2 * x[i + 2, p] + w3 * x[i + 3, p]


@njit(**_JIT)
def _dense_backward(x, weight, gradient, x_gradient, weight_gradient, bias_gradient):
    """Adjoint of :func:`_dense`: adds to all three."""
    for o in range(weight.shape[1]):
        total = np.float32(0)
        for p in range(TILE):
            total += gradient[o, p]
        bias_gradient[o] += total
        for i in range(weight.shape[0]):
            w = weight[i, o]
            total = np.float32(0)
            for p in range(TILE):
                total += x[i, p] * gradient[o, p]
                x_gradient[i, p] += w * gradient[o, p]
            weight_gradient[i, o] += total


@njit(**_JIT)
def _features(planes, cubic, chain, weights, where, features, p):
    """features[p] = the chain's samples at ``where``, added up."""
    for c in range(FEATURES):
        features[p, c] = 0
    for k in range(chain.shape[0]):
        node, weight, r, c = chain[k, 0], weights[k], where[k, 0], where[k, 1]
        fr, fc = np.floor(r), np.floor(c)
        tr, tc = r - fr, c - fc
        if cubic[node]:
            a = _cubic(tr)
            a = (weight * a[0], weight * a[1], weight * a[2], weight * a[3])
            _gather_cubic(planes, node, int(fr) - 1, int(fc) - 1, a, _cubic(tc), features, p)
        else:
            a, b = (weight * (_ONE - tr), weight * tr), (_ONE - tc, tc)
            _gather_linear(planes, node, int(fr), int(fc), a, b, features, p)


@njit(**_JIT)
def _features_backward(planes, cubic, chain, weights, where, dz, p, gradients, buffers, slopes, scratch):
    """Adjoint of :func:`_features`: adds to the planes' gradients, writes d/d(place) to ``slopes`` (K, 2)."""
    for k in range(chain.shape[0]):
        node, weight, r, c = chain[k, 0], weights[k], where[k, 0], where[k, 1]
        fr, fc = np.floor(r), np.floor(c)
        tr, tc = r - fr, c - fc
        slopes[k, 0] = 0
        slopes[k, 1] = 0
        tracked = chain[k, 2] >= 0
        if tracked:
            for f in range(FEATURES):
                scratch[0, f] = 0
                scratch[1, f] = 0
        if cubic[node]:
            a, b = _cubic(tr), _cubic(tc)
            a = (weight * a[0], weight * a[1], weight * a[2], weight * a[3])
            _scatter_cubic(gradients, buffers[node], int(fr) - 1, int(fc) - 1, a, b, dz, p)
            if tracked:
                s, q = _cubic_slope(tr), _cubic_slope(tc)
                s = (weight * s[0], weight * s[1], weight * s[2], weight * s[3])
                _gather_cubic(planes, node, int(fr) - 1, int(fc) - 1, s, b, scratch, 0)
                _gather_cubic(planes, node, int(fr) - 1, int(fc) - 1, a, q, scratch, 1)
        else:
            a, b = (weight * (_ONE - tr), weight * tr), (_ONE - tc, tc)
            _scatter_linear(gradients, buffers[node], int(fr), int(fc), a, b, dz, p)
            if tracked:
                _gather_linear(planes, node, int(fr), int(fc), (-weight, weight), b, scratch, 0)
                _gather_linear(planes, node, int(fr), int(fc), a, (-_ONE, _ONE), scratch, 1)
        if tracked:
            d_row = np.float32(0)
            d_col = np.float32(0)
            for f in range(FEATURES):
                d_row += scratch[0, f] * dz[p, f]
                d_col += scratch[1, f] * dz[p, f]
            slopes[k, 0] = d_row
            slopes[k, 1] = d_col


@njit(**_JIT)
def _transpose(x, out):
    """(TILE, 8) to (8, TILE) or back."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = x[j, i]


@njit(**_JIT)
def evaluate(planes, motion, cubic, chain, scales, weights, rows, cols, network, out):
    """Colour on a lattice at one moment.

    Args:
        planes: (nodes, H, W, 8) float32; motion: (nodes, H, W, 4) float32, in pixels.
        cubic: (nodes,) bool: which planes are read with the cubic kernel.
        chain: (K, 4) int64 of node, source, motion node, motion channel; scales, weights: (K,) float32.
        rows: (R,) float32; cols: (Q,) float32.
        network: w1 (8, h), b1, w2 (h, h), b2, w3 (h, P), b3, skip (8, P), float32; h a multiple of 4.
        out: (R, Q, P) float32, written.
    """
    w1, b1, w2, b2, w3, b3, skip = network
    hidden, outputs = w2.shape[0], w3.shape[1]
    where = np.empty((chain.shape[0], 2), np.float32)
    features, z = np.zeros((TILE, FEATURES), np.float32), np.empty((FEATURES, TILE), np.float32)
    h1, h2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    cosine, d1 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    color, linear = np.empty((outputs, TILE), np.float32), np.empty((outputs, TILE), np.float32)
    zero = np.zeros(outputs, np.float32)
    for i in range(len(rows)):
        for start in range(0, len(cols), TILE):
            size = min(TILE, len(cols) - start)
            for p in range(size):
                _positions(chain, scales, motion, rows[i], cols[start + p], where)
                _features(planes, cubic, chain, weights, where, features, p)
            _transpose(features, z)
            _dense(z, w1, b1, d1)
            for o in range(hidden):
                _sine(d1, h1, cosine, o)
            _dense(h1, w2, b2, d1)
            for o in range(hidden):
                _sine(d1, h2, cosine, o)
            _dense(h2, w3, b3, color)
            _dense(z, skip, zero, linear)
            for p in range(size):
                for o in range(outputs):
                    out[i, start + p, o] = color[o, p] + linear[o, p]


@njit(**_JIT)
def fit_step(
    planes, motion, cubic, chain, scales, weights, rows, cols, network, targets, plane_weights, peak,
    plane_gradients, motion_gradients, buffers, network_gradients, distortion,
):  # fmt: skip
    """Squared error on a lattice at one moment, and its gradient: adds to all gradients and ``distortion`` (P,).

    Args beyond those of :func:`evaluate`:
        targets: (R, Q, P) uint8 or uint16 code values; peak: the largest one, float32.
        plane_weights: (P,) float32, factor of each plane's squared error; 0 leaves a plane out.
        plane_gradients: (B, H, W, 8), motion_gradients: (B, H, W, 4); node n's stand at buffers[n].
        network_gradients: as ``network``.
    """
    w1, b1, w2, b2, w3, b3, skip = network
    g1, gb1, g2, gb2, g3, gb3, g_skip = network_gradients
    hidden, outputs, samples = w2.shape[0], w3.shape[1], chain.shape[0]
    where = np.empty((samples, 2), np.float32)
    slopes = np.empty((samples, 2), np.float32)
    places = np.empty((TILE, samples, 2), np.float32)
    features, dz = np.zeros((TILE, FEATURES), np.float32), np.empty((TILE, FEATURES), np.float32)
    z, z_gradient = np.empty((FEATURES, TILE), np.float32), np.empty((FEATURES, TILE), np.float32)
    scratch = np.empty((2, FEATURES), np.float32)
    h1, h2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    k1, k2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    d1, d2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    color, linear = np.empty((outputs, TILE), np.float32), np.empty((outputs, TILE), np.float32)
    zero, ignored = np.zeros(outputs, np.float32), np.zeros(outputs, np.float32)
    inverse = np.float32(1) / peak
    for i in range(len(rows)):
        for start in range(0, len(cols), TILE):
            size = min(TILE, len(cols) - start)
            for p in range(size):
                _positions(chain, scales, motion, rows[i], cols[start + p], where)
                for k in range(samples):
                    places[p, k, 0] = where[k, 0]
                    places[p, k, 1] = where[k, 1]
                _features(planes, cubic, chain, weights, where, features, p)
            _transpose(features, z)
            _dense(z, w1, b1, d1)
            for o in range(hidden):
                _sine(d1, h1, k1, o)
            _dense(h1, w2, b2, d2)
            for o in range(hidden):
                _sine(d2, h2, k2, o)
            _dense(h2, w3, b3, color)
            _dense(z, skip, zero, linear)
            for o in range(outputs):
                total = np.float32(0)
                for p in range(TILE):
                    if p < size:
                        error = color[o, p] + linear[o, p] - np.float32(targets[i, start + p, o]) * inverse
                        total += error * error
                        color[o, p] = np.float32(2) * plane_weights[o] * error
                    else:
                        color[o, p] = 0
                distortion[o] += plane_weights[o] * total
            z_gradient[:] = 0
            d2[:] = 0
            d1[:] = 0
            _dense_backward(z, skip, color, z_gradient, g_skip, ignored)
            _dense_backward(h2, w3, color, d2, g3, gb3)
            for o in range(hidden):
                for p in range(TILE):
                    d2[o, p] *= k2[o, p]
            _dense_backward(h1, w2, d2, d1, g2, gb2)
            for o in range(hidden):
                for p in range(TILE):
                    d1[o, p] *= k1[o, p]
            _dense_backward(z, w1, d1, z_gradient, g1, gb1)
            _transpose(z_gradient, dz)
            for p in range(size):
                for k in range(samples):
                    where[k, 0] = places[p, k, 0]
                    where[k, 1] = places[p, k, 1]
                _features_backward(
                    planes, cubic, chain, weights, where, dz, p, plane_gradients, buffers, slopes, scratch
                )
                _positions_backward(
                    chain, scales, motion, rows[i], cols[start + p], where, slopes, motion_gradients, buffers
                )
