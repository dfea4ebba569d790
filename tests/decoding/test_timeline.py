from __future__ import annotations

from fractions import Fraction

import pytest

from nerv_codec.base.errors import CoordinateRangeError, UsageError
from nerv_codec.base.video import PixelFormat, VideoInfo
from nerv_codec.bitstream.headers import GopEntry, StreamHeader
from nerv_codec.decoding.timeline import Timeline, exact_rate


def line(pts, last_duration=1, time_base=Fraction(1, 24), gops=None) -> Timeline:
    info = VideoInfo(4, 4, PixelFormat(), time_base=time_base)
    gops = gops or (GopEntry(len(pts), False, 10),)
    return Timeline(StreamHeader(1, info, tuple(pts), last_duration, tuple(gops)))


def test_ends_and_durations():
    vfr = line([10, 11, 14], 5)
    assert (vfr.begin, vfr.last, vfr.end) == (Fraction(10, 24), Fraction(14, 24), Fraction(19, 24))
    assert [vfr.frame_duration(i) * 24 for i in range(3)] == [1, 3, 5]
    assert vfr.average_rate == 3 / Fraction(9, 24)


def test_the_frame_on_the_screen():
    vfr = line([10, 11, 14], 5)
    shown = {Fraction(10): 0, Fraction(21, 2): 0, Fraction(11): 1, Fraction(139, 10): 1, Fraction(14): 2}
    for tick, frame in {**shown, Fraction(189, 10): 2}.items():
        assert vfr.frame_at(tick / 24) == frame
    for tick in (Fraction(99, 10), Fraction(19)):
        with pytest.raises(CoordinateRangeError, match="expected a time in"):
            vfr.frame_at(tick / 24)


def test_position_is_linear_between_frame_times():
    vfr = line([0, 1, 4], 2)
    found = [vfr.position(Fraction(tick, 4) / 24) for tick in range(0, 24)]
    expected = [Fraction(tick, 4) for tick in range(5)] + [1 + Fraction(tick, 12) for tick in range(1, 12)]
    assert found == [*expected, *[Fraction(2)] * 8]  # the last frame holds


def test_milliseconds_are_rounded_times():
    """A container with milliseconds says 0, 33, 67, 100: a clock at 30 Hz must meet those frames."""
    pts = [round(1000 * i / 30) for i in range(50)]
    rounded = line(pts, 33, Fraction(1, 1000))
    length = rounded.count_ticks(rounded.begin, rounded.end, Fraction(30))
    assert length == 50
    assert [rounded.position(Fraction(i, 30)) for i in range(length)] == list(range(50))
    assert rounded.position(Fraction(1, 1000), exact=True) == Fraction(1, 33)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("unit", [1000, 12800, 90000, 1_000_000])
@pytest.mark.parametrize("first", [0, 7, -3])
def test_a_clock_at_the_source_rate_gives_the_source_frames(rate, unit, first):
    ticks = [first + round(unit * i / rate) for i in range(40)]
    for duration in (round(unit / rate), int(unit / rate), -int(-unit // rate)):
        rounded = line(ticks, duration, Fraction(1, unit))
        length = rounded.count_ticks(rounded.begin, rounded.end, rate)
        assert [rounded.position(rounded.begin + i / rate) for i in range(length)] == list(range(40))


def test_coarse_time_bases_are_exact():
    coarse = line([0, 2, 4], 2, Fraction(1, 24))
    assert coarse.position(Fraction(1, 24)) == Fraction(1, 2)
    assert coarse.position(Fraction(0.5 / 24)) == pytest.approx(0.25)
    assert coarse.count_ticks(Fraction(0), coarse.end, Fraction(24)) == 6


def test_shared_frames_belong_to_the_gop_that_they_end():
    gops = (GopEntry(5, False, 10), GopEntry(5, True, 10))  # 0..4, 4..8
    whole = line(range(9), gops=gops)
    assert whole.locate(Fraction(4)) == (0, 4.0)
    assert whole.locate(Fraction(9, 2)) == (1, 0.5)
    assert whole.locate(Fraction(8)) == (1, 4.0)
    assert whole.locate(Fraction(0)) == (0, 0.0)


def test_a_cut_holds_the_last_frame_of_the_scene():
    gops = (GopEntry(3, False, 10), GopEntry(3, False, 10), GopEntry(1, False, 10))  # 0..2 | 3..5 | 6
    cut = line(range(7), gops=gops)
    assert [cut.locate(Fraction(n, 4)) for n in (8, 9, 11, 12, 13)] == [(0, 2.0)] * 3 + [(1, 0.0), (1, 0.25)]
    assert cut.locate(Fraction(23, 4)) == (1, 2.0)
    assert cut.locate(Fraction(6)) == (2, 0.0)


def test_exact_rate():
    assert exact_rate(59.94) == Fraction(2997, 50)
    assert exact_rate(Fraction(30000, 1001)) == Fraction(30000, 1001)
    assert exact_rate(1e-9) > 0
    for wrong in (0, -1, 10001, float("nan"), float("inf"), "60"):
        with pytest.raises(UsageError, match="frame rate"):
            exact_rate(wrong)
