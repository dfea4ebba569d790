"""The prior reaches every shape, and files store what differs from it."""

from __future__ import annotations

import numpy as np
import pytest

from nerv_codec.coding.entropy_model import parameter_shapes
from nerv_codec.model.gop_tree import GopTree
from nerv_codec.model.prior import latent_prior, motion_prior, network_prior
from nerv_codec.model.tracked import TrackedShape
from nerv_codec.tracked_codec import MOTION_CLASSES, bases, latent_classes


def _shape(scales: int = 7, outputs: int = 3, frames: int = 33, hidden: int = 8) -> TrackedShape:
    return TrackedShape(GopTree(frames), 144, 176, scales, hidden, outputs)


@pytest.mark.parametrize("outputs", [1, 3, 4])
@pytest.mark.parametrize("scales", [1, 3, 7, 10])
@pytest.mark.parametrize("frames", [1, 2, 33, 1000])
def test_it_has_a_number_for_every_weight(scales, outputs, frames):
    shape = _shape(scales, outputs, frames)
    found = network_prior(shape, 0)
    assert {name: value.shape for name, value in found.items()} == shape.network_shapes()
    assert [part.shape for part in latent_prior(shape, 8)] == parameter_shapes(8, latent_classes(shape))
    assert [part.shape for part in motion_prior(4)] == parameter_shapes(4, MOTION_CLASSES)


def test_grids_keep_their_numbers_when_coarse_ones_are_missing():
    whole, low = network_prior(_shape(7), 0), network_prior(_shape(3), 0)
    assert np.array_equal(low["mix"], whole["mix"][-5:])
    assert np.array_equal(low["gain"], whole["gain"][:, -5:])


def test_gains_are_multiplied_in_integers():
    gains = [network_prior(_shape(), quarters)["gain"] for quarters in (-8, 0, 8)]
    assert np.allclose(gains[0], gains[1] / 4, atol=2**-12)
    assert np.allclose(gains[2], gains[1] * 4, atol=2**-12)
    assert np.all(gains[2] * 4096 == np.rint(gains[2] * 4096))


def test_other_widths_and_none_start_from_zero():
    assert all(isinstance(base, np.ndarray) for base in bases(_shape(), 8, 4, 0).all)
    assert all(isinstance(base, float) for base in bases(_shape(), 8, 4, None).all)
    assert all(isinstance(base, float) for base in bases(_shape(hidden=12), 16, 8, 0).all)
