from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo, plane_dtype


@pytest.fixture
def make_info():
    def make(layout: PixelFormat, width: int = 38, height: int = 22, **color: object) -> VideoInfo:
        return VideoInfo(width, height, layout, ColorInfo(**color), Fraction(4, 3), Fraction(1, 1000))

    return make


@pytest.fixture
def make_frames():
    def make(info: VideoInfo, times: list[int]) -> list[PlanarFrame]:
        """Noise, so that any wrong sample shows."""
        rng = np.random.default_rng(5)
        layout = info.pixel_format
        sizes = [layout.plane_size(index, info.height, info.width) for index in range(layout.num_planes)]
        dtype = plane_dtype(layout.bit_depth)
        return [
            PlanarFrame(tuple(rng.integers(0, layout.max_value, size, dtype, endpoint=True) for size in sizes), pts)
            for pts in times
        ]

    return make
