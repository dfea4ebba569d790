import pytest
import torch

from nerv_codec.representations.shared.layout import (
    DESIGNS,
    LEVELS,
    Orientation,
    bands,
    context_taps,
    macs_per_pixel,
    macs_per_symbol,
    prior_taps,
)
from nerv_codec.representations.shared.synthesis import Synthesis


@pytest.mark.parametrize("predicted", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_taps_see_only_what_is_decoded(level, predicted):
    count = len(bands(level))
    for index in range(count):
        for tap in context_taps(level, index, predicted):
            causal = tap.rows < 0 or (tap.rows == 0 and tap.cols < 0)
            known = predicted and count <= tap.source < 3 * count
            assert tap.source < index or (tap.source == index and causal) or known
            assert abs(tap.rows) <= 2 and abs(tap.cols) <= 2


@pytest.mark.parametrize("level", LEVELS)
def test_no_tap_is_listed_twice(level):
    for taps in [context_taps(level, index, True) for index in range(len(bands(level)))] + [prior_taps(level)]:
        assert len(set(taps)) == len(taps)


def test_there_are_as_many_latents_as_samples():
    assert sum(len(bands(level)) / level**2 for level in LEVELS) == 1.5


def test_low_pass_bands_come_first_and_only_at_the_coarsest_grid():
    low = [band.orientation == Orientation.LL for level in LEVELS for band in bands(level)]
    assert low[:3] == [True] * 3 and not any(low[3:])


@pytest.mark.parametrize(("design", "budget"), list(zip(DESIGNS, (1200, 850, 850), strict=True)))
def test_the_context_model_stays_in_its_budget(design, budget):
    assert macs_per_symbol(design) <= budget
    assert all((units + 2) % 8 == 0 for units in design.hidden.values())


@pytest.mark.parametrize("design", DESIGNS)
def test_multiplications_are_those_of_the_layers(design):
    model, total = Synthesis(design), 1.5 * macs_per_symbol(design)
    for level in LEVELS:
        for name, layer in model.stages[str(level)].named_modules():
            if isinstance(layer, torch.nn.Conv2d):
                total += layer.weight.numel() / (2 * level if name == "above" else level) ** 2
    assert macs_per_pixel(design) == pytest.approx(total + model.out.weight.numel() / 4)
