"""Where a point comes from, on the CPU: the tracks of a chain at the track knots, and their gradient.

The plain form is ``function.tracks``.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.tracked.cpu.simd import JIT, load8, splat8, store8, sum8
from nerv_codec.representations.tracked.shape import (
    BLEND,
    BOUND,
    CHANNEL,
    CHANNELS,
    FIRST,
    MASS,
    MOTION_SHIFT,
    MOVER,
    NODE,
    SCALE,
    SECOND,
    SHARE,
    SOURCE,
    TRACK_ORIGIN,
    TRACK_SHIFT,
)

_ZERO, _ONE, _TWO, _THREE, _FOUR = (np.float32(v) for v in range(5))
_SIXTH = np.float32(1 / 6)
_HALF = np.float32(0.5)
_INVERSE_STEP = np.float32(1 / (1 << MOTION_SHIFT))


@njit(**JIT)
def _spline(f):
    """Uniform cubic B-spline: weights of four control points."""
    g = _ONE - f
    return (
        _SIXTH * g * g * g,
        _SIXTH * (_FOUR + _THREE * f * f * (f - _TWO)),
        _SIXTH * (_FOUR + _THREE * g * g * (g - _TWO)),
        _SIXTH * f * f * f,
    )


@njit(**JIT)
def _spline_slope(f):
    g = _ONE - f
    return (-_HALF * g * g, _HALF * f * (_THREE * f - _FOUR), -_HALF * g * (_THREE * g - _FOUR), _HALF * f * f)


@njit(**JIT)
def _place(at, count):
    position = at * _INVERSE_STEP
    base = np.floor(position)
    return int(base) - 1, position - base


@njit(**JIT)
def _clamp(value, high):
    return min(max(value, 0), high)


@njit(**JIT)
def _taps(index, high):
    return _clamp(index, high), _clamp(index + 1, high), _clamp(index + 2, high), _clamp(index + 3, high)


@njit(**JIT)
def _gather(grids, node, row, cs, b):
    at = CHANNELS * grids.shape[2] * (node * grids.shape[1] + row)
    v = load8(grids, at + CHANNELS * cs[0]) * splat8(b[0]) + load8(grids, at + CHANNELS * cs[1]) * splat8(b[1])
    return v + load8(grids, at + CHANNELS * cs[2]) * splat8(b[2]) + load8(grids, at + CHANNELS * cs[3]) * splat8(b[3])


@njit(**JIT)
def _value(grids, node, row, col, a, b):
    """The motion grid of a node with weights a, b from control point (row, col) on."""
    rs, cs = _taps(row, grids.shape[1] - 1), _taps(col, grids.shape[2] - 1)
    v = _gather(grids, node, rs[0], cs, b) * splat8(a[0]) + _gather(grids, node, rs[1], cs, b) * splat8(a[1])
    return v + _gather(grids, node, rs[2], cs, b) * splat8(a[2]) + _gather(grids, node, rs[3], cs, b) * splat8(a[3])


@njit(**JIT)
def _motion(grids, node, r, c, out, k):
    """out[k] = what ``node`` keeps at (r, c)."""
    row, fr = _place(r, grids.shape[1])
    col, fc = _place(c, grids.shape[2])
    store8(out, CHANNELS * k, _value(grids, node, row, col, _spline(fr), _spline(fc)))


@njit(**JIT)
def _motion_backward(grids, node, r, c, gradient, k, grid_gradients):
    """Adds to the gradient of the node's grid; returns the derivatives by r and c."""
    row, fr = _place(r, grids.shape[1])
    col, fc = _place(c, grids.shape[2])
    a, b = _spline(fr), _spline(fc)
    g = load8(gradient, CHANNELS * k)
    by_row = _INVERSE_STEP * sum8(_value(grids, node, row, col, _spline_slope(fr), b) * g)
    by_col = _INVERSE_STEP * sum8(_value(grids, node, row, col, a, _spline_slope(fc)) * g)
    rs, cs = _taps(row, grids.shape[1] - 1), _taps(col, grids.shape[2] - 1)
    for i in range(4):
        for j in range(4):
            at = CHANNELS * ((node * grids.shape[1] + rs[i]) * grids.shape[2] + cs[j])
            store8(grid_gradients, at, load8(grid_gradients, at) + g * splat8(a[i] * b[j]))
    return by_row, by_col


@njit(**JIT)
def _follow(grids, chain, reals, row, col, high_row, high_col, places, values, masses):
    """Places (K, 2), kept values (K + 1, 8) and weights (K,) of a chain at one point.

    values[k] is read at sample k's own place, values[K] at the point itself from the mover of sample 0.
    """
    samples = chain.shape[0]
    if chain[0, MOVER] >= 0:
        _motion(grids, chain[0, MOVER], row, col, values, samples)
    for k in range(samples):
        masses[k] = reals[k, MASS]
    for k in range(samples):
        source, channel = chain[k, SOURCE], chain[k, CHANNEL]
        r, c, at = row, col, samples
        if source >= 0:
            r, c, at = places[source, 0], places[source, 1], source
        if chain[k, MOVER] >= 0:
            r += reals[k, SCALE] * values[at, channel]
            c += reals[k, SCALE] * values[at, channel + 1]
            r = min(max(r, np.float32(-BOUND)), high_row)
            c = min(max(c, np.float32(-BOUND)), high_col)
        places[k, 0] = r
        places[k, 1] = c
        first, second = chain[k, FIRST], chain[k, SECOND]
        if first >= 0:
            _motion(grids, chain[k, NODE], r, c, values, k)
            share = _ZERO
            if second >= 0:
                share = min(max(reals[k, SHARE] + values[k, BLEND], _ZERO), _ONE)
                masses[second] += share * masses[k]
            masses[first] += (_ONE - share) * masses[k]


