"""tools/benchmark/rd_sweep.py: points are made once, and curves meet."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
from places import ROOT

from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.evaluation.matching import FrameSource
from nerv_codec.evaluation.schema import RdPoint


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


TINY = ["--model", "siren", "--set", "siren.width=8", "--set", "siren.hidden_layers=1", "--set", "siren.steps=2"]


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
    assert points[0]["command"].startswith("ffmpeg ") and "-preset veryslow -crf 20 " in points[0]["command"]
    assert "-tune psnr" in points[0]["command"]
    assert points[3]["command"].startswith("nerv-codec encode ") and "--set siren.steps=2" in points[3]["command"]
    own = next((tmp_path / "r.files" / "ours").glob("*.crf20.*.nvc"))
    assert points[3]["coded_bytes"] == own.stat().st_size
    with FrameSource(own) as ours, FrameSource(tiny_clip) as source:
        pairs = zip(ours, source, strict=False)
        frames = [
            [psnr_db(mean_squared_error(x, y), 255) for x, y in zip(a.planes, b.planes, strict=True)] for a, b in pairs
        ]
    y, u, v = (sum(plane) / 9 for plane in zip(*frames, strict=True))
    assert points[3]["metrics"]["psnr_y_db"] == pytest.approx(y)
    assert points[3]["metrics"]["psnr_yuv611_db"] == pytest.approx((6 * y + u + v) / 8)
    before = results.stat().st_mtime_ns
    capsys.readouterr()
    sweep.run(*words)
    assert results.stat().st_mtime_ns == before
    assert capsys.readouterr().out.startswith("| ours | against | tiny |")


def test_no_point_begins_after_its_time(sweep, tiny_clip, tmp_path, capsys):
    sweep.run(tmp_path / "r.json", f"{tiny_clip}:3", *TINY, "--codecs", "nerv-codec,x264", "--hours", "0")
    assert not (tmp_path / "r.json").exists()
    assert "no table" in capsys.readouterr().out


def test_other_codecs_alone_make_points_and_unknown_ones_are_named(sweep, tiny_clip, tmp_path, capsys):
    results = tmp_path / "r.json"
    sweep.run(results, f"{tiny_clip}:3", "--codecs", "x264", "--anchor-crf", "30")
    assert [(p["codec"], p["crf"]) for p in json.loads(results.read_text())] == [("x264", 30)]
    assert "no curve of ours" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        sweep.run(results, f"{tiny_clip}:3", "--codecs", "x266")
    assert "found x266" in capsys.readouterr().err


def test_table(sweep, tmp_path):
    results = sweep.Results(tmp_path / "r.json")
    for codec, factor in (("nerv-codec", 0.8), ("x264", 1.0)):
        for crf, size in ((20, 4000), (30, 2000), (40, 1000)):
            metrics = {"psnr_y_db": 60.0 - crf, "psnr_yuv611_db": 60.0 - crf}
            point = RdPoint("p", int(size * factor), 1.0, 1.0, metrics, 1.0, 1.0, "cpu")
            results.add(sweep.Curve("a.mp4", 3, codec, "s"), crf, "c", point)
    assert "| nerv-codec [s] | x264 [s] | -20.0 % | -20.0 % |" in sweep.table(results)
