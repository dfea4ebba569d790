"""Drawing from the model: what is given stays, a seed decides, and what is drawn costs what the model expects."""

from __future__ import annotations

import numpy as np
import pytest
from moving import moving_texture

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.imagine import imagine
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless

COLOUR, GRAY = SampleLayout(PixelFormat(), 1), SampleLayout(PixelFormat(1, 0, 0, 8), 1)
HEIGHT, WIDTH = 96, 128


def coded_bits(planes: tuple[np.ndarray, ...]) -> int:
    geometry = GopGeometry(1, *planes[0].shape, 1)
    return 8 * len(pack_lossless([planes], GRAY, geometry).payload)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_drawn_costs_what_the_model_expects(seed):
    """The proof that coder and generator are one: bits of the lower half, really coded, against its entropy."""
    given = moving_texture(GRAY.pixel_format, HEIGHT, WIDTH, 1)
    drawn = imagine(given, GRAY, known_rows=HEIGHT // 2, seed=seed)
    spent = coded_bits(drawn.frames[0]) - coded_bits((drawn.frames[0][0][: HEIGHT // 2],))
    assert drawn.entropy_bits > HEIGHT * WIDTH / 2
    assert spent == pytest.approx(drawn.entropy_bits, rel=0.03)
    assert spent == pytest.approx(drawn.chance_bits, abs=100)


def test_what_is_given_stays_and_the_rest_is_drawn():
    frames = moving_texture(COLOUR.pixel_format, 21, 30, 2)
    found, again, other = (imagine(frames, COLOUR, known_rows=11, more=1, seed=seed).frames for seed in (1, 1, 2))
    assert len(found) == 3
    for plane, rows in ((0, 11), (1, 6), (2, 6)):
        assert np.array_equal(found[0][plane], frames[0][plane])
        assert np.array_equal(found[1][plane][:rows], frames[1][plane][:rows])
        assert all(np.array_equal(a[plane], b[plane]) for a, b in zip(found, again, strict=True))
        assert not np.array_equal(found[1][plane][rows:], other[1][plane][rows:])
        assert not np.array_equal(found[2][plane], other[2][plane])


def test_what_is_not_given_is_not_looked_at():
    frames = moving_texture(COLOUR.pixel_format, 40, 32, 2)
    blind = [frames[0], tuple(np.concatenate([plane[: len(plane) // 2], 0 * plane[len(plane) // 2 :]])
                              for plane in frames[1])]  # fmt: skip
    found, same = (imagine(given, COLOUR, known_rows=20, seed=3).frames[1] for given in (frames, blind))
    assert all(np.array_equal(a, b) for a, b in zip(found, same, strict=True))


def test_a_low_temperature_keeps_to_what_is_likely():
    given = moving_texture(GRAY.pixel_format, 48, 64, 1)
    cold, own = (imagine(given, GRAY, known_rows=24, seed=3, temperature=heat).entropy_bits for heat in (0.5, 1.0))
    assert cold < 0.9 * own


@pytest.mark.parametrize("wrong", [{"known_rows": -1}, {"known_rows": 9}, {"temperature": 0.0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        imagine(moving_texture(GRAY.pixel_format, 8, 9, 1), GRAY, **wrong)
