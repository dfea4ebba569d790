"""Feature maps from pyramids of latents, on the CPU, and the gradient of that.

The plain form is ``function.feature_map``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.tracked.cpu.simd import JIT, load8, splat8, store8, sum8, transpose8
from nerv_codec.representations.tracked.shape import FEATURES, PAD, UPSAMPLING, TrackedShape

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_BLOCK = 8
"""Latents of a row whose gradients are added up across features at a time."""


@njit(**JIT)
def _clamp(value, high):
    return min(max(value, 0), high)


@njit(**JIT)
def _taps(taps, odd):
    return (taps[0], taps[1], taps[2], taps[3]) if odd else (taps[3], taps[2], taps[1], taps[0])


@njit(**JIT)
def upsample_add(coarse, latent, present, mix, taps, out, pad):
    """``out`` = ``coarse`` (rc, cc, 8) at twice the size, plus ``latent`` (r, c) times ``mix`` (8,).

    Args:
        present: Whether the latents are to be read at all.
        taps: (4,) weights of the coarse samples around a fine one at a quarter of the way between the middle two.
        out: (r + 2 pad, c + 2 pad, 8), written within the border.
    """
    rows, cols = latent.shape
    coarse_rows, coarse_cols = coarse.shape[0], coarse.shape[1]
    # Two samples more on either side, so that no tap along a row leaves the line.
    line = np.empty((coarse_cols + 4, FEATURES), np.float32)
    m = load8(mix, 0)
    t0, t1, t2, t3 = splat8(taps[0]), splat8(taps[1]), splat8(taps[2]), splat8(taps[3])
    pitch = FEATURES * coarse_cols
    for i in range(rows):
        odd = i & 1
        base = (i >> 1) - 2 + odd
        r0, r1 = pitch * _clamp(base, coarse_rows - 1), pitch * _clamp(base + 1, coarse_rows - 1)
        r2, r3 = pitch * _clamp(base + 2, coarse_rows - 1), pitch * _clamp(base + 3, coarse_rows - 1)
        a, b, c, d = _taps(taps, odd)
        va, vb, vc, vd = splat8(a), splat8(b), splat8(c), splat8(d)
        for j in range(0, pitch, FEATURES):
            v = va * load8(coarse, r0 + j) + vb * load8(coarse, r1 + j)
            v = v + vc * load8(coarse, r2 + j) + vd * load8(coarse, r3 + j)
            store8(line, 2 * FEATURES + j, v)
        first, last = load8(line, 2 * FEATURES), load8(line, FEATURES + pitch)
        store8(line, 0, first)
        store8(line, FEATURES, first)
        store8(line, 2 * FEATURES + pitch, last)
        store8(line, 3 * FEATURES + pitch, last)
        at = FEATURES * ((i + pad) * (cols + 2 * pad) + pad)
        for j in range(cols // 2):
            o = FEATURES * j
            l0, l1, l2 = load8(line, o), load8(line, o + 8), load8(line, o + 16)
            l3, l4 = load8(line, o + 24), load8(line, o + 32)
            u = t3 * l0 + t2 * l1 + t1 * l2 + t0 * l3
            v = t0 * l1 + t1 * l2 + t2 * l3 + t3 * l4
            if present:
                u = u + m * splat8(latent[i, 2 * j])
                v = v + m * splat8(latent[i, 2 * j + 1])
            store8(out, at + 2 * o, u)
            store8(out, at + 2 * o + 8, v)
        if cols & 1:
            o = FEATURES * (cols // 2)
            u = t3 * load8(line, o) + t2 * load8(line, o + 8) + t1 * load8(line, o + 16) + t0 * load8(line, o + 24)
            if present:
                u = u + m * splat8(latent[i, cols - 1])
            store8(out, at + 2 * o, u)


@njit(**JIT)
def add_latents(latent, mix, out, pad):
    """``out`` (r + 2 pad, c + 2 pad, 8) += ``latent`` (r, c) times ``mix`` (8,), within the border."""
    rows, cols = latent.shape
    m = load8(mix, 0)
    for i in range(rows):
        at = FEATURES * ((i + pad) * (cols + 2 * pad) + pad)
        for j in range(cols):
            o = at + FEATURES * j
            store8(out, o, load8(out, o) + m * splat8(latent[i, j]))


@njit(**JIT)
def repeat_edges(plane):
    """Fills the border of a plane (H + 2 PAD, W + 2 PAD, 8)."""
    rows, cols = plane.shape[0] - 2 * PAD, plane.shape[1] - 2 * PAD
    pitch = FEATURES * (cols + 2 * PAD)
    for i in range(rows):
        at = (i + PAD) * pitch + FEATURES * PAD
        first, last = load8(plane, at), load8(plane, at + FEATURES * (cols - 1))
        for p in range(PAD):
            store8(plane, at - FEATURES * (p + 1), first)
            store8(plane, at + FEATURES * (cols + p), last)
    for p in range(PAD):
        for at in range(0, pitch, FEATURES):
            store8(plane, p * pitch + at, load8(plane, PAD * pitch + at))
            store8(plane, (rows + PAD + p) * pitch + at, load8(plane, (rows + PAD - 1) * pitch + at))


@njit(**JIT)
def fold_edges(gradient):
    """Adjoint of :func:`repeat_edges`: the border's gradient goes to the edge."""
    rows, cols = gradient.shape[0] - 2 * PAD, gradient.shape[1] - 2 * PAD
    pitch = FEATURES * (cols + 2 * PAD)
    for p in range(PAD):
        for at in range(0, pitch, FEATURES):
            top, bottom = PAD * pitch + at, (rows + PAD - 1) * pitch + at
            store8(gradient, top, load8(gradient, top) + load8(gradient, p * pitch + at))
            store8(gradient, bottom, load8(gradient, bottom) + load8(gradient, (rows + PAD + p) * pitch + at))
    for i in range(rows):
        at = (i + PAD) * pitch + FEATURES * PAD
        end = at + FEATURES * (cols - 1)
        for p in range(PAD):
            store8(gradient, at, load8(gradient, at) + load8(gradient, at - FEATURES * (p + 1)))
            store8(gradient, end, load8(gradient, end) + load8(gradient, end + FEATURES * (p + 1)))


