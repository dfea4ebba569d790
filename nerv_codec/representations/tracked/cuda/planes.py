"""Feature maps from pyramids of latents, on a GPU, and the gradient of that: many nodes in one launch.

``cpu/planes.py`` is the same on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from nerv_codec.representations.tracked.shape import FEATURES, PAD

BLOCK = 128

_FEATURES = tl.constexpr(FEATURES)


def short_taps(taps: Sequence[float]) -> tuple[float, ...]:
    """Upsampling weights without outer zeros, if both are."""
    return tuple(taps[1:-1]) if taps[0] == taps[-1] == 0 else tuple(taps)


@triton.jit
def _held(index, count):
    return tl.minimum(tl.maximum(index, 0), count - 1)


@triton.jit
def _weight(taps: tl.constexpr, odd, k: tl.constexpr):
    """Weight of the k-th coarse sample around a fine one at an odd or even place."""
    return tl.where(odd != 0, taps[k], taps[len(taps) - 1 - k])


@triton.jit
def upsample_kernel(
    nodes, places, coarse, coarse_rows, coarse_cols, latents, node_latents, offset, other_offset, rows, cols,
    mix, mix_stride, own, other, out, pad, out_stride,
    COARSE: tl.constexpr, OTHER: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """See :func:`build_planes`; a border of ``pad`` repeats the edge."""
    SIZE: tl.constexpr = len(TAPS)
    index = tl.program_id(1)
    node = tl.load(nodes + index).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    width = cols + 2 * pad
    valid = pixel < (rows + 2 * pad) * width
    i, j = _held(pixel // width - pad, rows), _held(pixel % width - pad, cols)
    feature = tl.arange(0, _FEATURES)
    value = tl.zeros((BLOCK, _FEATURES), tl.float32)
    if COARSE:
        source = coarse + index.to(tl.int64) * (coarse_rows * coarse_cols * _FEATURES)
        row, col = (i >> 1) - SIZE // 2 + (i & 1), (j >> 1) - SIZE // 2 + (j & 1)
        for a in tl.static_range(SIZE):
            line = tl.zeros((BLOCK, _FEATURES), tl.float32)
            for b in tl.static_range(SIZE):
                at = _held(row + a, coarse_rows) * coarse_cols + _held(col + b, coarse_cols)
                line += _weight(TAPS, j & 1, b)[:, None] * tl.load(source + at[:, None] * _FEATURES + feature[None, :])
            value += _weight(TAPS, i & 1, a)[:, None] * line
    latent = latents + node * node_latents + i * cols + j
    mixed = mix + node * mix_stride + feature
    value += tl.load(latent + offset)[:, None] * tl.load(mixed + own * _FEATURES)[None, :]
    if OTHER:
        value += tl.load(latent + other_offset)[:, None] * tl.load(mixed + other * _FEATURES)[None, :]
    target = out + tl.load(places + index).to(tl.int64) * out_stride
    place = target + pixel[:, None] * _FEATURES + feature[None, :]
    tl.store(place, value.to(out.dtype.element_ty), mask=valid[:, None])


@triton.jit
def latent_backward_kernel(
    nodes, gradient, gradient_stride, pad, latents, latent_gradients, node_latents, offset, rows, cols,
    mix, mix_gradient, mix_stride, own,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of one grid's latents, written, and of its mixing vector, added."""
    index = tl.program_id(1)
    node = tl.load(nodes + index).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixel < rows * cols
    i, j = pixel // cols, pixel % cols
    feature = tl.arange(0, _FEATURES)
    source = gradient + (node if pad > 0 else index.to(tl.int64)) * gradient_stride
    at = (i + pad) * (cols + 2 * pad) + j + pad
    g = tl.load(source + at[:, None] * _FEATURES + feature[None, :], mask=valid[:, None], other=0.0)
    place = node * node_latents + offset + pixel
    vector = node * mix_stride + own * _FEATURES + feature
    tl.store(latent_gradients + place, tl.sum(g * tl.load(mix + vector)[None, :], 1), mask=valid)
    latent = tl.load(latents + place, mask=valid, other=0.0)
    tl.atomic_add(mix_gradient + vector, tl.sum(g * latent[:, None], 0), sem="relaxed")


@triton.jit
def _reach(fine, coarse, count, taps: tl.constexpr):
    """How much a fine sample takes from a coarse one on one axis, edges repeated."""
    SIZE: tl.constexpr = len(taps)
    base = (fine >> 1) - SIZE // 2 + (fine & 1)
    total = tl.zeros_like(fine).to(tl.float32)
    for k in tl.static_range(SIZE):
        total += tl.where(_held(base + k, count) == coarse, _weight(taps, fine & 1, k), 0.0)
    return total


