import pytest
import torch
from torch.nn import functional

from nerv_codec.representations.shared.context import SATURATION, TABLE_UNIT, Inputs
from nerv_codec.representations.shared.layout import LEVELS, bands, context_taps
from nerv_codec.representations.shared.networks import SharedNetworks
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.weights import load_weights


def test_what_lies_between_integers_looks_like_the_nearest_one():
    near = torch.tensor([-200.0, -2.4, -0.3, 0.0, 0.4, 0.6, 3.2])[None, None, None]
    taps = tuple(tap for tap in context_taps(2, 0, False) if (tap.rows, tap.cols) == (0, -1))
    found = dict(zip((tap.signed for tap in taps), Inputs(near).gather(taps)[0], strict=True))
    looks = [SATURATION[min(abs(round(value)), 127)] / TABLE_UNIT for value in near.ravel().tolist()]
    assert found[False].tolist() == [0.0, *looks[:-1]]
    signs = near.ravel().round().sign().tolist()
    assert found[True].tolist() == [0.0, *(one * sign for one, sign in zip(looks[:-1], signs, strict=False))]


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_of_inputs_are_those_of_windows_cut_out_of_the_curve(level):
    torch.manual_seed(level)
    symbols = torch.randn(1, len(bands(level)), 5, 7, dtype=torch.float64, requires_grad=True) * 3
    taps = context_taps(level, len(bands(level)) - 1, False)
    weights = torch.randn(len(taps), 35, dtype=torch.float64)
    curve = torch.log2(1 + symbols.abs())
    planes = [functional.pad(plane, (2, 2, 2, 2)) for plane in (curve, curve * symbols.sign())]
    cut = torch.stack([planes[t.signed][0, t.source, 2 + t.rows :, 2 + t.cols :][:5, :7].ravel() for t in taps])
    expected, found = (
        torch.autograd.grad((weights * seen).sum(), symbols)[0] for seen in (cut, Inputs(symbols).gather(taps)[0])
    )
    assert torch.allclose(found, expected)


def test_a_latent_is_told_what_it_costs_those_behind_it():
    networks: SharedNetworks = load_weights().alone.floating
    torch.manual_seed(0)
    latents = {level: torch.round(torch.randn(1, len(bands(level)), 32 // level, 32 // level)) for level in LEVELS}
    latents[2] = (latents[2] + 0.3).requires_grad_()
    rates = networks.rates(latents, Prediction.none(torch.zeros(1, 6, 16, 16)), torch.tensor([44.0]))[2][0, 0]
    row, col = 7, 8

    def slope(bits: torch.Tensor) -> float:
        return float(torch.autograd.grad(bits, latents[2], retain_graph=True)[0][0, 0, row, col])

    assert slope(rates[row, col]) != 0 and slope(rates[row, col + 1]) != 0 and slope(rates[row + 1, col]) != 0
    assert slope(rates[:row].sum() + rates[row, :col].sum()) == 0
