from __future__ import annotations

from fractions import Fraction

import pytest

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PlanarFrame
from nerv_codec.media.part import Part


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        (Part(), range(10)),
        (Part(3, 5), range(3, 5)),
        (Part(0.1, 0.3), [1, 2]),
        (Part(0.11), range(2, 10)),
        (Part(8, frames=5), [8, 9]),
        (Part(frames=2), [0, 1]),
        (Part(frames=0), []),
        (Part(5.0), []),
        (Part(2, 0.5), range(2, 5)),
    ],
)
def test_select(part, kept):
    frames = [PlanarFrame((), 700 + 100 * index) for index in range(10)]
    assert list(part.select(frames, Fraction(1, 1000))) == [(index, frames[index]) for index in kept]


def test_nothing_is_read_past_the_end():
    frames = (PlanarFrame((), index) for index in range(10))
    assert len(list(Part(end=3).select(frames, Fraction(1, 25)))) == 3
    assert next(frames).pts == 4


@pytest.mark.parametrize("bounds", [{"start": -1}, {"start": -0.5}, {"end": -2}])
def test_nothing_is_before_the_first_frame(bounds):
    with pytest.raises(UsageError, match="to be 0 or later"):
        Part(**bounds)
