"""Where motion starts: dense inverse search flow between every node and its parents, on the motion grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from nerv_codec.kernels.tracks import MOTION_SHIFT
from nerv_codec.model.tracked import KEPT, TrackedShape, motion_grids, refinement_matrix
from nerv_codec.types import PlanarFrame

_SMOOTHING = 0.02
"""Weight of small spline coefficients against the flow: keeps them bounded where the flow is noise."""
DROP = 1
_MIN_SIDE = 16
"""Smaller pictures give dense inverse search no patch to work with: their motion starts at 0."""


def initial_motion(shape: TrackedShape, frames: Sequence[PlanarFrame], bit_depth: int) -> list[Tensor]:
    """What each scale keeps, finest first, (nodes, rows, cols, KEPT) in pixels, for motion that follows the flow.

    The flow is Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search" (OpenCV's DIS).
    """
    nodes = shape.tree.nodes
    flow = np.zeros((len(nodes), shape.height, shape.width, 4), np.float32)
    if min(shape.height, shape.width) >= _MIN_SIDE:
        luma = [(frame.planes[0] >> (bit_depth - 8)).astype(np.uint8) for frame in frames]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        for index, node in enumerate(nodes):
            for number, parent in enumerate(node.parents):
                found = search.calc(luma[node.frame], luma[nodes[parent].frame], None)
                flow[index, :, :, 2 * number] = found[..., 1]
                flow[index, :, :, 2 * number + 1] = found[..., 0]
    grid_rows, grid_cols = shape.motion_sizes[0]
    rows = _least_squares(_spline_matrix(grid_rows, shape.height))
    cols = _least_squares(_spline_matrix(grid_cols, shape.width))
    whole = torch.einsum("ri,nijf,cj->nrcf", rows, torch.from_numpy(flow), cols)
    # Prediction only looks at parents, which come first: subtracting it node by node leaves the residuals.
    kept = [torch.zeros(len(nodes), *size, KEPT) for size in shape.motion_sizes]
    for index in range(len(nodes)):
        predicted = motion_grids(shape, kept)[index][..., :4]
        kept[0][index][..., :4] = whole[index] - predicted
    # The coarse scales take what they can of them.
    for scale in range(1, len(kept)):
        (fine_rows, fine_cols), (coarse_rows, coarse_cols) = shape.motion_sizes[scale - 1], shape.motion_sizes[scale]
        up_rows, up_cols = refinement_matrix(coarse_rows, fine_rows), refinement_matrix(coarse_cols, fine_cols)
        kept[scale] = torch.einsum(
            "ri,nijf,cj->nrcf", _least_squares(up_rows), kept[scale - 1], _least_squares(up_cols)
        )
        kept[scale - 1] -= torch.einsum("ir,nrcf,jc->nijf", up_rows, kept[scale], up_cols)
    for scale in range(min(DROP, len(kept))):
        kept[scale].zero_()
    return kept


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


def _least_squares(matrix: Tensor) -> Tensor:
    identity = torch.eye(matrix.shape[1])
    return torch.linalg.solve(matrix.T @ matrix + _SMOOTHING * identity, matrix.T)
