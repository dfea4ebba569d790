"""PSNR of a whole video, and in which domain it is taken.

The figure of a video is the mean of its frames' figures (``mean``) unless its name says otherwise; the PSNR
of the mean squared error over all frames (``of_mean_mse``) is a different, never larger number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nerv_codec.base.psnr import mean_squared_error, psnr_db, yuv611_db
from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series

_BLOCK = 16
"""Chroma samples a side."""


def worst_block(planes: Sequence[tuple[Plane, Plane]]) -> tuple[float, int, int]:
    """The 16x16 block in which pairs of planes differ most: mean squared error, first row and first column.

    Blocks begin at multiples of 16; those at the lower and right borders are as large as is left.
    """
    rows, cols = (np.arange(0, extent, _BLOCK) for extent in planes[0][0].shape)
    squares = sum(np.square(a.astype(np.int64) - b) for a, b in planes)
    sums = np.add.reduceat(np.add.reduceat(squares, rows, 0), cols, 1)
    heights, widths = (
        np.diff(starts, append=extent) for starts, extent in zip((rows, cols), planes[0][0].shape, strict=True)
    )
    means = sums / (len(planes) * heights[:, None] * widths)
    row, col = np.unravel_index(np.argmax(means), means.shape)
    return float(means[row, col]), int(rows[row]), int(cols[col])


class PsnrMetric:
    """PSNR of luma, of RGB and of YUV weighted 6:1:1; of an RGB source only the second.

    And PSNR of the block of chroma that came off worst in each frame: means hide a small thing that lost its colour.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._peak = float(info.pixel_format.max_value)
        self._has_luma = info.color.matrix != 0 or info.pixel_format.num_planes == 1
        self._plane_mse: list[list[float]] = []
        self._rgb_mse: list[float] = []
        self._worst: list[tuple[float, int, int]] = []

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        if self._has_luma:
            planes = zip(pair.reference, pair.target, strict=True)
            self._plane_mse.append([mean_squared_error(a, b) for a, b in planes])
            if len(pair.reference) == 3:
                self._worst.append(worst_block(list(zip(pair.reference[1:], pair.target[1:], strict=True))))
        self._rgb_mse.append(mean_squared_error(pair.reference_rgb.numpy(), pair.target_rgb.numpy()))

    @property
    def running_db(self) -> float:
        """Mean so far, of luma where there is any."""
        mse, peak = ([frame[0] for frame in self._plane_mse], self._peak) if self._has_luma else (self._rgb_mse, 255.0)
        return sum(psnr_db(value, peak) for value in mse) / max(1, len(mse))

    def series(self) -> list[Series]:
        """``psnr_y_db``, ``psnr_rgb_db``, ``psnr_yuv611_db``, ``psnr_worst_chroma_db``."""
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
        if self._worst:
            found.append(self._worst_chroma())
        return found

    def _worst_chroma(self) -> Series:
        frame = max(range(len(self._worst)), key=lambda number: self._worst[number][0])
        _, row, col = self._worst[frame]
        where = f"U and V, worst block of 16x16 of their samples; lowest in frame {frame}, row {row}, column {col}"
        values = tuple(psnr_db(mse, self._peak) for mse, _, _ in self._worst)
        return Series("psnr_worst_chroma_db", where, values, "dB")

    @staticmethod
    def _series(name: str, domain: str, mse: Sequence[float], peak: float) -> Series:
        pooled = psnr_db(sum(mse) / len(mse), peak)
        values = tuple(psnr_db(value, peak) for value in mse)
        return Series(name, domain, values, "dB", True, {"of_mean_mse": pooled})
