"""Networks that stand once in a file: which GOPs take them, and what that leaves as it was."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.decoding.inspection import inspect
from nerv_codec.decoding.metadata import stored_geometry
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig, TrackedConfig
from nerv_codec.encoding.encode import EncodeReport, encode
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.tracked.fit.optimise import fit_tracked, prepare_tracked
from nerv_codec.representations.tracked.networks import PRIOR, SHARED, read_shared
from nerv_codec.representations.tracked.payload import TrackedGop, read_tracked

CONFIG = EncoderConfig(model="tracked", gop=4, tracked=TrackedConfig(steps=10, scales=4))


def _clip(path: Path, black: int = 0) -> Path:
    """Nine frames of a pan, the first ones black."""
    info = VideoInfo(64, 48, PixelFormat(), time_base=Fraction(1, 24))
    pattern = np.kron(np.random.default_rng(3).integers(20, 236, (12, 20)), np.ones((4, 4))).astype(np.uint8)
    with open_writer(path, "y4m", info, frame_rate=Fraction(24)) as writer:
        for index in range(9):
            luma = np.full((48, 64), 16, np.uint8) if index < black else pattern[:, index : index + 64].copy()
            writer.write(PlanarFrame((luma, luma[::2, ::2] // 2 + 64, luma[::2, ::2] // 3 + 64), index, 1))
    return path


def _encode(target: Path, config: EncoderConfig = CONFIG, black: int = 0, **options: object) -> EncodeReport:
    source = target.parent / f"{black}.y4m"
    if not source.exists():  # to go on, the source must be the one of before
        _clip(source, black)
    return encode(source, target, config=config, tool_section=False, **options)


def _gops(path: Path) -> list[TrackedGop]:
    with VideoDecoder(path) as video:
        shared = read_shared(video.header.shared, 3)
        count = len(video.header.gops)
        payloads = [video.loader.container.read_gop(index) for index in range(count)]
        return [
            read_tracked(payload, stored_geometry(video.header, index), shared)
            for index, payload in enumerate(payloads)
        ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> tuple[Path, EncodeReport]:
    path = tmp_path_factory.mktemp("shared") / "a.nvc"
    return path, _encode(path)


def test_gops_of_one_scene_keep_none_of_their_own(tmp_path, shared):
    path, report = shared
    assert [gop.predictor.source for gop in _gops(path)] == [SHARED, SHARED]
    assert [gop["bytes_by_part"]["weights"] for gop in inspect(path)["gops"]] == [0, 0]
    assert report.estimated_bits == pytest.approx(report.coded_bits, rel=0.01)
    apart = dataclasses.replace(CONFIG, tracked=dataclasses.replace(CONFIG.tracked, share=False))
    alone = _encode(tmp_path / "alone.nvc", apart)
    assert all(gop["bytes_by_part"]["weights"] > 100 for gop in inspect(tmp_path / "alone.nvc")["gops"])
    assert inspect(tmp_path / "alone.nvc")["gops"][0]["digest"] != inspect(path)["gops"][0]["digest"]
    assert report.file_bytes < alone.file_bytes - 100
    assert report.psnr_y_db > alone.psnr_y_db - 0.5


@pytest.mark.slow
def test_jobs_do_not_change_the_bytes(tmp_path, shared):
    _encode(tmp_path / "b.nvc", jobs=2)
    assert (tmp_path / "b.nvc").read_bytes() == shared[0].read_bytes()


def test_an_encode_goes_on_behind_the_gop_that_shares(tmp_path, shared):
    def leave(event):
        if event.type == "gop-done":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _encode(tmp_path / "a.nvc", progress=leave)
    _encode(tmp_path / "a.nvc")
    assert (tmp_path / "a.nvc").read_bytes() == shared[0].read_bytes()


def test_a_trial_ends_when_it_is_asked_to(shared, tiny_frames, tiny_info):
    with VideoDecoder(shared[0]) as video:
        kept = video.header.shared
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    task = GopTask(tuple(tiny_frames[:3]), tiny_info, shared=kept)
    motion = prepare_tracked(CONFIG.tracked, task, lambda: False)
    task = dataclasses.replace(task, prepared=motion)
    with pytest.raises(Interrupted, match="behind the last whole GOP"):
        fit_tracked(CONFIG.tracked, task, lambda status: None, Checkpoint(stop))
    assert len(asked) == 2  # at every tenth step of a trial


def test_a_picture_of_another_kind_learns_networks_of_its_own(tmp_path):
    """Behind a black beginning."""
    _encode(tmp_path / "a.nvc", black=5)
    gops = _gops(tmp_path / "a.nvc")
    assert gops[0].predictor.source == SHARED
    assert gops[-1].predictor.source == PRIOR and gops[-1].part_bytes["weights"] > 0


@pytest.mark.slow
def test_under_a_target_they_go_on_learning(tmp_path, shared):
    _encode(tmp_path / "a.nvc", target_psnr_db=shared[1].psnr_y_db)
    last = _gops(tmp_path / "a.nvc")[-1]
    assert last.predictor.source == SHARED and last.part_bytes["weights"] > 0
