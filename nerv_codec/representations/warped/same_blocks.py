"""Blocks of a frame that another frame shows exactly, wherever: what scrolls or is dragged, in the encoder only.

A search from coarse to fine does not see letters and thin lines on its coarse levels. Blocks that are the same have the
same hash, which is known for every place of the other frame (hash-based motion search for screen content, Xiao et al.,
HEVC screen content coding, 2015).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.motion import BLOCK, Vectors
from nerv_codec.representations.warped.planes import Samples

_DOWN, _RIGHT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd numbers whose powers weigh samples."""
_WAYS = 16
"""Vectors that are tried for all blocks at the most, those that most blocks may have."""
_FEWEST = 16
"""Blocks that may have such a vector: fewer are the same by chance."""
_PLACES = 8
"""Where a block is found at the most, if it is to say anything about vectors."""

Hashes = npt.NDArray[np.uint64]
Found = npt.NDArray[np.bool_]


def same_blocks(source: Samples, other: Samples) -> tuple[Vectors, Found]:
    """Vectors (rows, cols, 2) in whole samples to where the other frame shows the same 8 x 8 samples, and for which.

    A block without edges in one of both directions is found nowhere, as it might be anywhere.

    Args:
        source: Luma of whole blocks.
        other: Of the same size, before it was coded.
    """
    rows, cols = (extent // BLOCK for extent in source.shape)
    vectors, found = np.zeros((rows, cols, 2), np.int32), np.zeros((rows, cols), np.bool_)
    blocks = source.reshape(rows, BLOCK, cols, BLOCK)
    wanted = (blocks != blocks[:, :1]).any((1, 3)) & (blocks != blocks[..., :1]).any((1, 3))
    own, theirs = _hashes(source)[::BLOCK, ::BLOCK], _hashes(other)
    places = np.argwhere(np.isin(theirs, own[wanted]))
    names = theirs[tuple(places.T)]
    order = np.argsort(names, kind="stable")
    first, last = (np.searchsorted(names[order], own[wanted], side) for side in ("left", "right"))
    counts = np.where(last - first <= _PLACES, last - first, 0)
    numbers = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    moves = places[order[numbers]] - np.repeat(BLOCK * np.argwhere(wanted), counts, axis=0)
    ways, frequent = np.unique(moves, axis=0, return_counts=True)
    best = np.argsort(-frequent, kind="stable")[:_WAYS]
    for down, right in ways[best[frequent[best] >= _FEWEST]]:
        r, c = np.nonzero(wanted & ~found)
        y, x = BLOCK * r + down, BLOCK * c + right
        inside = (y >= 0) & (x >= 0) & (y < theirs.shape[0]) & (x < theirs.shape[1])
        r, c, y, x = r[inside], c[inside], y[inside], x[inside]
        same = theirs[y, x] == own[r, c]
        vectors[r[same], c[same]], found[r[same], c[same]] = (down, right), True
    return vectors, found


def _hashes(plane: Samples) -> Hashes:
    """Of the 8 x 8 samples from every place on, modulo 2**64: (rows - 7, cols - 7)."""
    found: Hashes = plane.astype(np.uint64)
    for size in (1, 2, 4):
        found = found[:, :-size] + found[:, size:] * _RIGHT ** np.uint64(size)
    for size in (1, 2, 4):
        found = found[:-size] + found[size:] * _DOWN ** np.uint64(size)
    return found
