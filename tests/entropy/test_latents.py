from __future__ import annotations

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_grids import CLASSES, three_nodes

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy import latent_coder
from nerv_codec.entropy.context_model import (
    MAX_LATENT,
    NUM_INPUTS,
    EntropyModel,
    RateParameters,
    predict_reference,
    quantise_parameters,
)
from nerv_codec.entropy.laplace import LATENT_ESCAPE, WINDOW, located_laplace_counts
from nerv_codec.entropy.latents import decode_latents, encode_latents, estimate_bits, latent_digest, symbol_bits
from nerv_codec.entropy.rate_cpu import rate_forward_backward


def example(seed=0, hidden=8, amplitude=0.7, spread=1.0, sizes=((37, 70), (19, 35), (10, 18))):
    """Latents on the grids of three nodes, one of them all zero, and a model at random."""
    rng = np.random.default_rng(seed)
    table, maps = three_nodes(rng, sizes)
    symbols = np.rint(rng.laplace(0, amplitude, table.size)).astype(np.int32)
    symbols[table[5].part] = 0
    shapes = ((hidden, NUM_INPUTS), (1, hidden), (2, hidden), (CLASSES, 2), (2, NUM_INPUTS))
    parameters = RateParameters(
        *(spread * rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32) for shape in shapes)
    )
    parameters.w3[:] *= 0.3
    model = EntropyModel.from_tensors(quantise_parameters(parameters, (-6, -6, -5, -4, -4, -7)))
    return symbols, table.marked(symbols), maps, model


@pytest.mark.parametrize("hidden", [1, 4, 8, 11, 16])
@pytest.mark.parametrize(("amplitude", "spread"), [(0.0, 1.0), (0.7, 1.0), (20.0, 0.3), (3000.0, 40.0)])
def test_the_compiled_context_follows_the_reference(hidden, amplitude, spread):
    symbols, table, maps, model = example(hidden, hidden, amplitude, spread)
    symbols = np.clip(symbols, -MAX_LATENT, MAX_LATENT)
    found = np.zeros((2, symbols.size), np.int32)
    latent_coder.predict(symbols, table.array, maps, *model.arrays, *found)
    np.testing.assert_array_equal(found, predict_reference(symbols, table, maps, model))


@pytest.mark.parametrize(("amplitude", "spread"), [(0.0, 1.0), (0.05, 1.0), (0.7, 1.0), (20.0, 0.3), (5000.0, 40.0)])
def test_what_is_encoded_is_decoded(amplitude, spread):
    for seed in range(3):
        symbols, table, maps, model = example(seed, 8, amplitude, spread)
        symbols = np.clip(symbols, -MAX_LATENT, MAX_LATENT)
        data = encode_latents(symbols, table, maps, model)
        decoded = decode_latents(data, table, maps, model)
        np.testing.assert_array_equal(decoded, symbols)
        estimate = estimate_bits(symbols, table, maps, model).sum()
        assert abs(8 * (len(data) - 4) - estimate) < 48 + 0.001 * estimate


def test_all_zero_takes_a_few_bytes():
    symbols, table, maps, model = example()
    assert len(encode_latents(np.zeros_like(symbols), table, maps, model)) <= 8


def test_a_symbol_without_a_code_is_refused():
    symbols, table, maps, model = example()
    symbols[3] = MAX_LATENT + 1
    with pytest.raises(ValueError, match="within"):
        encode_latents(symbols, table, maps, model)


def test_the_stream_is_that_of_the_format():
    """Decoded by another range coder, with the reference's tables, from the format's text."""
    symbols, table, maps, model = example(1, amplitude=2.0)
    symbols[50:500:50] += 100
    data = encode_latents(symbols, table, maps, model)
    locations, scales = predict_reference(symbols, table, maps, model)
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data[4:], "<u4").astype(np.uint32))

    def take(counts):
        return int(decoder.decode(constriction.stream.model.Categorical(np.array(counts) / 2.0**24, perfect=True)))

    seen = np.zeros((CLASSES, 2), np.int64)
    for offset, rows, cols, *_, context_class, _ in table:
        zero = ((2 * int(seen[context_class, 0]) + 1) << 24) // (2 * int(seen[context_class].sum()) + 2)
        flag = take([zero, 2**24 - zero])
        seen[context_class, flag] += 1
        if not flag:
            assert not symbols[offset : offset + rows * cols].any()
            continue
        for at in range(offset, offset + rows * cols):
            rounded = (int(locations[at]) + 8) >> 4
            code = take(located_laplace_counts(int(scales[at]), int(locations[at]) - 16 * rounded + 8))
            value = code - WINDOW
            if code == LATENT_ESCAPE:
                half = [1 << 23, 1 << 23]
                sign, order, prefix, excess = take(half), max(0, (int(scales[at]) - 16) >> 2), 0, 1
                while take(half):
                    prefix += 1
                for _ in range(order + prefix):
                    excess = 2 * excess + take(half)
                value = excess - (1 << order) + WINDOW + 1
                value = -value if sign else value
            assert rounded + value == symbols[at]
    assert decoder.maybe_exhausted()


def test_the_bits_of_the_fit_are_those_of_the_file():
    symbols, table, maps, model = example(2, spread=0.5, sizes=((120, 160), (60, 80), (30, 40)))
    fitted = rate_forward_backward(symbols.astype(np.float32), table, maps, model.parameters()).bits.sum()
    written = 8 * len(encode_latents(symbols, table, maps, model))
    assert abs(fitted / written - 1) < 0.01


def test_escapes_cost_what_is_estimated():
    distance = np.array([WINDOW + 1, -WINDOW - 1, WINDOW + 4, 3000], np.int32)
    for scale in (0, 16, 30, 47):
        counts = located_laplace_counts(scale, 8)
        extra = symbol_bits(distance, 0 * distance, 0 * distance + scale) - (24 - np.log2(counts[LATENT_ESCAPE]))
        order = max(0, (scale - 16) // 4)
        expected = [2 + order + 2 * (((abs(int(d)) - 32 + (1 << order)).bit_length() - 1) - order) for d in distance]
        np.testing.assert_allclose(extra, expected)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 3))
def test_any_words_decode_or_are_refused(data, seed):
    symbols, table, maps, model = example(seed, sizes=((9, 14), (5, 7), (3, 4)))
    with pytest.raises(BitstreamError):
        decode_latents(latent_digest(symbols + 1).to_bytes(4, "little") + data, table, maps, model)


def test_damage_is_noticed():
    symbols, table, maps, model = example(3)
    data = encode_latents(symbols, table, maps, model)
    for bad in (data[:-4], data[:-1], data + b"\1\0\0\0", data[:40] + bytes([data[40] ^ 4]) + data[41:], b"", b"abc"):
        with pytest.raises(BitstreamError):
            decode_latents(bad, table, maps, model)
