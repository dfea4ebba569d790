from fractions import Fraction

import numpy as np
import pytest
import torch
from moving import moving_texture

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FileCheckpoint
from nerv_codec.representations.fitting.task import FitTarget, GopTask
from nerv_codec.representations.registry import unpack_gop
from nerv_codec.representations.warped import encode
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.fit import _following, _nearest, fit_warped

FORMAT = PixelFormat()
INFO = VideoInfo(48, 32, FORMAT, ColorInfo(chroma_location=1), time_base=Fraction(1, 24))
FRAMES = tuple(PlanarFrame(planes, t, 1) for t, planes in enumerate(moving_texture(FORMAT, 32, 48, 6)))


def fit(path, stop=lambda: False, steps=2, target=None, shortest_span=3):
    task = GopTask(FRAMES, INFO, target=target)
    config = WarpedConfig(steps=steps, span=3, shortest_span=shortest_span)
    return fit_warped(config, task, lambda _: None, FileCheckpoint(path, stop, 0.0)).payload


@pytest.mark.parametrize("asks", [1, 9])
def test_a_stopped_fit_goes_on_with_what_it_had_decided(tmp_path, monkeypatch, asks):
    whole = fit(tmp_path / "whole")
    searched, search = [], encode.search_changed
    monkeypatch.setattr(encode, "search_changed", lambda *arguments: searched.append(1) or search(*arguments))
    count = iter(range(100))
    with pytest.raises(Interrupted, match="goes on from here"):
        fit(tmp_path / "state", lambda: next(count) >= asks)
    assert asks == 1 or len(searched) >= 2
    assert fit(tmp_path / "state") == whole
    assert len(searched) <= len(FRAMES)  # one a frame with parents, and the one that was stopped


@pytest.mark.slow
def test_steps_make_it_smaller_at_its_price_and_targets_are_met_with_them(tmp_path):
    sizes = [len(fit(tmp_path / str(steps), steps=steps)) for steps in (0, 12)]
    assert sizes[1] != sizes[0]
    goal = 0.8 * sizes[1]
    found = len(fit(tmp_path / "target", steps=3, target=FitTarget(bits=8 * goal)))
    assert abs(found / goal - 1) < 0.06


def test_a_stop_in_a_trial_of_spans_changes_nothing(tmp_path):
    whole = fit(tmp_path / "whole", steps=0, shortest_span=1)
    count = iter(range(100))
    with pytest.raises(Interrupted, match="goes on from here"):
        fit(tmp_path / "state", lambda: next(count) >= 5, steps=0, shortest_span=1)
    assert fit(tmp_path / "state", steps=0, shortest_span=1) == whole


@pytest.mark.needs_cuda
def test_what_a_gpu_fits_a_cpu_decodes():
    """The payload states a digest of its planes, which has to be that of a decoder on a CPU."""
    payloads = set()
    for steps in (0, 4):
        task = GopTask(FRAMES, INFO, device=torch.device("cuda"))
        fitted = fit_warped(WarpedConfig(steps=steps, span=3), task, lambda _: None, Checkpoint())
        unpack_gop(4, fitted.payload, task.geometry)
        payloads.add(fitted.payload)
    assert len(payloads) == 2


@pytest.mark.parametrize(
    ("misses", "following"),
    [
        ({80: 0.4}, 82),
        ({80: 0.4, 84: -0.4}, 82),
        ({80: 0.9, 82: 0.3}, 83),
        ({80: 0.5, 81: 0.49}, 81 + 0.49 / (0.2 / 3)),
        ({80: 0.1, 81: 0.5}, 80 + 0.1 / (0.2 / 3)),
        ({60: 2.0, 80: 0.5, 90: -0.5, 100: -3.0}, 85),
        ({80: -0.3, 90: 0.1}, 87.5),
        ({80: 0.0, 90: -1.0}, 80),
    ],
)
def test_the_next_trial_is_where_a_line_says_that_nothing_is_missed(misses, following):
    assert _following(misses, -0.2) == pytest.approx(following)


@pytest.mark.parametrize("below", [False, True])
def test_a_goal_is_found_among_qualities_that_do_not_fall_evenly(below):
    """Of two that it lies between, which are as far apart as qualities are; some steps go up again."""
    values = np.cumsum(np.random.default_rng(3).uniform(-0.45, 0.05, 162))
    for goal in values[10:150:7] - 0.03:
        made = []

        def encoded(halves, made=made):
            made.append(halves)
            return values[halves]

        halves, found = _nearest(encoded, 80, off=lambda one, goal=goal: one - goal, slope=-0.2, below=below, trials=9)
        assert found == values[halves] and len(set(made)) == len(made) <= 9
        assert abs(found - goal) < 0.45 and (found <= goal or not below)
