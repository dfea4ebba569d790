"""Fits that begin with what an earlier encode came to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from places import SAMPLES

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.encoding.config import EncoderConfig, TrackedConfig
from nerv_codec.encoding.encode import encode

SAMPLE = SAMPLES / "sample.mp4"


def _config(steps: int, crf_lambda: float = 2e-3, **settings: float) -> EncoderConfig:
    return EncoderConfig(
        model="tracked", gop=4, tracked=TrackedConfig(steps=steps, scales=4, rd_lambda=crf_lambda, **settings)
    )


def _encode(target: Path, config: EncoderConfig, frames: int = 9, **options: object):
    return encode(SAMPLE, target, config=config, frames=frames, audio=False, tool_section=False, **options)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, float]:
    path = tmp_path_factory.mktemp("first") / "first.nvc"
    report = _encode(path, _config(30))
    return path, report.psnr_y_db


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_few_steps_go_on_where_the_earlier_file_ended(tmp_path, first, jobs):
    alone = _encode(tmp_path / "alone.nvc", _config(12))
    more = _encode(tmp_path / "more.nvc", _config(12), start_from=first[0], jobs=jobs)
    assert more.psnr_y_db > alone.psnr_y_db + 2
    assert more.psnr_y_db > first[1] - 0.5
    assert more.num_gops == 2


def test_it_moves_to_another_quality(tmp_path, first):
    finer = _encode(tmp_path / "finer.nvc", _config(25, 2.5e-4), start_from=first[0])
    assert finer.psnr_y_db > first[1] + 0.5
    assert finer.file_bytes > first[0].stat().st_size


def test_what_does_not_belong_together_is_refused(tmp_path, first, tiny_nvc):
    with pytest.raises(InputError, match="no such file"):
        _encode(tmp_path / "a.nvc", _config(2), start_from=tmp_path / "none.nvc")
    with pytest.raises(UsageError, match="tracked"):
        _encode(tmp_path / "a.nvc", _config(2), start_from=tiny_nvc)
    with pytest.raises(UsageError, match="other frames: GOP 0"):
        _encode(tmp_path / "a.nvc", dataclasses.replace(_config(2), gop=6), start_from=first[0])
    with pytest.raises(UsageError, match="other frames: GOP 2"):
        _encode(tmp_path / "a.nvc", _config(2), frames=13, start_from=first[0])
    assert not (tmp_path / "a.nvc").exists()
