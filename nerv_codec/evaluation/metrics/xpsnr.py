"""XPSNR (Helmrich et al. 2020), through ffmpeg's filter in PyAV: PSNR weighted by visual sensitivity.

PyAV cannot tell the filter a frame rate, so it takes the temporal activity of videos up to 32 frames a second.
"""

from __future__ import annotations

import math

from nerv_codec.base.psnr import MAX_DB, yuv611_db
from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.filter_pair import FilterPair
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable, require_luma

_FEWEST_PIXELS = 2025
"""The filter ends the process over smaller pictures."""


class XpsnrMetric:
    """``xpsnr_y_db`` and ``xpsnr_yuv611_db``."""

    def __init__(self, info: VideoInfo) -> None:
        require_luma(info, "xpsnr")
        if info.width * info.height < _FEWEST_PIXELS:
            found = f"{info.width}x{info.height}"
            raise Unavailable(f"expected pictures of at least {_FEWEST_PIXELS} pixels, found {found}")
        self._filter = FilterPair("xpsnr", info)
        self._planes = info.pixel_format.num_planes

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        self._filter.add(pair.reference, pair.target)

    def series(self) -> list[Series]:
        """Luma, and all planes weighted 6:1:1 in dB."""
        notes = self._filter.finish()
        names = [f"lavfi.xpsnr.xpsnr.{plane}" for plane in "yuv"[: self._planes]]
        frames = [[_decibels(note[name]) for name in names] for note in notes]
        return [
            Series("xpsnr_y_db", "Y", tuple(frame[0] for frame in frames), "dB"),
            Series("xpsnr_yuv611_db", "YUV 6:1:1, weighted in dB", tuple(map(yuv611_db, frames)), "dB"),
        ]


def _decibels(text: str) -> float:
    value = float(text)
    return MAX_DB if math.isinf(value) or math.isnan(value) else min(MAX_DB, value)
