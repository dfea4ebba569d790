"""The `tracked` representation: latent pyramids at every frame, tied together by motion, read by a small sine network.

Every node n of the GOP's tree keeps a pyramid of integer grids, from which its plane R_n of FEATURES features is
made, and motion towards its parents. At the time t a point x reads

    z(t, x) = sum_n hat_n(t) R_n(x_n),   colour = MLP(z) + z skip,

over the nodes on its chain (gop_tree.py), each at the place x_n to which the motion on the chain leads. The hat
functions are the hierarchical basis of piecewise linear functions of time, so what does not change but
move is kept once, in frame 0. Each plane is read once, at a real position: nothing is blurred by repeated warping.

This module is the plain form, in torch and differentiable; ``kernels/tracked.py`` computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nerv_codec.model.gop_tree import GopTree, Sample

FEATURES = 8
UPSAMPLING = (0.0, 0.75, 0.25, 0.0)
"""Weights of the four coarse samples around a fine one at a quarter of the way between the middle two."""
MOTION_SHIFT = 3
"""log2 of the distance of motion samples, in pixels."""
MOTION_STEPS = 4
"""Motion is kept in units of 1 / 4 pixel."""
BOUND = 8.0
CUBIC_DEPTH = 0
"""Planes of nodes up to this depth are read with a cubic kernel, deeper ones linearly."""


@dataclass(frozen=True)
class TrackedShape:
    """Sizes of one GOP's latents and networks."""

    tree: GopTree
    height: int
    width: int
    scales: int
    hidden: int
    outputs: int

    @cached_property
    def grid_sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, cols) of the latent grid of each scale, 0 the finest."""
        return tuple((-(-self.height >> s), -(-self.width >> s)) for s in range(self.scales))

    @cached_property
    def node_latents(self) -> int:
        """Latents of one node."""
        return sum(rows * cols for rows, cols in self.grid_sizes)

    @cached_property
    def grid_offsets(self) -> tuple[int, ...]:
        """Where the grid of each scale begins within a node's latents: the coarsest comes first."""
        offsets = [0] * self.scales
        position = 0
        for scale in reversed(range(self.scales)):
            offsets[scale] = position
            position += self.grid_sizes[scale][0] * self.grid_sizes[scale][1]
        return tuple(offsets)

    @property
    def motion_size(self) -> tuple[int, int]:
        """(rows, cols) of a motion grid."""
        return (self.height >> MOTION_SHIFT) + 1, (self.width >> MOTION_SHIFT) + 1

    @property
    def depths(self) -> int:
        """Number of depth classes of the tree."""
        return self.tree.nodes[-1].depth + 1

    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all network tensors, in the order of the file."""
        return {
            "gain": (self.depths, self.scales),
            "mix": (self.scales, FEATURES),
            "w1": (FEATURES, self.hidden),
            "b1": (self.hidden,),
            "w2": (self.hidden, self.hidden),
            "b2": (self.hidden,),
            "w3": (self.hidden, self.outputs),
            "b3": (self.outputs,),
            "skip": (FEATURES, self.outputs),
        }


def upsampling_matrix(coarse: int, fine: int) -> Tensor:
    """(fine, coarse): one axis at twice the size; fine sample i sits at (i - 1/2) / 2 of the coarse axis."""
    matrix = torch.zeros(fine, coarse)
    for i in range(fine):
        taps = UPSAMPLING if i % 2 else UPSAMPLING[::-1]
        for k, tap in enumerate(taps):
            matrix[i, min(max((i >> 1) - 2 + i % 2 + k, 0), coarse - 1)] += tap
    return matrix


def plane(grids: Sequence[Tensor], mix: Tensor) -> Tensor:
    """R_n of one node.

    Args:
        grids: The latent grid (rows, cols) of every scale, finest first.
        mix: (scales, FEATURES): the node's gain times the mixing vector of each scale.

    Returns:
        (H, W, FEATURES).
    """
    result = grids[-1][..., None] * mix[-1]
    for scale in range(len(grids) - 2, -1, -1):
        rows, cols = grids[scale].shape
        up_rows = upsampling_matrix(result.shape[0], rows).to(result)
        up_cols = upsampling_matrix(result.shape[1], cols).to(result)
        result = torch.einsum("ir,rcf,jc->ijf", up_rows, result, up_cols)
        result = result + grids[scale][..., None] * mix[scale]
    return result


def spline_matrix(grid: int, size: int) -> Tensor:
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


def motion_grids(shape: TrackedShape, residuals: Tensor) -> Tensor:
    """What is kept of the motion made whole: predicted from the parents' under constant velocity, plus residuals.

    A node half way between its parents is expected half way along the motion that joins them.

    Args:
        residuals: (nodes, rows, cols, 4) in pixels: row and column towards the first, towards the second parent.

    Returns:
        (nodes, rows, cols, 4), pixels.
    """
    nodes = shape.tree.nodes
    whole: list[Tensor] = []
    for index, node in enumerate(nodes):
        predicted = torch.zeros_like(residuals[index])
        if len(node.parents) == 2:
            left, right = node.parents
            young, old = max(left, right), min(left, right)
            number = nodes[young].parents.index(old)
            between = whole[young][..., 2 * number : 2 * number + 2]
            # ``between`` leads from the younger to the older parent; from left to right it is +-that.
            across = between if young == left else -between
            share = (node.frame - nodes[left].frame) / (nodes[right].frame - nodes[left].frame)
            predicted = torch.cat((-share * across, (1 - share) * across), dim=-1)
        whole.append(predicted + residuals[index])
    return torch.stack(whole)


def motion_fields(shape: TrackedShape, grids: Tensor) -> Tensor:
    """(nodes, rows, cols, 4) motion grids as dense fields (nodes, H, W, 4), pixels."""
    rows = spline_matrix(grids.shape[1], shape.height).to(grids)
    cols = spline_matrix(grids.shape[2], shape.width).to(grids)
    return torch.einsum("ir,nrcf,jc->nijf", rows, grids, cols)


def sample_linear(image: Tensor, places: Tensor) -> Tensor:
    """(H, W, F) at (N, 2) real places of (row, col): (N, F); the edge is repeated beyond the border."""
    base = places.floor()
    f = places - base
    return _sample(image, base, (torch.stack((1 - f, f))), 0)


def sample_cubic(image: Tensor, places: Tensor) -> Tensor:
    """As :func:`sample_linear` with Catmull-Rom weights (Keys 1981, a = -1/2)."""
    base = places.floor()
    f = places - base
    weights = (
        -0.5 * f + f**2 - 0.5 * f**3,
        1 - 2.5 * f**2 + 1.5 * f**3,
        0.5 * f + 2 * f**2 - 1.5 * f**3,
        0.5 * (f**3 - f**2),
    )
    return _sample(image, base, torch.stack(weights), 1)


def _sample(image: Tensor, base: Tensor, weights: Tensor, before: int) -> Tensor:
    result = torch.zeros(len(base), image.shape[-1]).to(image)
    for i in range(len(weights)):
        row = (base[:, 0].long() - before + i).clamp(0, image.shape[0] - 1)
        for j in range(len(weights)):
            col = (base[:, 1].long() - before + j).clamp(0, image.shape[1] - 1)
            result = result + (weights[i, :, 0] * weights[j, :, 1])[:, None] * image[row, col]
    return result


def features(planes: Tensor, motion: Tensor, cubic: Sequence[bool], chain: Sequence[Sample], places: Tensor) -> Tensor:
    """z at one moment.

    Args:
        planes: (nodes, H, W, FEATURES). motion: (nodes, H, W, 4) dense, pixels.
        cubic: Which nodes' planes are read with the cubic kernel.
        chain: ``tree.chain(t)``.
        places: (N, 2) of (row, col).

    Returns:
        (N, FEATURES).
    """
    where: list[Tensor] = []
    z = torch.zeros(len(places), planes.shape[-1]).to(planes)
    limit = torch.tensor(planes.shape[1:3]).to(places) + BOUND
    for sample in chain:
        place = places if sample.source < 0 else where[sample.source]
        if sample.motion_node >= 0:
            channel = 2 * sample.motion_parent
            shift = sample_linear(motion[sample.motion_node], place)[:, channel : channel + 2]
            place = torch.minimum((place + sample.scale * shift).clamp_min(-BOUND), limit)
        where.append(place)
        read = sample_cubic if cubic[sample.node] else sample_linear
        z = z + sample.weight * read(planes[sample.node], place)
    return z


def synthesis(z: Tensor, network: dict[str, Tensor]) -> Tensor:
    """Features (N, FEATURES) to colour (N, outputs)."""
    h = torch.sin(z @ network["w1"] + network["b1"])
    h = torch.sin(h @ network["w2"] + network["b2"])
    return h @ network["w3"] + network["b3"] + z @ network["skip"]
