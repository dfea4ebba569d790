"""Planes between their samples."""

from __future__ import annotations

import numpy as np

from nerv_codec.representations.warped.interpolate import KERNEL
from nerv_codec.representations.warped.interpolate_kernel import read_lattice, read_points


def test_samples_are_kept_and_lattice_and_points_agree() -> None:
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 4096, (13, 17)).astype(np.int16)
    rows, cols = rng.uniform(-1, 13, 40), rng.uniform(-1, 17, 30)
    out = np.empty((40, 30), np.float32)
    read_lattice(plane, rows, cols, KERNEL, out)
    points = np.empty(1200, np.float32)
    read_points(plane, np.repeat(rows, 30), np.tile(cols, 40), KERNEL, points)
    np.testing.assert_allclose(out.ravel(), points, atol=0.02)
    whole = np.empty((13, 17), np.float32)
    read_lattice(plane, np.arange(13.0), np.arange(17.0), KERNEL, whole)
    np.testing.assert_array_equal(whole, plane)


def test_a_smooth_wave_is_read_between_its_samples() -> None:
    def wave(rows, cols):  # type: ignore[no-untyped-def]
        return 2000 + 1000 * np.sin(0.5 * rows) * np.cos(0.4 * cols)

    plane = wave(np.arange(32.0)[:, None], np.arange(32.0)).astype(np.int16)
    rows, cols = np.linspace(6, 24, 37), np.linspace(6, 24, 41)
    out = np.empty((37, 41), np.float32)
    read_lattice(plane, rows, cols, KERNEL, out)
    assert np.abs(out - wave(rows[:, None], cols)).max() < 15
