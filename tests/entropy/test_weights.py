from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.range_coder import RangeDecoder
from nerv_codec.entropy.weights import (
    MAX_MAGNITUDE,
    QuantizedTensor,
    best_scale,
    decode_weights,
    encode_weights,
    estimate_bits,
    symbol_digest,
)


def laplace(rng: np.random.Generator, shape: tuple[int, ...], scale: float, step: int = -6) -> QuantizedTensor:
    return QuantizedTensor(np.rint(rng.laplace(0, scale, shape)).astype(np.int32), step)


def assert_same(left: list[QuantizedTensor], right: list[QuantizedTensor]) -> None:
    for one, other in zip(left, right, strict=True):
        assert one.step_log2 == other.step_log2
        assert np.array_equal(one.symbols, other.symbols)


@pytest.mark.parametrize("scale", [0.01, 0.3, 3, 30, 300, 3e4, 1e6])
def test_round_trip_at_any_scale(scale):
    rng = np.random.default_rng(0)
    tensors = [laplace(rng, shape, scale, step) for shape, step in (((3, 7), -24), ((7,), 8), ((7, 7), 0))]
    data = encode_weights(tensors)
    assert_same(decode_weights(data, [tensor.symbols.shape for tensor in tensors]), tensors)


symbols = st.one_of(
    st.integers(-3, 3), st.integers(-130, 130), st.sampled_from([-MAX_MAGNITUDE, MAX_MAGNITUDE, 127, 128, -127, -128])
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(symbols, max_size=40), st.integers(-24, 8)), max_size=5))
def test_round_trip_of_anything(parts):
    tensors = [QuantizedTensor(np.array(values, np.int32), step) for values, step in parts]
    decoded = decode_weights(encode_weights(tensors), [(len(values),) for values, _ in parts])
    assert_same(decoded, tensors)
    assert symbol_digest(decoded) == symbol_digest(tensors)


@pytest.mark.parametrize("scale", [0.2, 1, 4, 20, 60])
def test_estimate_is_within_one_percent_of_the_bytes(scale):
    rng = np.random.default_rng(1)
    tensors = [laplace(rng, shape, scale) for shape in ((3, 48), (48,), (48, 48), (48,), (48, 3), (3,))]
    real = 8 * len(encode_weights(tensors))
    assert abs(estimate_bits(tensors) - real) < max(0.01 * real, 32)  # whole words


def test_rate_is_close_to_the_entropy_of_the_source():
    rng = np.random.default_rng(2)
    tensor = laplace(rng, (20000,), 5.0)
    counts = np.unique(tensor.symbols, return_counts=True)[1] / tensor.symbols.size
    entropy = -(counts * np.log2(counts)).sum()
    assert 8 * len(encode_weights([tensor])) / tensor.symbols.size < entropy * 1.02


def test_values_are_exact():
    tensor = QuantizedTensor(np.array([MAX_MAGNITUDE - 1, -3, 0], np.int32), -24)
    assert tensor.values.dtype == np.float32
    assert tensor.values.tolist() == [math.ldexp(MAX_MAGNITUDE - 1, -24), math.ldexp(-3, -24), 0.0]


def test_best_scale_follows_the_spread():
    rng = np.random.default_rng(3)
    chosen = [best_scale(laplace(rng, (5000,), 2 ** ((i - 16) / 4)).symbols)[0] for i in (12, 20, 28, 36)]
    assert all(abs(found - i) <= 1 for found, i in zip(chosen, (12, 20, 28, 36), strict=True))


@pytest.mark.parametrize(
    "tensor",
    [QuantizedTensor(np.array([MAX_MAGNITUDE + 1], np.int32), 0), QuantizedTensor(np.array([1], np.int32), 9)],
)
def test_what_the_format_cannot_hold_is_not_written(tensor):
    with pytest.raises(ValueError, match="Expected"):
        encode_weights([tensor])


def small() -> tuple[list[QuantizedTensor], bytes]:
    tensors = [QuantizedTensor(np.array([[0, 1, -400], [5, 0, 129]], np.int32), -5)]
    return tensors, encode_weights(tensors)


@pytest.mark.parametrize("position", range(len(small()[1])))
def test_damage_gives_an_error_or_the_same_symbols(position):
    """There is a checksum around all of this; the digest inside catches what gets past it."""
    tensors, data = small()
    for bit in range(8):
        broken = bytearray(data)
        broken[position] ^= 1 << bit
        try:
            decoded = decode_weights(bytes(broken), [(2, 3)])
        except BitstreamError:
            continue
        assert np.array_equal(decoded[0].symbols, tensors[0].symbols)


def test_truncation_and_surplus_are_refused():
    _, data = small()
    for broken in (data[:5], data[:-3], data + bytes(8), b""):
        with pytest.raises(BitstreamError):
            decode_weights(broken, [(2, 3)])


def test_an_escape_that_needs_none_is_refused():
    tensor = QuantizedTensor(np.array([200], np.int32), 0)
    data = bytearray(encode_weights([tensor]))
    assert data[6:9] == b"\x01\x90\x03"  # one escape, 200
    data[7:9] = b"\xfe\x01"  # 127 has a code of its own
    with pytest.raises(BitstreamError, match="escaped"):
        decode_weights(bytes(data), [(1,)])


def test_range_decoder_wants_whole_words():
    with pytest.raises(BitstreamError, match="32-bit words"):
        RangeDecoder(b"abc")
