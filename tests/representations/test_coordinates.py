from __future__ import annotations

import pytest
import torch

from nerv_codec.base.errors import CoordinateRangeError
from nerv_codec.representations.coordinates import GopGeometry, lattice

BOX = GopGeometry(num_frames=5, height=24, width=40, num_planes=3)


def axis(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_box_maps_to_minus_one_to_one():
    t, row, col = BOX.normalise((axis(0, 2, 4), axis(-0.5, 11.5, 23.5), axis(-0.5, 19.5, 39.5)))
    for values in (t, row, col):
        assert values.tolist() == [-1, 0, 1]


def test_an_axis_without_extent_maps_to_zero():
    assert GopGeometry(1, 24, 40, 3).normalise((axis(0), axis(3), axis(3)))[0].tolist() == [0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("t", (4.0001, 0, 0)),
        ("t", (-0.0001, 0, 0)),
        ("row", (0, 23.6, 0)),
        ("row", (0, -0.6, 0)),
        ("col", (0, 0, 39.6)),
        ("col", (0, 0, float("nan"))),
        ("t", (float("inf"), 0, 0)),
    ],
)
def test_outside_of_the_box_raises(name, values):
    with pytest.raises(CoordinateRangeError, match=f"expected {name} in"):
        BOX.normalise([axis(value) for value in values])


def test_lattice_is_all_combinations():
    points = lattice(axis(1, 2), axis(3, 4, 5), axis(6))
    assert points.shape == (2, 3, 1, 3)
    assert points[1, 2, 0].tolist() == [2, 5, 6]
