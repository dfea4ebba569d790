from __future__ import annotations

import numpy as np
import pytest

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.context_model import (
    CLIP,
    FRACTION_BITS,
    MAX_CONTEXT_HIDDEN,
    MAX_WEIGHT,
    NUM_INPUTS,
    TYPICAL_LOG2_SCALE,
    EntropyModel,
    initial_parameters,
    parameter_shapes,
    quantise_parameters,
)
from nerv_codec.entropy.laplace import (
    LATENT_ESCAPE,
    NUM_LATENT_CODES,
    NUM_PHASES,
    NUM_SCALES,
    PRECISION_BITS,
    WINDOW,
    latent_cumulative,
    located_laplace_counts,
)
from nerv_codec.entropy.weights import QuantizedTensor, decode_weights, encode_weights


def tensors(hidden=4, classes=2, step=-4):
    return quantise_parameters(initial_parameters(hidden, classes), (step,) * 6)


def test_tables_are_the_distribution():
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


def test_tables_mirror_each_other():
    for phase in range(1, NUM_PHASES):
        forward = located_laplace_counts(20, phase)[:LATENT_ESCAPE]
        backward = located_laplace_counts(20, NUM_PHASES - phase)[:LATENT_ESCAPE][::-1]
        assert max(abs(a - b) for a, b in zip(forward, backward, strict=True)) <= NUM_LATENT_CODES


def test_cumulative_counts_span_the_precision():
    table = latent_cumulative()
    assert table.shape == (NUM_SCALES, NUM_PHASES, NUM_LATENT_CODES + 1)
    assert (table[..., 0] == 0).all() and (table[..., -1] == 2**PRECISION_BITS).all()
    assert (np.diff(table.astype(np.int64), axis=-1) > 0).all()


def test_weights_survive_the_trip_through_the_file():
    stored = tensors(8, 5)
    read = decode_weights(encode_weights(stored), parameter_shapes(8, 5))
    model = EntropyModel.from_tensors(read)
    w1, b1, w2, b2, w3 = model.parameters()
    found = (w1, b1, w2, b2[:, 0], b2[:, 1] - TYPICAL_LOG2_SCALE, w3)
    for value, tensor in zip(found, stored, strict=True):
        np.testing.assert_array_equal(value, tensor.values)
    assert model.classes == 5


@pytest.mark.parametrize("index", range(6))
def test_bounds_are_checked(index):
    for step, value in ((-4, (MAX_WEIGHT << 4) + 1), (-FRACTION_BITS - 1, 0), (1, 0), (-4, -(1 << 23))):
        bad = tensors()
        symbols = bad[index].symbols.copy()
        symbols.flat[0] = value
        bad[index] = QuantizedTensor(symbols, step)
        with pytest.raises(BitstreamError):
            EntropyModel.from_tensors(bad)
    good = tensors()
    good[index].symbols[:] = MAX_WEIGHT << 4
    EntropyModel.from_tensors(good)


def test_shapes_are_checked():
    for bad in (tensors()[:5], tensors(MAX_CONTEXT_HIDDEN + 1), [*tensors()[:5], tensors()[0]]):
        with pytest.raises(BitstreamError):
            EntropyModel.from_tensors(bad)


def test_the_largest_sums_fit():
    inputs = 5 * CLIP + CLIP * (2 + 2 + 4) + CLIP * (1 + 1 + 4) + CLIP * (2 + 2 + 8)
    largest = (inputs + 1) * (MAX_WEIGHT << FRACTION_BITS)
    assert NUM_INPUTS == 14 and largest < 2**31


def test_quantising_stays_within_the_bounds():
    parameters = initial_parameters(4, 2)
    parameters.w1[0, 0] = 1000
    EntropyModel.from_tensors(quantise_parameters(parameters))
    with pytest.raises(ValueError, match="step"):
        quantise_parameters(parameters, (1, 0, 0, 0, 0, 0))
