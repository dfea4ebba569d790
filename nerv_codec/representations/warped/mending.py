"""Where the residual of the shared network is added to a predicted picture: decided square by square, and coded.

A prediction that is good already is better left alone; the squares say so (as flags of the adaptive loop filter do in
Versatile Video Coding, Tsai et al. 2013). Pictures without parents are mended everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples

SQUARE = 32
"""Luma samples a side."""
_SCALE = 255 * UNIT
_CHROMA_SHARE = 4 / 6
"""Weight of a chroma sample where one of luma has 1: 1 to 6, on a quarter of the samples."""

Flags = npt.NDArray[np.bool_]
"""(rows, cols) of squares."""


def flag_counts() -> Counts:
    """(3, 2): flags so far, by how many of the left and the upper square are mended."""
    return np.zeros((3, 2), np.int64)


def places(flags: Flags, shape: tuple[int, ...]) -> Flags:
    """Where the network is asked: a flag for every place of its finest grid, whose shape this is."""
    return _spread(flags, SQUARE // 2, shape)


def joined(plain: Planes, mended: Planes, flags: Flags) -> Planes:
    """The mended picture where flags say so, the plain one elsewhere."""

    def plane(one: Samples, two: Samples, side: int) -> Samples:
        return np.where(_spread(flags, side, one.shape), two, one)

    return Planes(
        plane(plain.y, mended.y, SQUARE),
        plane(plain.u, mended.u, SQUARE // 2),
        plane(plain.v, mended.v, SQUARE // 2),
    )


def decide(source: Planes, plain: Planes, mended: Planes, lambda_index: int, counts: Counts) -> Flags:
    """The flags that cost least, one after another, with the bits that the counts so far let expect."""
    price = lambda_value(lambda_index) * _SCALE**2 * 8 / 6
    better = _gain(source.y, plain.y, mended.y, SQUARE)
    for one, two, three in ((source.u, plain.u, mended.u), (source.v, plain.v, mended.v)):
        better += _CHROMA_SHARE * _gain(one, two, three, SQUARE // 2)
    flags = np.zeros(better.shape, np.bool_)
    for r, c, around in _order(flags):
        seen = counts[around] + 0.5
        bits = -np.log2(seen / seen.sum())
        flags[r, c] = better[r, c] > price * (bits[1] - bits[0])
    return flags


def put_flags(flags: Flags, counts: Counts, out: StreamWriter) -> None:
    """Appends flags to a stream."""
    for r, c, around in _order(flags):
        out.flag(bool(flags[r, c]), counts[around])


def take_flags(extent: tuple[int, int], counts: Counts, source: StreamReader) -> Flags:
    """The inverse of :func:`put_flags` for a canvas of (rows, cols) luma samples."""
    flags = np.zeros([-(-side // SQUARE) for side in extent], np.bool_)
    for r, c, around in _order(flags):
        flags[r, c] = source.flag(counts[around])
    return flags


def _order(flags: Flags) -> Iterator[tuple[int, int, int]]:
    """Squares in raster order, each with the number of its neighbours that are mended."""
    for r in range(flags.shape[0]):
        for c in range(flags.shape[1]):
            yield r, c, int(c > 0 and flags[r, c - 1]) + int(r > 0 and flags[r - 1, c])


def _gain(source: Samples, plain: Samples, mended: Samples, side: int) -> npt.NDArray[np.float64]:
    """By how much mending lowers the squared error of every square."""
    return _squares(source, plain, side) - _squares(source, mended, side)


def _spread(flags: Flags, side: int, shape: tuple[int, ...]) -> Flags:
    """The flag of every sample of a plane (rows, cols) on which squares have this side."""
    return flags.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]]


def _squares(one: Samples, two: Samples, side: int) -> npt.NDArray[np.float64]:
    """Squared error of every square."""
    wrong = (one.astype(np.float64) - two) ** 2
    rows, cols = (-(-extent // side) * side for extent in wrong.shape)
    padded = np.pad(wrong, ((0, rows - wrong.shape[0]), (0, cols - wrong.shape[1])))
    found: npt.NDArray[np.float64] = padded.reshape(rows // side, side, cols // side, side).sum((1, 3))
    return found
