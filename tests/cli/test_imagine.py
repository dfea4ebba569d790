"""``nerv-codec imagine``: pictures, videos and pages; what is given stays; what makes no sense is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from clips import write_clip
from moving import moving_texture

from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.cli.main import run
from nerv_codec.media.reader import open_video

INFO = VideoInfo(34, 20, PixelFormat(), time_base=Fraction(1, 24))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    frames = [PlanarFrame(planes, t, 1) for t, planes in enumerate(moving_texture(INFO.pixel_format, 20, 34, 4))]
    return write_clip(tmp_path_factory.mktemp("imagine") / "a.mkv", INFO, frames, 24)


def read(path):
    with open_video(path) as video:
        return [frame.planes for frame in video]


def test_a_picture_keeps_its_upper_part(clip, tmp_path, capsys):
    for name, given in (("half.png", "0.5"), ("most.png", "0.9")):
        assert run(["imagine", str(clip), str(tmp_path / name), "--frame", "1", "--given", given]) == 0
    half, most = (read(tmp_path / name)[0] for name in ("half.png", "most.png"))
    assert all(np.array_equal(a[:9], b[:9]) and not np.array_equal(a, b) for a, b in zip(half, most, strict=True))
    assert "bits per pixel" in capsys.readouterr().err


def test_frames_are_drawn_behind_those_given(clip, tmp_path):
    assert run(["imagine", str(clip), str(tmp_path / "b.mkv"), "--frame", "1", "--more", "2", "-q"]) == 0
    true, found = read(clip), read(tmp_path / "b.mkv")
    assert len(found) == 4
    assert [all(map(np.array_equal, a, b)) for a, b in zip(true, found, strict=True)] == [True, True, False, False]


def test_a_page_shows_given_true_and_drawn(clip, tmp_path):
    target = tmp_path / "page.html"
    assert run(["imagine", str(clip), str(target), "-q"]) == 0
    assert target.read_text().count("data:image/png") == 3 and "http" not in target.read_text()
    assert run(["imagine", str(clip), str(target), "--frame", "3", "--more", "1", "-q", "-y"]) == 0
    assert target.read_text().count("data:image/png") == 5 and "of what was there" not in target.read_text()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["x.gif"], 2), (["x.png", "--more", "2"], 2), (["x.png", "--given", "1"], 2), (["x.png", "--frame", "9"], 3)],
)
def test_what_makes_no_sense_is_refused(clip, tmp_path, words, code):
    name, *flags = words
    assert run(["imagine", str(clip), str(tmp_path / name), *flags]) == code
    assert not (tmp_path / name).exists()
