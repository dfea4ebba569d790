"""Where points come from, on a GPU: the tracks of many chains at the track knots, and their gradient.

Each program takes BLOCK knots of one moment and follows its chain. A thread keeps what it finds in the output itself
and reads it there again. ``cpu/tracks.py`` is the same on the CPU.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from nerv_codec.representations.tracked import shape

BLOCK = 128

_BLEND, _CHANNELS = tl.constexpr(shape.BLEND), tl.constexpr(shape.CHANNELS)
_INVERSE_STEP = tl.constexpr(1 / (1 << shape.MOTION_SHIFT))
_BOUND = tl.constexpr(shape.BOUND)
_TRACK_STEP, _TRACK_ORIGIN = tl.constexpr(1 << shape.TRACK_SHIFT), tl.constexpr(shape.TRACK_ORIGIN)
_NODE, _SOURCE, _MOVER = tl.constexpr(shape.NODE), tl.constexpr(shape.SOURCE), tl.constexpr(shape.MOVER)
_CHANNEL, _FIRST, _SECOND = tl.constexpr(shape.CHANNEL), tl.constexpr(shape.FIRST), tl.constexpr(shape.SECOND)
_SCALE, _MASS, _SHARE = tl.constexpr(shape.SCALE), tl.constexpr(shape.MASS), tl.constexpr(shape.SHARE)


@triton.jit
def _spline(f, tap: tl.constexpr):
    """Uniform cubic B-spline: weight of one of four control points."""
    g = 1.0 - f
    if tap == 0:
        return g * g * g / 6.0
    elif tap == 1:
        return (4.0 + 3.0 * f * f * (f - 2.0)) / 6.0
    elif tap == 2:
        return (4.0 + 3.0 * g * g * (g - 2.0)) / 6.0
    else:
        return f * f * f / 6.0


@triton.jit
def _spline_slope(f, tap: tl.constexpr):
    g = 1.0 - f
    if tap == 0:
        return -0.5 * g * g
    elif tap == 1:
        return 0.5 * f * (3.0 * f - 4.0)
    elif tap == 2:
        return -0.5 * g * (3.0 * g - 4.0)
    else:
        return 0.5 * f * f


@triton.jit
def _held(index, count):
    return tl.minimum(tl.maximum(index, 0), count - 1)


@triton.jit
def _motion(grid, row, col, rows, cols):
    """One channel of a node's motion grid at places: (N,)."""
    row, col = row * _INVERSE_STEP, col * _INVERSE_STEP
    i, j = tl.floor(row), tl.floor(col)
    fr, fc = row - i, col - j
    i, j = i.to(tl.int32) - 1, j.to(tl.int32) - 1
    value = tl.zeros_like(row)
    for a in tl.static_range(4):
        across = tl.zeros_like(row)
        for b in tl.static_range(4):
            at = (_held(i + a, rows) * cols + _held(j + b, cols)) * _CHANNELS
            across += _spline(fc, b) * tl.load(grid + at)
        value += _spline(fr, a) * across
    return value


@triton.jit
def _motion_backward(grid, gradients, row, col, rows, cols, g, valid):
    """Adds ``g`` times the weights to the gradients; returns the derivatives by row and column times ``g``."""
    row, col = row * _INVERSE_STEP, col * _INVERSE_STEP
    i, j = tl.floor(row), tl.floor(col)
    fr, fc = row - i, col - j
    i, j = i.to(tl.int32) - 1, j.to(tl.int32) - 1
    by_row, by_col = tl.zeros_like(row), tl.zeros_like(row)
    for a in tl.static_range(4):
        across, slope = tl.zeros_like(row), tl.zeros_like(row)
        for b in tl.static_range(4):
            at = (_held(i + a, rows) * cols + _held(j + b, cols)) * _CHANNELS
            control = tl.load(grid + at)
            across += _spline(fc, b) * control
            slope += _spline_slope(fc, b) * control
            tl.atomic_add(gradients + at, g * _spline(fr, a) * _spline(fc, b), mask=valid, sem="relaxed")
        by_row += _spline_slope(fr, a) * across
        by_col += _spline(fr, a) * slope
    return _INVERSE_STEP * by_row * g, _INVERSE_STEP * by_col * g


@triton.jit
def _source(tracks, chain, first, source, row, col, knots, at, valid):
    """Place of a sample's source: the point itself, unless it was moved there. Also whether it was."""
    moved = source >= 0
    if moved:
        moved = tl.load(chain + (first + source) * 6 + _MOVER) >= 0
    if moved:
        place = tracks + tl.cast(first + source, tl.int64) * (3 * knots)
        row = tl.load(place + at, mask=valid, other=0.0)
        col = tl.load(place + knots + at, mask=valid, other=0.0)
    return row, col


