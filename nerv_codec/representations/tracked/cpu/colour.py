"""The `tracked` function on the CPU, tracks to colour, and its gradient.

Compiled with numba. Every function here has its plain form in ``function.py``; tests hold the two together.
``tracks`` makes the tracks, ``planes`` the feature maps.

How it gets its speed: a pixel's FEATURES = 8 features lie side by side and are one ``Float8``, so a tap of an
interpolation kernel is one load. Feature maps carry a border, so that no tap needs to be held inside the picture. The
network runs on tiles of TILE pixels with the pixels side by side: a tile's activations stay in the first-level
cache, and weights are broadcast to blocks of sums that stay in registers.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.tracked.cpu.simd import JIT, floor8, load8, splat8, store8, sum8, transpose8
from nerv_codec.representations.tracked.shape import (
    CUBIC,
    FEATURES,
    LINEAR,
    NODE,
    PAD,
    SKIPPED,
    TRACK_ORIGIN,
    TRACK_SHIFT,
)

TILE = 64

_ONE = np.float32(1)
_HALF = np.float32(0.5)
_TWO = np.float32(2)
_THREE = np.float32(3)
_INVERSE_STEP = np.float32(1 / (1 << TRACK_SHIFT))


@njit(**JIT)
def _cell(place, knots):
    """Knot before a place on one axis, and the fraction of the way to the next."""
    position = (place - np.float32(TRACK_ORIGIN)) * _INVERSE_STEP
    index = min(max(int(np.floor(position)), 0), knots - 2)
    return index, position - np.float32(index)


@njit(**JIT)
def _line(tracks, row, line):
    """``line`` (K, 3, KC): the tracks (K, 3, KR, KC) at one row."""
    index, fraction = _cell(row, tracks.shape[2])
    for k in range(tracks.shape[0]):
        for q in range(3):
            for j in range(tracks.shape[3]):
                a, b = tracks[k, q, index, j], tracks[k, q, index + 1, j]
                line[k, q, j] = a + fraction * (b - a)


@njit(**JIT)
def _line_backward(d_line, row, d_tracks):
    """Adjoint of :func:`_line`: adds to ``d_tracks``, clears ``d_line``."""
    index, fraction = _cell(row, d_tracks.shape[2])
    for k in range(d_tracks.shape[0]):
        for q in range(3):
            for j in range(d_tracks.shape[3]):
                d_tracks[k, q, index, j] += (_ONE - fraction) * d_line[k, q, j]
                d_tracks[k, q, index + 1, j] += fraction * d_line[k, q, j]
                d_line[k, q, j] = 0


@njit(**JIT)
def _locate(line, k, cells, fractions, start, size, node, rows, cols, base, down, right, weight):
    """Where a tile's pixels read sample k: the element of the upper left tap, the fractions, the weight."""
    offset = node * rows * cols + PAD * cols + PAD
    for p in range(size):
        j, f = cells[start + p], fractions[start + p]
        r = line[k, 0, j] + f * (line[k, 0, j + 1] - line[k, 0, j])
        c = line[k, 1, j] + f * (line[k, 1, j + 1] - line[k, 1, j])
        weight[k, p] = line[k, 2, j] + f * (line[k, 2, j + 1] - line[k, 2, j])
        fr, fc = np.floor(r), np.floor(c)
        down[k, p] = r - fr
        right[k, p] = c - fc
        base[k, p] = FEATURES * (offset + int(fr) * cols + int(fc))


@njit(**JIT)
def _add_line_gradient(d_line, k, cells, fractions, start, size, slopes):
    for q in range(3):
        for p in range(size):
            j, f, slope = cells[start + p], fractions[start + p], slopes[q, p]
            d_line[k, q, j] += slope - f * slope
            d_line[k, q, j + 1] += f * slope


@njit(**JIT)
def _cubic(t):
    """Catmull-Rom weights (Keys 1981, a = -1/2) of the four samples around a place."""
    s = t * t
    u = s * t
    return (
        _HALF * (_TWO * s - t - u),
        _ONE + _HALF * (_THREE * u - np.float32(5) * s),
        _HALF * (t + np.float32(4) * s - _THREE * u),
        _HALF * (u - s),
    )


