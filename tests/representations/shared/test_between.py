"""What is learnt about places between samples: floats, integers and the compiled reading agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.between import POWERS, REACH, Between, details, extended
from nerv_codec.representations.shared.integer_between import DETAIL, IntegerBetween
from nerv_codec.representations.shared.integer_convolution import Convolution
from nerv_codec.representations.shared.integer_network import Ints
from nerv_codec.representations.shared.integer_transform import GRAY_SAMPLE
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.interpolate_kernel import add_lattice, add_points


def _trained() -> Between:
    torch.manual_seed(0)
    network = Between()
    for layer in (network.fifth, network.out):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (16, 22), (33, 20)])
def test_integers_are_near_to_floats(shape: tuple[int, int]) -> None:
    network, rng = _trained(), np.random.default_rng(0)
    samples = rng.integers(0, 4096, shape).astype(np.int16)
    plane = (torch.from_numpy(samples.astype(np.float32))[None, None] - GRAY_SAMPLE) / 2048
    floats = network(extended(plane), torch.tensor([31.0]))[0].permute(1, 2, 0).numpy() * 2048 * DETAIL
    found = IntegerBetween.quantised(network)(samples, 31)
    assert found.shape == (shape[0] + 2, shape[1] + 2, len(POWERS))
    assert np.abs(found - floats).mean() < 0.02 * np.abs(floats).mean()


def test_convolutions_in_integers_are_what_the_format_says() -> None:
    between, rng = IntegerBetween.quantised(_trained()), np.random.default_rng(1)
    samples = rng.integers(0, 4096, (21, 38)).astype(np.int16)
    around = np.pad(samples.astype(np.int64), REACH + 1, mode="edge")

    def convolved(layer: Convolution, x: Ints) -> Ints:
        """Of places that have all of their neighbours."""
        rows, cols = x.shape[1] - 2, x.shape[2] - 2
        sums = sum(
            np.tensordot(layer.weight[:, :, i, j].astype(np.int64), x[:, i : i + rows, j : j + cols], 1)
            for i in range(3)
            for j in range(3)
        )
        shift = layer.shift.astype(np.int64)[:, None, None]
        return (sums + layer.bias.astype(np.int64)[:, None, None] + (1 << shift - 1)) >> shift

    x = np.stack([around - 2040, np.full(around.shape, 64 * (50 - 40))])
    for layer in between.layers[:3]:
        x = np.clip(convolved(layer, x), 0, 3071)
    more = convolved(between.layers[4], np.clip(convolved(between.layers[3], x), 0, 3071))
    x = np.clip(x[:, 2:-2, 2:-2] + more, 0, 3071)
    x = np.clip(convolved(between.out, x), -32767, 32767)
    np.testing.assert_array_equal(between(samples, 50), x.transpose(1, 2, 0))


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_reading_is_as_it_was_trained(factor: int) -> None:
    rng = np.random.default_rng(2)
    coefficients = rng.integers(-99, 99, (8, 9, len(POWERS))).astype(np.int16)
    rows, cols = ((np.arange(n * factor) + 0.5) / factor - 0.5 for n in (6, 7))
    out, points = np.zeros((len(rows), len(cols)), np.float32), np.zeros(len(rows) * len(cols), np.float32)
    add_lattice(coefficients, rows, cols, np.float32(1), out)
    add_points(coefficients, rows.repeat(len(cols)), np.tile(cols, len(rows)), np.float32(1), points)
    said = details(torch.from_numpy(coefficients.astype(np.float32)).permute(2, 0, 1)[None], factor)[0].numpy()
    np.testing.assert_allclose(out, said, atol=1e-3)
    np.testing.assert_array_equal(points.reshape(out.shape), out)


def test_at_samples_nothing_is_added() -> None:
    coefficients = np.full((7, 6, len(POWERS)), 1000, np.int16)
    out = np.zeros((5, 4), np.float32)
    add_lattice(coefficients, np.arange(5.0), np.arange(4.0), np.float32(1), out)
    assert not out.any()


def test_what_ships_sharpens_an_edge() -> None:
    samples = np.full((24, 24), 800, np.int16)
    samples[:, 12:] = 3200
    places, out = np.arange(5, 18, 0.25), np.zeros((52, 52), np.float32)
    add_lattice(load_weights().between(samples, 20), places, places, np.float32(1 / DETAIL), out)
    flat, left, right = places <= 7, (places > 11) & (places < 11.5), (places > 11.5) & (places < 12)
    assert np.abs(out[:, flat]).max() < 8
    assert out[:, left].min() < -100 and out[:, right].max() > 100


def test_edges_are_read_as_if_the_plane_went_on() -> None:
    rng = np.random.default_rng(4)
    samples, between = rng.integers(0, 4096, (12, 15)).astype(np.int16), load_weights().between
    wide = np.pad(samples, 3, mode="edge")
    np.testing.assert_array_equal(between(wide, 20)[3:-3, 3:-3], between(samples, 20))


def test_a_file_without_it_is_refused() -> None:
    arrays = IntegerBetween.quantised(_trained()).arrays()
    assert IntegerBetween.from_arrays(arrays).arrays().keys() == arrays.keys()
    del arrays["between.second.bias"]
    with pytest.raises(BitstreamError, match=r"between\.second\.bias"):
        IntegerBetween.from_arrays(arrays)
