from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moved, noise, write_clip

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.report.tables import csv_report, text_report

TINY = EncoderConfig(model="siren", siren=SirenConfig(width=8, hidden_layers=1, steps=3, batch=256))


def make_frames(count: int, info: VideoInfo) -> list[PlanarFrame]:
    """Noise of limited range, so that a shift of code values does not wrap around."""
    frames = noise(info, range(count), duration=1)
    return [dataclasses.replace(f, planes=tuple((16 + p * 0.85).astype(p.dtype) for p in f.planes)) for f in frames]


def write(path: Path, frames: list[PlanarFrame], info: VideoInfo) -> Path:
    return write_clip(path, info, frames)


INFO = VideoInfo(32, 24, time_base=Fraction(1, 25))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def original(folder):
    return write(folder / "original.y4m", make_frames(9, INFO), INFO)


@pytest.fixture(scope="module")
def coded(folder, original):
    """Frames 3..6 of the original."""
    encode(original, folder / "part.nvc", config=TINY, start=3, frames=4)
    return folder / "part.nvc"


def test_part_finds_its_place(original, coded):
    found = evaluate(original, coded)
    assert found.frame_seconds == pytest.approx([0.12, 0.16, 0.2, 0.24])
    assert found.frame_numbers == (0, 1, 2, 3)
    assert [series.name for series in found.series] == [
        "psnr_y_db",
        "psnr_rgb_db",
        "psnr_yuv611_db",
        "psnr_worst_chroma_db",
    ]
    assert found.target.rate_bpp == 8 * coded.stat().st_size / (4 * 24 * 32)
    assert found.target.bitrate_bps == pytest.approx(8 * coded.stat().st_size / 0.16)
    assert found.encode_seconds > 0 and found.decode_seconds > 0
    assert not found.skipped


def test_psnr_is_what_its_definition_says(folder, original):
    frames = make_frames(9, INFO)
    off = [dataclasses.replace(f, planes=(f.planes[0] + 2, f.planes[1] + 4, f.planes[2])) for f in frames]
    found = evaluate(original, write(folder / "off.y4m", off, INFO))
    luma, u = (20 * np.log10(255 / step) for step in (2, 4))
    assert found.metric("psnr_y_db") == pytest.approx(luma)
    assert found.metric("psnr_y_db", "of_mean_mse") == pytest.approx(luma)
    assert found.metric("psnr_yuv611_db") == pytest.approx((6 * luma + u + 100) / 8)
    assert found.encode_seconds is None and "encode_seconds" in found.skipped


def test_dropped_frames_and_shifted_clocks_match_by_time(folder, original):
    ms = dataclasses.replace(INFO, time_base=Fraction(1, 1000))
    kept = [dataclasses.replace(f, pts=f.pts * 40) for i, f in enumerate(make_frames(9, INFO)) if i not in (2, 5)]
    target = write(folder / "dropped.mkv", kept, ms)
    found = evaluate(original, target)
    assert len(found.frame_seconds) == 7
    assert found.metric("psnr_y_db", "min") == 100
    shifted = moved(target, folder / "late.mkv", 480)
    assert evaluate(original, shifted).metric("psnr_y_db", "min") == 100
    with pytest.raises(InputError, match="at the times"):
        evaluate(original, shifted, match="time")
    assert evaluate(original, target, match="number").metric("psnr_y_db", "min") < 20


def test_another_layout_is_converted_and_said(folder, original):
    full = dataclasses.replace(INFO, pixel_format=PixelFormat(3, 0, 0, 10))
    frames = [
        PlanarFrame(
            (
                f.planes[0].astype(np.uint16) * 4,
                *(p.astype(np.uint16).repeat(2, 0).repeat(2, 1) * 4 for p in f.planes[1:]),
            ),
            f.pts,
        )
        for f in make_frames(9, INFO)
    ]
    found = evaluate(original, write(folder / "deep.mkv", frames, full))
    assert found.metric("psnr_y_db") > 50
    assert "4:2:0" in found.notes[0]


