"""A fit that is stopped and goes on ends in the same bytes."""

from __future__ import annotations

import pytest
import torch

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FileCheckpoint, FitState
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.siren.config import SirenConfig
from nerv_codec.representations.siren.fit import fit_siren


def fit(frames, info, checkpoint=None):
    config = SirenConfig(width=16, hidden_layers=2, steps=24, batch=500, quantised_fraction=0.5)
    fitted = fit_siren(config, GopTask(tuple(frames), info, seed=5), lambda _: None, checkpoint or Checkpoint())
    return fitted.payload, fitted.estimated_bits


@pytest.mark.parametrize("stop_after", [1, 7, 12, 13, 20, 24])
def test_a_resumed_fit_gives_the_same_bytes(tmp_path, tiny_frames, tiny_info, stop_after):
    frames = tiny_frames[:5]
    offers = 0

    def stop():
        nonlocal offers
        offers += 1
        return offers == stop_after

    path = tmp_path / "fit.safetensors"
    with pytest.raises(Interrupted, match="goes on"):
        fit(frames, tiny_info, FileCheckpoint(path, stop))
    assert path.is_file()
    assert fit(frames, tiny_info, FileCheckpoint(path)) == fit(frames, tiny_info)


def test_state_survives_the_file(tmp_path):
    path = tmp_path / "state"
    state = FitState({"a": torch.arange(4.0), "b": torch.tensor(3)}, {"step": 7, "steps": [1, -2]})
    FileCheckpoint(path, interval_seconds=0).offer(lambda: state)
    loaded = FileCheckpoint(path).load()
    assert loaded is not None and loaded.values == state.values
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in state.tensors.items())


def test_not_saved_before_it_is_due(tmp_path):
    FileCheckpoint(tmp_path / "state", interval_seconds=100).offer(lambda: pytest.fail("not due"))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x10\0\0\0\0\0\0\0{}"])
def test_a_damaged_checkpoint_is_none(tmp_path, content):
    path = tmp_path / "state"
    path.write_bytes(content)
    assert FileCheckpoint(path).load() is None


def test_without_a_file_a_stop_still_stops():
    assert Checkpoint().load() is None
    with pytest.raises(Interrupted):
        Checkpoint(lambda: True).offer(lambda: FitState({}))