@njit(**JIT)
def _cubic_slope(t):
    s = t * t
    return (
        _HALF * (np.float32(4) * t - _ONE - _THREE * s),
        _HALF * (np.float32(9) * s - np.float32(10) * t),
        _HALF * (_ONE + np.float32(8) * t - np.float32(9) * s),
        _HALF * (_THREE * s - _TWO * t),
    )


@njit(**JIT)
def _across(planes, o, b0, b1, b2, b3):
    return load8(planes, o - 8) * b0 + load8(planes, o) * b1 + load8(planes, o + 8) * b2 + load8(planes, o + 16) * b3


@njit(**JIT)
def _read(planes, k, kind, base, down, right, weight, size, features):
    """Adds sample k of a tile's pixels to ``features`` (TILE, 8)."""
    pitch = FEATURES * planes.shape[2]
    if kind == LINEAR:
        for p in range(size):
            o, r, c, w = base[k, p], down[k, p], right[k, p], weight[k, p]
            w10, w11 = w * r, w * r * c
            w01 = w * c - w11
            w10 -= w11
            w00 = w - w10 - w01 - w11
            v = load8(planes, o) * splat8(w00) + load8(planes, o + 8) * splat8(w01)
            v = v + load8(planes, o + pitch) * splat8(w10) + load8(planes, o + pitch + 8) * splat8(w11)
            store8(features, 8 * p, load8(features, 8 * p) + v)
    elif kind == CUBIC:
        for p in range(size):
            o, w = base[k, p], weight[k, p]
            a0, a1, a2, a3 = _cubic(down[k, p])
            c0, c1, c2, c3 = _cubic(right[k, p])
            b0, b1, b2, b3 = splat8(c0), splat8(c1), splat8(c2), splat8(c3)
            v = _across(planes, o - pitch, b0, b1, b2, b3) * splat8(w * a0)
            v = v + _across(planes, o, b0, b1, b2, b3) * splat8(w * a1)
            v = v + _across(planes, o + pitch, b0, b1, b2, b3) * splat8(w * a2)
            v = v + _across(planes, o + 2 * pitch, b0, b1, b2, b3) * splat8(w * a3)
            store8(features, 8 * p, load8(features, 8 * p) + v)


@njit(**JIT)
def _spread(gradients, o, g, b0, b1, b2, b3):
    store8(gradients, o - 8, load8(gradients, o - 8) + g * b0)
    store8(gradients, o, load8(gradients, o) + g * b1)
    store8(gradients, o + 8, load8(gradients, o + 8) + g * b2)
    store8(gradients, o + 16, load8(gradients, o + 16) + g * b3)


