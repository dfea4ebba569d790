"""Squares of a picture with a flag each, in a stream and on planes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.range_kernel import take_flag
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples

CONTEXTS = 3
"""Pairs of counts for the flags: by how many of the left and the upper square have theirs set."""
CHROMA_SHARE = 4 / 6
"""Weight of a chroma sample where one of luma has 1: 1 to 6, on a quarter of the samples."""
Flags = npt.NDArray[np.bool_]
"""(rows, cols) of squares."""


def none_of(extent: tuple[int, int], side: int) -> Flags:
    """A flag that is not set for each square of a plane (rows, cols), the cut ones at its end included."""
    return np.zeros([-(-length // side) for length in extent], np.bool_)


def in_order(flags: Flags) -> Iterator[tuple[int, int, int]]:
    """Squares in raster order, each with the number of its neighbours whose flag is set by then."""
    for r in range(flags.shape[0]):
        for c in range(flags.shape[1]):
            yield r, c, int(c > 0 and flags[r, c - 1]) + int(r > 0 and flags[r - 1, c])


def put_flags(flags: Flags, counts: Counts, out: StreamWriter, beside: Flags | None = None) -> None:
    """Appends flags to a stream; where those beside them are set, with the second ``CONTEXTS`` pairs of counts."""
    for r, c, around in in_order(flags):
        more = CONTEXTS if beside is not None and beside[r, c] else 0
        out.flag(bool(flags[r, c]), counts[around + more])


def take_flags(flags: Flags, counts: Counts, source: StreamReader, beside: Flags | None = None) -> None:
    """The inverse of :func:`put_flags`; fills the flags in."""
    beside = np.zeros_like(flags) if beside is None else beside
    source.position = _take_flags(flags, beside, counts, source.state, source.words, source.position)


@njit(nogil=True, cache=True)
def _take_flags(flags, beside, counts, state, words, position):  # type: ignore[no-untyped-def]
    """Fills the flags in, in their order; returns the next word's position."""
    for r in range(flags.shape[0]):
        for c in range(flags.shape[1]):
            around = int(c > 0 and flags[r, c - 1]) + int(r > 0 and flags[r - 1, c]) + CONTEXTS * int(beside[r, c])
            flag, position = take_flag(counts[around], state, words, position)
            flags[r, c] = flag == 1
    return position


def spread(flags: Flags, side: int, shape: tuple[int, ...]) -> Flags:
    """The flag of every sample of a plane (rows, cols) on which squares have this side."""
    return flags.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]]


def errors(source: Planes, found: Planes, side: int) -> npt.NDArray[np.float64]:
    """Squared error of every square of ``side`` luma samples, (2, rows, cols): of luma, and of chroma.

    Chroma is counted in luma as in YUV 6:1:1.
    """
    luma = _squared(source.y, found.y, side)
    chroma = sum(_squared(one, two, side // 2) for one, two in ((source.u, found.u), (source.v, found.v)))
    return np.stack([luma, CHROMA_SHARE * chroma])


def price(lambda_index: int) -> float:
    """What a bit may cost in :func:`errors`."""
    return lambda_value(lambda_index) * (255 * UNIT) ** 2 * 8 / 6


def _squared(one: Samples, two: Samples, side: int) -> npt.NDArray[np.float64]:
    wrong = (one.astype(np.float64) - two) ** 2
    rows, cols = (-(-extent // side) * side for extent in wrong.shape)
    padded = np.pad(wrong, ((0, rows - wrong.shape[0]), (0, cols - wrong.shape[1])))
    found: npt.NDArray[np.float64] = padded.reshape(rows // side, side, cols // side, side).sum((1, 3))
    return found
