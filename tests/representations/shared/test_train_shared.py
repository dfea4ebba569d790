import json

import cv2
import numpy as np
import pytest
import torch

from nerv_codec.representations.shared.weights import from_bytes, to_bytes
from tools.training import checkpoint, pictures
from tools.training.optimiser import _orthogonal
from tools.training.train_shared import Run, Settings

SMALL = Settings(minutes=5, batch=2, crop=32, steps=2)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "photo").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        assert cv2.imwrite(str(folder / "photo" / f"source{number}-1.png"), picture)
    return folder


def run(data, settings):
    out = data.parent / "out"
    out.mkdir(exist_ok=True)
    found = Run(settings, data, out, torch.device("cpu"))
    found.train()
    return found


def test_training_goes_on_from_its_checkpoint(data):
    first = run(data, SMALL)
    again = Run(SMALL, data, data.parent / "out", torch.device("cpu"))
    assert again.step == 2 and again.rng.random() == first.rng.random()
    for name, value in first.networks.state_dict().items():
        assert torch.equal(again.networks.state_dict()[name], value)
        assert torch.equal(again.average.weights[name], first.average.weights[name])
    assert run(data, Settings(minutes=5, batch=2, crop=32, steps=3)).step == 3
    averaged = checkpoint.averaged_networks(data.parent / "out" / "checkpoint.pt")
    assert from_bytes(to_bytes(averaged)).digest


def test_every_tensor_moves(data):
    torch.manual_seed(0)
    found = Run(SMALL, data, data.parent, torch.device("cpu"))
    before = {name: value.clone() for name, value in found.networks.named_parameters()}
    for _ in range(3):
        found.advance()
    stuck = [name for name, value in found.networks.named_parameters() if torch.equal(before[name], value)]
    assert not stuck


def test_the_log_can_be_read(data, monkeypatch):
    monkeypatch.setattr("tools.training.train_shared.LOG_STEPS", 1)
    run(data, SMALL)
    lines = (data.parent / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_sources_stay_together():
    planes = (np.zeros((2, 2), np.uint8),) * 3
    for name in ("clip/dusk", "photo/mate-wood"):
        assert pictures.Picture(planes, name).held_out
    assert not pictures.Picture(planes, "clip/bear").held_out
    assert pictures.source_of(pictures.Path("steel-12.mkv")) == "steel"
    assert pictures.source_of(pictures.Path("pop-ng-32703.png")) == "pop-ng"
    assert pictures.source_of(pictures.Path("plasma-kite.png")) == "plasma-kite"


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_updates_are_made_orthogonal(shape):
    values = torch.linalg.svdvals(_orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.4 and values.max() < 1.4
