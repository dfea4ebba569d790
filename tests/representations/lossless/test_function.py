"""The function through all samples: bounds, points and lattices alike, and what lies between frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.base.errors import CoordinateRangeError
from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.coordinates import GopGeometry, lattice
from nerv_codec.representations.lossless.function import LosslessFunction
from nerv_codec.representations.lossless.layout import SampleLayout

GEOMETRY = GopGeometry(2, 24, 40, 3)


@pytest.fixture(scope="module")
def function() -> LosslessFunction:
    """A smooth wave that moves by four columns from frame 0 to frame 1."""
    rows, cols = np.mgrid[:24, :40]
    frames = []
    for t in range(2):
        wave = 128 + 60 * np.sin((cols - 4 * t) / 4) * np.cos(rows / 5)
        frames.append((np.rint(wave).astype(np.uint8), *(np.rint(wave[::2, ::2]).astype(np.uint8) for _ in range(2))))
    motion = [np.zeros((2, 3, 2), np.int64), np.tile([0, -4], (2, 3, 1))]
    return LosslessFunction(GEOMETRY, SampleLayout(PixelFormat(), 3), frames, motion)


def test_points_and_lattices_agree(function):
    axes = (
        torch.tensor([0.0, 0.25, 1.0]).double(),
        torch.tensor([-0.5, 3.2, 23.5]).double(),
        torch.tensor([0.0, 7.7]).double(),
    )
    values = function.render(*axes)
    assert torch.equal(function.sample(lattice(*axes)), values.movedim(1, -1))


def test_between_frames_things_are_half_way(function):
    rows, cols = torch.arange(4, 20).double(), torch.arange(8, 32).double()
    middle = function.render(torch.tensor([0.5]).double(), rows, cols)[0] * 255
    wave = 128 + 60 * torch.sin((cols[None] - 2) / 4) * torch.cos(rows[:, None] / 5)
    assert all((plane - wave).abs().max() < 3 for plane in middle)
    still = (function.render(torch.tensor([0.0, 1.0]).double(), rows, cols).mean(0) * 255 - wave).abs().max()
    assert still > 5  # what two pictures laid over each other would give


def test_between_pixels_it_is_smooth(function):
    rows, cols = torch.arange(4.5, 20).double(), torch.arange(8.25, 30).double()
    wave = 128 + 60 * torch.sin(cols[None] / 4) * torch.cos(rows[:, None] / 5)
    found = function.render(torch.tensor([0.0]).double(), rows, cols)[0] * 255
    assert (found[0] - wave).abs().max() < 1.5


def test_outside_of_the_box_there_is_nothing(function):
    with pytest.raises(CoordinateRangeError):
        function.sample(torch.tensor([0.0, 24.0, 0.0]).double())
