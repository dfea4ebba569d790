"""Rows gone on with by compressors: sizes become distributions, and what was given stays."""

from __future__ import annotations

import random
import zlib
from fractions import Fraction

import numpy as np
import pytest
from clips import write_clip
from moving import moving_texture

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.cli.main import run
from nerv_codec.evaluation import imagined_rows
from nerv_codec.evaluation.imagined_rows import GIVEN, WIDTH, chances, gzip_sizes, imagine_rows, lzma_sizes
from nerv_codec.media.reader import open_video

INFO = VideoInfo(44, 20, PixelFormat(), time_base=Fraction(1, 24))


@pytest.fixture
def clip(monkeypatch, tmp_path):
    """Two frames, and pictures of 12 x 40 instead of larger ones."""
    for name, value in (("HEIGHT", 12), ("WIDTH", 40), ("GIVEN", 34)):
        monkeypatch.setattr(imagined_rows, name, value)
    frames = [PlanarFrame(planes, t, 1) for t, planes in enumerate(moving_texture(INFO.pixel_format, 20, 44, 2))]
    return write_clip(tmp_path / "a.mkv", INFO, frames, 24)


@pytest.mark.parametrize("sizes", [gzip_sizes, lzma_sizes])
def test_what_repeats_is_expected_to_go_on(sizes):
    known = bytes(range(40, 80)) * 6 + bytes(range(40, 60))
    own = chances(sizes(known))
    assert sum(own) == pytest.approx(1)
    assert own[60] == max(own)


@pytest.mark.parametrize("spread", [0.0, 3.0, 60.0])
def test_a_copied_state_gives_the_sizes_of_deflate(spread):
    rng = random.Random(int(spread))
    for length in (0, 1, GIVEN, WIDTH - 1):
        known = bytes(int(rng.gauss(128 + 9 * (k % 13), spread)) % 256 for k in range(length))
        assert gzip_sizes(known) == [len(zlib.compress(known + bytes([value]), 9)) for value in range(256)]


def test_rows_keep_what_was_given_and_a_seed_decides(clip):
    told = []
    found, same, other = (imagine_rows(clip, frame=1, count=3, seed=seed, progress=told.append) for seed in (1, 1, 2))
    assert len(told) == 3 * (1 + 9 + 1) and told[9].stage == "row 3/3 ours" and told[10].type == "done"
    assert [one.name for one in found.made] == ["gzip", "LZMA", "ours"]
    for one, again, else_ in zip(found.made, same.made, other.made, strict=True):
        assert one.rows.shape == found.true.shape == (3, 40)
        assert np.array_equal(one.rows[:, :34], found.true[:, :34])
        assert np.array_equal(one.rows, again.rows) and not np.array_equal(one.rows, else_.rows)
        assert one.drawn_bits >= 0 and one.true_bits > 0
    with pytest.raises(UsageError, match=r"1\.\.12"):
        imagine_rows(clip, count=13)


def test_the_command_writes_a_page_and_a_picture(clip, tmp_path, capsys):
    page, picture = tmp_path / "page.html", tmp_path / "rows.png"
    assert run(["imagine", str(clip), str(page), "--compressors", "2"]) == 0
    told = capsys.readouterr().err
    assert all(f"{name} drawn" in told for name in ("gzip", "LZMA", "ours"))
    assert page.read_text().count("data:image/png") == 4 and "http" not in page.read_text()
    assert run(["imagine", str(clip), str(picture), "--compressors", "2", "-q"]) == 0
    with open_video(picture) as video:
        assert (video.info.width, video.info.height) == (40, 4 * 192)
    assert run(["imagine", str(clip), str(page), "-y", "--compressors", "--more", "2"]) == 2
