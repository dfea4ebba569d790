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
"""Either sign; what is added to one that is expected may be twice as large."""

Numbers = tuple[tuple[int, int], ...]


def scaled_numbers(numbers: Numbers, numerator: int, denominator: int) -> Numbers:
    """Numbers times a fraction, rounded to nearest, halves up, and within the largest: the same way in other time."""

    def scaled(value: int) -> int:
        found = (2 * value * numerator + denominator) // (2 * denominator)
        return min(max(found, -LARGEST_NUMBER), LARGEST_NUMBER)

    return tuple((scaled(down), scaled(right)) for down, right in numbers)


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
        kinds: Of vectors of the first block and of differences; then of what these are more than is expected.
    """

    used: Counts = field(default_factory=lambda: np.zeros((3, 2), np.int64))
    kinds: list[Counts] = field(default_factory=lambda: [number_counts(2 * LARGEST_NUMBER + 1) for _ in range(4)])


@dataclass(frozen=True)
class Course:
    """What is known of a picture's motion as a whole.

    Attributes:
        first: The numbers that motion before lets expect of the first parent, if it was said of whole pictures, too.
        ratio: From a way to the first parent to the same way on to the second one: a fraction.
    """

    first: Numbers | None
    ratio: tuple[int, int]

    def expected(self, said: Numbers) -> tuple[int, int] | None:
        """The pair that is expected behind those that have been said."""
        if len(said) < 3:
            return self.first[len(said)] if self.first else None
        return scaled_numbers(said[len(said) - 3 : len(said) - 2], *self.ratio)[0]

    def straight(self, parents: int) -> GlobalMotion | None:
        """The motion in which nothing is other than expected, towards so many parents; None if nothing is."""
        if self.first is None:
            return None
        return GlobalMotion((*self.first, *(scaled_numbers(self.first, *self.ratio) if parents == 2 else ())))


def put_global(
    motion: GlobalMotion | None, course: Course, counts: GlobalCounts, which: int, out: StreamWriter
) -> None:
    """Appends the motion of a picture, or that none is said of it; which: the set of models."""
    out.flag(motion is not None, counts.used[which])
    numbers = motion.numbers if motion else ()
    for number, pair in enumerate(numbers):
        base = course.expected(numbers[:number])
        for value, known in zip(pair, base or (0, 0), strict=True):
            put_number(value - known, counts.kinds[_kind_of(number, base)], out)


def take_global(
    parents: int, course: Course, counts: GlobalCounts, which: int, source: StreamReader
) -> GlobalMotion | None:
    """The inverse of :func:`put_global` for a node with so many parents."""
    if not source.flag(counts.used[which]):
        return None
    numbers: Numbers = ()
    for number in range(3 * parents):
        base = course.expected(numbers)
        kind = counts.kinds[_kind_of(number, base)]
        down, right = (known + take_number(kind, source) for known in base or (0, 0))
        numbers = (*numbers, (down, right))
    return GlobalMotion(numbers)


def _kind_of(number: int, base: tuple[int, int] | None) -> int:
    return (number % 3 > 0) + 2 * (base is not None)
