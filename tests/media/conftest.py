from __future__ import annotations

from fractions import Fraction

import pytest
from clips import noise

from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo


@pytest.fixture
def make_info():
    def make(layout: PixelFormat, width: int = 38, height: int = 22, **color: object) -> VideoInfo:
        return VideoInfo(width, height, layout, ColorInfo(**color), Fraction(4, 3), Fraction(1, 1000))

    return make


@pytest.fixture
def make_frames():
    def make(info: VideoInfo, times: list[int]) -> list[PlanarFrame]:
        """Noise, so that any wrong sample shows."""
        return noise(info, times)

    return make
