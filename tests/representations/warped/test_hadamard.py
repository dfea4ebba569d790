import importlib.util

import numpy as np
import pytest

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared import vector_code
from nerv_codec.representations.warped import hadamard_code
from nerv_codec.representations.warped.hadamard_code import (
    error_of_both,
    error_of_one,
    sum_of_differences,
    sum_of_four_rows,
)
from nerv_codec.representations.warped.quarter_kernel import PAD
from nerv_codec.representations.warped.search_kernel import _error

HADAMARD = np.array([[1]])
for _ in range(3):
    HADAMARD = np.kron(HADAMARD, [[1, 1], [1, -1]])


def kernel(intrinsic):
    """An error as Python can ask for it."""

    def error(goal, weights, plane, start, pitch, other, limit):
        return intrinsic(goal, weights, plane, start, pitch, other, limit)

    return njit()(error)


one_error, both_error = kernel(error_of_one), kernel(error_of_both)


@njit()
def differences(one, start, two, begin):
    return sum_of_differences(one, start, 20, two, begin, 20)


@njit()
def four_rows(one, start, pitch, two, begin, stride):
    return sum_of_four_rows(one, start, pitch, two, begin, stride)


@pytest.fixture
def numbers():
    draw = np.random.default_rng(0)
    goal, weights = draw.integers(0, 1 << 20, (16, 16)), draw.integers(0, 226, (16, 16))
    plane, other = draw.integers(-2000, 6000, (30, 40)), draw.integers(-2000, 6000, (16, 16))
    return goal.astype(np.int32), weights.astype(np.int32), plane.astype(np.int16), other.astype(np.int16)


@pytest.fixture(params=[8, 16], scope="module")
def errors(request):
    """Errors of one parent and of the mean of two with vectors of so many numbers, and how many blocks they take."""
    spec = importlib.util.spec_from_file_location(f"hadamard_code_{request.param}", hadamard_code.__file__)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_code, "WIDEST", request.param)
        spec.loader.exec_module(module)
    return kernel(module.error_of_one), kernel(module.error_of_both), request.param // 8


def coefficients(rest):
    """Sums of the four blocks, in their order."""
    blocks = (rest >> 4).reshape(2, 8, 2, 8).transpose(0, 2, 1, 3).reshape(4, 8, 8)
    return [np.abs(HADAMARD @ block @ HADAMARD).sum() for block in blocks]


@pytest.mark.parametrize("both", [False, True])
def test_the_error_is_the_sum_of_absolute_coefficients(numbers, errors, both):
    goal, weights, plane, other = numbers
    said = plane[5:21, 7:23].astype(np.int64)
    if both:
        said = (said + other + 1) >> 1
    sums = coefficients(goal - weights * said)
    error, together = errors[both], errors[2]
    assert error(goal, weights, plane, 5 * 40 + 7, 40, other, 1 << 60) == sum(sums) >> 3
    for count in range(together, 4, together):
        limit = int(sum(sums[:count])) >> 3
        for least in (limit, limit - 1, limit - int(sums[count - 1] >> 3) + 1):
            assert error(goal, weights, plane, 5 * 40 + 7, 40, other, least) == limit
        assert error(goal, weights, plane, 5 * 40 + 7, 40, other, limit + 1) == sum(sums[: count + together]) >> 3


def test_differences_of_extremes_do_not_overflow():
    white, black = np.full((8, 20), 4095, np.int16), np.zeros((8, 20), np.int16)
    assert differences(white, 3, black, 9) == differences(black, 0, white, 0) == 64 * 4095
    white[2, 5] = 4000
    assert differences(white, 3, black, 9) == 64 * 4095 - 95


def test_four_rows_have_pitches_of_their_own():
    draw = np.random.default_rng(0)
    one, two = (draw.integers(-4095, 4096, shape).astype(np.int16) for shape in ((6, 9), (5, 30)))
    found = np.abs(one[1:5, 1:9].astype(int) - two[:4, 20:28]).sum()
    assert four_rows(one, 10, 9, two, 20, 30) == found


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("quiet", [1.0, 1e6, 1e7, 1e9])
def test_what_is_quiet_counts_by_its_square(numbers, both, quiet):
    """The same from both sides where it ends, and never below a limit that is reached."""
    goal, weights, plane, other = numbers
    quarters = np.zeros((4, 4, 2 * PAD + 32, 2 * PAD + 32), np.int16)
    quarters[2, 1, PAD + 10 : PAD + 26, PAD + 1 : PAD + 17] = plane[5:21, 7:23]
    place = (1, 1, goal, weights, None, None, None, quiet, np.zeros((16, 16), np.int16))
    vector, still = (4 * 6 + 2, 4 * -3 + 1), (0, 0)
    whole = (both_error if both else one_error)(goal, weights, plane, 5 * 40 + 7, 40, other, 1 << 60)
    expected = whole - quiet / 2 if whole > quiet else whole**2 / (2 * quiet)
    assert _error(place, quarters, *vector, other, both, *still, np.inf) == pytest.approx(expected)
    assert _error(place, quarters, *vector, other, both, *still, 1.01 * expected) == pytest.approx(expected)
    for limit in (0.0, 0.3 * expected, expected):
        assert _error(place, quarters, *vector, other, both, *still, limit) >= limit
