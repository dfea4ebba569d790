"""Which latents of the parents a node's latents refer to: integers, the same on every machine.

The plain form is in the tests of ``references``: ``test_references_follow_the_rule``.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit


@njit(cache=True, nogil=True)
def _nearest(centre, shift, knots):
    """The motion sample nearest to ``centre``, in half pixels."""
    return min(max((centre + (1 << shift)) >> (shift + 1), 0), knots - 1)


@njit(cache=True, nogil=True)
def follow(motion, channel, shift, unit_log2, scale, base, rows, cols, out):
    """Flat indices of the cells that hold the centres of a grid's cells after they have moved.

    Args:
        motion: (knot rows, knot cols, 4) int64: row and column from ``channel`` on, in 2**-unit_log2 pixels.
        channel: 0 towards the first parent, 2 towards the second.
        shift: log2 of the distance of motion samples, in pixels.
        unit_log2: See above.
        scale: log2 of the cells' size, in pixels.
        base: Index of the parent's first cell.
        rows: Rows of the grid; cols: its columns.
        out: (rows * cols,) int32, written.
    """
    half = 1 << (unit_log2 - 1)
    for i in range(rows):
        # Centres lie at (2 i + 1) 2^scale - 1 half pixels; places are counted from the picture's edge.
        centre_row = (2 * i + 1) * (1 << scale) - 1
        knot_row = _nearest(centre_row, shift, motion.shape[0])
        for j in range(cols):
            centre_col = (2 * j + 1) * (1 << scale) - 1
            knot_col = _nearest(centre_col, shift, motion.shape[1])
            row = (centre_row * half + half + motion[knot_row, knot_col, channel]) >> (unit_log2 + scale)
            col = (centre_col * half + half + motion[knot_row, knot_col, channel + 1]) >> (unit_log2 + scale)
            row = min(max(row, 0), rows - 1)
            col = min(max(col, 0), cols - 1)
            out[i * cols + j] = np.int32(base + row * cols + col)
