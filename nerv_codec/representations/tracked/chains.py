"""The chains of a GOP's tree, and how its feature maps are read, as arrays for the kernels of either machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.tracked.shape import CUBIC, CUBIC_DEPTH, LINEAR, SKIPPED, TrackedShape

Kinds = npt.NDArray[np.int64]


def chain_arrays(shape: TrackedShape, t: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The chain at time ``t`` as kernels take it: (K, 6) integers, columns from NODE, and (K, 3) reals, from SCALE."""
    chain = shape.tree.chain(t)
    table = [[s.node, s.source, s.mover, 2 * s.number, *(*s.parents, -1, -1)[:2]] for s in chain]
    return np.array(table, np.int64), np.array([[s.scale, s.mass, s.share] for s in chain], np.float32)


def nonzero_grids(shape: TrackedShape, latents: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """(nodes, grids): which grids of (nodes, node_latents) integers hold anything but zeros."""
    return np.stack([[own[shape.grid_part(g)].any() for g in range(len(shape.grid_scales))] for own in latents])


def map_kinds(shape: TrackedShape, nonzero: npt.NDArray[np.bool_]) -> Kinds:
    """(nodes,): SKIPPED, LINEAR or CUBIC, from (nodes, grids) flags of the grids that are not zero."""
    depths = np.array([node.depth for node in shape.tree.nodes])
    return np.where(nonzero.any(1), np.where(depths <= CUBIC_DEPTH, CUBIC, LINEAR), SKIPPED)
