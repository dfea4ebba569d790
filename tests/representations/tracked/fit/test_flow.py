"""Where motion starts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.video import PlanarFrame
from nerv_codec.representations.tracked.fit.flow import _Splines, initial_motion
from nerv_codec.representations.tracked.function import motion_grids, read_motion
from nerv_codec.representations.tracked.shape import TrackedShape
from nerv_codec.representations.tracked.tree import GopTree


def _moving(shift: tuple[int, int], count: int = 3, size: tuple[int, int] = (96, 112)) -> list[PlanarFrame]:
    noise = np.random.default_rng(0).normal(0, 1, (200, 200)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 20, 235, cv2.NORM_MINMAX)
    frames = []
    for t in range(count):
        top, left = 40 - shift[0] * t, 40 - shift[1] * t
        frames.append(
            PlanarFrame((np.rint(texture[top : top + size[0], left : left + size[1]]).astype(np.uint8),), t, 1)
        )
    return frames


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-4, 1)])
def test_it_finds_where_a_picture_has_moved(shift):
    shape = TrackedShape(GopTree(3), 96, 112, 5, 8, 1)
    kept = initial_motion(shape, _moving(shift), 8, 1e-4)
    grids = motion_grids(shape, kept)
    inside = torch.cartesian_prod(torch.arange(24.0, 72), torch.arange(24.0, 88))
    for index, node in enumerate(shape.tree.nodes):
        for number, parent in enumerate(node.parents):
            found = read_motion(grids[index], inside)[:, 2 * number : 2 * number + 2].mean(0)
            steps = shape.tree.nodes[parent].frame - node.frame
            assert found.tolist() == pytest.approx([steps * axis for axis in shift], abs=0.15)


def test_motion_that_is_not_worth_its_bits_stays_zero():
    shape = TrackedShape(GopTree(3), 96, 112, 5, 8, 1)
    assert all(not part.any() for part in initial_motion(shape, _moving((1, 1)), 8, 10.0))


def test_splines_and_their_adjoint():
    shape = TrackedShape(GopTree(2), 45, 70, 4, 8, 1)
    splines = _Splines(shape.motion_sizes, (45, 70), 2)
    rng = np.random.default_rng(0)
    grids = [rng.normal(0, 1, (rows, 2, cols)).astype(np.float32) for rows, cols in shape.motion_sizes]
    dense = splines.forward(grids)
    assert dense.shape == (23, 2, 35)
    # The same as the function reads them.
    kept = [torch.from_numpy(np.pad(grid.transpose(0, 2, 1), ((0, 0), (0, 0), (0, 3))))[None] for grid in grids]
    places = torch.cartesian_prod(torch.arange(0.0, 45, 2), torch.arange(0.0, 70, 2))
    tree = TrackedShape(GopTree(1), 45, 70, 4, 8, 1)
    expected = read_motion(motion_grids(tree, kept)[0], places)[:, :2].reshape(23, 35, 2)
    assert np.abs(dense.transpose(0, 2, 1) - expected.numpy()).max() < 1e-4
    other = rng.normal(0, 1, dense.shape).astype(np.float32)
    products = [float(np.vdot(part, grid)) for part, grid in zip(splines.adjoint(other), grids, strict=True)]
    assert sum(products) == pytest.approx(float(np.vdot(other, dense)), rel=1e-4)


def test_it_stops_when_asked():
    shape = TrackedShape(GopTree(3), 96, 112, 5, 8, 1)
    with pytest.raises(Interrupted):
        initial_motion(shape, _moving((0, 0)), 8, 1e-4, stop=lambda: True)
