"""Structural similarity: of blocks, as video encoders report it, and over several scales.

SSIM is Wang et al. 2004 with the means, variances and the covariance of 8x8 windows at every fourth row and
column, equally weighted: what x264 and ffmpeg's ``ssim`` filter print, so that figures can be compared with
theirs. MS-SSIM is Wang et al. 2003 with Gaussian windows, through ``pytorch_msssim``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable, require_luma
from nerv_codec.evaluation.metrics.threads import threads_for

_STEP = 4
_WINDOW = 8
_SAMPLES = _WINDOW * _WINDOW
_MS_SSIM_SCALES = 5


def block_ssim(a: npt.NDArray[Any], b: npt.NDArray[Any], peak: float) -> float:
    """Mean SSIM over the 8x8 windows of two planes of integers.

    Args:
        a: (rows, cols), at least 8 each; what does not fill a block of 4x4 at the far edges is left out.
        b: Likewise, of the same shape.
        peak: The largest code value.

    Raises:
        ValueError: The shapes differ, or a side is shorter than a window.
    """
    if a.shape != b.shape or min(a.shape) < _WINDOW:
        raise ValueError(f"Expected two planes of one shape of at least 8x8, got {a.shape} and {b.shape}.")
    x, y = a.astype(np.int64), b.astype(np.int64)
    sum_x, sum_y = _window_sums(x), _window_sums(y)
    squares, products = _window_sums(x * x + y * y), _window_sums(x * y)
    luminance = (0.01 * peak) ** 2 * _SAMPLES**2
    contrast = (0.03 * peak) ** 2 * _SAMPLES * (_SAMPLES - 1)  # sample, not population, variance
    variances = squares * _SAMPLES - sum_x * sum_x - sum_y * sum_y
    covariance = products * _SAMPLES - sum_x * sum_y
    above = (2.0 * sum_x * sum_y + luminance) * (2.0 * covariance + contrast)
    below = (1.0 * sum_x * sum_x + sum_y * sum_y + luminance) * (variances + contrast)
    return float((above / below).mean())


class SsimMetric:
    """``ssim_y``."""

    def __init__(self, info: VideoInfo) -> None:
        require_luma(info, "ssim")
        if min(info.height, info.width) < _WINDOW:
            raise Unavailable(f"ssim needs pictures of at least 8x8 pixels, found {info.width}x{info.height}")
        self._peak = float(info.pixel_format.max_value)
        self._values: list[float] = []

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        self._values.append(block_ssim(pair.reference[0], pair.target[0], self._peak))

    def series(self) -> list[Series]:
        """``ssim_y``."""
        return [Series("ssim_y", "Y, 8x8 windows", tuple(self._values))]


class MsSsimMetric:
    """``ms_ssim_rgb``. Pictures too small for five scales of the usual 11-tap window get one of 7 taps."""

    def __init__(self, info: VideoInfo) -> None:
        try:
            import pytorch_msssim  # noqa: F401
        except ImportError:
            raise Unavailable("ms-ssim needs the package pytorch-msssim") from None
        side = min(info.height, info.width)
        fitting = [taps for taps in (11, 7) if side > (taps - 1) << (_MS_SSIM_SCALES - 1)]
        if not fitting:
            raise Unavailable(f"ms-ssim needs more than 96 rows and columns, found {info.width}x{info.height}")
        self._taps = fitting[0]
        self._values: list[float] = []

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        import torch
        from pytorch_msssim import ms_ssim

        with torch.inference_mode(), threads_for(pair.reference[0].size):
            pictures = [rgb[None].float() for rgb in (pair.reference_rgb, pair.target_rgb)]
            self._values.append(float(ms_ssim(*pictures, data_range=255.0, win_size=self._taps)))

    def series(self) -> list[Series]:
        """``ms_ssim_rgb``."""
        return [Series("ms_ssim_rgb", f"RGB, {self._taps}-tap windows", tuple(self._values))]


def _window_sums(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sums over 8x8 windows at every fourth row and column."""
    rows, cols = (size // _STEP for size in values.shape)
    blocks = values[: rows * _STEP, : cols * _STEP].reshape(rows, _STEP, cols, _STEP).sum(axis=(1, 3))
    pairs = blocks[:-1] + blocks[1:]
    return pairs[:, :-1] + pairs[:, 1:]