@njit(**JIT)
def _latent_row(gradient, at, latent, i, cols, m, latent_gradient, total):
    """Gradients of one row of latents; returns ``total`` plus that of the mixing vector."""
    whole = cols // _BLOCK * _BLOCK
    for j in range(0, whole, _BLOCK):
        o = at + FEATURES * j
        v0, v1, v2, v3 = load8(gradient, o), load8(gradient, o + 8), load8(gradient, o + 16), load8(gradient, o + 24)
        v4, v5, v6, v7 = (
            load8(gradient, o + 32), load8(gradient, o + 40), load8(gradient, o + 48), load8(gradient, o + 56),
        )  # fmt: skip
        total = total + v0 * splat8(latent[i, j]) + v1 * splat8(latent[i, j + 1])
        total = total + v2 * splat8(latent[i, j + 2]) + v3 * splat8(latent[i, j + 3])
        total = total + v4 * splat8(latent[i, j + 4]) + v5 * splat8(latent[i, j + 5])
        total = total + v6 * splat8(latent[i, j + 6]) + v7 * splat8(latent[i, j + 7])
        s = transpose8((v0 * m, v1 * m, v2 * m, v3 * m, v4 * m, v5 * m, v6 * m, v7 * m))
        dot = s[0] + s[1] + (s[2] + s[3]) + (s[4] + s[5] + (s[6] + s[7]))
        store8(latent_gradient, i * cols + j, dot)
    for j in range(whole, cols):
        v = load8(gradient, at + FEATURES * j)
        total = total + v * splat8(latent[i, j])
        latent_gradient[i, j] = sum8(v * m)
    return total


