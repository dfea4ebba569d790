"""What chroma says of a block's motion, compiled: the search weighs it beside the error of luma.

U and V lie interleaved, so that four places of both are eight numbers beside each other. Vectors are rounded to half
samples of chroma, and blocks do not overlap: small coloured things are to be found, not edges to be placed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.hadamard_code import sum_of_four_rows
from nerv_codec.representations.warped.motion import BACKWARD, BOTH, FORWARD
from nerv_codec.representations.warped.planes import Planes, Samples
from nerv_codec.representations.warped.quarter_kernel import PAD

_PAD = PAD // 2
_SIDE, _LANES = 4, 8
"""Of a block, in samples and in numbers."""


class Tints(NamedTuple):
    """Chroma of a picture and of its parents.

    Attributes:
        goal: (rows, 2 cols) int16, of a canvas with so much chroma.
        parents: (parents, 2, 2, rows + 2 _PAD, 2 cols + 4 _PAD), at half samples down and across.
        weight: Of a sample's absolute difference beside a Hadamard coefficient of luma, as `search_kernel` counts it.
    """

    goal: Samples
    parents: Samples
    weight: float


def tints(source: Planes, parents: Sequence[Planes], weight: float) -> Tints:
    """Those that a search looks at.

    Args:
        source: The picture.
        parents: One or two reconstructions of its size.
        weight: See `Tints`.
    """
    return Tints(_interleaved(source.u, source.v), np.stack([_halves(parent) for parent in parents]), weight)


def _interleaved(u: npt.NDArray[np.int16], v: npt.NDArray[np.int16]) -> Samples:
    return np.stack((u, v), -1).reshape(*u.shape[:-1], -1)


def _halves(parent: Planes) -> Samples:
    """Both planes at four positions, as means of two and four samples."""
    planes = np.stack((parent.u, parent.v))
    fine = np.pad(planes, ((0, 0), (_PAD, _PAD + 1), (_PAD, _PAD + 1)), mode="edge").astype(np.int32)
    down = np.stack((2 * fine[:, :-1], fine[:, :-1] + fine[:, 1:]))
    both = np.stack((2 * down[..., :-1], down[..., :-1] + down[..., 1:]), 1)
    return _interleaved(*np.moveaxis((both + 2 >> 2).astype(np.int16), 2, 0))


@njit(nogil=True, cache=True)
def leads_out(shape, r, c, down, right):
    """Whether a vector leads the centre of a block out of the canvas, which has (rows, cols) blocks."""
    y, x = 32 * r + 16 + down, 32 * c + 16 + right
    return y < 0 or x < 0 or y >= 32 * shape[0] or x >= 32 * shape[1]


@njit(nogil=True, cache=True)
def seen_mode(shape, mode, r, c, v0, v1, w0, w1):
    """The mode of a block for its chroma, with vectors v and w: of two parents one that hides its centre is left out.

    The decoder goes by samples, see `motion_kernel.shown_lines`.
    """
    if mode == BOTH:
        first, second = leads_out(shape, r, c, v0, v1), leads_out(shape, r, c, w0, w1)
        if first != second:
            return BACKWARD if first else FORWARD
    return mode


@njit(nogil=True, cache=True, boundscheck=False)
def _start(parents, number, row, col, side, down, right):
    """Where a square of chroma that a vector leads to begins in the flat parents; positions beyond are moved in."""
    height, pitch = parents.shape[3:]
    y, x = (down + 2) >> 2, (right + 2) >> 2
    plane = (2 * number + (y & 1)) * 2 + (x & 1)
    top = min(max(_PAD + row + (y >> 1), 0), height - side)
    left = min(max(_PAD + col + (x >> 1), 0), pitch // 2 - side)
    return (plane * height + top) * pitch + 2 * left


@njit(nogil=True, cache=True, boundscheck=False)
def tint_goal(tints, r, c, number, down, right, out):
    """What a block's chroma from the other parent should be twice, (4, 8), if it is the mean with this one's."""
    goal, parents, _ = tints
    source, pitch = parents.reshape(-1), parents.shape[4]
    start = _start(parents, number, _SIDE * r, _SIDE * c, _SIDE, down, right)
    for i in range(_SIDE):
        for j in range(_LANES):
            out[i, j] = 2 * goal[_SIDE * r + i, _LANES * c + j] - source[start + i * pitch + j]


@njit(nogil=True, cache=True, boundscheck=False)
def tint_error(tints, r, c, number, down, right, other, both):
    """Error of a block's chroma from a parent, or of the mean: then other is from `tint_goal`."""
    goal, parents, weight = tints
    start = _start(parents, number, _SIDE * r, _SIDE * c, _SIDE, down, right)
    if both:
        found = sum_of_four_rows(other, np.int64(0), np.int64(_LANES), parents, start, np.int64(parents.shape[4]))
        return 0.5 * weight * found
    begin, pitch = _SIDE * r * goal.shape[1] + _LANES * c, np.int64(goal.shape[1])
    return weight * sum_of_four_rows(goal, begin, pitch, parents, start, np.int64(parents.shape[4]))


@njit(nogil=True, cache=True, boundscheck=False)
def read_corner(tints, field, modes, r, c, y, x, out):
    """What a block says of the chroma of a corner, (2, 4)."""
    parents, half = tints[1], _SIDE // 2
    source, pitch = parents.reshape(-1), parents.shape[4]
    v, w = field[0, r, c], field[1, r, c]
    out[:], mode = 0, seen_mode(modes.shape, modes[r, c], r, c, v[0], v[1], w[0], w[1])
    for number in range(2):
        if mode == BOTH or (mode == BACKWARD) == (number == 1):
            start = _start(parents, number, half * y, half * x, half, field[number, r, c, 0], field[number, r, c, 1])
            for i in range(half):
                for j in range(_SIDE):
                    out[i, j] += source[start + i * pitch + j]
    if mode == BOTH:
        out >>= 1


@njit(nogil=True, cache=True, boundscheck=False)
def corner_error(tints, y, x, said):
    """Error of the chroma of a corner that shows this, (2, 4)."""
    goal, total = tints[0], 0
    for i in range(_SIDE // 2):
        for j in range(_SIDE):
            total += abs(goal[_SIDE // 2 * y + i, _SIDE * x + j] - said[i, j])
    return tints[2] * total
