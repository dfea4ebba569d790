"""Lossless files from end to end: every plane back, other coordinates still asked for, damage kept to its GOP."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from clips import write_clip
from moving import moving_texture

from nerv_codec import VideoDecoder, encode
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.bitstream.container import ContainerReader
from nerv_codec.cli.main import run
from nerv_codec.decoding.decode import decode
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


def test_rgb_is_shown_as_it_is(tmp_path):
    """In pictures, at other sizes, in parts and in the library, as at its own size."""
    info = VideoInfo(20, 16, PixelFormat(3, 0, 0), ColorInfo(matrix=0, full_range=True), Fraction(1), Fraction(1, 24))
    colours = (255, 0, 0), (0, 0, 0), (255, 255, 255), (30, 200, 90)
    frames = [
        PlanarFrame(tuple(np.full((16, 20), level, np.uint8) for level in (green, blue, red)), t, 1)
        for t, (red, green, blue) in enumerate(colours)
    ]
    source = tmp_path / "a.nvc"
    encode(write_clip(tmp_path / "a.mkv", info, frames, 24), source, config=LOSSLESS)
    with VideoDecoder(source) as video:
        for t, colour in enumerate(colours):
            assert video[t][:, 5, 5].tolist() == list(colour)
            assert video.get_frame_at(t, scale=2).data[:, 5, 5].tolist() == list(colour)
    for name, options in {"x2.mkv": {"scale": 2}, "part.mkv": {"crop": (8, 8, 4, 4)}, "png": {"format": "png"}}.items():
        decode(source, tmp_path / name, **options)
        for t, colour in enumerate(colours):
            path = tmp_path / name / f"{t:06}.png" if name == "png" else tmp_path / name
            with av.open(str(path)) as file:
                shown = next(islice(file.decode(video=0), 0 if name == "png" else t, None))
                assert shown.to_ndarray(format="rgb24")[3, 3].tolist() == list(colour), name