@triton.jit
def _begin(first_knot, knot_rows, knot_cols, BLOCK: tl.constexpr):
    at = first_knot * BLOCK + tl.arange(0, BLOCK)
    valid = at < knot_rows * knot_cols
    row = (at // knot_cols * _TRACK_STEP).to(tl.float32) + _TRACK_ORIGIN
    col = (at % knot_cols * _TRACK_STEP).to(tl.float32) + _TRACK_ORIGIN
    return at, valid, row, col


@triton.jit
def forward_kernel(
    grids, rows, cols, chain, reals, firsts, moments, high_row, high_col, tracks, knot_rows, knot_cols,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """See :func:`forward`."""
    moment = tl.load(moments + tl.program_id(1))
    first, last = tl.load(firsts + moment), tl.load(firsts + moment + 1)
    knots = knot_rows * knot_cols
    at, valid, row, col = _begin(tl.program_id(0), knot_rows, knot_cols, BLOCK)
    for sample in range(first, last):
        mass = tl.zeros((BLOCK,), tl.float32) + tl.load(reals + sample * 3 + _MASS)
        tl.store(tracks + tl.cast(sample, tl.int64) * (3 * knots) + 2 * knots + at, mass, mask=valid)
    tl.debug_barrier()
    for sample in range(first, last):
        own = chain + sample * 6
        r, c = _source(tracks, chain, first, tl.load(own + _SOURCE), row, col, knots, at, valid)
        mover = tl.load(own + _MOVER)
        if mover >= 0:
            grid = grids + mover * (rows * cols * _CHANNELS) + tl.load(own + _CHANNEL)
            scale = tl.load(reals + sample * 3 + _SCALE)
            down = _motion(grid, r, c, rows, cols)
            right = _motion(grid + 1, r, c, rows, cols)
            r = tl.minimum(tl.maximum(r + scale * down, -_BOUND), high_row)
            c = tl.minimum(tl.maximum(c + scale * right, -_BOUND), high_col)
        place = tracks + tl.cast(sample, tl.int64) * (3 * knots)
        # The outermost knots lie outside; what they read need not.
        tl.store(place + at, tl.minimum(tl.maximum(r, -_BOUND), high_row), mask=valid)
        tl.store(place + knots + at, tl.minimum(tl.maximum(c, -_BOUND), high_col), mask=valid)
        one, other = tl.load(own + _FIRST), tl.load(own + _SECOND)
        if one >= 0:
            mass = tl.load(place + 2 * knots + at, mask=valid, other=0.0)
            share = tl.zeros_like(mass)
            if other >= 0:
                grid = grids + tl.load(own + _NODE) * (rows * cols * _CHANNELS) + _BLEND
                share = tl.load(reals + sample * 3 + _SHARE) + _motion(grid, r, c, rows, cols)
                share = tl.minimum(tl.maximum(share, 0.0), 1.0)
                parent = tracks + tl.cast(first + other, tl.int64) * (3 * knots) + 2 * knots + at
                tl.store(parent, tl.load(parent, mask=valid, other=0.0) + share * mass, mask=valid)
            parent = tracks + tl.cast(first + one, tl.int64) * (3 * knots) + 2 * knots + at
            tl.store(parent, tl.load(parent, mask=valid, other=0.0) + (1.0 - share) * mass, mask=valid)
        tl.debug_barrier()


@triton.jit
def _add(at, value, valid):
    tl.store(at, tl.load(at, mask=valid, other=0.0) + value, mask=valid)


@triton.jit
def backward_kernel(
    grids, rows, cols, chain, reals, firsts, moments, high_row, high_col, tracks, knot_rows, knot_cols,
    d_tracks, gradients,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """See :func:`backward`."""
    moment = tl.load(moments + tl.program_id(1))
    first, last = tl.load(firsts + moment), tl.load(firsts + moment + 1)
    knots = knot_rows * knot_cols
    at, valid, row, col = _begin(tl.program_id(0), knot_rows, knot_cols, BLOCK)
    for number in range(0, last - first):
        sample = last - 1 - number
        own = chain + sample * 6
        place = tracks + tl.cast(sample, tl.int64) * (3 * knots) + at
        d_place = d_tracks + tl.cast(sample, tl.int64) * (3 * knots) + at
        mover, source = tl.load(own + _MOVER), tl.load(own + _SOURCE)
        one, other = tl.load(own + _FIRST), tl.load(own + _SECOND)
        if one >= 0:
            d_one = tl.load(
                d_tracks + tl.cast(first + one, tl.int64) * (3 * knots) + 2 * knots + at, mask=valid, other=0.0
            )
            d_mass = tl.load(d_place + 2 * knots, mask=valid, other=0.0) + d_one
            if other >= 0:
                r, c = row, col
                if mover >= 0:
                    r = tl.load(place, mask=valid, other=0.0)
                    c = tl.load(place + knots, mask=valid, other=0.0)
                grid = tl.load(own + _NODE) * (rows * cols * _CHANNELS) + _BLEND
                raw = tl.load(reals + sample * 3 + _SHARE) + _motion(grids + grid, r, c, rows, cols)
                share = tl.minimum(tl.maximum(raw, 0.0), 1.0)
                d_other = d_tracks + tl.cast(first + other, tl.int64) * (3 * knots) + 2 * knots + at
                across = tl.load(d_other, mask=valid, other=0.0) - d_one
                mass = tl.load(place + 2 * knots, mask=valid, other=0.0)
                d_blend = tl.where(share == raw, mass * across, 0.0)
                d_mass += share * across
                by_row, by_col = _motion_backward(
                    grids + grid, gradients + grid, r, c, rows, cols, d_blend, valid & (d_blend != 0.0)
                )
                _add(d_place, by_row, valid)
                _add(d_place + knots, by_col, valid)
            tl.store(d_place + 2 * knots, d_mass, mask=valid)
        tl.debug_barrier()
        if mover >= 0:
            # A place that is held at the bound does not move.
            r, c = tl.load(place, mask=valid, other=0.0), tl.load(place + knots, mask=valid, other=0.0)
            scale = tl.load(reals + sample * 3 + _SCALE)
            by_row = tl.where((r > -_BOUND) & (r < high_row), tl.load(d_place, mask=valid, other=0.0), 0.0)
            by_col = tl.where((c > -_BOUND) & (c < high_col), tl.load(d_place + knots, mask=valid, other=0.0), 0.0)
            r, c = _source(tracks, chain, first, source, row, col, knots, at, valid)
            grid = mover * (rows * cols * _CHANNELS) + tl.load(own + _CHANNEL)
            g_row, g_col = scale * by_row, scale * by_col
            row_row, row_col = _motion_backward(
                grids + grid, gradients + grid, r, c, rows, cols, g_row, valid & (g_row != 0.0)
            )
            col_row, col_col = _motion_backward(
                grids + grid + 1, gradients + grid + 1, r, c, rows, cols, g_col, valid & (g_col != 0.0)
            )
            if source >= 0:
                d_source = d_tracks + tl.cast(first + source, tl.int64) * (3 * knots) + at
                _add(d_source, by_row + row_row + col_row, valid)
                _add(d_source + knots, by_col + row_col + col_col, valid)
        tl.debug_barrier()


def forward(
    grids: Tensor, chain: Tensor, reals: Tensor, firsts: Tensor, moments: Tensor, size: tuple[int, int], out: Tensor
) -> None:
    """Row, column and mass of every sample of some chains at the track knots.

    Args:
        grids: (nodes, rows, cols, 8) float32: motion in pixels towards both parents, blend, three unused.
        chain: (S, 6) int32: all chains one behind the other, columns from ``shape.NODE`` on.
        reals: (S, 3) float32: their reals, columns from ``shape.SCALE`` on.
        firsts: (T + 1,) int32: where each begins.
        moments: (N,) int32: which are wanted.
        size: (height, width) of the picture.
        out: (S, 3, KR, KC), written for the chains wanted.
    """
    knot_rows, knot_cols = out.shape[2:]
    forward_kernel[(triton.cdiv(knot_rows * knot_cols, BLOCK), len(moments))](
        grids, *grids.shape[1:3], chain, reals, firsts, moments,
        size[0] - 1 + shape.BOUND, size[1] - 1 + shape.BOUND, out, knot_rows, knot_cols, BLOCK=BLOCK,
    )  # fmt: skip


def backward(
    grids: Tensor, chain: Tensor, reals: Tensor, firsts: Tensor, moments: Tensor, size: tuple[int, int],
    found: Tensor, d_tracks: Tensor, gradients: Tensor,
) -> None:  # fmt: skip
    """Adjoint of :func:`forward`: adds to ``gradients`` (as ``grids``).

    Args:
        found: What :func:`forward` wrote; d_tracks: its gradient, used up.
    """
    knot_rows, knot_cols = found.shape[2:]
    backward_kernel[(triton.cdiv(knot_rows * knot_cols, BLOCK), len(moments))](
        grids, *grids.shape[1:3], chain, reals, firsts, moments,
        size[0] - 1 + shape.BOUND, size[1] - 1 + shape.BOUND, found, knot_rows, knot_cols,
        d_tracks, gradients, BLOCK=BLOCK,
    )  # fmt: skip
