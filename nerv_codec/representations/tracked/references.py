"""Which latents of its parents each latent of a node refers to, where motion leads: integers, the same everywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.tracked.cpu.references import follow
from nerv_codec.representations.tracked.grid_tables import siblings, spread_motion
from nerv_codec.representations.tracked.shape import MOTION_SHIFT, MOTION_STEPS, TrackedShape

UNIT_LOG2 = 8
"""log2 of the parts of a pixel in which motion is reckoned with integers."""

Integers = npt.NDArray[np.int64]
Symbols = npt.NDArray[np.int32]


def _refined(coarse: Integers, size: tuple[int, int]) -> Integers:
    """Control points (nodes, rows, cols, 4) at half the distance, in integers: ``function.refinement_matrix``."""
    for axis, count in ((1, size[0]), (2, size[1])):
        last = coarse.shape[axis] - 1
        at = np.arange(count)
        before, here, after = (np.take(coarse, np.clip((at >> 1) + step, 0, last), axis) for step in (-1, 0, 1))
        even = (at % 2 == 0).reshape([-1 if a == axis else 1 for a in range(4)])
        coarse = np.where(even, (before + 6 * here + after) >> 3, (here + after) >> 1)
    return coarse


def whole_motion(shape: TrackedShape, symbols: Symbols) -> Integers:
    """``function.motion_grids`` in integers: (nodes, rows, cols, 4) in units of 2**-UNIT_LOG2 pixel, rounded down."""
    nodes = shape.tree.nodes
    kept = [
        part[..., :4].astype(np.int64) * ((1 << UNIT_LOG2) // MOTION_STEPS) for part in spread_motion(shape, symbols)
    ]
    whole = kept[-1]
    for finer, size in zip(reversed(kept[:-1]), reversed(shape.motion_sizes[:-1]), strict=True):
        whole = _refined(whole, size) + finer
    for index, node in enumerate(nodes):
        if len(node.parents) == 2:
            left, right = node.parents
            young, old = max(left, right), min(left, right)
            number = nodes[young].parents.index(old)
            between = whole[young][..., 2 * number : 2 * number + 2]
            across = between if young == left else -between
            length = nodes[right].frame - nodes[left].frame
            before, after = node.frame - nodes[left].frame, nodes[right].frame - node.frame
            whole[index][..., 0:2] += (-before * across) // length
            whole[index][..., 2:4] += (after * across) // length
        elif node.parents and nodes[node.parents[0]].parents:
            pace = shape.tree.pace(index)
            whole[index][..., :2] += whole[node.parents[0]][..., :2] * pace.numerator // pace.denominator
    return whole


def reference_maps(shape: TrackedShape, symbols: Symbols) -> Symbols:
    """For every latent the flat index of the parents' latent that motion leads to: integers throughout.

    Motion is :func:`whole_motion`, read at the nearest motion sample. The second pyramid of frame 0, which has no
    parents, refers to the first one at the same place.

    Args:
        shape: Sizes.
        symbols: All motion symbols in coding order.

    Returns:
        (2 * nodes * node_latents,): first parents, then second parents; 0 where there is none.
    """
    nodes = shape.tree.nodes
    whole = whole_motion(shape, symbols)
    maps = np.zeros((2, len(nodes), shape.node_latents), np.int32)
    for index, other in siblings(shape).items():
        size = shape.grid_sizes[index][0] * shape.grid_sizes[index][1]
        start, before = shape.grid_offsets[index], shape.grid_offsets[other]
        maps[0, 0, start : start + size] = np.arange(before, before + size)
    for index, node in enumerate(nodes):
        for number, parent in enumerate(node.parents):
            for (height, width), start, scale in zip(
                shape.grid_sizes, shape.grid_offsets, shape.grid_scales, strict=True
            ):
                follow(
                    whole[index], 2 * number, MOTION_SHIFT, UNIT_LOG2, scale, parent * shape.node_latents + start,
                    height, width, maps[number, index, start : start + height * width],
                )  # fmt: skip
    return maps.ravel()
