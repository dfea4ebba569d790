"""Peak signal to noise ratio of arrays of code values.

Three lines of our own, so that fits and decoders need no metric package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DB = 100.0
"""What identical pictures score: no figure in a report is infinite."""

_BAND = 64
"""Rows that are squared at a time, so that the wide integers stay in the cache."""


def mean_squared_error(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean squared difference of two arrays of code values. Raises ValueError where their shapes differ."""
    if a.shape != b.shape:
        raise ValueError(f"Expected arrays of one shape, got {a.shape} and {b.shape}.")
    total = 0
    for start in range(0, len(a), _BAND):
        rows = slice(start, start + _BAND)
        # 64 rows of 16-bit differences fit a 64-bit sum with room to spare; 32 bits hold 8-bit squares.
        wide = np.int32 if a.itemsize == 1 and b.itemsize == 1 else np.int64
        difference = a[rows].astype(wide) - b[rows].astype(wide)
        total += int(np.square(difference).sum(dtype=np.int64))
    return total / a.size


def psnr_db(mse: float, peak: float) -> float:
    """10 log10(peak^2 / mse) in dB, at most MAX_DB; ``peak`` is the largest code value."""
    if mse <= 0:
        return MAX_DB
    return min(MAX_DB, 10 * math.log10(peak * peak / mse))


def plane_psnr_db(a: Sequence[npt.NDArray[Any]], b: Sequence[npt.NDArray[Any]], peak: float) -> list[float]:
    """PSNR in dB of each plane of one frame; ``peak`` is the largest code value."""
    return [psnr_db(mean_squared_error(x, y), peak) for x, y in zip(a, b, strict=True)]


def yuv611_db(planes: Sequence[float]) -> float:
    """(6 Y + U + V) / 8 of one frame's plane PSNRs, in dB; a gray frame's only one."""
    if len(planes) == 1:
        return planes[0]
    return (6 * planes[0] + planes[1] + planes[2]) / 8
