"""Bitrates, sizes and PSNRs: what each GOP gets, and what is said about the result."""

from __future__ import annotations

import dataclasses
import io

import pytest

from nerv_codec.base.errors import UsageError
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.target import Budget, Goal, Steering

CONFIG = EncoderConfig(model="siren", gop=8, siren=SirenConfig(hidden_layers=2, steps=20, batch=1500))


def test_a_budget_is_shared_by_frames_and_the_first_one_counts_more():
    budget = Goal(total_bytes=10_100).budget(seconds=1, overhead_bytes=100, gop_frames=(32, 12))
    assert (budget.bits, budget.weights) == (80_000, (40, 20))
    assert budget.share(0, ()) == pytest.approx(80_000 * 2 / 3)
    assert budget.share(1, (60_000,)) == 20_000
    assert budget.share(1, ()) == pytest.approx(80_000 / 3)


def test_a_spendthrift_gop_leaves_something_to_the_others():
    budget = Budget(80_000, (1, 1))
    assert budget.share(1, (200_000,)) == 10_000


def test_bitrate_is_size_over_time():
    budget = Goal(bitrate_bps=8000).budget(seconds=10, overhead_bytes=0, gop_frames=(5,))
    assert budget.bits == 80_000
    with pytest.raises(UsageError, match=r"at least 5064 bytes, of which 5000 are .* found a target of 4000"):
        Goal(total_bytes=4000).budget(seconds=10, overhead_bytes=5000, gop_frames=(5,))


def test_steering():
    assert Steering().target(0, ()) is None
    assert Steering(psnr_db=35.0).target(3, (1.0,)).psnr_db == 35.0
    assert Steering(budget=Budget(5000, (1,))).target(0, ()).bits == 5000
    assert Steering(budget=Budget(5000, (1,))).target(1, (4000,)) is None  # more GOPs than were seen before


def test_missed():
    come = {"file_bytes": 1049, "seconds": 2.0, "psnr_db": 33.0}
    assert Goal().missed(**come) == Goal(total_bytes=1000).missed(**come) == Goal(psnr_db=33.19).missed(**come) == ""
    assert Goal(total_bytes=900).missed(**come) == "asked for 900 B, came to 1.02 KiB (+16.6 %)"
    assert Goal(bitrate_bps=8000).missed(**come) == "asked for 8 kb/s, came to 4.196 kb/s (-47.6 %)"
    assert "35.00 dB, came to 33.00 dB (-2.00 dB)" in Goal(psnr_db=35.0).missed(**come)


@pytest.mark.parametrize("goal", [{"target_bytes": 5_000}, {"bitrate": 60_000.0}], ids=str)
@pytest.mark.parametrize("jobs", [1, 2])
def test_siren_lands_on_a_size(tiny_clip, tmp_path, goal, jobs):
    report = encode(tiny_clip, tmp_path / "a.nvc", config=CONFIG, jobs=jobs, **goal)
    assert report.missed == "" and report.num_gops == 3
    asked = goal.get("target_bytes") or goal["bitrate"] * 0.75 / 8
    assert report.file_bytes == pytest.approx(asked, rel=0.05)


def test_a_target_that_is_missed_is_written_all_the_same(tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr("nerv_codec.encoding.target.RATE_TOLERANCE", -1.0)
    events = []
    report = encode(tiny_clip, tmp_path / "a.nvc", config=CONFIG, frames=3, bitrate=8e4, progress=events.append)
    assert report.missed.startswith("asked for 80 kb/s, came to ")
    assert (tmp_path / "a.nvc").exists() and events[-1].detail["missed"] == report.missed


def test_what_cannot_be_steered(tiny_clip, tmp_path):
    target = tmp_path / "a.nvc"
    width = dataclasses.replace(CONFIG, siren=SirenConfig(width=8))
    for match, arguments in {
        "siren cannot be steered to a PSNR": {"target_psnr_db": 30.0},
        "siren.width or a target": {"config": width, "target_bytes": 9000},
        "at most one of": {"target_bytes": 9000, "bitrate": 1e5},
        "a crf or a target": {"target_bytes": 9000, "crf": 20.0},
        "above 0": {"bitrate": -1.0},
        "of which [0-9]+ are headers": {"target_bytes": 90},
    }.items():
        with pytest.raises(UsageError, match=match):
            encode(tiny_clip, target, **{"config": CONFIG, **arguments})
    with pytest.raises(UsageError, match="found a stream"):
        encode(io.BytesIO(tiny_clip.read_bytes()), target, config=CONFIG, bitrate=1e5)
    assert list(tmp_path.iterdir()) == []