@triton.jit
def coarse_backward_kernel(
    nodes, gradient, gradient_stride, pad, rows, cols, out, coarse_rows, coarse_cols,
    TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adjoint of the upsampling: each coarse sample looks up the fine ones that read it."""
    SIZE: tl.constexpr = len(TAPS)
    index = tl.program_id(1)
    node = tl.load(nodes + index).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = pixel < coarse_rows * coarse_cols
    i, j = pixel // coarse_cols, pixel % coarse_cols
    feature = tl.arange(0, _FEATURES)
    source = gradient + (node if pad > 0 else index.to(tl.int64)) * gradient_stride
    value = tl.zeros((BLOCK, _FEATURES), tl.float32)
    for a in tl.static_range(2 * SIZE):
        row = 2 * i + (a + 1 - SIZE)
        by_row = tl.where((row >= 0) & (row < rows), _reach(row, i, coarse_rows, TAPS), 0.0)
        line = tl.zeros((BLOCK, _FEATURES), tl.float32)
        for b in tl.static_range(2 * SIZE):
            col = 2 * j + (b + 1 - SIZE)
            by_col = tl.where((col >= 0) & (col < cols), _reach(col, j, coarse_cols, TAPS), 0.0)
            at = (_held(row, rows) + pad) * (cols + 2 * pad) + _held(col, cols) + pad
            line += by_col[:, None] * tl.load(source + at[:, None] * _FEATURES + feature[None, :])
        value += by_row[:, None] * line
    target = out + index.to(tl.int64) * (coarse_rows * coarse_cols * _FEATURES)
    tl.store(target + pixel[:, None] * _FEATURES + feature[None, :], value, mask=valid[:, None])


class Pyramid:
    """Planes of many nodes and their adjoint, of one shape.

    Args:
        sizes: (rows, cols) of each scale, the finest first.
        grids: Of each scale, the grids there as (number, offset within a node's latents): one or two.
        taps: Upsampling weights, see ``cpu.planes.upsample_add``.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        grids: Sequence[Sequence[tuple[int, int]]],
        taps: Sequence[float],
    ) -> None:
        self._sizes, self._grids, self._taps = list(sizes), list(grids), short_taps(taps)

    def build_planes(self, nodes: Tensor, latents: Tensor, mix: Tensor, planes: Tensor, places: Tensor) -> None:
        """Writes the planes of some nodes, borders included.

        Args:
            nodes: (N,) int32; places: (N,) int32: where the plane of each goes.
            latents: (nodes, node_latents) float32, mix: (nodes, grids, FEATURES): 0 for a grid that is not there.
            planes: (.., H + 2 PAD, W + 2 PAD, FEATURES) float32 or float16.
        """
        coarse: Tensor | None = None
        order = torch.arange(len(nodes), dtype=torch.int32, device=nodes.device)
        for scale in reversed(range(len(self._sizes))):
            rows, cols = self._sizes[scale]
            pad = 0 if scale else PAD
            out = planes if not scale else latents.new_empty(len(nodes), rows, cols, FEATURES)
            above = (0, 0) if coarse is None else coarse.shape[1:3]
            (own, offset), (other, other_offset) = self._grids[scale][0], self._grids[scale][-1]
            upsample_kernel[(triton.cdiv((rows + 2 * pad) * (cols + 2 * pad), BLOCK), len(nodes))](
                nodes, order if scale else places, latents if coarse is None else coarse, *above,
                latents, latents.shape[1], offset, other_offset, rows, cols,
                mix, mix[0].numel(), own, other, out, pad, out[0].numel(),
                COARSE=coarse is not None, OTHER=len(self._grids[scale]) > 1, TAPS=self._taps, BLOCK=BLOCK,
            )  # fmt: skip
            coarse = out

    def backward(
        self, nodes: Tensor, gradients: Tensor, latents: Tensor, mix: Tensor, latent_gradients: Tensor
    ) -> Tensor:
        """Adjoint of :meth:`build_planes`.

        Args:
            gradients: As the planes, float32; used up.
            latent_gradients: As ``latents``, written for the nodes given.

        Returns:
            The gradient of ``mix``.
        """
        _fold_edges(gradients)
        mix_gradient = torch.zeros_like(mix)
        gradient = gradients
        for scale, (rows, cols) in enumerate(self._sizes):
            pad = 0 if scale else PAD
            for own, offset in self._grids[scale]:
                latent_backward_kernel[(triton.cdiv(rows * cols, 1024), len(nodes))](
                    nodes, gradient, gradient[0].numel(), pad, latents, latent_gradients, latents.shape[1], offset,
                    rows, cols, mix, mix_gradient, mix[0].numel(), own, BLOCK=1024,
                )  # fmt: skip
            if scale + 1 < len(self._sizes):
                above = self._sizes[scale + 1]
                coarse = latents.new_empty(len(nodes), *above, FEATURES)
                coarse_backward_kernel[(triton.cdiv(above[0] * above[1], BLOCK), len(nodes))](
                    nodes, gradient, gradient[0].numel(), pad, rows, cols, coarse, *above,
                    TAPS=self._taps, BLOCK=BLOCK,
                )  # fmt: skip
                gradient = coarse
        return mix_gradient


def _fold_edges(gradients: Tensor) -> None:
    """Adjoint of repeating the edges: the border's gradient goes to the edge."""
    gradients[:, PAD] += gradients[:, :PAD].sum(1)
    gradients[:, -PAD - 1] += gradients[:, -PAD:].sum(1)
    gradients[:, :, PAD] += gradients[:, :, :PAD].sum(2)
    gradients[:, :, -PAD - 1] += gradients[:, :, -PAD:].sum(2)
