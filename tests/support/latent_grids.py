"""Tables of grids for tests of what codes latents and counts their bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nerv_codec.entropy.grids import Grid, GridTable

CLASSES = 3


def three_nodes(rng: np.random.Generator, sizes: Sequence[tuple[int, int]]) -> tuple[GridTable, np.ndarray]:
    """A table and its reference maps: nodes with no parent, one and two, all grids active.

    Each node has a grid of every size, the coarsest first, and a last one of the finest size again, which has the
    resolution of its coarser grid. References lead anywhere into the nodes before.
    """
    grids: list[Grid] = []
    maps: list[np.ndarray] = []
    used = end = 0
    for node in range(3):
        begin = end
        for index, (rows, cols) in enumerate((*sizes[::-1], sizes[0])):
            refs = [-1, -1]
            for k in range(node):
                refs[k] = used
                maps.append(rng.integers(0, begin, rows * cols))
                used += rows * cols
            coarse, shift = len(grids) - 1 if index else -1, int(0 < index < len(sizes))
            grids.append(Grid(end, rows, cols, coarse, shift, *refs, index % CLASSES, 1))
            end += rows * cols
    return GridTable(grids), np.concatenate(maps).astype(np.int32)
