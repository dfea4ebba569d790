"""Our PSNR, SSIM and XPSNR against ffmpeg's filters in PyAV."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair
from nerv_codec.evaluation.metrics.psnr import PsnrMetric
from nerv_codec.evaluation.metrics.ssim import SsimMetric, block_ssim
from nerv_codec.evaluation.metrics.xpsnr import FilterPair, XpsnrMetric
from nerv_codec.media.reader import open_video


def compare(pairs: list[FramePair], info: VideoInfo) -> None:
    psnr, ssim = PsnrMetric(info), SsimMetric(info)
    filters = {name: FilterPair(name, info) for name in ("psnr", "ssim")}
    for pair in pairs:
        psnr.add(pair)
        ssim.add(pair)
        for oracle in filters.values():
            oracle.add(pair.reference, pair.target)
    expected = {name: oracle.finish() for name, oracle in filters.items()}
    for found, note in zip(psnr.series()[0].values, expected["psnr"], strict=True):
        assert found == pytest.approx(float(note["lavfi.psnr.psnr.y"]), abs=0.01)
    for found, note in zip(ssim.series()[0].values, expected["ssim"], strict=True):
        assert found == pytest.approx(float(note["lavfi.ssim.Y"]), abs=1e-3)


@pytest.mark.parametrize(("width", "height"), [(176, 144), (41, 35)])
@pytest.mark.parametrize("layout", [PixelFormat(), PixelFormat(3, 0, 0, 10), PixelFormat(1, 0, 0, 8)])
def test_synthetic(make_pairs, layout, width, height):
    info = VideoInfo(width, height, layout)
    compare(make_pairs(info), info)


@pytest.mark.parametrize(
    "name", ["carphone_176x144_120f.mp4", "foreman_352x288_21f.mkv", "basketballpass_416x240_64f.mkv"]
)
def test_clips_against_their_own_next_frame(clips, name):
    with open_video(clips / name) as reader:
        frames = list(islice(reader, 5))
        info = reader.info
    compare([FramePair(a.planes, b.planes, info, info) for a, b in pairwise(frames)], info)


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
    plane = make_pairs(info, 1)[0].reference[0]
    assert block_ssim(plane, plane, 255) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="8x8"):
        block_ssim(plane[:7], plane[:7], 255)