@njit(**JIT)
def tracks_forward(grids, chain, reals, height, width, first, last, tracks):
    """Row, column and weight of every sample of a chain at the track knots.

    Args:
        grids: (nodes, rows, cols, 8) float32: motion in pixels towards both parents, blend, three unused.
        chain: (K, 6) int64, columns from ``shape.NODE`` on; reals: (K, 3) float32, columns from ``shape.SCALE`` on.
        height: Rows of the picture; width: its columns.
        first: Row of knots to begin with; last: where to stop, not included.
        tracks: (K, 3, KR, KC), written there.
    """
    samples = chain.shape[0]
    high_row, high_col = np.float32(height - 1 + BOUND), np.float32(width - 1 + BOUND)
    places, values = np.empty((samples, 2), np.float32), np.empty((samples + 1, CHANNELS), np.float32)
    masses = np.empty(samples, np.float32)
    for i in range(first, last):
        for j in range(tracks.shape[3]):
            row = np.float32((i << TRACK_SHIFT) + TRACK_ORIGIN)
            col = np.float32((j << TRACK_SHIFT) + TRACK_ORIGIN)
            _follow(grids, chain, reals, row, col, high_row, high_col, places, values, masses)
            for k in range(samples):
                # The outermost knots lie outside; what they read need not.
                tracks[k, 0, i, j] = min(max(places[k, 0], np.float32(-BOUND)), high_row)
                tracks[k, 1, i, j] = min(max(places[k, 1], np.float32(-BOUND)), high_col)
                tracks[k, 2, i, j] = masses[k]


@njit(**JIT)
def tracks_backward(grids, chain, reals, height, width, d_tracks, grid_gradients):
    """Adjoint of :func:`tracks_forward`: adds to ``grid_gradients`` (nodes, rows, cols, 8)."""
    samples = chain.shape[0]
    high_row, high_col = np.float32(height - 1 + BOUND), np.float32(width - 1 + BOUND)
    places, values = np.empty((samples, 2), np.float32), np.empty((samples + 1, CHANNELS), np.float32)
    masses, d_masses = np.empty(samples, np.float32), np.empty(samples, np.float32)
    d_values, d_places = np.empty((samples + 1, CHANNELS), np.float32), np.empty((samples, 2), np.float32)
    for i in range(d_tracks.shape[2]):
        for j in range(d_tracks.shape[3]):
            row = np.float32((i << TRACK_SHIFT) + TRACK_ORIGIN)
            col = np.float32((j << TRACK_SHIFT) + TRACK_ORIGIN)
            _follow(grids, chain, reals, row, col, high_row, high_col, places, values, masses)
            d_values[:] = 0
            for k in range(samples):
                d_places[k, 0] = d_tracks[k, 0, i, j]
                d_places[k, 1] = d_tracks[k, 1, i, j]
                d_masses[k] = d_tracks[k, 2, i, j]
            for k in range(samples - 1, -1, -1):
                first, second = chain[k, FIRST], chain[k, SECOND]
                if first >= 0:
                    share = _ZERO
                    if second >= 0:
                        raw = reals[k, SHARE] + values[k, BLEND]
                        share = min(max(raw, _ZERO), _ONE)
                        if share == raw:
                            d_values[k, BLEND] += masses[k] * (d_masses[second] - d_masses[first])
                        d_masses[k] += share * d_masses[second]
                    d_masses[k] += (_ONE - share) * d_masses[first]
                    by_row, by_col = _motion_backward(
                        grids, chain[k, NODE], places[k, 0], places[k, 1], d_values, k, grid_gradients
                    )
                    d_places[k, 0] += by_row
                    d_places[k, 1] += by_col
                source, channel = chain[k, SOURCE], chain[k, CHANNEL]
                if chain[k, MOVER] < 0:
                    continue
                # A place that is held at the bound does not move.
                inside = places[k, 0] > np.float32(-BOUND) and places[k, 0] < high_row
                by_row = d_places[k, 0] if inside else _ZERO
                inside = places[k, 1] > np.float32(-BOUND) and places[k, 1] < high_col
                by_col = d_places[k, 1] if inside else _ZERO
                at = samples
                if source >= 0:
                    at = source
                    d_places[source, 0] += by_row
                    d_places[source, 1] += by_col
                d_values[at, channel] += reals[k, SCALE] * by_row
                d_values[at, channel + 1] += reals[k, SCALE] * by_col
            if chain[0, MOVER] >= 0:
                _motion_backward(grids, chain[0, MOVER], row, col, d_values, samples, grid_gradients)
