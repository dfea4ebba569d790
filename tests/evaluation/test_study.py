"""Baselines, held-out samples and all outputs, on a clip of a few small frames."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import noise, write_clip

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.cli.main import run
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import EncodeReport, encode
from nerv_codec.evaluation import baselines as baselines_module
from nerv_codec.evaluation import holdout
from nerv_codec.evaluation.curves import compare
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.metrics.suite import MetricChoice
from nerv_codec.evaluation.study import StudyPlan, study


def tiny(width: int) -> EncoderConfig:
    return EncoderConfig(model="siren", gop=4, siren=SirenConfig(width=width, hidden_layers=1, steps=12, batch=1024))


def wave(t: float, height: int, width: int) -> tuple[np.ndarray, ...]:
    """A picture of the moving waves at time ``t``, in frames, of which 96x128 pixels or fewer cover the same area."""

    def plane(rows: int, cols: int) -> np.ndarray:
        y, x = ((np.arange(n) + 0.5) * (full / n) - 0.5 for n, full in ((rows, 96), (cols, 128)))
        return (128 + 60 * np.sin(0.15 * x + 0.5 * t) * np.cos(0.1 * y)[:, None]).astype(np.uint8)

    return plane(height, width), plane(height // 2, width // 2), plane(height // 2, width // 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def clip(folder):
    """Ten frames of moving waves."""
    frames = (PlanarFrame(wave(pts, 96, 128), pts) for pts in range(10))
    return write_clip(folder / "clip.y4m", VideoInfo(128, 96), frames)


@pytest.fixture(scope="module")
def coded(folder, clip):
    """Two files of the clip, of frames 1 to 9."""
    paths = folder / "a.nvc", folder / "b.nvc"
    for path, width in zip(paths, (8, 24), strict=True):
        encode(clip, path, config=tiny(width), start=1)
    return paths


@pytest.fixture
def two_points(monkeypatch):
    """Baselines with a short row of crf."""
    for name, known in list(baselines_module.BASELINES.items()):
        monkeypatch.setitem(baselines_module.BASELINES, name, dataclasses.replace(known, crfs=known.crfs[1::2]))


def test_curves_of_the_same_frames_and_a_cache(folder, clip, coded, two_points, monkeypatch):
    found = evaluate(clip, coded[0], metrics=("psnr", "ssim"))
    options = {"points": coded[1:], "baselines": ("x264", "svtav1"), "work": folder / "work"}
    result = compare(found, choice=MetricChoice(("psnr", "ssim")), **options)
    assert [curve.name for curve in result.curves] == ["nerv-codec", "x264", "svtav1"]
    assert [len(curve.points) for curve in result.curves] == [2, 3, 3]
    for curve in result.curves[1:]:
        assert "keyint 4" in curve.settings
        rates = [point.rate_bpp for point in curve.points]
        assert rates == sorted(rates)
        assert all(p.rate_bpp == pytest.approx(8 * p.coded_bytes / (9 * 128 * 96)) for p in curve.points)
        assert all(point.metrics["psnr_y_db"] > 20 for point in curve.points)
    assert {delta.metric for delta in result.deltas} == {series.name for series in found.series}
    assert all(delta.bd or delta.reason for delta in result.deltas)

    def fail(*_):
        raise AssertionError("was encoded again")

    monkeypatch.setattr(baselines_module, "_encode", fail)
    again = compare(found, choice=MetricChoice(("psnr", "ssim")), **options)
    assert again.curves[1:] == result.curves[1:]


def test_what_a_baseline_cannot_encode_is_skipped(folder, monkeypatch):
    info = VideoInfo(33, 35)
    path = write_clip(folder / "odd.y4m", info, noise(info, range(3)))
    gone = baselines_module.Baseline("x265", "no-such-encoder", "medium", (20,))
    monkeypatch.setitem(baselines_module.BASELINES, "x265", gone)
    found = compare(evaluate(path, path), baselines=("x264", "x265"), choice=MetricChoice(), work=folder / "work")
    assert "33x35" in found.skipped["x264"] and "no-such-encoder" in found.skipped["x265"]
    assert not any((folder / "work").glob("*.tmp*"))


def test_points_must_show_the_same_frames(folder, clip, coded):
    other = folder / "other.nvc"
    encode(clip, other, config=tiny(8), start=3)
    with pytest.raises(InputError, match="same frames"):
        compare(evaluate(clip, coded[0]), points=[other], choice=MetricChoice(), work=folder / "work")
    with pytest.raises(UsageError, match="x266"):
        compare(evaluate(clip, coded[0]), baselines=["x266"], choice=MetricChoice(), work=folder / "work")


def test_held_out_samples(clip, coded):
    plan = StudyPlan(hold_out_frames=2, hold_out_pixels=2, config=tiny(24), settings="tiny")
    events = []
    found = study(clip, coded[0], plan, progress=events.append)
    frames, pixels = found.holdouts
    assert (frames.kind, frames.num_frames, pixels.kind, pixels.num_frames) == ("time", 4, "space", 9)
    names = [(method.name, method.given) for method in frames.methods]
    assert names[0] == ("function between frames", "the function")
    assert ("minterpolate", "original pictures") in names
    best = {name: method.metrics["psnr_y_db"] for name, method in zip(names, frames.methods, strict=True)}
    assert best["average", "original pictures"] > 25
    assert {method.name for method in pixels.methods} == {"function between pixels", "bicubic", "Lanczos"}
    assert max(method.metrics["psnr_y_db"] for method in pixels.methods) > 35  # waves survive a reduction
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    with pytest.raises(UsageError, match="factor"):
        study(clip, coded[0], StudyPlan(hold_out_frames=1))


class Perfect:
    """In place of a decoder: the function that a perfect fit of frames 1, 1 + step ... of the clip would be."""

    def __init__(self, step: int):
        self.step = step

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def render(self, position, view):
        return PlanarFrame(wave(1 + self.step * float(position), view.full_height, view.full_width), 0)


@pytest.mark.parametrize(("step", "hold_out"), [(2, holdout.hold_out_frames), (1, holdout.hold_out_pixels)])
def test_a_perfect_function_is_exact_where_others_are_not(clip, monkeypatch, step, hold_out):
    """The function is asked for the very frames and pixels that it is compared with."""
    report = EncodeReport(**dict.fromkeys((one.name for one in dataclasses.fields(EncodeReport)), 1))
    monkeypatch.setattr(holdout, "encode", lambda *_, **__: report)
    monkeypatch.setattr(holdout, "evaluate", lambda *_, **__: SimpleNamespace(series=()))
    monkeypatch.setattr(holdout, "VideoDecoder", lambda *_, **__: Perfect(step))
    found = hold_out(clip, range(1, 10), 2, config=EncoderConfig(), settings="", choice=MetricChoice())
    scores = {(method.name, method.given): method.metrics["psnr_y_db"] for method in found.methods}
    function, *others = scores.values()
    assert function == 100
    assert max(others) < 60


class Page(HTMLParser):
    """Which elements there are, whether they are closed, and what they would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.fetches, self.images = [], [], 0

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.fetches += [values[name] for name in ("src", "href", "srcset", "poster") if name in values]
        self.images += tag == "img"
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_all_outputs(folder, clip, coded, two_points):
    pytest.importorskip("jinja2")
    out = {name: folder / f"report.{name}" for name in ("json", "csv", "html")}
    flags = [
        part
        for name, path in out.items()
        for part in ((f"--{name}={path}",) if name == "json" else (f"--{name}", str(path)))
    ]
    arguments = ["eval", str(clip), str(coded[0]), "--points", str(coded[1]), "--baselines", "x264", "-q"]
    arguments += ["--metrics", "psnr,ssim", "--work", str(folder / "work"), "--rd", str(folder / "rd.json"), *flags]
    assert run(arguments) == 0
    report = json.loads(out["json"].read_text())
    assert report["schema_version"] == 1 and len(report["curves"]) == 2 and report["bd"]
    assert sum(report["target"]["about"]["bytes_by_part"].values()) == report["target"]["file_bytes"]
    ours, theirs = (json.loads((folder / name).read_text()) for name in ("rd.json", "rd.x264.json"))
    assert set(ours) == {"name", "description", "results"} and theirs["name"] == "x264"
    assert {"bpp", "psnr-y", "psnr-rgb", "ssim-y", "encoding_time"} <= set(ours["results"])
    assert {len(values) for values in ours["results"].values()} == {2}
    text = out["html"].read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not page.open
    assert page.images == 3 * 3 + 3  # worst frames: reference, decoded, difference; and the enlarged crop
    assert all(address.startswith("data:") for address in page.fetches)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)
    assert "BD-rate" in text and ">nan" not in text.lower()
    assert run(arguments) == 2  # nothing is overwritten


def test_ordinary_videos_have_a_page_too(folder, clip):
    pytest.importorskip("jinja2")
    target = folder / "plain.html"
    assert run(["eval", str(clip), str(clip), "-q", "--html", str(target)]) == 0
    assert "<script>" in target.read_text(encoding="utf-8")
    assert sorted(path.suffix for path in Path(folder).glob(".*")) == []
