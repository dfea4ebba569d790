"""A short fit of `tracked`: it learns, it repeats itself, and its estimate is what it writes."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from places import SAMPLES

import nerv_codec
from nerv_codec.base.errors import Interrupted
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig, override
from nerv_codec.media.reader import open_video
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FileCheckpoint
from nerv_codec.representations.fitting.task import FitTarget, GopTask
from nerv_codec.representations.tracked.fit.lambda_control import RateController
from nerv_codec.representations.tracked.fit.optimise import fit_tracked
from nerv_codec.representations.tracked.fit.phases import make_phases
from nerv_codec.representations.tracked.payload import unpack_tracked
from nerv_codec.representations.tracked.tree import GopTree

SAMPLE = SAMPLES / "sample.mp4"


def _frames(count: int) -> tuple[list[PlanarFrame], VideoInfo]:
    with open_video(SAMPLE) as video:
        return list(itertools.islice(video, count)), video.info


def _config(steps: int) -> EncoderConfig:
    settings = {"model": "tracked", "tracked": {"scales": 4, "steps": steps}}
    return override(EncoderConfig(), settings)


def _encode(target: Path, steps: int) -> nerv_codec.EncodeReport:
    config = _config(steps)
    return nerv_codec.encode(SAMPLE, target, config=config, frames=4, audio=False, tool_section=False, resume=False)


def test_a_fit_learns_and_writes_what_it_estimates(tmp_path: Path) -> None:
    short = _encode(tmp_path / "short.nvc", 5)
    long = _encode(tmp_path / "long.nvc", 120)
    assert long.psnr_y_db > short.psnr_y_db + 3
    assert long.estimated_bits == pytest.approx(long.coded_bits, rel=0.01)
    with nerv_codec.VideoDecoder(tmp_path / "long.nvc") as video:
        assert video.metadata.model == "tracked"
        assert video.get_frames_played_in_range(0, 0.1, fps=60, scale=2).data.shape == (6, 3, 128, 192)


def test_a_single_frame_keeps_its_latents(tmp_path: Path) -> None:
    report = nerv_codec.encode(SAMPLE, tmp_path / "a.nvc", config=_config(80), frames=1, audio=False)
    assert report.psnr_y_db > 25


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nvc", "b.nvc"):
        _encode(tmp_path / name, 12)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


def test_the_fit_grows_along_the_tree_until_all_frames_take_part() -> None:
    phases = make_phases(GopTree(9), 100)
    assert phases[0].frames == (0,)
    assert phases[1].frames == (0, 8)
    assert phases[-1].frames == tuple(range(9))
    assert phases[-1].steps == 100
    assert all(b.first == a.first + a.steps for a, b in itertools.pairwise(phases))
    assert make_phases(GopTree(1), 7)[-1].steps == 7


@pytest.mark.parametrize("stop_after", [3, 19, 28])
def test_a_fit_that_was_stopped_ends_in_the_same_bytes(tmp_path: Path, stop_after: int) -> None:
    frames, info = _frames(3)

    def fit(checkpoint: Checkpoint) -> bytes:
        task = GopTask(tuple(frames), info, seed=1)
        return fit_tracked(_config(16).tracked, task, lambda status: None, checkpoint).payload

    whole = fit(Checkpoint())
    count = itertools.count()
    stopping = FileCheckpoint(tmp_path / "fit", lambda: next(count) >= stop_after)
    with pytest.raises(Interrupted):
        fit(stopping)
    assert fit(FileCheckpoint(tmp_path / "fit")) == whole


def test_a_fit_for_a_size_lands_near_it() -> None:
    frames, info = _frames(3)
    sizes = []
    for bits in (16000, 32000):
        task = GopTask(tuple(frames), info, target=FitTarget(bits=bits))
        fitted = fit_tracked(_config(150).tracked, task, lambda status: None, Checkpoint())
        sizes.append(8 * len(fitted.payload) / bits)
    assert sizes == pytest.approx([1, 1], rel=0.05)


def test_the_controller_moves_lambda_against_the_error() -> None:
    control = RateController(1e-3, FitTarget(psnr_db=35.0), 1000)
    control.measure(0, 36.0, whole=True)
    assert control.rd_lambda > 1e-3
    control = RateController(1e-3, FitTarget(bits=100), 1000)
    start = control.rd_lambda
    control.measure(50, 30.0, whole=False)
    assert control.rd_lambda == start
    control.measure(50, 30.0, whole=True)
    assert control.rd_lambda < start
    assert not RateController(1e-3, None, 1000).steers


@pytest.mark.parametrize(("height", "width", "count"), [(1, 1, 3), (16, 16, 2), (33, 8, 4), (31, 40, 1)])
def test_small_pictures_and_a_single_step(height: int, width: int, count: int) -> None:
    rng = np.random.default_rng(0)
    half = ((height + 1) // 2, (width + 1) // 2)
    sizes = ((height, width), half, half)
    frames = [
        PlanarFrame(tuple(rng.integers(0, 256, size).astype(np.uint8) for size in sizes), number, 1)
        for number in range(count)
    ]
    info = dataclasses.replace(_frames(1)[1], height=height, width=width)
    task = GopTask(tuple(frames), info)
    fitted = fit_tracked(_config(1).tracked, task, lambda status: None, Checkpoint())
    model, _, _ = unpack_tracked(fitted.payload, task.geometry)
    assert fitted.estimated_bits == pytest.approx(8 * len(fitted.payload), abs=64)
    # After a single step all there is to show is about the mean colour, at every pixel of every frame.
    axes = (torch.arange(size, dtype=torch.float64) for size in (count, height, width))
    shown = model.render(*axes)
    assert shown.shape == (count, 3, height, width)
    means = [float(np.mean([frame.planes[plane].mean() for frame in frames])) / 255 for plane in range(3)]
    assert (shown - torch.tensor(means)[:, None, None]).abs().max() < 0.2