@njit(**JIT)
def _read_backward(planes, k, kind, base, down, right, weight, size, d_features, gradients, shift, slopes):
    """Adjoint of :func:`_read`: adds to the plane's gradient, ``shift`` elements on, and writes ``slopes``.

    ``slopes`` (3, TILE): by row, by column, by weight.
    """
    pitch = FEATURES * planes.shape[2]
    if kind == LINEAR:
        for p in range(size):
            o, r, c, w = base[k, p], down[k, p], right[k, p], weight[k, p]
            g = load8(d_features, 8 * p)
            v00, v01 = load8(planes, o), load8(planes, o + 8)
            v10, v11 = load8(planes, o + pitch), load8(planes, o + pitch + 8)
            by_col = v01 - v00
            twist = v11 - v10 - by_col
            by_row = v10 - v00 + twist * splat8(c)
            value = v00 + by_col * splat8(c) + by_row * splat8(r)
            slopes[0, p] = w * sum8(by_row * g)
            slopes[1, p] = w * sum8((by_col + twist * splat8(r)) * g)
            slopes[2, p] = sum8(value * g)
            o += shift
            w10, w11 = w * r, w * r * c
            w01 = w * c - w11
            w10 -= w11
            store8(gradients, o, load8(gradients, o) + g * splat8(w - w10 - w01 - w11))
            store8(gradients, o + 8, load8(gradients, o + 8) + g * splat8(w01))
            store8(gradients, o + pitch, load8(gradients, o + pitch) + g * splat8(w10))
            store8(gradients, o + pitch + 8, load8(gradients, o + pitch + 8) + g * splat8(w11))
    elif kind == CUBIC:
        for p in range(size):
            o, w = base[k, p], weight[k, p]
            g = load8(d_features, 8 * p)
            a0, a1, a2, a3 = _cubic(down[k, p])
            s0, s1, s2, s3 = _cubic_slope(down[k, p])
            c0, c1, c2, c3 = _cubic(right[k, p])
            b0, b1, b2, b3 = splat8(c0), splat8(c1), splat8(c2), splat8(c3)
            u0 = _across(planes, o - pitch, b0, b1, b2, b3)
            u1 = _across(planes, o, b0, b1, b2, b3)
            u2 = _across(planes, o + pitch, b0, b1, b2, b3)
            u3 = _across(planes, o + 2 * pitch, b0, b1, b2, b3)
            value = u0 * splat8(a0) + u1 * splat8(a1) + u2 * splat8(a2) + u3 * splat8(a3)
            by_row = u0 * splat8(s0) + u1 * splat8(s1) + u2 * splat8(s2) + u3 * splat8(s3)
            t0, t1, t2, t3 = _cubic_slope(right[k, p])
            d0, d1, d2, d3 = splat8(t0), splat8(t1), splat8(t2), splat8(t3)
            by_col = _across(planes, o - pitch, d0, d1, d2, d3) * splat8(a0)
            by_col = by_col + _across(planes, o, d0, d1, d2, d3) * splat8(a1)
            by_col = by_col + _across(planes, o + pitch, d0, d1, d2, d3) * splat8(a2)
            by_col = by_col + _across(planes, o + 2 * pitch, d0, d1, d2, d3) * splat8(a3)
            slopes[0, p] = w * sum8(by_row * g)
            slopes[1, p] = w * sum8(by_col * g)
            slopes[2, p] = sum8(value * g)
            o += shift
            _spread(gradients, o - pitch, g * splat8(w * a0), b0, b1, b2, b3)
            _spread(gradients, o, g * splat8(w * a1), b0, b1, b2, b3)
            _spread(gradients, o + pitch, g * splat8(w * a2), b0, b1, b2, b3)
            _spread(gradients, o + 2 * pitch, g * splat8(w * a3), b0, b1, b2, b3)


@njit(**JIT)
def _transpose_in(features, z):
    """(TILE, 8) to (8, TILE)."""
    for p in range(0, TILE, 8):
        at = 8 * p
        rows = transpose8(
            (
                load8(features, at), load8(features, at + 8), load8(features, at + 16), load8(features, at + 24),
                load8(features, at + 32), load8(features, at + 40), load8(features, at + 48), load8(features, at + 56),
            )
        )  # fmt: skip
        for f in range(8):
            store8(z, f * TILE + p, rows[f])


@njit(**JIT)
def _transpose_out(z, features):
    """(8, TILE) to (TILE, 8)."""
    for p in range(0, TILE, 8):
        rows = transpose8(
            (
                load8(z, p), load8(z, TILE + p), load8(z, 2 * TILE + p), load8(z, 3 * TILE + p),
                load8(z, 4 * TILE + p), load8(z, 5 * TILE + p), load8(z, 6 * TILE + p), load8(z, 7 * TILE + p),
            )
        )  # fmt: skip
        for f in range(8):
            store8(features, 8 * (p + f), rows[f])


@njit(**JIT)
def _fill(out, bias):
    for o in range(out.shape[0]):
        value = splat8(bias[o])
        for p in range(0, TILE, 8):
            store8(out, o * TILE + p, value)


