import numpy as np
import pytest
import torch

from nerv_codec.representations.shared import integer_transform, transform
from nerv_codec.representations.shared.integer_prediction import six_planes
from nerv_codec.representations.shared.integer_transform import BAND_SCALE, GRAY_SAMPLE, SAMPLE_SCALE, Yuv
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.lifting_kernel import (
    HIGH_GAIN,
    LOW_GAIN,
    PREDICT,
    UPDATE,
    forward_level,
    inverse_level,
)
from nerv_codec.representations.shared.vector_code import FACTOR_BITS


def times(factor: int, x: np.ndarray) -> np.ndarray:
    return (factor * x + (1 << FACTOR_BITS - 1)) >> FACTOR_BITS


def lift(target: np.ndarray, source: np.ndarray, factor: int, ahead: bool) -> None:
    other = np.concatenate([source[1:], source[-1:]] if ahead else [source[:1], source[:-1]])
    target += times(factor, source + other)


def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = x[0::2].copy(), x[1::2].copy()
    for predict, update in zip(PREDICT, UPDATE, strict=True):
        lift(high, low, predict, True)
        lift(low, high, update, False)
    return low, high


def join(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    low, high = low.copy(), high.copy()
    for predict, update in zip(PREDICT[::-1], UPDATE[::-1], strict=True):
        lift(low, high, -update, False)
        lift(high, low, -predict, True)
    return np.stack([low, high], 1).reshape(-1, low.shape[1])


def reference_forward(plane: np.ndarray) -> list[np.ndarray]:
    """LL, HL, LH, HH of int64 (rows, cols)."""
    low, high = (half.T for half in split(plane.T))
    (ll, lh), (hl, hh) = split(low), split(high)
    return [times(LOW_GAIN, ll), hl, lh, times(HIGH_GAIN, hh)]


def reference_inverse(ll: np.ndarray, hl: np.ndarray, lh: np.ndarray, hh: np.ndarray) -> np.ndarray:
    low, high = join(times(HIGH_GAIN, ll), lh), join(hl, times(LOW_GAIN, hh))
    return join(low.T, high.T).T


@pytest.mark.parametrize("rows, cols", [(1, 1), (1, 5), (7, 4), (3, 9), (2, 21)])
@pytest.mark.parametrize("largest", [20, 1 << 20])
def test_levels_follow_the_reference(rows, cols, largest):
    rng = np.random.default_rng(rows)
    plane = rng.integers(-largest, largest, (2 * rows, 2 * cols))
    bands = [np.empty((rows, cols), np.int32) for _ in range(4)]
    forward_level(plane.astype(np.int32), np.int32(0), np.int32(0), *bands)
    expected = reference_forward(plane)
    assert all(np.array_equal(a, b) for a, b in zip(bands, expected, strict=True))
    out = np.empty(plane.shape, np.int32)
    inverse_level(*bands, out)
    assert np.array_equal(out, reference_inverse(*expected))


def picture(rows: int, cols: int, seed: int = 0) -> Yuv:
    rng = np.random.default_rng(seed)
    shapes = ((rows, cols), (rows // 2, cols // 2), (rows // 2, cols // 2))
    y, u, v = (rng.integers(0, SAMPLE_SCALE + 1, shape).astype(np.int16) for shape in shapes)
    return y, u, v


@pytest.mark.parametrize("rows, cols", [(16, 16), (48, 80)])
def test_bands_are_those_of_the_float_transform(rows, cols):
    planes = picture(rows, cols)
    grids = integer_transform.forward(planes, GRAY_SAMPLE)
    expected = transform.forward((six_planes(planes) / SAMPLE_SCALE - transform.GRAY).double())
    for level in LEVELS:
        difference = grids[level] / (BAND_SCALE / SAMPLE_SCALE) - SAMPLE_SCALE * expected[level][0].numpy()
        assert np.abs(difference).max() < 1  # of 1/16 of a code value
    again = integer_transform.inverse(grids)
    for plane, samples in zip(again, planes, strict=True):
        assert np.abs(plane / 16 + GRAY_SAMPLE - samples).max() < 0.5


def test_inverse_keeps_its_bands():
    grids = integer_transform.forward(picture(32, 16), GRAY_SAMPLE)
    kept = {level: grid.copy() for level, grid in grids.items()}
    integer_transform.inverse(grids)
    assert all(np.array_equal(grids[level], kept[level]) for level in LEVELS)


def test_the_largest_bands_stay_in_32_bits():
    rng = np.random.default_rng(0)
    steps = np.full(12, (1 << 28) - 1, np.int32)
    grids = {
        level: integer_transform.dequantised(
            (32767 * rng.choice((-1, 1), grid.shape)).astype(np.int32), steps[: len(grid)]
        )
        for level, grid in integer_transform.zeros(32, 48).items()
    }
    found = integer_transform.inverse(grids)[0]
    luma = grids[16][0].astype(np.int64)
    for level, first in ((16, 3), (8, 0), (4, 0), (2, 0)):
        luma = reference_inverse(luma, *grids[level][first : first + 3].astype(np.int64))
    assert np.array_equal(found, luma)


@pytest.mark.parametrize("times_", [1, 2])
def test_quantised_rounds_half_up_and_is_cut(times_):
    step = 3 << 8
    values = np.arange(-1200, 1200, dtype=np.int32).reshape(1, 40, 60)
    found = integer_transform.quantised({2: values}, {2: np.array([step], np.int32)}, times_)[2]
    expected = np.floor_divide(2 * times_ * values.astype(np.int64) + 3, 6)
    assert np.array_equal(found, np.clip(expected, -127, 127))
    assert found.min() == -127 and found.max() == 127


def test_dequantised_rounds_half_up():
    steps = np.array([128, 384], np.int32)
    found = integer_transform.dequantised(np.array([[[-3, -1, 1, 3]]] * 2, np.int32), steps)
    assert found[:, 0].tolist() == [[-1, 0, 1, 2], [-4, -1, 2, 5]]


def test_six_planes():
    y, u, v = picture(16, 32)
    packed = six_planes((y, u, v))
    assert packed.dtype == torch.float32 and packed.shape == (1, 6, 8, 16)
    assert np.array_equal(packed[0, 1], y[::2, 1::2]) and np.array_equal(packed[0, 5], v)
