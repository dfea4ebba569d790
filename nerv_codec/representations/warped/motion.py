"""Motion of a node: for each block of 8x8 luma samples, which parents predict it, and where in them it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.global_motion import Course, GlobalMotion, Numbers, scaled_numbers
from nerv_codec.representations.warped.tree import Node

BLOCK = 8
"""Luma samples a side."""
PRECISION = 4
"""Units of a vector in a luma sample."""
FORWARD, BACKWARD, BOTH, NONE = range(4)
"""Modes: predicted from parent 0, from parent 1, from the mean of both, or mid-gray."""
MAX_VECTOR = 1 << 14

Vectors = npt.NDArray[np.int32]
Corners = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MotionField:
    """Blocks of one node.

    Attributes:
        vectors: (2, rows, cols, 2): from a block to its place in each parent, down and right, in quarter samples.
            A vector that the mode does not use says where straight motion leads (see :func:`straight`).
        modes: (rows, cols).
        corners: (2 rows, 2 cols): what corners of blocks show, see `split_kernel`.
        whole: How the picture moves as a whole, if that is what is expected of its blocks.
    """

    vectors: Vectors
    modes: npt.NDArray[np.uint8]
    corners: Corners
    whole: GlobalMotion | None = None


def no_corners(shape: tuple[int, ...]) -> Corners:
    """Of (rows, cols) blocks none of which is split."""
    return np.zeros([2 * extent for extent in shape], np.uint8)


def joined(field: MotionField, blocks: npt.NDArray[np.bool_]) -> MotionField:
    """The field in which these blocks, (rows, cols), move as the left one does, or the upper one where none is left.

    Neither they nor those around them are split: there may be nothing left that differs.
    """
    vectors, modes, corners = field.vectors.copy(), field.modes.copy(), field.corners.copy()
    for r, c in np.argwhere(blocks):
        y, x = (r, c - 1) if c else (max(r - 1, 0), 0)
        vectors[:, r, c], modes[r, c] = vectors[:, y, x], modes[y, x]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(blocks, 1), (3, 3)).any((2, 3))
    corners[around.repeat(2, 0).repeat(2, 1)] = 0
    return MotionField(vectors, modes, corners, field.whole)


@dataclass(frozen=True)
class Expectation:
    """What is known of a field before it is coded.

    Attributes:
        vectors: Expected vectors, shaped as in the field.
        near: Distance in frames to parent 0.
        far: Distance to parent 1 on the other side, negative if it is on the same side; 0 if there is none.
        whole: The map to parent 0, if motion before was said of whole pictures.
    """

    vectors: Vectors
    near: int
    far: int
    whole: Numbers | None = None

    @property
    def parents(self) -> int:
        """How many there are."""
        return 2 if self.far else 1

    @property
    def course(self) -> Course:
        """What is known of the motion of the whole."""
        return Course(self.whole, (-self.far, self.near))

    @property
    def farthest(self) -> int:
        """The longest vector from which a straight one on to the other parent is still a vector."""
        return MAX_VECTOR // -(-max(self.near, abs(self.far)) // min(self.near, abs(self.far) or self.near))

    def given(self, whole: GlobalMotion | None) -> Expectation:
        """What is expected where this is known of the whole picture."""
        vectors = self.vectors if whole is None else whole.vectors((self.vectors.shape[1], self.vectors.shape[2]))
        return Expectation(vectors, self.near, self.far, self.whole)


def scaled(vectors: Vectors, numerator: int, denominator: int) -> Vectors:
    """Vectors times a fraction, rounded to nearest, halves up."""
    found = (2 * vectors.astype(np.int64) * numerator + denominator) // (2 * denominator)
    return found.astype(np.int32)


def expected(node: Node, shape: tuple[int, int], fields: Mapping[int, tuple[Node, MotionField | None]]) -> Expectation:
    """What motion before says of a node, block by block at the same place.

    Between two parents, one was predicted from the other: its motion is divided by time. An anchor goes on as the one
    before did, and the same way further to its second parent.

    Args:
        node: Which; it has parents.
        shape: Rows and columns of blocks.
        fields: Nodes before and their motion, by frame.
    """
    vectors = np.zeros((2, *shape, 2), np.int32)
    first = node.parents[0]
    near = abs(node.frame - first)
    if len(node.parents) == 1:
        return Expectation(vectors, near, 0)
    second = node.parents[1]
    far = abs(second - node.frame) * (1 if node.sides == 2 else -1)
    young, old = (second, first) if first in fields[second][0].parents else (first, second)
    parent, field = fields[young]
    assert field is not None
    towards = parent.parents.index(old)
    way, back, on = field.vectors[towards], *((near, far) if young == second else (-near, -far))
    vectors[0] = scaled(way, back, near + far)
    vectors[1] = scaled(way, -on, near + far) if far > 0 else scaled(vectors[0], -far, near)
    said = field.whole.numbers[3 * towards : 3 * towards + 3] if field.whole else None
    return Expectation(vectors, near, far, said and scaled_numbers(said, back, near + far))


def straight(vectors: Vectors, near: int, far: int, number: int) -> Vectors:
    """Vectors to parent ``number`` on a straight way through those to the other parent."""
    own, other = ((near, far), (far, near))[number]
    return scaled(vectors, -own, other)
