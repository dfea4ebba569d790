"""Motion of a whole picture by an affine map: what zooms, turns and pans let expect of every block.

As global motion of AV1 does (Parker, Chen, Barker, de Rivaz, Mukherjee, Global and locally adaptive warped motion
compensation in video compression, ICIP 2017), a few numbers stand for a field; blocks may still move otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.numbers import number_counts, put_number, take_number

UNIT = 4
"""Units of a number in one of a vector, which is a quarter of a sample."""
LARGEST_NUMBER = (1 << 16) - 1
"""Either sign."""

Numbers = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GlobalMotion:
    """How a picture moves as a whole, towards each of its parents.

    Attributes:
        numbers: Of one parent after the other three pairs, down and right: the vector of the first block, by how much
            the last row of blocks differs from the first, and the last column from the first; in 1 / UNIT of a unit
            of a vector.
    """

    numbers: Numbers

    def vectors(self, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
        """Of (rows, cols) blocks, (2, rows, cols, 2), rounded to nearest, halves up; 0 to a parent that is none."""
        rows, cols = (max(extent - 1, 1) for extent in shape)
        r, c = (index[..., None] for index in np.indices(shape))
        found = np.zeros((2, *shape, 2), np.int32)
        for number in range(len(self.numbers) // 3):
            first, down, across = np.array(self.numbers[3 * number : 3 * number + 3], np.int64)
            whole = first * rows * cols + down * r * cols + across * c * rows
            found[number] = (2 * whole + UNIT * rows * cols) // (2 * UNIT * rows * cols)
        return found


@dataclass
class GlobalCounts:
    """Of all flags so far.

    Attributes:
        used: Whether a picture is said to move as a whole, for each set of models of motion.
        kinds: Of vectors of the first block, and of differences.
    """

    used: Counts = field(default_factory=lambda: np.zeros((3, 2), np.int64))
    kinds: tuple[Counts, Counts] = field(
        default_factory=lambda: (number_counts(LARGEST_NUMBER), number_counts(LARGEST_NUMBER))
    )


def put_global(motion: GlobalMotion | None, counts: GlobalCounts, which: int, out: StreamWriter) -> None:
    """Appends the motion of a picture, or that none is said of it; which: the set of models."""
    out.flag(motion is not None, counts.used[which])
    for number, pair in enumerate(motion.numbers if motion else ()):
        for value in pair:
            put_number(value, counts.kinds[number % 3 > 0], out)


def take_global(parents: int, counts: GlobalCounts, which: int, source: StreamReader) -> GlobalMotion | None:
    """The inverse of :func:`put_global` for a node with so many parents."""
    if not source.flag(counts.used[which]):
        return None

    def pair(number: int) -> tuple[int, int]:
        down = take_number(counts.kinds[number % 3 > 0], source)
        return down, take_number(counts.kinds[number % 3 > 0], source)

    return GlobalMotion(tuple(pair(number) for number in range(3 * parents)))
