from __future__ import annotations

import math

import numpy as np
import pytest

from nerv_codec.entropy.laplace import (
    _DECAY,
    ESCAPE,
    LATENT_ESCAPE,
    MAX_SYMBOL,
    NUM_CODES,
    NUM_LATENT_CODES,
    NUM_PHASES,
    NUM_SCALES,
    PRECISION_BITS,
    WINDOW,
    code_lengths,
    laplace_counts,
    latent_cumulative,
    located_laplace_counts,
)

SCALES = range(NUM_SCALES)


@pytest.mark.parametrize("index", SCALES)
def test_counts_are_positive_and_sum_to_the_precision(index):
    counts = laplace_counts(index)
    assert len(counts) == NUM_CODES == 256
    assert sum(counts) == 1 << 24
    assert min(counts) >= 1


@pytest.mark.parametrize("index", SCALES)
def test_counts_are_symmetric_and_fall_away_from_zero(index):
    counts = laplace_counts(index)[:ESCAPE]
    assert counts == counts[::-1]
    assert all(a >= b for a, b in zip(counts[MAX_SYMBOL:], counts[MAX_SYMBOL + 1 :], strict=False))


@pytest.mark.parametrize("index", SCALES)
def test_counts_are_a_laplace(index):
    scale = 2 ** ((index - 16) / 4)
    edges = np.arange(MAX_SYMBOL + 1) + 0.5
    beyond = np.exp(-edges / scale) / 2
    masses = np.array([1 - 2 * beyond[0], *(beyond[:-1] - beyond[1:])])
    found = np.array(laplace_counts(index)[MAX_SYMBOL:ESCAPE]) / (1 << 24)
    assert np.abs(found - masses).max() < 2e-5
    assert laplace_counts(index)[ESCAPE] / (1 << 24) == pytest.approx(2 * beyond[-1], abs=2e-5)


@pytest.mark.parametrize("index", SCALES)
def test_decay_constants_are_those_of_the_specification(index):
    scale = 2 ** ((index - 16) / 4)
    assert abs(_DECAY[index] - (1 << 32) * math.exp(-1 / (16 * scale))) <= 0.5 + 1e-5


def test_code_lengths_are_those_of_the_counts():
    lengths = code_lengths()
    assert lengths.shape == (NUM_SCALES, NUM_CODES)
    assert np.allclose(np.exp2(-lengths).sum(1), 1)


def test_located_tables_are_the_distribution():
    scale = 2.0 ** ((np.arange(NUM_SCALES) - 16) / 4)
    for index in range(NUM_SCALES):
        for phase in range(NUM_PHASES):
            counts = np.array(located_laplace_counts(index, phase), np.float64)
            assert counts.min() >= 1 and counts.sum() == 2**PRECISION_BITS
            edges = np.arange(-WINDOW - 1, WINDOW + 1) + 0.5 - (phase / 16 - 0.5)
            below = np.where(
                edges < 0, np.exp(-np.abs(edges) / scale[index]) / 2, 1 - np.exp(-np.abs(edges) / scale[index]) / 2
            )
            expected = np.append(np.diff(below), 1 - below[-1] + below[0]) * 2**PRECISION_BITS
            np.testing.assert_allclose(counts, expected, atol=2 + NUM_LATENT_CODES, rtol=1e-5)


def test_located_tables_mirror_each_other():
    for phase in range(1, NUM_PHASES):
        forward = located_laplace_counts(20, phase)[:LATENT_ESCAPE]
        backward = located_laplace_counts(20, NUM_PHASES - phase)[:LATENT_ESCAPE][::-1]
        assert max(abs(a - b) for a, b in zip(forward, backward, strict=True)) <= NUM_LATENT_CODES


def test_cumulative_counts_span_the_precision():
    table = latent_cumulative()
    assert table.shape == (NUM_SCALES, NUM_PHASES, NUM_LATENT_CODES + 1)
    assert (table[..., 0] == 0).all() and (table[..., -1] == 2**PRECISION_BITS).all()
    assert (np.diff(table.astype(np.int64), axis=-1) > 0).all()