@njit(**JIT)
def upsample_add_backward(gradient, latent, present, mix, taps, coarse_gradient, latent_gradient, mix_gradient, pad):
    """Adjoint of :func:`upsample_add`: writes the gradients of ``coarse`` and ``latent``, adds to that of ``mix``.

    Args:
        gradient: (r + 2 pad, c + 2 pad, 8); what lies in the border is not read.
        present: Whether gradients of the latents are wanted; else they are left as they are.
    """
    rows, cols = latent.shape
    coarse_rows, coarse_cols = coarse_gradient.shape[0], coarse_gradient.shape[1]
    line = np.empty((coarse_cols + 4, FEATURES), np.float32)
    m = load8(mix, 0)
    total = splat8(np.float32(0))
    t0, t1, t2, t3 = splat8(taps[0]), splat8(taps[1]), splat8(taps[2]), splat8(taps[3])
    pitch = FEATURES * coarse_cols
    coarse_gradient[:] = 0
    for i in range(rows):
        at = FEATURES * ((i + pad) * (cols + 2 * pad) + pad)
        if present:
            total = _latent_row(gradient, at, latent, i, cols, m, latent_gradient, total)
        line[:] = 0
        for j in range(cols // 2):
            o = FEATURES * j
            u, v = load8(gradient, at + 2 * o), load8(gradient, at + 2 * o + 8)
            store8(line, o, load8(line, o) + t3 * u)
            store8(line, o + 8, load8(line, o + 8) + t2 * u + t0 * v)
            store8(line, o + 16, load8(line, o + 16) + t1 * u + t1 * v)
            store8(line, o + 24, load8(line, o + 24) + t0 * u + t2 * v)
            store8(line, o + 32, load8(line, o + 32) + t3 * v)
        if cols & 1:
            o = FEATURES * (cols // 2)
            u = load8(gradient, at + 2 * o)
            store8(line, o, load8(line, o) + t3 * u)
            store8(line, o + 8, load8(line, o + 8) + t2 * u)
            store8(line, o + 16, load8(line, o + 16) + t1 * u)
            store8(line, o + 24, load8(line, o + 24) + t0 * u)
        store8(line, 16, load8(line, 0) + load8(line, 8) + load8(line, 16))
        store8(line, 8 + pitch, load8(line, 8 + pitch) + load8(line, 16 + pitch) + load8(line, 24 + pitch))
        odd = i & 1
        base = (i >> 1) - 2 + odd
        a, b, c, d = _taps(taps, odd)
        for k in range(4):
            row = pitch * _clamp(base + k, coarse_rows - 1)
            w = splat8(a if k == 0 else b if k == 1 else c if k == 2 else d)
            for j in range(0, pitch, FEATURES):
                store8(coarse_gradient, row + j, load8(coarse_gradient, row + j) + w * load8(line, 16 + j))
    store8(mix_gradient, 0, load8(mix_gradient, 0) + total)


@njit(**JIT)
def add_latents_backward(gradient, latent, mix, latent_gradient, mix_gradient, pad):
    """Adjoint of :func:`add_latents`: writes the gradient of ``latent``, adds to that of ``mix``."""
    rows, cols = latent.shape
    m = load8(mix, 0)
    total = load8(mix_gradient, 0)
    for i in range(rows):
        at = FEATURES * ((i + pad) * (cols + 2 * pad) + pad)
        total = _latent_row(gradient, at, latent, i, cols, m, latent_gradient, total)
    store8(mix_gradient, 0, total)


def build_feature_map(shape: TrackedShape, latents: Array, nonzero: Flags, mix: Array, out: Array) -> None:
    """Writes the feature map of one node, border included.

    Args:
        shape: Sizes.
        latents: (node_latents,), the coarsest grid first.
        nonzero: (grids,): those that are not are not read; at least one is.
        mix: (grids, FEATURES).
        out: (H + 2 PAD, W + 2 PAD, FEATURES).
    """
    taps = np.array(UPSAMPLING, np.float32)
    first = shape.grid_scales[np.flatnonzero(nonzero)[0]]
    rows, cols = shape.size_at(first)
    coarse = np.zeros(((rows + 1) // 2, (cols + 1) // 2, FEATURES), np.float32)
    for scale in range(first, -1, -1):
        pad = 0 if scale else PAD
        fine = np.empty((*shape.size_at(scale), FEATURES), np.float32) if scale else out
        own, *others = shape.at_scale(scale)
        upsample_add(coarse, grid_view(shape, latents, own), nonzero[own], mix[own], taps, fine, pad)
        for other in others:
            if nonzero[other]:
                add_latents(grid_view(shape, latents, other), mix[other], fine, pad)
        coarse = fine
    repeat_edges(out)


def backward_feature_map(
    shape: TrackedShape, gradient: Array, latents: Array, nonzero: Flags, mix: Array, latent_gradient: Array
) -> Array:
    """Adjoint of :func:`build_feature_map`: writes the latents' gradient, returns that of ``mix``."""
    taps = np.array(UPSAMPLING, np.float32)
    mix_gradient = np.zeros_like(mix)
    last = shape.grid_scales[np.flatnonzero(nonzero)[0]]
    for scale in range(last + 1):
        pad = 0 if scale else PAD
        rows, cols = shape.size_at(scale)
        coarse = np.empty(((rows + 1) // 2, (cols + 1) // 2, FEATURES), np.float32)
        own, *others = shape.at_scale(scale)
        for other in others:
            if nonzero[other]:
                add_latents_backward(
                    gradient, grid_view(shape, latents, other), mix[other], grid_view(shape, latent_gradient, other),
                    mix_gradient[other], pad,
                )  # fmt: skip
        upsample_add_backward(
            gradient, grid_view(shape, latents, own), nonzero[own], mix[own], taps, coarse,
            grid_view(shape, latent_gradient, own), mix_gradient[own], pad,
        )  # fmt: skip
        gradient = coarse
    return mix_gradient


def grid_view(shape: TrackedShape, latents: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    """The view of one grid in a node's latents."""
    return latents[shape.grid_part(index)].reshape(shape.grid_sizes[index])
