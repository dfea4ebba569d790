"""``nerv-codec imagine``: pictures, videos and pages; what is given stays; what makes no sense is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from clips import write_clip
from moving import moving_texture
from places import SAMPLES

from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.cli.main import run
from nerv_codec.evaluation.imagining import imagine_grids
from nerv_codec.evaluation.matching import select_frames
from nerv_codec.media.reader import open_video

LOSSY = SAMPLES / "golden_warped.nvc"
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


@pytest.mark.parametrize("frame", [0, 1])  # the root, and a node that is predicted
def test_details_of_a_lossy_file_are_drawn(tmp_path, capsys, frame):
    found = []
    for name, grid, seed in (("a.png", "2", "1"), ("b.png", "2", "1"), ("c.png", "16", "2")):
        words = ["imagine", str(LOSSY), str(tmp_path / name), "--grids", grid, "--frame", str(frame), "--seed", seed]
        assert run(words) == 0
        found.append(read(tmp_path / name)[0])
        told = capsys.readouterr().err
        assert all(word in told for word in ("expected", "drawn", "true"))
    assert all(map(np.array_equal, found[0], found[1])) and not np.array_equal(found[0][0], found[2][0])
    page = tmp_path / "page.html"
    assert run(["imagine", str(LOSSY), str(page), "--grids", "8", "--frame", str(frame), "-q"]) == 0
    assert page.read_text().count("data:image/png") == 3 and "context model" in page.read_text()


@pytest.mark.parametrize("frame", [0, 1, 5])
def test_what_was_there_is_what_a_decoder_shows(frame):
    found = imagine_grids(LOSSY, 4, frame=frame)
    shown = next(select_frames(LOSSY, [frame])).planes
    assert all(map(np.array_equal, found.true[0], shown))
    assert not np.array_equal(found.drawn[0][0], shown[0])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x.gif"], 2),
        (["x.png", "--more", "2"], 2),
        (["x.png", "--given", "1"], 2),
        (["x.png", "--frame", "9"], 3),
        (["x.png", "--grids", "2"], 2),
    ],
)
def test_what_makes_no_sense_is_refused(clip, tmp_path, words, code):
    name, *flags = words
    assert run(["imagine", str(clip), str(tmp_path / name), *flags]) == code
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("words", ["--more 1", "--given 0.5", "--frame 99", "--frame -1", "--seed -1"])
def test_grids_go_with_one_frame_of_the_file(tmp_path, capsys, words):
    target = tmp_path / "x.png"
    try:
        found = run(["imagine", str(LOSSY), str(target), "--grids", "2", *words.split()])
    except SystemExit as refused:
        found = refused.code
    assert found == (3 if "9" in words else 2) and not target.exists() and "Traceback" not in capsys.readouterr().err
