"""Further points of our own curve: the same frames at other crf, made once."""

from fractions import Fraction

import pytest
from clips import noise, write_clip

import nerv_codec
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.cli.main import run
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.evaluation import own_points
from nerv_codec.evaluation.own_points import encode_points
from nerv_codec.evaluation.study import StudyPlan, study
from nerv_codec.media.writer import open_writer

CONFIG = EncoderConfig(model="siren", siren=SirenConfig(target_bpp=2.0, hidden_layers=1, steps=20, batch=1024))


@pytest.fixture
def clip(tmp_path):
    info = VideoInfo(width=48, height=32, pixel_format=PixelFormat(1, 0, 0, 8))
    return write_clip(tmp_path / "clip.mkv", info, noise(info, range(0, 240, 40)))


def test_a_lower_crf_gives_a_larger_file_of_the_same_frames_and_is_kept(clip, tmp_path):
    small, large = encode_points(clip, range(1, 5), (34.0, 22.0), config=CONFIG, work=tmp_path)
    assert small.stat().st_size < large.stat().st_size
    with nerv_codec.VideoDecoder(large) as video:
        assert len(video) == 4
    before = large.stat().st_mtime_ns
    assert encode_points(clip, range(1, 5), (34.0, 22.0), config=CONFIG, work=tmp_path) == (small, large)
    assert large.stat().st_mtime_ns == before


def test_another_state_of_the_program_makes_its_own(clip, tmp_path, monkeypatch):
    (before,) = encode_points(clip, range(2), (34.0,), config=CONFIG, work=tmp_path)
    monkeypatch.setattr(own_points, "program_digest", lambda: "another")
    (after,) = encode_points(clip, range(2), (34.0,), config=CONFIG, work=tmp_path)
    assert after != before and after.exists()


def test_frames_with_gaps_cannot_be_encoded_again(clip, tmp_path):
    with pytest.raises(UsageError, match="without gaps"):
        encode_points(clip, (0, 2), (28.0,), config=CONFIG, work=tmp_path)


def test_numbered_pictures_have_the_rate_that_was_given(tmp_path):
    info, pictures = VideoInfo(width=48, height=32, pixel_format=PixelFormat()), tmp_path / "pictures"
    with open_writer(pictures, "png", info) as writer:
        for frame in noise(info, range(0, 120, 40)):
            writer.write(frame)
    target = tmp_path / "a.nvc"
    nerv_codec.encode(pictures, target, config=CONFIG, fps=Fraction(12))
    plan = StudyPlan(crfs=(34.0,), hold_out_frames=2, config=CONFIG, work=tmp_path, fps=Fraction(12))
    found = study(pictures, target, plan)
    (made,) = (tmp_path / "ours").iterdir()
    with nerv_codec.VideoDecoder(made) as video:
        assert video.metadata.average_fps == 12
    assert found.target.fps == 12 and len(found.curves[0].points) == 2 and found.holdouts


def test_eval_draws_a_curve_through_them(clip, tmp_path, capsys):
    target = tmp_path / "out.nvc"
    nerv_codec.encode(clip, target, config=CONFIG, crf=28)
    settings = [
        "--set",
        "model=siren",
        "--set",
        "siren.steps=20",
        "--set",
        "siren.target_bpp=2",
        "--set",
        "siren.hidden_layers=1",
    ]
    points = ["--crf", "22,34", "--work", str(tmp_path), "--rd", str(tmp_path / "rd.json")]
    assert run(["eval", str(clip), str(target), *points, *settings, "-q"]) == 0
    assert (tmp_path / "rd.json").read_text().count(".") > 3
    assert len(list((tmp_path / "ours").glob("clip.crf*.nvc"))) == 2
