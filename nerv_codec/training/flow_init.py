"""Where motion starts: dense inverse search flow between every node and its parents, on the motion grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from nerv_codec.model.tracked import TrackedShape, motion_grids, spline_matrix
from nerv_codec.types import PlanarFrame

_SMOOTHING = 0.5
"""Weight of small spline coefficients against the flow: keeps them bounded where the flow is noise."""
_MIN_SIDE = 16
"""Smaller pictures give dense inverse search no patch to work with: their motion starts at 0."""


def initial_motion(shape: TrackedShape, frames: Sequence[PlanarFrame], bit_depth: int) -> Tensor:
    """(nodes, rows, cols, 4) residuals in pixels whose ``motion_fields`` follow the optical flow.

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
    grid_rows, grid_cols = shape.motion_size
    rows = _least_squares(spline_matrix(grid_rows, shape.height))
    cols = _least_squares(spline_matrix(grid_cols, shape.width))
    whole = torch.einsum("ri,nijf,cj->nrcf", rows, torch.from_numpy(flow), cols)
    # Prediction only looks at parents, which come first: subtracting it node by node leaves the residuals.
    residuals = whole.clone()
    for index in range(len(nodes)):
        residuals[index] = 0
        residuals[index] = whole[index] - motion_grids(shape, residuals)[index]
    return residuals


def _least_squares(matrix: Tensor) -> Tensor:
    identity = torch.eye(matrix.shape[1])
    return torch.linalg.solve(matrix.T @ matrix + _SMOOTHING * identity, matrix.T)
