"""Inner loops do what they say, whichever instructions a processor has: how long vectors are is not to be seen."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numba.core.registry import cpu_target

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared import vector_code
from nerv_codec.representations.shared.vector_code import block_of, paired

CODEGEN = cpu_target.target_context.codegen()


@pytest.fixture(params=["own", "short", "long"], scope="module")
def code(request):
    """The module as it is on this processor, with short vectors, and with long ones that adds in two steps."""
    features = {"own": CODEGEN.magic_tuple()[2], "short": "", "long": "+avx2,+avx512bw"}[request.param]
    spec = importlib.util.spec_from_file_location(f"vector_code_{request.param}", vector_code.__file__)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(CODEGEN), "magic_tuple", lambda _: ("", "", features))
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def random():
    return np.random.default_rng(5)


@pytest.mark.parametrize("outputs", [8, 16, 24, 32, 40, 48])
def test_product(code, random, outputs):
    intrinsic, places = getattr(code, f"product_{outputs}"), code.places_for(outputs)
    run = njit()(lambda x, step, count, weights, sums: intrinsic(x, 3, step, count, weights, 0, sums, 5))
    count, step = 6, 10
    x = random.integers(-3000, 3000, 3 + places * step, np.int16)
    weights = random.integers(-3000, 3000, (outputs, count), np.int16)
    sums = np.zeros(5 + places * outputs, np.int32)
    run(x, step, count, paired(weights, outputs).ravel(), sums)
    for p in range(places):
        expected = weights.astype(np.int64) @ x[3 + p * step : 3 + p * step + count]
        np.testing.assert_array_equal(sums[5 + p * outputs : 5 + (p + 1) * outputs], expected)
    assert not sums[:5].any()


@pytest.mark.parametrize("count", [8, 24, 40])
def test_accumulate(code, random, count):
    intrinsic = code.accumulate
    run = njit()(lambda sums, size, factor, weights: intrinsic(sums, 8, size, factor, weights, 16))
    sums, weights = (random.integers(-30000, 30000, 96).astype(np.int32) for _ in range(2))
    expected = sums.copy()
    expected[8 : 8 + count] += 32767 * weights[16 : 16 + count]
    run(sums, count, np.int32(32767), weights)
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize("taps", [4, 8])
@pytest.mark.parametrize("cols", [8, 24])
def test_filters_along_both_axes(code, random, taps, cols):
    """Lines are exact, however large, so that one rounding comes at the end."""
    lines, weigh = getattr(code, f"lines_{taps}"), getattr(code, f"weigh_{taps}")

    def both(x, width, across, along, between, out, size):
        lines(x, 2, width, 1, across, 0, np.int32(0), x.size // width, size, between, size)
        weigh(between, 0, size, size, along, 0, np.int32(9), out.size // size, size, out, size)

    width, rows = cols + taps + 5, 7
    x = random.integers(-32768, 32767, (rows + taps - 1, width)).astype(np.int16)
    across, along = (random.integers(-31, 31, taps).astype(np.int32) for _ in range(2))
    between, out = np.zeros((rows + taps) * cols, np.int32), np.zeros(rows * cols, np.int32)
    njit()(both)(np.append(x.ravel(), np.zeros(16, np.int16)), width, across, along, between, out, cols)
    once = sum(across[k] * x[:, 2 + k : 2 + k + cols].astype(np.int64) for k in range(taps))
    twice = sum(along[k] * once[k : k + rows] for k in range(taps))
    np.testing.assert_array_equal(out.reshape(rows, cols), (twice + 256) >> 9)


@pytest.mark.parametrize("channels", [8, 24, 48])
def test_minimal_filtering(code, random, channels):
    """What turning does before and after products is a convolution of 3 x 3, four times."""
    turn, turn_back = code.turn, code.turn_back

    def before(x, width, step, turned):
        turn(x, 0, width, step, turned, 0, step)

    def after(sums, step, bias, shift, out):
        turn_back(sums, 0, step, step, bias, shift, 0, np.int32(-2000), np.int32(2000), False, out, 0, 2 * step, step)

    x = random.integers(-500, 500, (4, 4, channels)).astype(np.int16)
    weights = random.integers(-9, 9, (3, 3, channels))
    turned, out = np.zeros(16 * channels, np.int16), np.zeros((2, 2, channels), np.int16)
    njit()(before)(x.ravel(), 4 * channels, channels, turned)
    matrix = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
    twisted = np.einsum("ai,ijc,bj->abc", matrix, weights, matrix).reshape(16, channels)
    sums = (turned.reshape(16, channels) * twisted).astype(np.int32).ravel()
    bias, shift = random.integers(-999, 999, channels).astype(np.int32), np.full(channels, 5, np.int32)
    njit()(after)(sums, channels, bias, shift, out.ravel())
    exact = sum(weights[i, j] * x[i : i + 2, j : j + 2].astype(np.int64) for i in range(3) for j in range(3))
    np.testing.assert_array_equal(out, np.clip((4 * exact + bias) >> 5, -2000, 2000))


def test_bytes(code):
    eight_bytes, lowest_byte = code.eight_bytes, code.lowest_byte
    run = njit()(lambda x, start: (eight_bytes(x, start), lowest_byte(eight_bytes(x, start))))
    x = np.array([0, 0, 0, 7, -1, 0, 0, 0, 0, 5], np.int8)
    assert run(x, 1) == (int.from_bytes(x[1:9].tobytes(), "little"), 2)
    assert run(x, 2) == (int.from_bytes(x[2:10].tobytes(), "little"), 1)


@pytest.mark.parametrize("outputs", [6, 24, 40, 64, 72, 96])
def test_blocks_are_whole(outputs):
    assert outputs % block_of(outputs) == 0 or block_of(outputs) == 8
