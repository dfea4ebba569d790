"""Motion between two decoded frames, for times between them: found by the decoder, through the middle.

The motion that is coded is what was cheap to code, not what moved. So every block of the picture midway looks for the
move at which the frame before, read against it, and the frame after, read along it, differ least (bilateral motion
estimation: Choi, Lee, Ko, IEEE Trans. Consumer Electronics 2000), with a price on moves that differ from those of the
blocks beside it. What moves fast or comes into sight deceives such a search; so what it finds does not replace coded
motion: both are read and mixed, each block by how well its two readings agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.bilateral_kernel import WINDOW, differences, follow, sweep
from nerv_codec.representations.warped.compensate import write_quarters
from nerv_codec.representations.warped.motion import BLOCK, Vectors
from nerv_codec.representations.warped.planes import UNIT, Samples
from nerv_codec.representations.warped.quarter_kernel import PAD

_SWEEPS = 3
_FLOOR = UNIT * WINDOW * WINDOW
"""Difference that is added to those of a block before they are compared: one code value a sample."""
Positions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """How blocks go from a frame to the next.

    Attributes:
        moves: (2, rows, cols, 2), int64, coded and found: half of the motion, in quarter samples down and right.
        share: (rows, cols): how much the found ones count, 0..1.
    """

    moves: npt.NDArray[np.int64]
    share: Positions

    def at(self, way: float, rows: Positions, cols: Positions, extent: tuple[int, int]) -> tuple[Positions, Positions]:
        """What points read, see `bilateral_kernel.follow`.

        Returns:
            How far it lies, (2, 2, 2, points): by moves, by frame, down and right in pixels; its weight (2, 2, points).
        """
        moved, weights = np.empty((2, 2, 2, len(rows))), np.empty((2, 2, len(rows)))
        follow(self.moves, self.share, rows, cols, way, extent, moved, weights)
        return moved, weights


def moves_between(before: Samples, after: Samples, coded: Vectors) -> Moves:
    """The moves between two planes.

    Args:
        before: (rows, cols).
        after: Alike.
        coded: Half of the coded motion from the one to the other, in quarter samples, of all their blocks at least.
    """
    down, across = (-(-extent // BLOCK) for extent in before.shape)
    starts = coded[:down, :across].astype(np.int64)
    one, two = (np.empty((4, 4, *(extent + 2 * PAD for extent in before.shape)), np.int16) for _ in range(2))
    write_quarters(before, one)
    write_quarters(after, two)
    found = starts.copy()
    for number in range(_SWEEPS):
        sweep(one, two, starts, found, number % 2 == 1)
    moves, apart = np.stack([starts, found]), np.empty((2, down, across))
    for own, into in zip(moves, apart, strict=True):
        differences(one, two, own, into)
    doubts = (apart + _FLOOR) ** 2
    return Moves(moves, doubts[0] / doubts.sum(0))
