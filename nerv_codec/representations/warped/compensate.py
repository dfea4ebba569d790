"""Overlapped block motion compensation in integers (Orchard, Sullivan 1994): what parents and motion say of a node.

Every sample is a mean of what its four nearest blocks predict, with weights that fall linearly from a block's centre to
the centres beside it; at the border the nearest blocks stand for those that are missing. A block's prediction is read
from its parents with a windowed sinc of 8 taps for luma (quarter samples) and 4 for chroma (eighths); samples outside
repeat the border, but where one of two parents shows a sample it stands for the other, which does not. Corners of
blocks that are split show what one of the four says, alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nerv_codec.base.threads import Workers, side_by_side
from nerv_codec.representations.warped.compensate_kernel import (
    TAP_BITS,
    compensate_plane,
    ramps,
    room_for,
    used_vectors,
)
from nerv_codec.representations.warped.motion import BLOCK, MotionField
from nerv_codec.representations.warped.planes import Planes, Samples
from nerv_codec.representations.warped.quarter_kernel import PAD, phases


def _kernel(taps: int, phases: int) -> npt.NDArray[np.int32]:
    """Weights of the samples around a position for every phase, (phases, taps); each row sums to 2**TAP_BITS."""
    table = np.zeros((phases, taps), np.int32)
    for phase in range(phases):
        distance = phase / phases - np.arange(1 - taps // 2, taps // 2 + 1)
        weights = np.sinc(distance) * np.sinc(distance / (taps // 2))
        weights *= 2**TAP_BITS / weights.sum()
        table[phase] = np.rint(weights)
        table[phase, np.argmax(weights)] += 2**TAP_BITS - table[phase].sum()
    return table


LUMA_TAPS = _kernel(8, 4)
CHROMA_TAPS = _kernel(4, 8)


def compensate(parents: Sequence[Planes], field: MotionField, workers: Workers | None = None) -> tuple[Planes, Planes]:
    """What motion predicts, and half of what two parents differ by where both are asked (elsewhere 0).

    Args:
        parents: One or two.
        field: Motion towards them.
        workers: Who share the work.
    """
    first, second, cols = parents[0], parents[-1], field.modes.shape[1]
    used = np.empty((*field.modes.shape, 2), np.int64)
    used_vectors(field.vectors, field.modes, used)

    def plane(name: str) -> tuple[Samples, Samples]:
        block, taps, bits = (BLOCK, LUMA_TAPS, 2) if name == "y" else (BLOCK // 2, CHROMA_TAPS, 3)
        one, two = getattr(first, name), getattr(second, name)
        prediction, doubt = np.empty_like(one), np.zeros_like(one)
        weights, room = ramps(block), room_for(cols, block)
        compensate_plane(one, two, used, field.corners, block, taps, bits, weights, room, prediction, doubt)
        return prediction, doubt

    predictions, doubts = zip(*side_by_side(workers, plane, ("y", "u", "v")), strict=True)
    return Planes(*predictions), Planes(*doubts)


def write_quarters(plane: Samples, out: Samples) -> None:
    """A plane at all 16 quarter-sample positions, (4, 4, rows + 2 PAD, cols + 2 PAD), as the decoder reads them."""
    taps = LUMA_TAPS.shape[1]
    before, after = taps // 2 - 1, taps // 2
    padded = np.pad(plane, ((PAD + before, PAD + after), (PAD + before, PAD + after)), mode="edge")
    phases(padded, LUMA_TAPS, out)
