import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
import torch

from nerv_codec.representations.shared.layout import TWO_SIDED
from nerv_codec.representations.shared.networks import SharedNetworks
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.weights import arrays_of, from_bytes, shipped, to_bytes
from tools.training import checkpoint, pictures
from tools.training.growing import grow
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
    found = Run(settings, data, (), out, torch.device("cpu"))
    found.train()
    return found


def test_training_goes_on_from_its_checkpoint(data):
    first = run(data, SMALL)
    again = Run(SMALL, data, (), data.parent / "out", torch.device("cpu"))
    assert again.step == 2 and torch.equal(again.rng.get_state(), first.rng.get_state())
    for name, value in first.networks.state_dict().items():
        assert torch.equal(again.networks.state_dict()[name], value)
        assert torch.equal(again.average.weights[name], first.average.weights[name])
    assert run(data, Settings(minutes=5, batch=2, crop=32, steps=3)).step == 3
    averaged = checkpoint.averaged_networks(data.parent / "out" / "checkpoint.pt")
    assert from_bytes(to_bytes({**shipped(), **arrays_of(averaged)})).digest


def test_every_tensor_moves(data):
    torch.manual_seed(0)
    found = Run(SMALL, data, (), data.parent, torch.device("cpu"))
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


def test_larger_networks_begin_as_smaller_ones_did_end():
    torch.manual_seed(0)
    few = {16: 16, 8: 16, 4: 8, 2: 8}
    small = dataclasses.replace(TWO_SIDED, widths=few, analysis_widths=few, hidden=few)
    one = SharedNetworks(small).eval()
    for value in one.state_dict().values():
        value.add_(0.02 * torch.randn_like(value))
    other = SharedNetworks(dataclasses.replace(TWO_SIDED, blocks={16: 2, 8: 1, 4: 3, 2: 1})).eval()
    grow(other, one.state_dict())
    planes, index = torch.rand(2, 6, 16, 16), torch.tensor([20.0, 50.0])
    prediction = Prediction.of(torch.rand_like(planes), 0.1 * torch.rand_like(planes), torch.tensor([1.0, 2.0]))
    with torch.no_grad():
        found, expected = (networks(planes, prediction, index) for networks in (other, one))
    assert torch.allclose(found.planes, expected.planes, atol=1e-4)
    assert all(torch.allclose(bits, expected.bits[level], rtol=1e-3) for level, bits in found.bits.items())


def test_parts_begin_anew_and_others_stay(data):
    torch.manual_seed(0)
    first = run(data, SMALL)
    start = str(data.parent / "out" / "checkpoint.pt")
    settings = dataclasses.replace(SMALL, start=start, anew=r"analysis\.out\.8\.", only=r"analysis\.\w+\.8\.")
    found = Run(settings, data, (), data.parent, torch.device("cpu"))
    before = {name: value.clone() for name, value in found.networks.named_parameters()}
    for name, value in before.items():
        assert torch.equal(value, first.average.weights[name]) != name.startswith("analysis.out.8.")
    found.advance()
    moved = {name for name, value in found.networks.named_parameters() if not torch.equal(before[name], value)}
    assert moved and all(re.match(settings.only, name) for name in moved)


def test_crops_are_of_the_picture_and_turned_alike_in_all_planes():
    luma = np.add.outer(np.arange(48), 3 * np.arange(64)).astype(np.uint8)
    picture = pictures.Picture((luma, luma[::2, ::2], luma[::2, ::2]), "clip/bear")
    drawn = pictures.Crops([picture], 40, torch.Generator().manual_seed(0), toned=False).draw(40) * 255
    for crop in drawn:
        down, right = (torch.unique((crop[0].diff(dim=axis)).round()) for axis in (0, 1))
        coloured = crop[4].unique().numel() > 1
        if len(down) == len(right) == 1:  # not reduced
            assert {abs(float(down)), abs(float(right))} == {2.0, 6.0}
            assert not coloured or (crop[0] - crop[4]).abs().max() < 4.5  # a sample of luma to the side
        assert torch.equal(crop[4], crop[5])