@njit(**JIT)
def _dense(x, weight, out):
    """``out`` (O, TILE) += weight.T @ x for ``x`` (I, TILE), ``weight`` (I, O)."""
    inputs, outputs = weight.shape
    whole = outputs // 4 * 4
    for p in range(0, TILE, 16):
        for o in range(0, whole, 4):
            at = o * TILE + p
            a0, b0 = load8(out, at), load8(out, at + 8)
            a1, b1 = load8(out, at + TILE), load8(out, at + TILE + 8)
            a2, b2 = load8(out, at + 2 * TILE), load8(out, at + 2 * TILE + 8)
            a3, b3 = load8(out, at + 3 * TILE), load8(out, at + 3 * TILE + 8)
            for i in range(inputs):
                u, v = load8(x, i * TILE + p), load8(x, i * TILE + p + 8)
                w = splat8(weight[i, o])
                a0, b0 = a0 + w * u, b0 + w * v
                w = splat8(weight[i, o + 1])
                a1, b1 = a1 + w * u, b1 + w * v
                w = splat8(weight[i, o + 2])
                a2, b2 = a2 + w * u, b2 + w * v
                w = splat8(weight[i, o + 3])
                a3, b3 = a3 + w * u, b3 + w * v
            store8(out, at, a0)
            store8(out, at + 8, b0)
            store8(out, at + TILE, a1)
            store8(out, at + TILE + 8, b1)
            store8(out, at + 2 * TILE, a2)
            store8(out, at + 2 * TILE + 8, b2)
            store8(out, at + 3 * TILE, a3)
            store8(out, at + 3 * TILE + 8, b3)
        for o in range(whole, outputs):
            at = o * TILE + p
            a, b = load8(out, at), load8(out, at + 8)
            for i in range(inputs):
                w = splat8(weight[i, o])
                a, b = a + w * load8(x, i * TILE + p), b + w * load8(x, i * TILE + p + 8)
            store8(out, at, a)
            store8(out, at + 8, b)


@njit(**JIT)
def _add_products(x, g, products):
    """``products`` (I, O, 8) += x (I, TILE) times g (O, TILE), eight partial sums a pair; I is a multiple of 4."""
    inputs, outputs = products.shape[0], products.shape[1]
    step = 8 * outputs
    for o in range(outputs):
        for i in range(0, inputs, 4):
            at = i * step + 8 * o
            a, b = load8(products, at), load8(products, at + step)
            c, d = load8(products, at + 2 * step), load8(products, at + 3 * step)
            for p in range(0, TILE, 8):
                v = load8(g, o * TILE + p)
                a = a + v * load8(x, i * TILE + p)
                b = b + v * load8(x, (i + 1) * TILE + p)
                c = c + v * load8(x, (i + 2) * TILE + p)
                d = d + v * load8(x, (i + 3) * TILE + p)
            store8(products, at, a)
            store8(products, at + step, b)
            store8(products, at + 2 * step, c)
            store8(products, at + 3 * step, d)


@njit(**JIT)
def _add_sums(g, sums):
    """``sums`` (O, 8) += g (O, TILE), eight partial sums each."""
    for o in range(sums.shape[0]):
        total = load8(sums, 8 * o)
        for p in range(0, TILE, 8):
            total = total + load8(g, o * TILE + p)
        store8(sums, 8 * o, total)


@njit(**JIT)
def _sine(x, sine, cosine):
    """sin and cos of (H, TILE); within 1e-6 for |x| up to some hundreds (Taylor, after reduction by pi)."""
    for at in range(0, x.size, 8):
        v = load8(x, at)
        n = floor8(v * splat8(np.float32(0.3183098861837907)) + splat8(_HALF))
        r = v - n * splat8(np.float32(3.140625))
        r = r - n * splat8(np.float32(9.67653589793e-4))
        odd = n - splat8(_TWO) * floor8(n * splat8(_HALF))
        sign = splat8(_ONE) - splat8(_TWO) * odd
        q = r * r
        s = splat8(np.float32(-2.505210838e-8)) * q + splat8(np.float32(2.755731922e-6))
        s = s * q - splat8(np.float32(1.984126984e-4))
        s = s * q + splat8(np.float32(8.333333333e-3))
        s = s * q - splat8(np.float32(1.666666667e-1))
        store8(sine, at, sign * (r + r * q * s))
        c = splat8(np.float32(2.087675699e-9)) * q - splat8(np.float32(2.755731922e-7))
        c = c * q + splat8(np.float32(2.480158730e-5))
        c = c * q - splat8(np.float32(1.388888889e-3))
        c = c * q + splat8(np.float32(4.166666667e-2))
        c = c * q - splat8(_HALF)
        store8(cosine, at, sign * (splat8(_ONE) + q * c))


