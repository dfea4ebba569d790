"""Moves between two frames: found where nothing was coded, kept to where the pictures agree, read inside of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from nerv_codec.representations.warped.bilateral import Moves, moves_between
from nerv_codec.representations.warped.planes import Samples

SIZE = 48, 61


def _texture(down: float, right: float) -> Samples:
    """Waves of several directions that have moved so far."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    rows, cols = rows - down, cols - right
    value = np.sin(0.5 * rows + 0.2 * cols) + np.sin(0.3 * cols - 0.2 * rows) + np.sin(0.7 * cols) * np.cos(0.2 * rows)
    return (2040 + 400 * value).astype(np.int16)


def _coded(down: int = 0, right: int = 0) -> npt.NDArray[np.int32]:
    """Of blocks of a canvas, of which there are more than of a plane."""
    return np.tile(np.array([down, right], np.int32), (8, 8, 1))


def test_motion_that_was_not_coded_is_found() -> None:
    found = moves_between(_texture(0, 0), _texture(2, -1.5), _coded())
    assert found.moves.shape == (2, 6, 8, 2) and not found.moves[0].any()
    assert np.abs(found.moves[1, 1:-1, 1:-1] - [4, -3]).max() <= 1  # half of it, in quarter samples
    assert found.share[1:-1, 1:-1].min() > 0.9


def test_coded_motion_that_is_right_is_kept() -> None:
    found = moves_between(_texture(0, 0), _texture(2, -1.5), _coded(4, -3))
    assert np.abs(found.moves[1, 1:-1, 1:-1] - [4, -3]).max() <= 1


def test_pictures_without_detail_do_not_move() -> None:
    flat = np.full(SIZE, 1000, np.int16)
    found = moves_between(flat, flat, _coded())
    assert not found.moves.any()
    np.testing.assert_array_equal(found.share, 0.5)


def _read(known: Moves, way: float, points: list[tuple[float, float]]) -> tuple[npt.NDArray[np.float64], ...]:
    rows, cols = (np.array(axis) for axis in zip(*points, strict=True))
    return known.at(way, rows, cols, SIZE)


def test_points_are_read_along_both_moves() -> None:
    coded, found = (np.tile(np.array(move), (6, 8, 1)) for move in ((4, 0), (-8, 2)))
    known = Moves(np.stack([coded, found]).astype(np.int64), np.full((6, 8), 0.75))
    moved, weights = _read(known, 0.25, [(20.0, 30.0), (11.3, 22.9)])
    np.testing.assert_allclose(moved[:, :, :, 0], [[[-0.5, 0], [1.5, 0]], [[1, -0.25], [-3, 0.75]]])
    np.testing.assert_allclose(moved[..., 1], moved[..., 0])
    np.testing.assert_allclose(weights[:, :, 0], [[0.25 * 0.75, 0.25 * 0.25], [0.75 * 0.75, 0.75 * 0.25]])


def test_what_lies_outside_of_the_picture_hardly_counts() -> None:
    up = np.tile(np.array([-8, 0]), (2, 6, 8, 1)).astype(np.int64)
    known = Moves(up, np.full((6, 8), 0.5))
    _, weights = _read(known, 0.5, [(1.0, 30.0), (1.5, 30.0), (20.0, 30.0)])
    np.testing.assert_allclose(weights[0], [[0.999, 2 / 3, 0.5], [0.001, 1 / 3, 0.5]], atol=1e-3)
    assert not weights[1].any()  # both moves are the same, so that one is enough


@pytest.mark.parametrize("way", [1e-9, 1 - 1e-9])
def test_near_a_frame_it_is_the_frame(way: float) -> None:
    rng = np.random.default_rng(0)
    known = Moves(rng.integers(-30, 30, (2, 6, 8, 2)), rng.uniform(0, 1, (6, 8)))
    points = [(float(row), float(col)) for row, col in rng.uniform(-0.5, [47.5, 60.5], (50, 2))]
    moved, weights = _read(known, way, points)
    frame = round(way)
    np.testing.assert_allclose(weights[:, frame].sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(weights.sum((0, 1)), 1)
    assert np.abs(moved[:, frame]).max() < 1e-6
