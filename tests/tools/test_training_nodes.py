"""Crops of predicted pictures to train on."""

import numpy as np
import pytest
import torch

from nerv_codec.representations.shared.quality import STEPS_PER_OCTAVE
from tools.training.nodes import SIDE, NodeCrops


@pytest.fixture
def folder(tmp_path):
    """Two crops with parents on one side in time, one with parents on both; of a clip to train on and of another."""
    rng = np.random.default_rng(0)
    for name in ("bear", "dusk"):
        pictures = rng.integers(1000, 3000, (3, 3, 6, SIDE // 2, SIDE // 2), dtype=np.int16)
        pictures[:, 2] -= 2000
        np.savez(tmp_path / f"{name}@0.npz", pictures=pictures, told=np.array([[20, 1], [40, 2], [60, 1]], np.int16))
    return tmp_path


@pytest.mark.parametrize(("sides", "count", "indices"), [(1, 2, (20, 60)), (2, 1, (40,))])
def test_crops_are_those_of_a_number_of_sides(folder, sides, count, indices):
    for held_out in (False, True):
        crops = NodeCrops(folder, 64, torch.Generator().manual_seed(0), sides, held_out)
        drawn = crops.draw(64)
        assert len(crops) == count and drawn.planes.shape == drawn.doubt.shape == (64, 6, 32, 32)
        assert (drawn.parents == sides).all()
    assert {min(indices, key=lambda known: abs(known - index)) for index in drawn.index.tolist()} == set(indices)


def test_other_tones_are_worth_another_lambda(folder):
    """Squared errors of the prediction's luma change as much as what a bit may cost, and doubt as its square root."""
    crops = NodeCrops(folder, SIDE, torch.Generator().manual_seed(0), 2)
    drawn = crops.draw(64)
    known = NodeCrops(folder, SIDE, torch.Generator().manual_seed(0), 2)._pictures[0].float() / (255 * 16)
    wrong = (drawn.planes - drawn.prediction)[:, :4].square().mean((1, 2, 3)) / (known[0] - known[1])[
        :4
    ].square().mean()
    doubt = drawn.doubt[:, :4].square().mean((1, 2, 3)) / known[2][:4].square().mean()
    octaves = torch.log2(wrong)
    assert torch.allclose(octaves, torch.log2(doubt), atol=1e-2)
    assert (drawn.index - 40 - STEPS_PER_OCTAVE * octaves).abs().max() < 4.5
    assert octaves.min() < -1 and (octaves.abs() < 1e-3).float().mean() > 0.2