@njit(**JIT)
def _multiply(a, b):
    """a *= b."""
    for at in range(0, a.size, 8):
        store8(a, at, load8(a, at) * load8(b, at))


@njit(**JIT)
def _columns(cols, knots):
    cells, fractions = np.empty(len(cols), np.int64), np.empty(len(cols), np.float32)
    for j in range(len(cols)):
        cells[j], fractions[j] = _cell(cols[j], knots)
    return cells, fractions


@njit(**JIT)
def _forward_tile(
    planes, kinds, chain, line, cells, fractions, start, size, network, base, down, right, weight,
    features, z, d1, h1, k1, d2, h2, k2, color,
):  # fmt: skip
    """Colour of a tile's pixels, and all that it goes through on the way, for the gradient.

    Sines ``h1``, ``h2`` and cosines ``k1``, ``k2`` of the layers' inputs ``d1``, ``d2``, each (hidden, TILE); where the
    gradient is not wanted, both layers may have the same arrays.
    """
    w1, b1, w2, b2, w3, b3, skip = network
    features[:] = 0
    for k in range(chain.shape[0]):
        node = chain[k, NODE]
        if kinds[node] != SKIPPED:
            _locate(
                line, k, cells, fractions, start, size, node, planes.shape[1], planes.shape[2],
                base, down, right, weight,
            )  # fmt: skip
            _read(planes, k, kinds[node], base, down, right, weight, size, features)
    _transpose_in(features, z)
    _fill(d1, b1)
    _dense(z, w1, d1)
    _sine(d1, h1, k1)
    _fill(d2, b2)
    _dense(h1, w2, d2)
    _sine(d2, h2, k2)
    _fill(color, b3)
    _dense(h2, w3, color)
    _dense(z, skip, color)


@njit(**JIT)
def evaluate(planes, kinds, chain, tracks, rows, cols, network, out):
    """Colour on a lattice at one moment.

    Args:
        planes: (nodes, H + 2 PAD, W + 2 PAD, 8) float32 with their edges repeated in the border.
        kinds: (nodes,) int64: SKIPPED, LINEAR or CUBIC.
        chain: (K, 6) int64, see NODE.
        tracks: (K, 3, KR, KC) float32: row, column and weight of every sample at the track knots.
        rows: (R,) float32; cols: (Q,) float32: places within the picture.
        network: w1 (8, h), b1, w2 (h, h), b2, w3 (h, P), b3, skip (8, P), float32; h a multiple of 4.
        out: (R, Q, P) float32, written.
    """
    hidden, outputs, samples = network[2].shape[0], network[4].shape[1], chain.shape[0]
    line = np.empty((samples, 3, tracks.shape[3]), np.float32)
    cells, fractions = _columns(cols, tracks.shape[3])
    base, weight = np.empty((samples, TILE), np.int64), np.empty((samples, TILE), np.float32)
    down, right = np.empty((samples, TILE), np.float32), np.empty((samples, TILE), np.float32)
    features, z = np.empty((TILE, FEATURES), np.float32), np.empty((FEATURES, TILE), np.float32)
    h, d = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    cosine, color = np.empty((hidden, TILE), np.float32), np.empty((outputs, TILE), np.float32)
    for i in range(len(rows)):
        _line(tracks, rows[i], line)
        for start in range(0, len(cols), TILE):
            size = min(TILE, len(cols) - start)
            _forward_tile(
                planes, kinds, chain, line, cells, fractions, start, size, network, base, down, right, weight,
                features, z, d, h, cosine, d, h, cosine, color,
            )  # fmt: skip
            for p in range(size):
                for o in range(outputs):
                    out[i, start + p, o] = color[o, p]


