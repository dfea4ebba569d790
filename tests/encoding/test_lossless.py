"""Lossless files from end to end: every plane back, other coordinates still asked for, damage kept to its GOP."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from moving import moving_texture

from nerv_codec import VideoDecoder, encode
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.bitstream.container import ContainerReader
from nerv_codec.cli.main import run
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.representations.rendering import View

LOSSLESS = EncoderConfig(model="lossless", gop=3)
INFO = VideoInfo(34, 20, PixelFormat(3, 1, 1, 10), ColorInfo(9, 9, 16), Fraction(1), Fraction(1, 24))


@pytest.fixture(scope="module")
def frames() -> list[PlanarFrame]:
    return [PlanarFrame(planes, t, 1) for t, planes in enumerate(moving_texture(INFO.pixel_format, 20, 34, 7))]


@pytest.fixture(scope="module")
def coded(tmp_path_factory, frames) -> Path:
    folder = tmp_path_factory.mktemp("lossless")
    report = encode(write_clip(folder / "a.mkv", INFO, frames, 24), folder / "a.nvc", config=LOSSLESS)
    assert report.exact and report.verified and ", lossless, " in report.summary()
    return folder / "a.nvc"


def test_every_plane_comes_back(coded, frames):
    with VideoDecoder(coded) as video:
        assert (len(video), video.metadata.model, video.metadata.num_gops) == (7, "lossless", 2)
        for t, frame in enumerate(frames):
            found = video.render(Fraction(t), View.whole(20, 34)).planes
            assert all(np.array_equal(a, b) for a, b in zip(frame.planes, found, strict=True))


def test_other_coordinates_are_asked_for(coded):
    with VideoDecoder(coded) as video:
        batch = video.get_frames_played_in_range(0.0, 0.25, fps=48, scale=2)
        assert batch.data.shape == (12, 3, 40, 68)


def test_a_damaged_gop_costs_that_gop(coded, frames):
    data = bytearray(coded.read_bytes())
    reader = ContainerReader(io.BytesIO(data))
    data[reader.header_bytes + reader.header.gops[0].section_bytes + 99] ^= 4
    with VideoDecoder(io.BytesIO(data), keep_going=True) as video:
        found = video.render(Fraction(3), View.whole(20, 34)).planes
        assert np.array_equal(frames[3].planes[0], found[0]) and len(video.damage) == 0
        video.render(Fraction(5), View.whole(20, 34))
        assert len(video.damage) == 1


def test_there_is_no_quality_to_choose(coded, tmp_path, capsys):
    source = str(coded.with_suffix(".mkv"))
    assert run(["encode", source, str(tmp_path / "b.nvc"), "--lossless", "--crf", "20", "-q"]) == 2
    assert "no crf with lossless" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no target with lossless"):
        encode(source, tmp_path / "b.nvc", config=LOSSLESS, target_bytes=5000)
