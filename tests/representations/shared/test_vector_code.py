"""Inner loops do what they say, whichever instructions a processor has: how long vectors are is not to be seen."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numba.core.registry import cpu_target

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared import vector_code
from nerv_codec.representations.shared.network_kernel import Network, distributions, look_west, room_for
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


@pytest.mark.parametrize("units", [8, 16, 24, 40, 48])
def test_units_are_rectified(code, random, units):
    rectify, rows = code.rectify, 3
    run = njit()(
        lambda sums, *told: rectify(sums, 8, 3, told[0], told[1], told[2], np.int32(8), np.int32(1023), told[3])
    )
    sums = random.integers(-(1 << 20), 1 << 20, 8 + rows * units).astype(np.int32)
    shift, bias = random.integers(0, 5, units).astype(np.int32), random.integers(-(1 << 20), 1 << 20, units)
    out = np.zeros(8 + rows * units, np.int16)
    run(sums, units, shift, bias.astype(np.int32), out)
    exact = (sums[8:].reshape(rows, units).astype(np.int64) << shift) + bias + 128 >> 8
    np.testing.assert_array_equal(out[8:].reshape(rows, units), np.clip(exact, 0, 1023))
    assert not out[:8].any()


@pytest.mark.parametrize("count", [8, 24, 40])
def test_sums_are_settled_and_modulated(code, random, count):
    settle, modulate, most, drop = code.settle, code.modulate, np.int32(3071), np.int32(10)

    def both(sums, count, bias, shift, settled, modulated, scale, offset):
        settle(sums, 0, count, bias, shift, 8, most, settled, 8)
        modulate(sums, 0, count, bias, shift, 8, most, modulated, 8, scale, offset, drop)

    sums, bias = (random.integers(-(1 << 17), 1 << 17, 64).astype(np.int32) for _ in range(2))
    shift, scale, offset = (
        random.integers(low, high, 64).astype(np.int32) for low, high in ((4, 9), (0, 4000), (0, 9))
    )
    settled, modulated = np.zeros(64, np.int16), random.integers(-3071, 3071, 64).astype(np.int16)
    before, inside = modulated.copy(), slice(8, 8 + count)
    njit()(both)(sums, count, bias, shift, settled, modulated, scale, offset)
    value = sums[:count].astype(np.int64) + bias[inside] >> shift[inside]
    np.testing.assert_array_equal(settled[inside], np.clip(value, -3071, 3071))
    value = np.clip(value + before[inside], -3071, 3071) * scale[inside] + offset[inside] >> 10
    np.testing.assert_array_equal(modulated[inside], np.clip(value, -3071, 3071))
    np.testing.assert_array_equal(modulated[8 + count :], before[8 + count :])


@pytest.mark.parametrize("count", [1, 8, 21, 40])
def test_lifting(code, random, count):
    lift, scale, whole = code.lift, code.scale, -(-count // 8) * 8

    def both(target, source, scaled, count, factor):
        lift(target, 8, source, 3, 5, count, factor)
        scale(scaled, 8, count, factor)

    target, source, scaled = (random.integers(-(1 << 20), 1 << 20, 64).astype(np.int32) for _ in range(3))
    factor, before, inside = -1663182, (target.copy(), scaled.copy()), slice(8, 8 + whole)
    njit()(both)(target, source, scaled, count, np.int32(factor))
    both_sides = source[3 : 3 + whole].astype(np.int64) + source[5 : 5 + whole]
    np.testing.assert_array_equal(target[inside], before[0][inside] + (both_sides * factor + (1 << 19) >> 20))
    np.testing.assert_array_equal(scaled[inside], before[1][inside].astype(np.int64) * factor + (1 << 19) >> 20)
    for now, then in zip((target, scaled), before, strict=True):
        np.testing.assert_array_equal(now[8 + whole :], then[8 + whole :])


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize("count", [8, 24, 40])
def test_every_second_number(code, random, kind, count):
    apart, together = code.apart, code.together

    def there_and_back(x, even, odd, out, count):
        apart(x, 2, np.int32(7), np.int32(4), even, odd, 8, count)
        together(even, odd, 8, out, 2, count)

    x, (even, odd), out = (
        random.integers(-9999, 9999, 99).astype(kind),
        np.zeros((2, 64), np.int32),
        np.zeros(99, np.int32),
    )
    njit()(there_and_back)(x, even, odd, out, count)
    expected = (x[2 : 2 + 2 * count].astype(np.int32) - 7) << 4
    np.testing.assert_array_equal(even[8 : 8 + count], expected[::2])
    np.testing.assert_array_equal(odd[8 : 8 + count], expected[1::2])
    np.testing.assert_array_equal(out[2 : 2 + 2 * count], expected)
    assert not even[8 + count :].any() and not out[2 + 2 * count :].any()


@pytest.mark.parametrize("largest", [False, True])
def test_distributions_of_eight_places_are_those_of_each(random, largest):
    """Also where 32 bits would not do: all of 48 units at their end, times the largest weights."""
    units, cols = 48, 21
    weights = np.full(8 * units, 127) if largest else random.integers(-127, 128, 8 * units)
    bias = np.full(units, 1 << 22) if largest else random.integers(-(1 << 12), 1 << 12, units)
    shifts, second = random.integers(0, 3, units), np.tile([9, 9] if largest else [2, 0], (1, 4))
    network = Network(
        np.zeros((0, 3), np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int16),
        shifts.astype(np.int32), weights.astype(np.int16), second.astype(np.int32), np.zeros(128, np.int32),
    )  # fmt: skip
    room = room_for(cols, network)
    room.sums[:] = random.integers(-(1 << 14), 1 << 14, len(room.sums))
    distributions(network, bias.astype(np.int32), room)
    found = room.locations.copy(), room.scales.copy()
    assert all(len(np.unique(values)) == 1 if largest else len(np.unique(values)) > 3 for values in found)
    assert not largest or (found[0] > 0).all()
    for place in range(cols):
        look_west(network, bias.astype(np.int32), np.int32(0), np.int32(0), place, room)
    np.testing.assert_array_equal(found[0], room.locations)
    np.testing.assert_array_equal(found[1], room.scales)


def test_bytes(code):
    eight_bytes, lowest_byte = code.eight_bytes, code.lowest_byte
    run = njit()(lambda x, start: (eight_bytes(x, start), lowest_byte(eight_bytes(x, start))))
    x = np.array([0, 0, 0, 7, -1, 0, 0, 0, 0, 5], np.int8)
    assert run(x, 1) == (int.from_bytes(x[1:9].tobytes(), "little"), 2)
    assert run(x, 2) == (int.from_bytes(x[2:10].tobytes(), "little"), 1)


@pytest.mark.parametrize("outputs", [6, 24, 40, 64, 72, 96])
def test_blocks_are_whole(outputs):
    assert outputs % block_of(outputs) == 0 or block_of(outputs) == 8
