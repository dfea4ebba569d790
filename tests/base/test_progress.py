from __future__ import annotations

import io
import json

import pytest

from nerv_codec.base import progress
from nerv_codec.base.progress import Progress, figures, format_bytes, make_sink, part_of

STEP = Progress("progress", 0.25, "gop 1/2 fit 5/10", {"psnr_db": 34.817, "rate_bpp": 0.0412, "bytes": 2000})


def test_json_lines_end_with_done_or_error():
    stream = io.StringIO()
    sink = make_sink("json", stream)
    for event in (Progress("start"), STEP, STEP, Progress("gop-done", 0.5), Progress("done", 1.0)):
        sink(event)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["type"] for record in records] == ["start", "gop-done", "done"]  # progress at most twice a second
    assert all(record["elapsed_seconds"] >= 0 for record in records)


def test_plain_lines_have_no_carriage_return(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_SECONDS", 0.0)
    stream = io.StringIO()
    sink = make_sink("auto", stream)
    for event in (Progress("start"), STEP, Progress("gop-done", 0.5, "gop 1/2 done"), Progress("done", 1.0)):
        sink(event)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("gop 1/2 fit 5/10  25% | 34.82 dB 0.0412 bpp 1.95 KiB | 0:00:0")
    assert second.startswith("gop 1/2 done  50%")
    assert "\r" not in stream.getvalue()


def test_time_that_compiling_takes_says_nothing_about_the_rest(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_SECONDS", 0.0)
    now = iter([0.0, 0.0, 80.0, 80.0, 90.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    sink = make_sink("plain", stream)
    sink(Progress("progress", 0.0, "compiling", {"kernels": 2}))
    sink(Progress("progress", 0.25, "fit"))
    lines = [line.rpartition(" | ")[2] for line in stream.getvalue().splitlines()]
    assert lines == ["0:01:20 eta ?", "0:01:30 eta 0:00:30"]


def test_plain_lines_are_rare():
    stream = io.StringIO()
    sink = make_sink("plain", stream)
    for _ in range(100):
        sink(STEP)
    assert stream.getvalue() == ""


def test_bar_shows_stage_and_figures():
    stream = io.StringIO()
    sink = make_sink("bar", stream)
    sink(STEP)
    sink(Progress("progress", 0.2, "never backwards"))
    sink(Progress("error"))
    assert "%" in stream.getvalue()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (812, "812 B"), (3481, "3.40 KiB"), (3.4 * 2**20, "3.40 MiB"), (2**45, "32768.00 GiB")],
)
def test_format_bytes(size, text):
    assert format_bytes(size) == text


def test_figures():
    assert figures({}) == ""
    assert figures({"bitrate_bps": 812000, "estimated_bytes": 2048, "fps": 12.04}) == "812 kb/s est 2.00 KiB 12.0 fps"
    assert figures({"places": {"a": 2, "b": 1}}) == "2 on a, 1 on b"
    assert figures({"places": dict.fromkeys("abcdefgh", 2)}) == "16 on 8 nodes"


def test_progress_of_a_part_is_progress_of_the_whole():
    told = []
    part = part_of(told.append, 0.5, 0.25, "crf 20")
    for event in (Progress("start"), STEP, Progress("gop-done", 0.5, "gop 1/2 done"), Progress("done", 1.0)):
        part(event)
    assert [(event.type, event.fraction, event.stage) for event in told] == [
        ("progress", 0.5625, "crf 20 gop 1/2 fit 5/10"),
        ("progress", 0.625, "crf 20 gop 1/2 done"),
    ]
    assert told[0].detail == STEP.detail
