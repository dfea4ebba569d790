"""Where motion starts: dense optical flow between every node and its parents, as far as it is worth its bits.

The flow is Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search" (OpenCV's DIS), between the two frames
at once or step by step from frame to frame, whichever brings the parent closer to the node.

A motion grid cannot follow every flow, and where the picture is flat it need not: there any flow is as good as another.
So the grids minimise what an error of the motion does to the picture, (gradient . error)^2, plus a price for every
coefficient, in the balance that rd_lambda strikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.video import PlanarFrame
from nerv_codec.representations.tracked.function import motion_grids, refinement_matrix
from nerv_codec.representations.tracked.shape import KEPT, MOTION_SHIFT, TrackedShape

_MIN_SIDE = 32
"""Smaller pictures give dense inverse search no patches to work with: their motion starts at 0."""
_BITS_PER_PIXEL_MOVED = 33.0
"""Price of a coefficient of one pixel: some six times the bits that one costs; measured on whole fits."""
_NOISE_CODES = 0.5
"""Gradient that every pixel has at least, in code values a pixel: settles what the picture leaves open."""
_SMALL = 0.12
"""Coefficients below, in pixels, would round to 0."""
_REWEIGHTINGS = 3
_ITERATIONS = 15
_ENOUGH = 400.0
"""Side of a square that has enough pixels to fit motion to."""
_FULL_RESOLUTION = 1 << 19
"""Pixels of the largest picture whose flow is searched down to single pixels."""

Array = npt.NDArray[np.float32]
Flow = Array


def initial_motion(
    shape: TrackedShape,
    frames: Sequence[PlanarFrame],
    bit_depth: int,
    rd_lambda: float,
    stop: Callable[[], bool] = lambda: False,
) -> list[Tensor]:
    """Motion that follows the flow.

    Args:
        shape: Sizes.
        frames: Those of the GOP.
        bit_depth: Of their code values.
        rd_lambda: The balance in which motion has to earn its bits.
        stop: Asked before every node.

    Returns:
        What each scale keeps, finest first: (nodes, rows, cols, KEPT) in pixels.

    Raises:
        Interrupted: ``stop`` said so.
    """
    nodes = shape.tree.nodes
    kept = [torch.zeros(len(nodes), *size, KEPT) for size in shape.motion_sizes]
    if min(shape.height, shape.width) < _MIN_SIDE or len(nodes) == 1:
        return kept
    luma = [(frame.planes[0] >> (bit_depth - 8)).astype(np.uint8) for frame in frames]
    flows = _Flows(luma)
    # A motion grid has one sample for 8 x 8 pixels: of large pictures some of the pixels are enough.
    stride = 1 << max(0, round(math.log2(math.sqrt(shape.height * shape.width) / _ENOUGH)))
    splines = _Splines(shape.motion_sizes, (shape.height, shape.width), stride)
    nothing = [np.zeros((rows, 2, cols), np.float32) for rows, cols in shape.motion_sizes[1:]]
    for index, node in enumerate(nodes):
        if not node.parents:
            continue
        if stop():
            raise Interrupted("interrupted; what had been fitted before is kept")
        predicted = motion_grids(shape, kept)[index].numpy()
        picture = cv2.GaussianBlur(luma[node.frame].astype(np.float32), (0, 0), 1.0)
        slopes = np.stack(np.gradient(picture), 1)[::stride, :, ::stride] * np.float32(stride / 255)
        # A motion serves all frames that it is followed for: twice as many one level further up.
        followers = 1 << (nodes[-1].depth - node.depth)
        price = _BITS_PER_PIXEL_MOVED * rd_lambda / followers
        for number, parent in enumerate(node.parents):
            channels = slice(2 * number, 2 * number + 2)
            flow = flows.between(node.frame, nodes[parent].frame)[::stride, ::stride].transpose(0, 2, 1)
            known = splines.forward([np.ascontiguousarray(predicted[..., channels].transpose(0, 2, 1)), *nothing])
            for scale, part in enumerate(_fit(flow - known, slopes, splines, price)):
                kept[scale][index][..., channels] = torch.from_numpy(part.transpose(0, 2, 1))
    return kept


class _Flows:
    """Optical flow between any two frames."""

    def __init__(self, luma: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._luma = luma
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # Large patches down to full resolution predict 1 to 3 dB better than the preset's over 7 frames; large
        # pictures cannot afford that.
        self._search.setFinestScale(int(luma[0].size > _FULL_RESOLUTION))
        self._search.setPatchSize(12)
        self._search.setPatchStride(4)
        self._search.setVariationalRefinementIterations(10)
        rows, cols = luma[0].shape
        self._lattice = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).astype(np.float32)
        self._steps: dict[tuple[int, int], Flow] = {}

    def between(self, frame: int, other: int) -> Flow:
        """(H, W, 2): where each pixel of ``frame`` is in ``other``, as (row, col) less its own place."""
        direct = self._flow(frame, other)
        candidates = [direct]
        if abs(frame - other) > 1:
            chained = self._chained(frame, other)
            candidates += [chained, self._flow(frame, other, chained.copy())]
        errors = [self._error(flow, frame, other) for flow in candidates]
        best: Flow = candidates[int(np.argmin(errors))]
        return np.ascontiguousarray(best[..., ::-1])

    def _flow(self, frame: int, other: int, start: Flow | None = None) -> Flow:
        """(H, W, 2) as OpenCV has it, (col, row), from where ``start`` leads."""
        found = self._search.calc(self._luma[frame], self._luma[other], cast(Flow, start))  # None is allowed
        return np.asarray(found, np.float32)

    def _chained(self, frame: int, other: int) -> Flow:
        step = 1 if other > frame else -1
        total = np.zeros_like(self._lattice)
        for at in range(frame, other, step):
            if (at, at + step) not in self._steps:
                self._steps[at, at + step] = self._flow(at, at + step)
            total = total + self._warped(self._steps[at, at + step], total, cv2.INTER_LINEAR)
        return total

    def _warped(self, picture: npt.NDArray[np.float32], flow: Flow, kernel: int) -> npt.NDArray[np.float32]:
        places = self._lattice + flow
        warped = cv2.remap(picture, places[..., 0], places[..., 1], kernel, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.float32)

    def _error(self, flow: Flow, frame: int, other: int) -> float:
        found = self._warped(self._luma[other].astype(np.float32), flow, cv2.INTER_CUBIC)
        return float(np.square(found - self._luma[frame]).mean())


class _Splines:
    """What control points of all scales come to at the pixels, and the adjoint of that.

    Control points of a scale are (rows, 2, cols), what is at the pixels (H, 2, W): with the direction in between both
    axes are products of matrices. All of it is numpy's, whose threads do not wait for those of a fit beside it.

    Args:
        sizes: (rows, cols) of each scale, finest first.
        size: Of the picture.
        stride: Every so many pixels count.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], size: tuple[int, int], stride: int) -> None:
        self._axes = [_spline_matrix(sizes[0][axis], size[axis])[::stride].numpy() for axis in (0, 1)]
        self._finer = [
            [refinement_matrix(coarse[axis], fine[axis]).numpy() for axis in (0, 1)]
            for coarse, fine in zip(sizes[1:], sizes[:-1], strict=True)
        ]

    def forward(self, grids: Sequence[Array]) -> Array:
        """All scales together at the pixels."""
        total = grids[-1]
        for grid, axes in zip(reversed(grids[:-1]), reversed(self._finer), strict=True):
            total = grid + _along(total, *axes)
        return _along(total, *self._axes)

    def adjoint(self, dense: Array) -> list[Array]:
        """For each scale."""
        parts = [_along(dense, *(axis.T for axis in self._axes))]
        for axes in self._finer:
            parts.append(_along(parts[-1], *(axis.T for axis in axes)))
        return parts


