"""Which grids a `tracked` GOP has, in which order they are coded, and what the context of each one sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.grids import Grid, GridTable
from nerv_codec.representations.tracked.prior import DEPTH_CLASSES
from nerv_codec.representations.tracked.shape import KEPT, MOTION_SCALES, TrackedShape

Integers = npt.NDArray[np.int64]


def latent_table(shape: TrackedShape) -> GridTable:
    """The latent grids of all nodes in coding order; none is marked active.

    A grid sees the next coarser one of its pyramid, and the grids of the same kind of both parents; those of the second
    pyramid of frame 0, which has no parents, see the first pyramid's.
    """
    grids: list[Grid] = []
    position = 0
    second = siblings(shape)
    for node in shape.tree.nodes:
        first = len(grids)
        for index, (rows, cols) in enumerate(shape.grid_sizes):
            coarser = shape.grid_coarser[index]
            # The reference maps lie in the order of the latents, one array after the other for each parent.
            refs = [position + parent * shape.node_latents * len(shape.tree.nodes) for parent in range(2)]
            refs = [refs[parent] if parent < len(node.parents) else -1 for parent in range(2)]
            if not node.parents and index in second:
                refs[0] = position
            grids.append(
                Grid(
                    position,
                    rows,
                    cols,
                    coarse=first + coarser if coarser >= 0 else -1,
                    ref0=refs[0],
                    ref1=refs[1],
                    context_class=min(node.depth, DEPTH_CLASSES - 1) * len(shape.grid_sizes) + index,
                )
            )
            position += rows * cols
    return GridTable(grids)


def motion_table(shape: TrackedShape) -> GridTable:
    """The motion grids in coding order: those of each node from the coarsest scale on, channel by channel.

    A grid sees the coarser one of its channel, and, as a reference, the same direction towards the first parent.
    """
    grids: list[Grid] = []
    start = 0
    for node in range(len(shape.tree.nodes)):
        channels = shape.channels(node)
        for scale in reversed(range(MOTION_SCALES)):
            rows, cols = shape.motion_sizes[scale]
            for channel in channels:
                coarse = -1 if scale == MOTION_SCALES - 1 else len(grids) - len(channels)
                ref = start if channel in (2, 3) else -1
                context_class = channel // 2 * MOTION_SCALES + scale
                grids.append(Grid(start, rows, cols, coarse=coarse, ref0=ref, context_class=context_class))
                start += rows * cols
    return GridTable(grids)


def motion_owners(shape: TrackedShape) -> Integers:
    """(grids,): the node of each grid of :func:`motion_table`."""
    counts = [MOTION_SCALES * len(shape.channels(node)) for node in range(len(shape.tree.nodes))]
    return np.repeat(np.arange(len(counts)), counts)


def motion_maps(shape: TrackedShape) -> npt.NDArray[np.int32]:
    """For every motion symbol the index of the one that it refers to; nobody reads those of other grids.

    The reference of a channel towards the second parent stands two grids before it: see :func:`motion_table`.
    """
    starts = [(grid, grid.offset - 2 * grid.size if grid.ref0 >= 0 else 0) for grid in motion_table(shape)]
    maps = [np.arange(start, start + grid.size) for grid, start in starts]
    return np.concatenate([np.zeros(0, np.int64), *maps]).astype(np.int32)


def motion_indices(shape: TrackedShape) -> list[Integers]:
    """Where the symbols of each scale stand in the order of :func:`motion_table`.

    Returns:
        For each scale, finest first, (nodes, rows, cols, KEPT). Channels that a node does not have point behind the
        last symbol, where a zero is expected.
    """
    table = motion_table(shape)
    indices = [np.full((len(shape.tree.nodes), *size, KEPT), table.size, np.int64) for size in shape.motion_sizes]
    grids = iter(table)
    for node in range(len(shape.tree.nodes)):
        for scale in reversed(range(MOTION_SCALES)):
            for channel in shape.channels(node):
                grid = next(grids)
                own = np.arange(grid.offset, grid.offset + grid.size)
                indices[scale][node, :, :, channel] = own.reshape(grid.rows, grid.cols)
    return indices


def spread_motion(shape: TrackedShape, symbols: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int32]]:
    """Motion symbols in coding order as grids of each scale, finest first: (nodes, rows, cols, KEPT)."""
    padded = np.append(symbols, np.int32(0))
    return [padded[index] for index in motion_indices(shape)]


def siblings(shape: TrackedShape) -> dict[int, int]:
    """For each grid of the second pyramid that of the first at the same scale."""
    pairs = (shape.at_scale(scale) for scale in range(shape.scales))
    return {pair[1]: pair[0] for pair in pairs if len(pair) > 1}
