"""Drawing latents: what is given stays, a seed decides, and what is drawn costs what the context model expects."""

from __future__ import annotations

import numpy as np
import pytest

from nerv_codec.entropy.laplace import latent_cumulative
from nerv_codec.entropy.range_kernel import WINDOW, draw_escape
from nerv_codec.representations.shared import drawing
from nerv_codec.representations.shared.band_coder import Conditions, Latents, grid_shapes
from nerv_codec.representations.shared.drawing import coded_bits, draw_latents, without
from nerv_codec.representations.shared.integer_context import IntegerContext
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.weights import load_weights

TOLD = Conditions(50)


@pytest.fixture(scope="module")
def context() -> IntegerContext:
    return load_weights().alone.context


def latents_of(rows: int, cols: int, spread: float = 6.0) -> Latents:
    rng = np.random.default_rng(1)
    return {
        level: np.rint(rng.laplace(0, spread * level / 16, shape)).astype(np.int32)
        for level, shape in grid_shapes(rows, cols).items()
    }


@pytest.mark.parametrize(("grid", "seed", "temperature"), [(2, 1, 1.0), (4, 2, 1.0), (16, 3, 1.0), (8, 4, 0.8)])
def test_what_is_drawn_costs_what_the_model_expects(context, grid, seed, temperature):
    """The proof that coder and generator are one: bits of the drawn grids, really coded, against their entropy."""
    drawn = draw_latents(latents_of(320, 384), grid, context, TOLD, seed=seed, temperature=temperature)
    assert drawn.expected_bits > 10_000
    assert coded_bits(drawn.latents, grid, context, TOLD) == pytest.approx(drawn.expected_bits, rel=0.03)


def test_what_is_given_stays_and_the_rest_is_drawn(context):
    latents = latents_of(40, 72)
    latents[4][2] = 0
    found, again, other = (draw_latents(latents, 4, context, TOLD, seed=seed).latents for seed in (1, 1, 2))
    for level in LEVELS:
        assert np.array_equal(found[level], again[level])
        assert np.array_equal(found[level], latents[level]) == np.array_equal(found[level], other[level]) == (level > 4)
    assert not found[4][2].any()  # an empty band is given, too
    assert [bool(values.any()) for values in without(latents, 4).values()] == [True, True, False, False]


def test_less_temperature_is_less_surprise(context):
    cool, own = (
        draw_latents(latents_of(64, 64), 2, context, TOLD, temperature=heat).expected_bits for heat in (0.5, 1)
    )
    assert cool < 0.8 * own


def test_tables_at_the_temperature_of_the_model_are_its_own():
    assert np.array_equal(drawing._tempered(1.0)[0], latent_cumulative())
    for temperature in (1e-300, 0.01, 100.0):
        tables, costs = drawing._tempered(temperature)
        assert (tables[..., -1] == 1 << 24).all() and (np.diff(tables.astype(np.int64)) >= 0).all()
        assert np.isfinite(costs).all()


def test_escapes_are_as_likely_as_their_bits_say():
    """An escape of n bits has a chance of 2**-n, whichever they are."""
    chance = np.random.default_rng(2).integers(0, 1 << 64, 20_000, np.uint64)
    for index, order in ((10, 0), (24, 2)):
        found = np.array([draw_escape(bits, index) for bits in chance])
        assert abs(found).min() == WINDOW + 1 and abs(np.mean(found > 0) - 0.5) < 0.02
        for prefix in range(3):
            first = WINDOW + 1 + (1 << order) * ((1 << prefix) - 1)
            share = np.mean((abs(found) >= first) & (abs(found) < first + (1 << order + prefix)))
            assert share == pytest.approx(0.5 ** (prefix + 1), abs=0.02)
