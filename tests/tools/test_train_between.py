"""Training what lies between samples: pairs, crops that meet edges, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.representations.shared.between import REACH, Between, details, extended
from nerv_codec.representations.shared.weights import load_weights
from tools.training import train_between
from tools.training.pictures import Picture


def _picture(rows: int, cols: int, source: str) -> Picture:
    rng = np.random.default_rng(0)
    luma = np.repeat(np.repeat(rng.integers(16, 236, (rows // 8 + 1, cols // 8 + 1)), 8, 0), 8, 1)[:rows, :cols]
    half = np.full((rows // 2, cols // 2), 128, np.uint8)
    return Picture((luma.astype(np.uint8), half, half), source)


@pytest.fixture(scope="module")
def made() -> list[train_between.Pair]:
    pictures = [_picture(100, 130, f"photo/{name}") for name in "abcd"]
    return train_between.pairs(pictures, load_weights(), np.random.default_rng(1))


def test_pairs_are_of_means_at_either_size(made: list[train_between.Pair]) -> None:
    assert {one.factor for one in made} == {2, 3}
    for one in made:
        rows, cols = one.small.shape
        assert one.true.shape == one.read.shape == (one.factor * rows, one.factor * cols)
        means = one.true.reshape(rows, one.factor, cols, one.factor).mean((1, 3)) * 16
        assert np.abs(one.small - means).mean() < (9 if one.index == 0 else 400)


def test_pairs_are_kept(made, tmp_path):
    train_between.keep(tmp_path / "pairs.npz", made)
    for one, again in zip(made, train_between.kept(tmp_path / "pairs.npz"), strict=True):
        assert (one.source, one.factor, one.index) == (again.source, again.factor, again.index)
        np.testing.assert_array_equal(one.small, again.small)
        np.testing.assert_array_equal(one.true, again.true)


def test_a_crop_goes_on_beyond_the_edges_of_its_picture():
    side = train_between._SIDE
    one = train_between.pairs([_picture(2 * side, 2 * side, "photo/a")], load_weights(), np.random.default_rng(1))[0]
    network, index = load_weights().between.floating(), torch.tensor([30.0])
    plane, true, read = (grid[None] for grid in train_between.crop(one, np.random.default_rng(4)))
    inside = plane[:, REACH + 1 : -REACH - 1, REACH + 1 : -REACH - 1]
    assert inside.shape == (1, side, side) and true.shape == read.shape == (1, 2 * side, 2 * side)
    torch.testing.assert_close(plane[:, None], extended(inside[:, None]))
    with torch.no_grad():
        assert details(network(plane[:, None], index), 2).shape == true.shape


def test_bars_are_dark_and_at_the_sides():
    luma = np.full((40, 50), 200, np.uint8)
    for seed in range(9):
        out = train_between.barred(luma, np.random.default_rng(seed))
        assert (out[10:-10, 10:-10] == 200).all() and out.min() < 90 and (luma == 200).all()


def test_steps_make_the_loss_smaller(made):
    torch.manual_seed(0)
    network, rng = Between(), np.random.default_rng(2)
    chosen = [one for one in made if one.factor == 2]
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = train_between.loss_of(network, chosen, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert all(name.startswith(("x2 at ", "x3 at ")) for name in train_between.gained(network, made))
