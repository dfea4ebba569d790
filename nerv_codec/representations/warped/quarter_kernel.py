"""Planes at quarter samples, compiled: what searches for motion read again and again."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.compensate_kernel import TAP_BITS

PAD = 24
"""Samples around a plane; positions beyond are moved in, where all rows or columns look the same."""


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def phases(plane, taps, out):
    """All 16 quarter-sample positions of a plane, as the decoder reads them: out (4, 4, rows, cols).

    The plane has three samples more before, and four behind.
    """
    height, width = out.shape[2:]
    lines = np.zeros(plane.shape, np.int32)
    total = np.zeros(width, np.int32)
    for across in range(4):
        for i in range(plane.shape[0]):
            source = plane[i]
            line = lines[i]
            for j in range(width):
                line[j] = 0
            for k in range(8):
                weight = taps[across, k]
                if weight != 0:
                    for j in range(width):
                        line[j] += weight * np.int32(source[j + k])
        for down in range(4):
            for i in range(height):
                for j in range(width):
                    total[j] = 1 << (2 * TAP_BITS - 1)
                for k in range(8):
                    weight = taps[down, k]
                    if weight != 0:
                        for j in range(width):
                            total[j] += weight * lines[i + k, j]
                for j in range(width):
                    out[down, across, i, j] = total[j] >> (2 * TAP_BITS)
