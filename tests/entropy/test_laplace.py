from __future__ import annotations

import math

import numpy as np
import pytest

from nerv_codec.entropy.laplace import _DECAY, ESCAPE, MAX_SYMBOL, NUM_CODES, NUM_SCALES, code_lengths, laplace_counts

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
