"""tools/rd_sweep.py: points are made once, and curves meet."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from places import ROOT

from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.evaluation.matching import FrameSource


@pytest.fixture
def sweep(monkeypatch):
    path = ROOT / "tools" / "benchmark" / "rd_sweep.py"
    spec = importlib.util.spec_from_file_location("rd_sweep", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rd_sweep", module)
    spec.loader.exec_module(module)

    def run(*words: object) -> None:
        monkeypatch.setattr(sys, "argv", ["rd_sweep.py", *(str(word) for word in words)])
        module.main()

    module.run = run
    return module


TINY = ["--set", "siren.width=8", "--set", "siren.hidden_layers=1", "--set", "training.steps=2"]


def test_points_are_made_once(sweep, tiny_clip, tmp_path, capsys):
    results = tmp_path / "r.json"
    words = [results, f"{tiny_clip}:9", *TINY, "--crf", "20,40", "--codecs", "nerv-codec,x264", "--anchor-crf", "20,40"]
    sweep.run(*words)
    points = json.loads(results.read_text())
    assert [(p["codec"], p["crf"]) for p in points] == [
        ("x264", 20),
        ("x264", 40),
        ("nerv-codec", 40.0),
        ("nerv-codec", 20.0),
    ]
    assert points[0]["command"].startswith("ffmpeg ") and "-preset veryslow" in points[0]["command"]
    assert points[3]["command"].startswith("nerv-codec encode ") and "--set training.steps=2" in points[3]["command"]
    assert points[0]["psnr_yuv611"] == pytest.approx(
        (6 * points[0]["psnr_y"] + points[0]["psnr_u"] + points[0]["psnr_v"]) / 8
    )
    own = next((tmp_path / "r.files").glob("*.crf20.nvc"))
    assert points[3]["bytes"] == own.stat().st_size
    with FrameSource(own) as ours, FrameSource(tiny_clip) as source:
        pairs = zip(ours, source, strict=False)
        scores = [psnr_db(mean_squared_error(a.planes[0], b.planes[0]), 255) for a, b in pairs]
    assert points[3]["psnr_y"] == pytest.approx(sum(scores) / 9)
    before = results.stat().st_mtime_ns
    capsys.readouterr()
    sweep.run(*words)
    assert results.stat().st_mtime_ns == before
    assert capsys.readouterr().out.startswith("| ours | against | tiny |")


def test_no_point_begins_after_its_time(sweep, tiny_clip, tmp_path):
    sweep.run(tmp_path / "r.json", f"{tiny_clip}:3", *TINY, "--codecs", "nerv-codec,x264", "--hours", "0")
    assert not (tmp_path / "r.json").exists()


def test_table(sweep, tmp_path):
    results = sweep.Results(tmp_path / "r.json")
    clip = sweep.Clip(Path("a.mp4"), 3)
    for codec, factor in (("nerv-codec", 0.8), ("x264", 1.0)):
        for crf, size in ((20, 4000), (30, 2000), (40, 1000)):
            db = 60.0 - crf
            results.add(sweep.Point("a.mp4", 3, codec, "s", crf, int(size * factor), db, db, db, db, 1.0, "c"))
    assert "| nerv-codec [s] | x264 | -20.0 % | -20.0 % |" in sweep.table(results, [clip], "s", ["x264"])
