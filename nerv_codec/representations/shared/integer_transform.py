"""The wavelet of `transform` on integers: what decoder and encoder run alike on every machine.

Samples are int16 in 1/16 of an 8-bit code value (255 is 4080), bands int32 in 1/256 of it,
steps of latents int32 in 2**-16.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.layout import LEVELS, bands
from nerv_codec.representations.shared.lifting_kernel import dequantise, forward_planes, inverse_planes, quantise
from nerv_codec.representations.shared.network_kernel import LARGEST

Ints = npt.NDArray[np.int32]
Samples = npt.NDArray[np.int16]
Yuv = tuple[Samples, Samples, Samples]
"""Y (rows, cols), multiples of 16, and U and V of half its size."""
Grids = dict[int, Ints]
"""Level to (bands in coding order, rows, cols)."""
Steps = Mapping[int, Ints]
"""Level to the step of each band, below 2**28."""

SAMPLE_BITS, EXTRA_BITS, STEP_BITS = 4, 4, 8
SAMPLE_SCALE = 255 << SAMPLE_BITS
"""A sample of 1.0."""
BAND_SCALE = SAMPLE_SCALE << EXTRA_BITS
"""A band value of 1.0."""
STEP_SCALE = BAND_SCALE << STEP_BITS
"""A step of 1.0."""
GRAY_SAMPLE = SAMPLE_SCALE // 2
LARGEST_SAMPLE = (256 << SAMPLE_BITS) - 1
_LARGEST_BAND = (1 << 20) - 1
"""Twice what a picture can have; the inverse of such bands stays in 32 bits."""


def zeros(rows: int, cols: int) -> Grids:
    """The bands of nothing, for a luma of (rows, cols)."""
    return {level: np.zeros(shape, np.int32) for level, shape in _shapes(rows, cols)}


def _shapes(rows: int, cols: int) -> list[tuple[int, tuple[int, int, int]]]:
    return [(level, (len(bands(level)), rows // level, cols // level)) for level in LEVELS]


def forward(planes: Yuv, gray: int) -> Grids:
    """Bands of samples less ``gray``."""
    found = {level: np.empty(shape, np.int32) for level, shape in _shapes(*planes[0].shape)}
    forward_planes(planes, np.int32(gray), np.int32(EXTRA_BITS), tuple(found.values()))
    return found


def inverse(grids: Grids) -> tuple[Ints, Ints, Ints]:
    """Planes of bands, in 1/256 of a code value."""
    rows, cols = (LEVELS[-1] * extent for extent in grids[LEVELS[-1]].shape[1:])
    chroma = rows // 2, cols // 2
    planes = np.empty((rows, cols), np.int32), np.empty(chroma, np.int32), np.empty(chroma, np.int32)
    inverse_planes(tuple(grids[level] for level in LEVELS), planes)
    return planes


def quantised(values: Grids, steps: Steps, times: int) -> dict[int, npt.NDArray[np.int8]]:
    """Bands in steps, ``times`` their size, rounded half up and cut to what contexts tell apart."""
    found = {}
    for level, grid in values.items():
        out = np.empty(grid.shape, np.int8)
        quantise(grid, times << STEP_BITS, steps[level], LARGEST, out)
        found[level] = out
    return found


def dequantised(latents: Ints, steps: Ints) -> Ints:
    """Bands (bands, rows, cols) from latents of the same shape and the step of each band."""
    out = np.empty(latents.shape, np.int32)
    dequantise(latents, steps, STEP_BITS, _LARGEST_BAND, out)
    return out