@njit(**JIT)
def fit_step(
    planes, kinds, chain, tracks, rows, cols, network, transposed, targets, plane_weights, peak,
    plane_gradients, buffers, d_tracks, network_gradients, distortion,
):  # fmt: skip
    """Squared error on a lattice at one moment, and its gradient: adds to all gradients and ``distortion`` (P,).

    Args beyond those of :func:`evaluate`:
        transposed: w1, w2, w3 and skip, transposed.
        targets: (R, Q, P) uint8 or uint16 code values; peak: the largest one, float32.
        plane_weights: (P,) float32, factor of each plane's squared error; 0 leaves a plane out.
        plane_gradients: (B, H + 2 PAD, W + 2 PAD, 8); node n's stands at buffers[n].
        d_tracks: as ``tracks``.
        network_gradients: as ``network``, each with eight partial sums as its last axis.
    """
    w1_t, w2_t, w3_t, skip_t = transposed
    g1, gb1, g2, gb2, g3, gb3, g_skip = network_gradients
    hidden, outputs, samples = network[2].shape[0], network[4].shape[1], chain.shape[0]
    line = np.empty((samples, 3, tracks.shape[3]), np.float32)
    d_line = np.zeros((samples, 3, tracks.shape[3]), np.float32)
    cells, fractions = _columns(cols, tracks.shape[3])
    base, weight = np.empty((samples, TILE), np.int64), np.empty((samples, TILE), np.float32)
    down, right = np.empty((samples, TILE), np.float32), np.empty((samples, TILE), np.float32)
    slopes = np.empty((3, TILE), np.float32)
    features, z = np.empty((TILE, FEATURES), np.float32), np.empty((FEATURES, TILE), np.float32)
    h1, h2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    k1, k2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    d1, d2 = np.empty((hidden, TILE), np.float32), np.empty((hidden, TILE), np.float32)
    color, d_z = np.empty((outputs, TILE), np.float32), np.empty((FEATURES, TILE), np.float32)
    inverse = _ONE / peak
    plane_size = planes.shape[1] * planes.shape[2] * FEATURES
    for i in range(len(rows)):
        _line(tracks, rows[i], line)
        for start in range(0, len(cols), TILE):
            size = min(TILE, len(cols) - start)
            _forward_tile(
                planes, kinds, chain, line, cells, fractions, start, size, network, base, down, right, weight,
                features, z, d1, h1, k1, d2, h2, k2, color,
            )  # fmt: skip
            for o in range(outputs):
                total, factor = np.float32(0), _TWO * plane_weights[o]
                for p in range(size):
                    error = color[o, p] - np.float32(targets[i, start + p, o]) * inverse
                    total += error * error
                    color[o, p] = factor * error
                for p in range(size, TILE):
                    color[o, p] = 0
                distortion[o] += plane_weights[o] * total
            _add_products(z, color, g_skip)
            _add_products(h2, color, g3)
            _add_sums(color, gb3)
            d2[:] = 0
            _dense(color, w3_t, d2)
            _multiply(d2, k2)
            _add_products(h1, d2, g2)
            _add_sums(d2, gb2)
            d1[:] = 0
            _dense(d2, w2_t, d1)
            _multiply(d1, k1)
            _add_products(z, d1, g1)
            _add_sums(d1, gb1)
            d_z[:] = 0
            _dense(color, skip_t, d_z)
            _dense(d1, w1_t, d_z)
            _transpose_out(d_z, features)
            for k in range(samples):
                node = chain[k, NODE]
                if kinds[node] != SKIPPED:
                    _read_backward(
                        planes, k, kinds[node], base, down, right, weight, size, features,
                        plane_gradients, (buffers[node] - node) * plane_size, slopes,
                    )  # fmt: skip
                    _add_line_gradient(d_line, k, cells, fractions, start, size, slopes)
        _line_backward(d_line, rows[i], d_tracks)
