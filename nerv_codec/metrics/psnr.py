"""Peak signal to noise ratio, and in which domain it is taken.

Every figure is computed per frame and then averaged over frames (``mean``); the PSNR of the mean squared
error over all frames is a different, never larger number and is not used here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DB = 100.0
"""What identical pictures score: no figure in a report is infinite."""


def mean_squared_error(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Mean squared difference of two arrays of code values of one shape. Raises ValueError otherwise."""
    if a.shape != b.shape:
        raise ValueError(f"Expected arrays of one shape, got {a.shape} and {b.shape}.")
    difference = a.astype(np.int64) - b.astype(np.int64)
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr_db(mse: float, peak: float) -> float:
    """10 log10(peak^2 / mse), at most MAX_DB."""
    if mse <= 0:
        return MAX_DB
    return min(MAX_DB, 10 * math.log10(peak * peak / mse))


def plane_psnr_db(a: Sequence[npt.NDArray[Any]], b: Sequence[npt.NDArray[Any]], peak: float) -> list[float]:
    """PSNR of each plane of one frame."""
    return [psnr_db(mean_squared_error(x, y), peak) for x, y in zip(a, b, strict=True)]


def yuv611_db(planes: Sequence[float]) -> float:
    """(6 Y + U + V) / 8, in dB, of one frame's plane PSNRs; for gray the only one."""
    if len(planes) == 1:
        return planes[0]
    return (6 * planes[0] + planes[1] + planes[2]) / 8