def _along(values: Array, rows: Array, cols: Array) -> Array:
    """(r, 2, c) times (R, r) and (C, c): (R, 2, C)."""
    first = rows @ values.reshape(len(values), -1)
    result = np.asarray(first.reshape(-1, values.shape[2]) @ cols.T, np.float32)
    return result.reshape(len(rows), 2, len(cols))


def _fit(flow: Array, slopes: Array, splines: _Splines, price: float) -> list[Array]:
    """Control points of every scale that minimise sum (slope . error)^2 + price sum |coefficient|.

    Least squares reweighted (Daubechies et al. 2010): most coefficients end at 0, as a coder wants them.

    Args:
        flow: (H, 2, W).
        slopes: (H, 2, W): how much the picture changes from one pixel to the next, by row and by column.
        splines: The grids.
        price: Of a coefficient of one pixel.
    """
    floor = np.float32((_NOISE_CODES / 255) ** 2)

    def weigh(error: Array) -> Array:
        along = slopes[:, 0] * error[:, 0] + slopes[:, 1] * error[:, 1]
        return slopes * along[:, None] + floor * error

    right = splines.adjoint(weigh(flow))
    grids = [np.zeros_like(part) for part in right]
    prices: list[Array] = [np.full_like(part, price) for part in right]

    def operate(trial: Sequence[Array]) -> list[Array]:
        seen = splines.adjoint(weigh(splines.forward(trial)))
        return [part + p * grid for part, p, grid in zip(seen, prices, trial, strict=True)]

    for _ in range(_REWEIGHTINGS):
        grids = _conjugate_gradients(operate, right, grids)
        prices = [np.asarray(np.float32(price) / (np.abs(grid) + np.float32(_SMALL)), np.float32) for grid in grids]
    return [np.where(np.abs(grid) < _SMALL, np.float32(0), grid).astype(np.float32) for grid in grids]


def _conjugate_gradients(
    operate: Callable[[Sequence[Array]], list[Array]], right: list[Array], solution: list[Array]
) -> list[Array]:
    """A better solution of ``operate(x) = right``, whose unknowns are several grids (Hestenes and Stiefel 1952).

    scipy has it for one vector; with it and its spline matrices it would be one more package that every encoder needs.
    """

    def dot(a: Sequence[Array], b: Sequence[Array]) -> np.float32:
        return np.float32(sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True)))

    rest = [b - i for b, i in zip(right, operate(solution), strict=True)]
    way = rest
    energy = dot(rest, rest)
    for _ in range(_ITERATIONS):
        if energy <= 1e-20:
            break
        image = operate(way)
        step = energy / dot(way, image)
        solution = [x + step * w for x, w in zip(solution, way, strict=True)]
        rest = [r - step * i for r, i in zip(rest, image, strict=True)]
        energy, before = dot(rest, rest), energy
        way = [r + energy / before * w for r, w in zip(rest, way, strict=True)]
    return solution


def _spline_matrix(grid: int, size: int) -> Tensor:
    """(size, grid): uniform cubic B-spline with a knot every 2**MOTION_SHIFT pixels, the edge repeated."""
    positions = torch.arange(size, dtype=torch.float64) / (1 << MOTION_SHIFT)
    base = positions.floor()
    f = positions - base
    weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
    matrix = torch.zeros(size, grid, dtype=torch.float64)
    for k, weight in enumerate(weights):
        index = (base.long() - 1 + k).clamp(0, grid - 1)
        matrix.scatter_add_(1, index[:, None], (weight / 6)[:, None])
    return matrix.float()
