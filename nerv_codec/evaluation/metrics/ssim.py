"""Structural similarity: of blocks, as video encoders report it, and over several scales.

SSIM is Wang et al. 2004 with the means, variances and the covariance of 8x8 windows at every fourth row and column,
equally weighted: ffmpeg's ``ssim`` filter, so that figures can be compared with its own and x264's. MS-SSIM is Wang
et al. 2003 with Gaussian windows, through ``pytorch_msssim``.
"""

from __future__ import annotations

from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.filter_pair import FilterPair
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable, require_luma
from nerv_codec.evaluation.metrics.threads import threads_for

_SMALLEST = 8
"""Pixels a side: one window."""
_MS_SSIM_SCALES = 5


class SsimMetric:
    """``ssim_y``, by ffmpeg's filter ``ssim``."""

    def __init__(self, info: VideoInfo) -> None:
        require_luma(info, "ssim")
        if min(info.height, info.width) < _SMALLEST:
            raise Unavailable(f"ssim needs pictures of at least 8x8 pixels, found {info.width}x{info.height}")
        self._filter = FilterPair("ssim", info)

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        self._filter.add(pair.reference, pair.target)

    def series(self) -> list[Series]:
        """Mean SSIM of luma over the windows of each frame, to six decimals, as the filter prints it."""
        values = tuple(float(note["lavfi.ssim.Y"]) for note in self._filter.finish())
        return [Series("ssim_y", "Y, 8x8 windows", values)]


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
