from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.rendering import View, check_size, plane_axes, render_planes, scaled_size, view_info
from nerv_codec.representations.representation import plane_numbers

INFO = VideoInfo(40, 24, PixelFormat(3, 1, 1, 8), ColorInfo(1, 1, 1))


class Ramp:
    """A function whose value is known everywhere: plane 0 is t, plane 1 row / 32, plane 2 col / 64."""

    geometry = GopGeometry(5, 24, 40, 3)
    macs_per_sample = 0
    band_samples = 1 << 18

    def codes(self, t, plane, rows, cols, depth):
        return None

    def render(self, times, rows, cols, planes=None):
        self.geometry.normalise((times, rows, cols))
        grid = torch.meshgrid(times, rows / 32, cols / 64, indexing="ij")
        return torch.stack(grid, dim=1).float()[:, plane_numbers(planes, self.geometry)]

    def sample(self, coords):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("location", "row", "col"), [(1, 0.5, 0.0), (2, 0.5, 0.5), (3, 0.0, 0.0), (4, 0, 0.5), (5, 1, 0), (6, 1, 0.5)]
)
def test_chroma_is_evaluated_where_it_sits(location, row, col):
    info = dataclasses.replace(INFO, color=dataclasses.replace(INFO.color, chroma_location=location))
    view = View.whole(24, 40)
    rows, cols = plane_axes(view_info(info, view), 1, view, info)
    assert rows[:3].tolist() == [row, row + 2, row + 4]
    assert cols[:3].tolist() == [col, col + 2, col + 4]


def test_sites_outside_of_an_odd_picture_move_to_its_border():
    info = dataclasses.replace(INFO, width=39, height=23, color=ColorInfo(chroma_location=6))
    view = View.whole(23, 39)
    rows, _ = plane_axes(view_info(info, view), 2, view, info)
    assert len(rows) == 12 and rows[-1] == 22.5


def test_scaled_pixels_tile_the_source():
    rows, cols = plane_axes(view_info(INFO, View.whole(48, 80)), 0, View.whole(48, 80), INFO)
    assert rows[:3].tolist() == [-0.25, 0.25, 0.75] and cols[-1] == 39.25
    rows, _ = plane_axes(view_info(INFO, View.whole(12, 20)), 0, View.whole(12, 20), INFO)
    assert rows[:2].tolist() == [0.5, 2.5]


def test_planes_are_rounded_and_clipped():
    view = View.whole(24, 40)
    planes = render_planes(Ramp(), 0.5, INFO, view, view_info(INFO, view))
    assert [plane.shape for plane in planes] == [(24, 40), (12, 20), (12, 20)]
    assert all(plane.dtype == np.uint8 for plane in planes)
    assert planes[0][0, 0] == 128  # 127.5, to even
    assert planes[1][:, 0].tolist() == [round(255 * (2 * i + 0.5) / 32) for i in range(12)]
    assert render_planes(Ramp(), 4, INFO, view, view_info(INFO, view))[0].max() == 255


def test_bands_join():
    view = View.whole(24, 40)
    whole = render_planes(Ramp(), 1, INFO, view, view_info(INFO, view))
    narrow = Ramp()
    narrow.band_samples = 90
    for one, other in zip(whole, render_planes(narrow, 1, INFO, view, view_info(INFO, view)), strict=True):
        assert np.array_equal(one, other)


def test_view_info():
    out = view_info(INFO, View(48, 40, 1, 2, 10, 12))
    assert (out.width, out.height, out.sample_aspect) == (12, 10, Fraction(2))
    unknown = dataclasses.replace(INFO, color=ColorInfo())
    assert view_info(unknown, View.whole(24, 40)).color.matrix == 2  # as the source says it, at its own size
    assert view_info(unknown, View.whole(2400, 4000)).color.matrix == 6  # as it was guessed for the source
    for matrix in (0, 8):
        named = dataclasses.replace(INFO, color=ColorInfo(matrix=matrix))
        assert view_info(named, View.whole(48, 80)).color.matrix == matrix


def test_sizes():
    assert scaled_size(24, 40, 2) == (48, 80)
    assert scaled_size(24, 40, 1e-9) == (1, 1)
    for wrong in (0, -1, 1025, float("nan")):
        with pytest.raises(UsageError, match="scale"):
            scaled_size(24, 40, wrong)
    for height, width in ((0, 5), (5, 1 << 17), (1 << 15, 1 << 15)):
        with pytest.raises(UsageError, match="pixels"):
            check_size(height, width)
