"""The prior reaches every shape, and files store what differs from it."""

from __future__ import annotations

import numpy as np
import pytest

from nerv_codec.entropy.context_model import parameter_shapes
from nerv_codec.representations.tracked.networks import MOTION_CLASSES, NO_PREDICTOR, PRIOR, Predictor
from nerv_codec.representations.tracked.prior import DEPTH_CLASSES, NetworkSizes, prior
from nerv_codec.representations.tracked.shape import grids_of, network_shapes


def _sizes(scales: int = 7, outputs: int = 3, depths: int = 6, hidden: int = 8) -> NetworkSizes:
    return NetworkSizes(depths, scales, outputs, hidden, latent_hidden=8, motion_hidden=4)


@pytest.mark.parametrize("outputs", [1, 3, 4])
@pytest.mark.parametrize("scales", [1, 3, 7, 10])
@pytest.mark.parametrize("depths", [1, 2, 6, 12])
def test_it_has_a_number_for_every_weight(scales, outputs, depths):
    sizes, grids = _sizes(scales, outputs, depths), len(grids_of(scales, outputs))
    found = prior().network(sizes, 0)
    assert [value.shape for value in found] == list(network_shapes(depths, grids, 8, outputs).values())
    assert [part.shape for part in prior().latents(sizes)] == parameter_shapes(8, DEPTH_CLASSES * grids)
    assert [part.shape for part in prior().motion(sizes)] == parameter_shapes(4, MOTION_CLASSES)


def test_grids_keep_their_numbers_when_coarse_ones_are_missing():
    (gain, mix, *_), (low_gain, low_mix, *_) = (prior().network(_sizes(scales), 0) for scales in (7, 3))
    assert np.array_equal(low_mix, mix[-5:])
    assert np.array_equal(low_gain, gain[:, -5:])


def test_gains_are_multiplied():
    gains = [prior().network(_sizes(), quarters)[0] for quarters in (-8, 0, 8, 1)]
    assert np.array_equal(gains[0], gains[1] / 4)
    assert np.array_equal(gains[2], gains[1] * 4)
    assert np.array_equal(gains[3], np.float32(np.float64(gains[1]) * 4871 / 4096))  # 2**(1 / 4) in 2**-12


def test_other_widths_and_none_start_from_zero():
    expected = Predictor(PRIOR)
    assert all(isinstance(base, np.ndarray) for base in expected.predicted(_sizes()).all)
    assert all(isinstance(base, float) for base in NO_PREDICTOR.predicted(_sizes()).all)
    assert all(isinstance(base, float) for base in expected.predicted(NetworkSizes(6, 7, 3, 12, 16, 8)).all)
