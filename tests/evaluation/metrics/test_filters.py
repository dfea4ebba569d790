"""PSNR against ffmpeg's filter, and the filters that SSIM and XPSNR use against what their definitions say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.evaluation.metrics.filter_pair import FilterPair
from nerv_codec.evaluation.metrics.pair import FramePair, Unavailable
from nerv_codec.evaluation.metrics.psnr import PsnrMetric
from nerv_codec.evaluation.metrics.ssim import SsimMetric
from nerv_codec.evaluation.metrics.xpsnr import XpsnrMetric


def block_ssim(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    """The definition: mean over 8x8 windows at every fourth row and column, with sample variances."""
    views = [np.lib.stride_tricks.sliding_window_view(p.astype(float), (8, 8))[::4, ::4] for p in (a, b)]
    x, y = (view[: a.shape[0] // 4 - 1, : a.shape[1] // 4 - 1].reshape(-1, 64) for view in views)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    covariance = ((x - x.mean(1, keepdims=True)) * (y - y.mean(1, keepdims=True))).sum(1) / 63
    above = (2 * x.mean(1) * y.mean(1) + c1) * (2 * covariance + c2)
    below = (x.mean(1) ** 2 + y.mean(1) ** 2 + c1) * (x.var(1, ddof=1) + y.var(1, ddof=1) + c2)
    return float((above / below).mean())


def compare(pairs: list[FramePair], info: VideoInfo) -> None:
    psnr, ssim, oracle = PsnrMetric(info), SsimMetric(info), FilterPair("psnr", info)
    for pair in pairs:
        psnr.add(pair)
        ssim.add(pair)
        oracle.add(pair.reference, pair.target)
    for found, note in zip(psnr.series()[0].values, oracle.finish(), strict=True):
        assert found == pytest.approx(float(note["lavfi.psnr.psnr.y"]), abs=0.01)
    for found, pair in zip(ssim.series()[0].values, pairs, strict=True):
        expected = block_ssim(pair.reference[0], pair.target[0], info.pixel_format.max_value)
        assert found == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("width", "height"), [(176, 144), (41, 35)])
@pytest.mark.parametrize("layout", [PixelFormat(), PixelFormat(3, 0, 0, 10), PixelFormat(1, 0, 0, 8)])
def test_synthetic(make_pairs, layout, width, height):
    info = VideoInfo(width, height, layout)
    compare(make_pairs(info), info)


def test_a_clip_against_its_own_next_frame(tiny_info, tiny_frames):
    """Edges that moved, and a cut."""
    pairs = [FramePair(a.planes, b.planes, tiny_info, tiny_info) for a, b in pairwise(tiny_frames)]
    compare(pairs, tiny_info)


def test_xpsnr_is_the_filters_and_takes_the_reference_first(make_pairs, info):
    metric = XpsnrMetric(info)
    swapped = XpsnrMetric(info)
    for pair in make_pairs(info, noise=25):
        metric.add(pair)
        swapped.add(FramePair(pair.target, pair.reference, info, info))
    luma, weighted = metric.series()
    assert len(luma.values) == len(weighted.values) == 3
    assert all(10 < value < 60 for value in luma.values)
    # A noisy reference would excuse the errors.
    assert luma.pooled["mean"] < swapped.series()[0].pooled["mean"]


def test_ssim_of_a_picture_with_itself_is_one(make_pairs, info):
    (pair,) = make_pairs(info, 1)
    metric = SsimMetric(info)
    metric.add(FramePair(pair.reference, pair.reference, info, info))
    assert metric.series()[0].values == (1.0,)
    with pytest.raises(Unavailable, match="8x8"):
        SsimMetric(VideoInfo(16, 7))


def test_xpsnr_is_not_asked_of_pictures_that_its_filter_dies_of():
    with pytest.raises(Unavailable, match="2025 pixels"):
        XpsnrMetric(VideoInfo(44, 46))
