"""The table of grids in which a flat vector of integer latents lies, and what each grid's context refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

OFFSET, ROWS, COLS, COARSE, SHIFT, REF0, REF1, CONTEXT_CLASS, ACTIVE = range(9)
"""Columns of a table's array, as the compiled kernels read it: the fields of :class:`Grid` in their order."""
NUM_COLUMNS = 9

Array = npt.NDArray[np.int64]
Maps = npt.NDArray[np.int32]


class Grid(NamedTuple):
    """One grid of latents."""

    offset: int
    """Where its first latent stands in the vector; the others follow in raster order."""
    rows: int
    cols: int
    coarse: int = -1
    """The grid of half the resolution (or of the same) that its context sees; -1 for none."""
    shift: int = 1
    """log2 of the resolution against the coarse grid's: 1, or 0."""
    ref0: int = -1
    """Where the reference map towards the first parent begins: for each latent the index of another; -1 for none."""
    ref1: int = -1
    """Where the reference map towards the second parent begins; -1 for none."""
    context_class: int = 0
    """The row of the context model's biases that it uses."""
    active: int = 0
    """1 where it holds anything but zeros (or may come to, during a fit), 0 where it costs a flag alone."""

    @property
    def size(self) -> int:
        """Number of latents."""
        return self.rows * self.cols

    @property
    def part(self) -> slice:
        """Its place in the vector."""
        return slice(self.offset, self.offset + self.size)


class GridTable:
    """All grids of one vector of latents, in coding order.

    Args:
        grids: One after the other; each begins where the one before ends.

    Attributes:
        array: (grids, NUM_COLUMNS) int64, what compiled kernels take.
    """

    def __init__(self, grids: Iterable[Grid]) -> None:
        self.array: Array = np.array([tuple(grid) for grid in grids], np.int64).reshape(-1, NUM_COLUMNS)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Grid:
        return Grid(*self.array[index].tolist())

    def __iter__(self) -> Iterator[Grid]:
        return (Grid(*row) for row in self.array.tolist())

    @property
    def size(self) -> int:
        """Number of latents in all grids."""
        return int((self.array[:, ROWS] * self.array[:, COLS]).sum())

    @property
    def active(self) -> Array:
        """(grids,): which are active, 0 or 1; a view, so that they can be changed."""
        return self.array[:, ACTIVE]

    def marked(self, symbols: npt.NDArray[Any]) -> GridTable:
        """A copy in which those grids are active whose symbols are not all zero."""
        return GridTable(grid._replace(active=int(symbols[grid.part].any())) for grid in self)

    def check(self, size: int, maps: Maps, classes: int) -> None:
        """Raises ValueError unless no compiled loop can leave its arrays: called once for each table.

        Grids lie one after the other without gaps; a coarser grid, doubled ``shift`` times, covers the finer one;
        coarse grids and reference maps lead to what comes earlier.

        Args:
            size: Number of latents in the vector.
            maps: All reference maps, one after the other.
            classes: Number of context classes that the model has.
        """
        if maps.dtype != np.int32:
            raise ValueError(f"Expected int32 maps, got {maps.dtype}.")
        end = 0
        for index, grid in enumerate(self):
            if grid.offset != end or grid.rows < 1 or grid.cols < 1 or grid.active not in (0, 1):
                raise ValueError(f"Grid {index} has bad fields.")
            if not 0 <= grid.context_class < classes:
                raise ValueError(f"Grid {index} has bad fields: class {grid.context_class} of {classes}.")
            if grid.coarse != -1 and not (0 <= grid.coarse < index and _fits(grid, self[grid.coarse])):
                raise ValueError(f"Grid {index} does not fit its coarser grid.")
            for ref in (grid.ref0, grid.ref1):
                if ref == -1:
                    continue
                if not 0 <= ref <= len(maps) - grid.size:
                    raise ValueError(f"Grid {index} has no room for its reference map.")
                part = maps[ref : ref + grid.size]
                if part.min() < 0 or part.max() >= grid.offset:
                    raise ValueError(f"Grid {index} refers to what comes later.")
            end += grid.size
        if end != size:
            raise ValueError(f"Expected {end} latents, found {size}.")

    def bands(self, parts: int, least_rows: int, least_latents: int) -> list[Array]:
        """The active grids cut into bands of rows, in ``parts`` runs of about the same number of latents.

        Args:
            parts: Number of runs; fewer come back where nothing is active.
            least_rows: Rows that a band has at least, where its grid has them.
            least_latents: Latents that a band has at least, about; an even number of rows.

        Returns:
            For each run (bands, 3): the grid, the first row and the one behind the last.
        """
        bands = []
        for index, grid in enumerate(self):
            if grid.active:
                step = max(least_rows, least_latents // grid.cols // 2 * 2)
                bands += [(index, first, min(first + step, grid.rows)) for first in range(0, grid.rows, step)]
        if not bands:
            return []
        table = np.array(bands, np.int64)
        done = np.cumsum((table[:, 2] - table[:, 1]) * self.array[table[:, 0], COLS])
        marks = [np.searchsorted(done, done[-1] * part / parts) for part in range(1, parts)]
        return [np.ascontiguousarray(piece) for piece in np.split(table, marks)]


def _fits(grid: Grid, coarse: Grid) -> bool:
    """Whether a coarse grid covers the finer one when it is doubled, and is no larger."""
    if grid.shift not in (0, 1) or coarse.rows > grid.rows or coarse.cols > grid.cols:
        return False
    return grid.rows <= coarse.rows << grid.shift and grid.cols <= coarse.cols << grid.shift
