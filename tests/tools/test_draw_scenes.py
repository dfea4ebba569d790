"""tools/benchmark/draw_scenes.py and small_colours.py: scenes move as they say, and colours differ as published."""

from __future__ import annotations

import numpy as np
import pytest
from draw_scenes import CLIPS, FRAMES, rectangles, texture
from small_colours import ciede2000, lab


def test_a_pan_slides_and_a_still_scene_does_not():
    scene = texture(3)
    first, later = (CLIPS["pan"](scene, number) for number in (0, 4))
    assert first.shape == (288, 352, 3)
    assert np.abs(first[:, 14:] - later[:, :-14]).max() < 0.01
    assert np.array_equal(CLIPS["still"](scene, 0), CLIPS["still"](scene, FRAMES - 1))
    assert not CLIPS["fade"](scene, FRAMES - 1).any()


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_rectangles_are_small_and_saturated_and_where_they_are_said_to_be(seed):
    frames, where = rectangles(seed)
    assert len(frames) == FRAMES and where.shape == (FRAMES, *frames[0].shape[:2])
    for frame, flags in zip(frames, where, strict=True):
        spread = frame.astype(int).max(2) - frame.min(2)
        assert (spread[flags] > 100).all() and not spread[~flags].any()
        assert flags.sum() <= 8 * 16 * 16


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_colour_differences_are_those_of_the_paper(one, two, expected):
    """Pairs of Sharma, Wu and Dalal, table 1."""
    assert ciede2000(np.array(one, float), np.array(two, float)) == pytest.approx(expected, abs=1e-4)
    assert ciede2000(np.array(two, float), np.array(one, float)) == pytest.approx(expected, abs=1e-4)


def test_white_and_red_in_cielab():
    assert lab(np.array([255.0, 255.0, 255.0])) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(np.array([255.0, 0.0, 0.0])) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
