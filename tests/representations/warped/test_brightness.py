"""Weighted prediction: its numbers in a stream, what is estimated, and what it saves in a fade."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nerv_codec.base.threads import Workers
from nerv_codec.representations.fitting.checkpoint import FileCheckpoint
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped import encode, search
from nerv_codec.representations.warped.brightness import (
    GAIN_UNIT,
    LARGEST_NUMBER,
    OFFSET_UNIT,
    Brightness,
    BrightnessCounts,
    changed,
    estimated,
    put_brightness,
    take_brightness,
)
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.compensate_kernel import GRAY
from nerv_codec.representations.warped.decisions import Decision, Decisions
from nerv_codec.representations.warped.mending import Mending
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels
from nerv_codec.representations.warped.planes import LARGEST, Planes, Samples
from nerv_codec.representations.warped.tree import Node, evenly

ROWS, COLS = 64, 96
Pictures = list[tuple[np.ndarray, ...]]


def pictures(count: int, gain: Callable[[int], float] = lambda t: 1.0, speed: float = 1.0) -> Pictures:
    """Waves that move by so many samples a frame, with noise, multiplied: luma, and chroma around neutral."""
    rng = np.random.default_rng(5)

    def plane(k: int, t: int) -> np.ndarray:
        y, x = np.mgrid[: ROWS : 1 + (k > 0), : COLS : 1 + (k > 0)] + speed * t
        waves = np.sin(x / 9 + k) * np.cos(y / 13) + np.sin((x + 2 * y) / 17) + rng.normal(0, 0.02, x.shape)
        return np.rint(gain(t) * (40 * waves + 90 * (k == 0)) + 127.5 * (k > 0)).clip(0, 255).astype(np.uint8)

    return [tuple(plane(k, t) for k in range(3)) for t in range(count)]


def as_planes(frames: Pictures) -> list[Planes]:
    (part,) = parts([plane.shape for plane in frames[0]])
    return [Planes.rounded(to_canvas(list(planes), 8, part)) for planes in frames]


def test_numbers_come_back():
    limits = -LARGEST_NUMBER, -1, 0, 1, 2, 511, 512, LARGEST_NUMBER
    told = [(Brightness(GAIN_UNIT + gain, offset), Brightness()) for gain in limits for offset in limits] + [(), ()]
    out, counts = StreamWriter(), BrightnessCounts()
    for one in told:
        put_brightness(one, counts, out)
    source, counts = StreamReader(out.bytes()), BrightnessCounts()
    assert [take_brightness(2, counts, source) for _ in told] == told
    source.check_end()


def test_nothing_in_a_stream_leads_beyond_the_limits():
    rng = np.random.default_rng(4)
    source, counts = StreamReader(rng.integers(0, 256, 4096, np.uint8).tobytes()), BrightnessCounts()
    told = [one for _ in range(400) for one in take_brightness(2, counts, source)]
    planes = Planes(*(np.full((1, 1), value, np.int16) for value in (LARGEST, 0, LARGEST)))
    assert len(told) > 100
    for one in told:
        assert max(abs(one.gain - GAIN_UNIT), abs(one.offset)) <= LARGEST_NUMBER
        seen = one.of(planes)
        assert all(0 <= plane[0, 0] <= LARGEST for plane in (seen.y, seen.u, seen.v))


def test_many_that_say_nothing_cost_next_to_nothing():
    out, counts = StreamWriter(), BrightnessCounts()
    for _ in range(100):
        put_brightness((), counts, out)
    assert len(out.bytes()) <= 4


def test_luma_is_multiplied_and_moved_and_chroma_multiplied_around_neutral():
    def plane(*values: int) -> Samples:
        return np.array([values], np.int16)

    found = Brightness(GAIN_UNIT // 2, 3).of(Planes(plane(0, 101, 4095), plane(GRAY, 2140, 0), plane(1940, GRAY, 4095)))
    assert found.y.tolist() == [[3 * OFFSET_UNIT, 51 + 3 * OFFSET_UNIT, 2048 + 3 * OFFSET_UNIT]]
    assert found.u.tolist() == [[GRAY, 2090, GRAY // 2]]
    assert found.v.tolist() == [[1990, GRAY, GRAY + (4096 - GRAY) // 2]]


@pytest.mark.parametrize("gain", [0.3, 0.8, 1.25])
def test_a_fade_is_found(gain):
    first, second = as_planes(pictures(2, lambda t: 0.7 * (gain if t else 1), speed=0.2))
    (found,) = estimated(second, [first])
    assert abs(found.gain / GAIN_UNIT - gain) < 0.03
    seen = found.of(first)
    for one, two, before in zip((seen.y, seen.u), (second.y, second.u), (first.y, first.u), strict=True):
        assert np.abs(one.astype(int) - two).mean() < 0.5 * np.abs(before.astype(int) - two).mean()


@pytest.mark.parametrize("speed", [0.0, 1.0, 9.0])
def test_what_is_still_or_moves_is_left_as_it_is(speed):
    """Whatever means of blocks say of it: motion explains it without."""
    first, second, third = as_planes(pictures(3, speed=speed))
    shape = second.y.shape[0] // BLOCK, second.y.shape[1] // BLOCK
    known = Expectation(np.zeros((2, *shape, 2), np.int32), 1, 1)
    brightness, _ = search.search_changed(second, [first, third], 2e-4, known, MotionModels().estimates(known))
    assert brightness == () and changed([first], ()) == [first]


def test_one_parent_may_stay_as_it_is():
    first, second = as_planes(pictures(2, lambda t: 0.5**t))
    found = estimated(second, [second, first])
    assert found[0] == Brightness() and found[1] != Brightness()


def test_black_gives_light_but_no_contrast():
    first, second = as_planes(pictures(2, float))
    (found,) = estimated(second, [first])
    assert found.gain == GAIN_UNIT and found.offset > 0


def test_decisions_keep_it(tmp_path):
    shape, told = (2, 2), (Brightness(90, -7), Brightness())
    latents, squares = {2: np.zeros((3, 1, 1), np.int32)}, Mending(np.array([[True, False]]), (False, True))
    kept = Decisions(FileCheckpoint(tmp_path / "state", lambda: False, 0.0))
    for frame, brightness in ((2, told), (3, ())):
        field = MotionField(np.zeros((2, *shape, 2), np.int32), np.zeros(shape, np.uint8), no_corners(shape))
        kept.add("a", Decision(Node(frame, 2, (0, 4)), brightness, field, latents, squares))
    again = Decisions(FileCheckpoint(tmp_path / "state", lambda: False, 0.0)).of("a")
    assert [again[frame].brightness for frame in (2, 3)] == [told, ()]
    assert np.array_equal(again[3].mending.squares, squares.squares) and again[3].mending.chroma == squares.chroma


def test_a_fade_costs_less(monkeypatch):
    def coded() -> tuple[float, float]:
        """Bits and squared error."""
        frames = pictures(5, lambda t: 1 - 0.15 * t)
        (part,) = parts([plane.shape for plane in frames[0]])
        canvases = [to_canvas(list(planes), 8, part) for planes in frames]
        with Workers() as workers:
            encoder = encode.PartEncoder(canvases, part, Ladder(24, (-6, 0, 8)), load_weights(), workers)
            nodes = list(encode.encode_part(encoder, evenly(5, 4), StreamWriter()))
        wrong = [float((node.planes.tensor() - canvases[node.node.frame]).square().mean()) for node in nodes]
        return sum(node.bits for node in nodes), float(np.mean(wrong))

    bits, wrong = coded()
    monkeypatch.setattr(search, "estimated", lambda source, parents: ())
    plain = coded()
    assert bits < 0.9 * plain[0] and wrong < plain[1]
