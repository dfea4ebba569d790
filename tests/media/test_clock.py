from __future__ import annotations

from collections import Counter
from fractions import Fraction

import av
import pytest

from nerv_codec.media.clock import mended


def times(pts, duration=None):
    frames, notes = [], Counter()
    for time in pts:
        frame = av.VideoFrame(2, 2, "gray")
        frame.pts = time
        frames.append(frame)
    done = [frame.pts for frame in mended(frames, Fraction(1, 100), Fraction(25), duration, notes)]
    return done, [note.format(count) for note, count in notes.items()]


@pytest.mark.parametrize(
    ("given", "wanted", "moved"),
    [
        ([7, 9, 20], [7, 9, 20], 0),
        ([None, None, None], [0, 4, 8], 0),
        ([5, None, 12], [5, 9, 12], 0),
        ([5, 5, 3, 40], [5, 9, 13, 40], 2),
    ],
)
def test_times_increase(given, wanted, moved):
    done, notes = times(given)
    assert done == wanted
    assert notes == ([f"frames whose time did not increase, moved: {moved}"] if moved else [])


def test_an_early_end_is_noted():
    assert times([0, 4, 8], 1.0)[1] == []
    assert times([0, 4, 8], 3.0)[1] == ["pictures end 2.9 s before the file says: about 72 frames lost"]
