from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import beside

from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair


@pytest.fixture
def weights() -> Path:
    """A TORCH_HOME with AlexNet's weights."""
    return beside("weights/torch_home")


@pytest.fixture
def make_pairs():
    """Smooth pictures and noisy copies of them."""

    def make(info: VideoInfo, count: int = 3, noise: int = 12) -> list[FramePair]:
        rng = np.random.default_rng(11)
        fmt = info.pixel_format
        dtype = np.uint8 if fmt.bit_depth == 8 else np.uint16
        pairs = []
        for index in range(count):
            planes = []
            for plane in range(fmt.num_planes):
                rows, cols = fmt.plane_size(plane, info.height, info.width)
                y, x = np.mgrid[:rows, :cols]
                wave = 0.5 + 0.3 * np.sin(0.2 * x + 0.1 * y + index) * np.cos(0.15 * y)
                planes.append(wave * fmt.max_value)
            scale = fmt.max_value / 255
            noisy = [np.clip(p + rng.normal(0, noise * scale, p.shape), 0, fmt.max_value) for p in planes]
            pairs.append(
                FramePair(tuple(p.astype(dtype) for p in planes), tuple(p.astype(dtype) for p in noisy), info, info)
            )
        return pairs

    return make


@pytest.fixture
def info() -> VideoInfo:
    return VideoInfo(176, 144, PixelFormat())
