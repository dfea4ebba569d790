"""A scene that slides, in the encoder only: whether most of a picture moves alike, and how.

Search, block by block, leaves flat ground where it began, lets neighbours differ by a quarter of a sample, and finds
for what comes in at a border its like somewhere, each elsewhere. So what all blocks may share is looked for here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.compensate import compensate
from nerv_codec.representations.warped.motion import BLOCK, PRECISION, MotionField, no_corners
from nerv_codec.representations.warped.planes import Planes

_MOST = 0.8
"""Share of the blocks that must be shown about as well if all move alike, of those that a parent shows then."""
_WORSE = 2.0
"""Squared error in a block, as a multiple of what its own motion leaves, that is about as well."""
_WAYS = 4
"""How many ways are compared."""


def common_ways(source: Planes, parents: Sequence[Planes], field: MotionField) -> list[MotionField]:
    """Fields in which all blocks move alike: as most do, and as shows the picture best, if a scene slides.

    Args:
        source: What the picture shows.
        parents: Of its prediction.
        field: Its motion, block by block.
    """
    own = _errors(source, parents, field)

    def compared(way: MotionField) -> tuple[float, float]:
        """Share of blocks that are shown about as well, of those that parent 0 shows; what is left in all."""
        errors, shown = _errors(source, parents, way), ~_leading_out(way)
        return float((errors <= _WORSE * own)[shown].sum() / max(shown.sum(), 1)), float(errors.sum())

    ways = [(way, *compared(way)) for way in _most_frequent(field)]
    ways = [way for way in ways if way[1] >= _MOST]
    best = min(ways, key=lambda way: way[2], default=None)
    return [way[0] for way in ways if way is ways[0] or way is best]


def _errors(source: Planes, parents: Sequence[Planes], field: MotionField) -> npt.NDArray[np.float64]:
    """Squared error of luma, block by block."""
    wrong = np.square(compensate(parents, field)[0].y.astype(np.float64) - source.y)
    rows, cols = field.modes.shape
    return np.asarray(wrong.reshape(rows, BLOCK, cols, BLOCK).sum((1, 3)))


def _leading_out(field: MotionField) -> npt.NDArray[np.bool_]:
    """`motion_kernel.leads_out` of all blocks (rows, cols) and their vectors to parent 0 at once."""
    shape = np.array(field.modes.shape)
    centres = BLOCK * np.moveaxis(np.indices(field.modes.shape), 0, -1) + BLOCK // 2 + field.vectors[0] / PRECISION
    return np.asarray(((centres < 0) | (centres >= BLOCK * shape)).any(-1))


def _most_frequent(field: MotionField) -> list[MotionField]:
    """Fields in which all blocks move as many of a field do, the most frequent first."""
    rows, cols = field.modes.shape
    ways = np.dstack([field.modes, *field.vectors]).reshape(rows * cols, -1)
    _, first, counts = np.unique(ways, axis=0, return_index=True, return_counts=True)

    def of(block: int) -> MotionField:
        r, c = divmod(block, cols)
        vectors = np.broadcast_to(field.vectors[:, r : r + 1, c : c + 1], field.vectors.shape)
        return MotionField(vectors.copy(), np.full_like(field.modes, field.modes[r, c]), no_corners((rows, cols)))

    return [of(int(block)) for block in first[np.argsort(-counts, kind="stable")[:_WAYS]]]
