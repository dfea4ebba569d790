"""PSNR of a whole video, and in which domain it is taken.

The figure of a video is the mean of its frames' figures (``mean``) unless its name says otherwise; the PSNR
of the mean squared error over all frames (``of_mean_mse``) is a different, never larger number.
"""

from __future__ import annotations

from collections.abc import Sequence

from nerv_codec.base.psnr import mean_squared_error, psnr_db, yuv611_db
from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series


class PsnrMetric:
    """PSNR of luma, of RGB and of YUV weighted 6:1:1; of an RGB source only the second."""

    def __init__(self, info: VideoInfo) -> None:
        self._peak = float(info.pixel_format.max_value)
        self._has_luma = info.color.matrix != 0 or info.pixel_format.num_planes == 1
        self._plane_mse: list[list[float]] = []
        self._rgb_mse: list[float] = []

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        if self._has_luma:
            planes = zip(pair.reference, pair.target, strict=True)
            self._plane_mse.append([mean_squared_error(a, b) for a, b in planes])
        self._rgb_mse.append(mean_squared_error(pair.reference_rgb.numpy(), pair.target_rgb.numpy()))

    @property
    def running_db(self) -> float:
        """Mean so far, of luma where there is any."""
        mse, peak = ([frame[0] for frame in self._plane_mse], self._peak) if self._has_luma else (self._rgb_mse, 255.0)
        return sum(psnr_db(value, peak) for value in mse) / max(1, len(mse))

    def series(self) -> list[Series]:
        """``psnr_y_db``, ``psnr_rgb_db``, ``psnr_yuv611_db``."""
        found = []
        if self._has_luma:
            by_plane = list(zip(*self._plane_mse, strict=True))
            frames = [[psnr_db(mse, self._peak) for mse in frame] for frame in self._plane_mse]
            found.append(self._series("psnr_y_db", "Y", by_plane[0], self._peak))
        found.append(self._series("psnr_rgb_db", "RGB, 8 bit", self._rgb_mse, 255.0))
        if self._has_luma:
            pooled = yuv611_db([psnr_db(sum(mse) / len(mse), self._peak) for mse in by_plane])
            weighted = tuple(yuv611_db(frame) for frame in frames)
            domain = "YUV 6:1:1, weighted in dB"
            found.append(Series("psnr_yuv611_db", domain, weighted, "dB", True, {"of_mean_mse": pooled}))
        return found

    @staticmethod
    def _series(name: str, domain: str, mse: Sequence[float], peak: float) -> Series:
        pooled = psnr_db(sum(mse) / len(mse), peak)
        values = tuple(psnr_db(value, peak) for value in mse)
        return Series(name, domain, values, "dB", True, {"of_mean_mse": pooled})
