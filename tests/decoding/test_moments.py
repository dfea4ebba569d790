"""Times that pass through floating point: a frame's own time is that frame, whatever the clock and the type."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_codec.base.errors import UsageError
from nerv_codec.base.moments import exact_seconds, float_error
from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.bitstream.headers import GopEntry, StreamHeader
from nerv_codec.decoding.timeline import Timeline

RATES = [24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60]
UNITS = [None, 1000, 12800, 90_000, 10_000_000]
"""Ticks a second; None: one tick a frame."""


def timeline(rate: Fraction, unit: int | None, offset: Fraction) -> Timeline:
    base = Fraction(1, unit) if unit else 1 / Fraction(rate)
    pts = tuple(round(offset / base) + round(index / Fraction(rate) / base) for index in range(70))
    info = VideoInfo(4, 4, PixelFormat(), time_base=base)
    return Timeline(StreamHeader(1, info, pts, pts[-1] - pts[-2], (GopEntry(len(pts), False, 10),)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("rate", RATES)
def test_a_frame_at_its_own_time_is_that_frame(rate, unit, kind):
    for offset in (0, Fraction(7, 90_000), 1, 80, 3599, 36_000):
        line = timeline(Fraction(rate), unit, Fraction(offset))
        for index in range(70):
            exact = line.frame_seconds(index)
            moment = line.moment(kind(float(exact)))
            assert moment == exact
            assert line.frame_at(moment) == index
            assert line.position(moment, exact=True) == index


@given(
    rate=st.sampled_from(RATES),
    unit=st.sampled_from(UNITS),
    offset=st.fractions(0, 36_000, max_denominator=90_000),
    index=st.integers(0, 69),
    single=st.booleans(),
)
def test_at_any_offset(rate, unit, offset, index, single):
    line = timeline(Fraction(rate), unit, offset)
    seconds = float(line.frame_seconds(index))
    assert line.frame_at(line.moment(np.float32(seconds) if single else seconds)) == index


@pytest.mark.parametrize("rate", RATES)
def test_half_way_is_half_way(rate):
    """Doubles keep what lies between frames, at ten hours, too."""
    line = timeline(Fraction(rate), 90_000, Fraction(36_000))
    middle = (line.frame_seconds(3) + line.frame_seconds(4)) / 2
    assert line.position(line.moment(float(middle)), exact=True) == pytest.approx(3.5, abs=1e-6)


def test_just_before_a_frame_is_the_one_before():
    line = timeline(Fraction(25), 10_000_000, Fraction(0))
    assert line.frame_at(line.moment(float(line.frame_seconds(9)) - 2e-7)) == 8


def test_what_is_typed_is_meant():
    assert exact_seconds(0.1) == Fraction(1, 10)
    assert exact_seconds(np.float32(0.1)) == Fraction(1, 10)
    assert exact_seconds(0.1234567) != Fraction(0.1234567).limit_denominator(1_000_000)
    assert exact_seconds(0.5, origin=Fraction(1, 3)) == Fraction(5, 6)
    line = timeline(Fraction(60), 90_000, Fraction(0))
    assert line.count_ticks(line.moment(np.float32(0.1)), line.moment(np.float32(0.4)), Fraction(60)) == 18


def test_the_error_of_a_number():
    assert float_error(36_000.0) == Fraction(1, 128)
    assert float_error(36_000.1) < Fraction(1, 10**10)
    assert float_error(1e300) == 2 * Fraction(math.ulp(1e300))
    for wrong in (math.nan, math.inf, -math.inf):
        with pytest.raises(UsageError, match="expected a time in seconds"):
            exact_seconds(wrong)