def test_wrong_sizes_and_kinds_are_errors(folder, original):
    small = dataclasses.replace(INFO, width=16)
    with pytest.raises(InputError, match="expected 32x24"):
        evaluate(original, write(folder / "small.y4m", make_frames(2, small), small))
    gray = dataclasses.replace(INFO, pixel_format=PixelFormat(1, 0, 0))
    with pytest.raises(InputError, match="kind of colour"):
        evaluate(original, write(folder / "gray.mkv", make_frames(2, gray), gray))
    with pytest.raises(InputError, match="no such file"):
        evaluate(original, folder / "missing.nvc")
    with pytest.raises(UsageError, match="nonsense"):
        evaluate(original, original, metrics=("nonsense",))


def test_rgb_has_no_luma(folder):
    from nerv_codec.base.video import ColorInfo

    info = dataclasses.replace(INFO, pixel_format=PixelFormat(3, 0, 0), color=ColorInfo(matrix=0, full_range=True))
    path = write(folder / "rgb.mkv", make_frames(2, info), info)
    found = evaluate(path, path)
    assert [series.name for series in found.series] == ["psnr_rgb_db"]


def test_reports_agree(original, coded):
    found = evaluate(original, coded)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    rows = [line.split(",") for line in csv_report(found).splitlines()]
    assert data["schema_version"] == 1
    assert rows[0] == ["frame", "seconds", "psnr_y_db", "psnr_rgb_db", "psnr_yuv611_db", "psnr_worst_chroma_db"]
    assert [float(row[2]) for row in rows[1:]] == pytest.approx(data["per_frame"]["psnr_y_db"], abs=1e-6)
    assert data["metrics"]["psnr_y_db"]["pooled"]["mean"] == pytest.approx(np.mean(data["per_frame"]["psnr_y_db"]))
    assert "4 compared (of 9 in the reference)" in text_report(found)


def test_progress_ends_with_done(original, coded):
    events = []
    evaluate(original, coded, progress=events.append)
    assert [event.type for event in events] == ["start", *["progress"] * 4, "done"]
    assert events[-2].fraction == 1.0


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_a_target_that_lost_its_first_frames_is_paired_by_what_it_shows(folder, original, lost):
    frames = [dataclasses.replace(frame, pts=index) for index, frame in enumerate(make_frames(9, INFO)[lost:])]
    target = write(folder / f"lost{lost}.y4m", frames, INFO)
    found = evaluate(original, target)
    assert found.reference_numbers == tuple(range(lost, 9))
    assert found.metric("psnr_y_db", "min") == 100
    assert any("paired by what the first ones show" in note for note in found.notes)
    assert evaluate(original, target, match="time").metric("psnr_y_db", "min") < 20


def test_a_delay_that_a_pipe_dropped(folder):
    """The reference starts 80 ms late; what came through a pipe of y4m starts at 0, and a .nvc keeps that."""
    ms = dataclasses.replace(INFO, time_base=Fraction(1, 1000))
    rows, cols = np.mgrid[:24, :32]
    frames = []
    for index in range(8):
        luma = (126 + 100 * np.sin(cols / 6 + 2.5 * index) * np.cos(rows / 5)).astype(np.uint8)
        frames.append(PlanarFrame((luma, *[np.full((12, 16), 128, np.uint8)] * 2), index, 1))
    timed = [dataclasses.replace(frame, pts=40 * frame.pts) for frame in frames]
    reference = moved(write(folder / "prompt.mkv", timed, ms), folder / "delay.mkv", 80)
    piped = write(folder / "piped.y4m", frames, INFO)
    siren = SirenConfig(width=32, hidden_layers=2)
    config = EncoderConfig(model="siren", siren=dataclasses.replace(siren, steps=250, batch=2000))
    encode(piped, folder / "piped.nvc", config=config)
    found = evaluate(reference, folder / "piped.nvc")
    assert found.reference_numbers == found.frame_numbers == tuple(range(8))
    assert evaluate(reference, folder / "piped.nvc", match="number").metric("psnr_y_db") == found.metric("psnr_y_db")
    assert evaluate(reference, folder / "piped.nvc", match="time").metric("psnr_y_db") < found.metric("psnr_y_db") - 5


def test_still_pictures_are_paired_by_their_times(folder):
    still = [dataclasses.replace(make_frames(1, INFO)[0], pts=index) for index in range(6)]
    one, two = write(folder / "still.y4m", still, INFO), write(folder / "shorter.y4m", still[:4], INFO)
    found = evaluate(one, two)
    assert found.reference_numbers == (0, 1, 2, 3)
    assert not found.notes
