"""Where the residual of the shared network is added to a picture: decided square by square, for chroma also as a whole.

A prediction that is good already is better left alone; the squares say so (as flags of the adaptive loop filter do in
Versatile Video Coding, Tsai et al. 2013). Pictures without parents are mended in all of them. Chroma may be left alone
where luma is mended: what has no colour keeps none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.range_kernel import take_flag
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples

SQUARE = 32
"""Luma samples a side."""
_SCALE = 255 * UNIT
_CHROMA_SHARE = 4 / 6
"""Weight of a chroma sample where one of luma has 1: 1 to 6, on a quarter of the samples."""

_CHROMA = 3
"""Where counts of chroma's flags begin."""
Flags = npt.NDArray[np.bool_]
"""(rows, cols) of squares."""


@dataclass(frozen=True)
class Mending:
    """Where a picture is mended.

    Attributes:
        squares: In which squares.
        chroma: Whether U and V are, there.
    """

    squares: Flags
    chroma: tuple[bool, bool] = (True, True)

    def places(self, shape: tuple[int, ...]) -> Flags | None:
        """Where the network is asked, for every place of its finest grid, whose shape this is; None for everywhere."""
        return None if self.squares.all() else _spread(self.squares, SQUARE // 2, shape)

    def joined(self, plain: Planes, mended: Planes) -> Planes:
        """The mended picture where it is to be, the plain one elsewhere."""

        def plane(one: Samples, two: Samples, side: int) -> Samples:
            return np.where(_spread(self.squares, side, one.shape), two, one)

        return Planes(
            plane(plain.y, mended.y, SQUARE),
            *(
                plane(one, two, SQUARE // 2) if wanted else one
                for one, two, wanted in zip((plain.u, plain.v), (mended.u, mended.v), self.chroma, strict=True)
            ),
        )


def everywhere(extent: tuple[int, int]) -> Mending:
    """All squares of a canvas of (rows, cols) luma samples."""
    return Mending(np.ones([-(-side // SQUARE) for side in extent], np.bool_))


def flag_counts() -> Counts:
    """(5, 2): flags so far, of squares by how many of the left and the upper one are mended; of U; of V."""
    return np.zeros((5, 2), np.int64)


def decide(
    source: Planes, plain: Planes, mended: Planes, lambda_index: int, counts: Counts, alone: bool, components: int
) -> Mending:
    """What costs least: the flags one after another, with the bits that the counts so far let expect.

    Args:
        source: What the picture is to show.
        plain: Without the residual.
        mended: With it.
        lambda_index: Price of bits.
        counts: Of flags so far.
        alone: Whether the picture has no parents, and squares no flags.
        components: 3 with chroma, else 1.
    """
    found = everywhere(source.y.shape)
    if not alone:
        price = lambda_value(lambda_index) * _SCALE**2 * 8 / 6
        better = _gain(source.y, plain.y, mended.y, SQUARE)
        for one, two, three in ((source.u, plain.u, mended.u), (source.v, plain.v, mended.v)):
            better += _CHROMA_SHARE * _gain(one, two, three, SQUARE // 2)
        squares = np.zeros(better.shape, np.bool_)
        for r, c, around in _order(squares):
            seen = counts[around] + 0.5
            bits = -np.log2(seen / seen.sum())
            squares[r, c] = better[r, c] > price * (bits[1] - bits[0])
        found = Mending(squares)
    if components == 1:
        return found
    joined = found.joined(plain, mended)
    u, v = (
        _shown_error(one, three) < _shown_error(one, two)
        for one, two, three in ((source.u, plain.u, joined.u), (source.v, plain.v, joined.v))
    )
    return Mending(found.squares, (u, v))


def put(mending: Mending, counts: Counts, out: StreamWriter, alone: bool, components: int) -> None:
    """Appends flags to a stream; see :func:`decide`."""
    for r, c, around in () if alone else _order(mending.squares):
        out.flag(bool(mending.squares[r, c]), counts[around])
    if components > 1 and mending.squares.any():
        for wanted, seen in zip(mending.chroma, counts[_CHROMA:], strict=True):
            out.flag(wanted, seen)


def take(extent: tuple[int, int], counts: Counts, source: StreamReader, alone: bool, components: int) -> Mending:
    """The inverse of :func:`put` for a canvas of (rows, cols) luma samples."""
    found = everywhere(extent)
    if not alone:
        source.position = _take_squares(found.squares, counts, source.state, source.words, source.position)
    if components == 1 or not found.squares.any():
        return found
    u, v = (source.flag(seen) for seen in counts[_CHROMA:])
    return Mending(found.squares, (u, v))


@njit(nogil=True, cache=True)
def _take_squares(flags, counts, state, words, position):  # type: ignore[no-untyped-def]
    """Fills the flags of squares in, in their `_order`; returns the next word's position."""
    for r in range(flags.shape[0]):
        for c in range(flags.shape[1]):
            around = int(c > 0 and flags[r, c - 1]) + int(r > 0 and flags[r - 1, c])
            flag, position = take_flag(counts[around], state, words, position)
            flags[r, c] = flag == 1
    return position


def _order(flags: Flags) -> Iterator[tuple[int, int, int]]:
    """Squares in raster order, each with the number of its neighbours that are mended."""
    for r in range(flags.shape[0]):
        for c in range(flags.shape[1]):
            yield r, c, int(c > 0 and flags[r, c - 1]) + int(r > 0 and flags[r - 1, c])


def _gain(source: Samples, plain: Samples, mended: Samples, side: int) -> npt.NDArray[np.float64]:
    """By how much mending lowers the squared error of every square."""
    return _squares(source, plain, side) - _squares(source, mended, side)


def _shown_error(source: Samples, found: Samples) -> int:
    """Squared error in whole code values of 8 bits: what is less is not seen."""
    one, two = ((plane.astype(np.int64) + UNIT // 2) // UNIT for plane in (source, found))
    return int(((one - two) ** 2).sum())


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
