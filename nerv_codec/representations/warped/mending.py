"""Where the residual of the shared network is added to a picture: decided square by square, for chroma also as a whole.

A prediction that is good already is better left alone; the squares say so (as flags of the adaptive loop filter do in
Versatile Video Coding, Tsai et al. 2013). Pictures without parents are mended in all of them. Chroma may be left alone
where luma is mended: what has no colour keeps none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples
from nerv_codec.representations.warped.squares import (
    CONTEXTS,
    Flags,
    errors,
    in_order,
    none_of,
    price,
    put_flags,
    spread,
    take_flags,
)

SQUARE = 32
"""Luma samples a side."""
_LEAST_BITS = 1.0
"""What mending a square saves at least, beside its flag: it takes decoders their time."""


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
        return None if self.squares.all() else spread(self.squares, SQUARE // 2, shape)

    def joined(self, plain: Planes, mended: Planes) -> Planes:
        """The mended picture where it is to be, the plain one elsewhere."""

        def plane(one: Samples, two: Samples, side: int) -> Samples:
            return np.where(spread(self.squares, side, one.shape), two, one)

        return Planes(
            plane(plain.y, mended.y, SQUARE),
            *(
                plane(one, two, SQUARE // 2) if wanted else one
                for one, two, wanted in zip((plain.u, plain.v), (mended.u, mended.v), self.chroma, strict=True)
            ),
        )


def everywhere(extent: tuple[int, int]) -> Mending:
    """All squares of a canvas of (rows, cols) luma samples."""
    return Mending(~none_of(extent, SQUARE))


def flag_counts() -> Counts:
    """(5, 2): flags so far, of squares by how many of the left and the upper one are mended; of U; of V."""
    return np.zeros((CONTEXTS + 2, 2), np.int64)


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
        better = (errors(source, plain, SQUARE) - errors(source, mended, SQUARE)).sum(0)
        squares = np.zeros(better.shape, np.bool_)
        for r, c, around in in_order(squares):
            seen = counts[around] + 0.5
            bits = -np.log2(seen / seen.sum())
            squares[r, c] = better[r, c] > price(lambda_index) * (bits[1] - bits[0] + _LEAST_BITS)
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
    if not alone:
        put_flags(mending.squares, counts, out)
    if components > 1 and mending.squares.any():
        for wanted, seen in zip(mending.chroma, counts[CONTEXTS:], strict=True):
            out.flag(wanted, seen)


def take(extent: tuple[int, int], counts: Counts, source: StreamReader, alone: bool, components: int) -> Mending:
    """The inverse of :func:`put` for a canvas of (rows, cols) luma samples."""
    found = everywhere(extent)
    if not alone:
        take_flags(found.squares, counts, source)
    if components == 1 or not found.squares.any():
        return found
    u, v = (source.flag(seen) for seen in counts[CONTEXTS:])
    return Mending(found.squares, (u, v))


def _shown_error(source: Samples, found: Samples) -> int:
    """Squared error in whole code values of 8 bits: what is less is not seen."""
    one, two = ((plane.astype(np.int64) + UNIT // 2) // UNIT for plane in (source, found))
    return int(((one - two) ** 2).sum())
