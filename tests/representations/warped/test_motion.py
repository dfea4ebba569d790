"""Motion: compensation against its plain form, the coder's round trip, damage, and what the search finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped.compensate import CHROMA_TAPS, LUMA_TAPS, compensate, write_quarters
from nerv_codec.representations.warped.compensate_kernel import GRAY
from nerv_codec.representations.warped.global_motion import GlobalCounts, take_global
from nerv_codec.representations.warped.motion import (
    BACKWARD,
    BOTH,
    FORWARD,
    NONE,
    Expectation,
    MotionField,
    expected,
    no_corners,
    straight,
)
from nerv_codec.representations.warped.motion_coder import MotionModels, put_field, take_field
from nerv_codec.representations.warped.motion_kernel import BEYOND
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.quarter_kernel import PAD
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.search_kernel import accumulate
from nerv_codec.representations.warped.split_choice_kernel import choose
from nerv_codec.representations.warped.split_kernel import MODELS, OVERLAPPED, SOURCES, is_edge, source_of, sources
from nerv_codec.representations.warped.tint_kernel import tints
from nerv_codec.representations.warped.tree import Node

Ints = npt.NDArray[np.int64]
LUMA = [[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -10, 57, 18, -6, 2, 0], [-1, 4, -11, 40, 40, -11, 4, -1]]
LUMA.append([0, 2, -6, 18, 57, -10, 4, -1])
CHROMA = [[0, 64, 0, 0], [-4, 62, 6, 0], [-5, 55, 15, -1], [-5, 46, 25, -2], [-4, 36, 36, -4], [-2, 25, 46, -5]]
CHROMA += [[-1, 15, 55, -5], [0, 6, 62, -4]]


def random_planes(rng: np.random.Generator, rows: int, cols: int) -> Planes:
    def plane(scale: int) -> npt.NDArray[np.int16]:
        return rng.integers(0, 4096, (rows // scale, cols // scale)).astype(np.int16)

    return Planes(plane(1), plane(2), plane(2))


def random_field(rng: np.random.Generator, rows: int, cols: int, near: int, far: int, reach: int) -> MotionField:
    """As the coder gives it: vectors that a mode does not use go straight on, or are as expected (zero)."""
    vectors = rng.integers(-reach, reach + 1, (2, rows, cols, 2)).astype(np.int32)
    modes = rng.choice([FORWARD, BACKWARD, BOTH, NONE] if far else [FORWARD, NONE], (rows, cols)).astype(np.uint8)
    calm = rng.random((rows, cols)) < 0.5
    vectors[:, calm] = 3
    modes[calm] = BOTH if far else FORWARD
    vectors[:, modes == NONE] = 0
    if far:
        vectors[1][modes == FORWARD] = straight(vectors[0], near, far, 1)[modes == FORWARD]
        vectors[0][modes == BACKWARD] = straight(vectors[1], near, far, 0)[modes == BACKWARD]
    else:
        vectors[1] = 0
    corners = no_corners(modes.shape)
    for r, c in np.argwhere(rng.random((rows, cols)) < 0.4):
        for y, x in np.ndindex(2, 2):
            at, found = (2 * r + y, 2 * c + x), np.zeros(SOURCES, np.int64)
            count = sources(vectors, modes, *at, found)
            corners[at] = found[rng.integers(count)] + 1 if is_edge(vectors, modes, r, c) else OVERLAPPED
    return MotionField(vectors, modes, corners)


def plain(
    parents: list[npt.NDArray[np.int16]], field: MotionField, block: int, taps: Ints, bits: int
) -> tuple[Ints, Ints]:
    """Prediction and doubt of a plane, sample by sample."""
    rows, cols = field.modes.shape
    height, width = parents[0].shape

    def read(plane: npt.NDArray[np.int16], y: int, x: int, vector: npt.NDArray[np.int32]) -> int:
        down, right = int(vector[0]), int(vector[1])
        before, mask = taps.shape[1] // 2 - 1, (1 << bits) - 1
        total = 0
        for i in range(taps.shape[1]):
            row = min(max(y + (down >> bits) - before + i, 0), height - 1)
            for j in range(taps.shape[1]):
                col = min(max(x + (right >> bits) - before + j, 0), width - 1)
                total += int(taps[down & mask, i]) * int(taps[right & mask, j]) * int(plane[row, col])
        return (total + 2048) >> 12

    scale = 4 * block * block
    prediction, doubt = np.zeros((height, width), np.int64), np.zeros((height, width), np.int64)
    for y in range(height):
        for x in range(width):
            shown = []
            for down in (0, 1):
                for across in (0, 1):
                    r, c = (y - block // 2) // block + down, (x - block // 2) // block + across
                    part_y = 2 * ((y - block // 2) % block) + 1
                    part_x = 2 * ((x - block // 2) % block) + 1
                    weight = (part_y if down else 2 * block - part_y) * (part_x if across else 2 * block - part_x)
                    shown.append((min(max(r, 0), rows - 1), min(max(c, 0), cols - 1), weight))
            corner = 2 * y // block, 2 * x // block
            if field.corners[corner] != OVERLAPPED:
                shown = [(*source_of((rows, cols), *corner, field.corners[corner] - 1), scale)]
            for r, c, weight in shown:
                mode = field.modes[r, c]
                one = read(parents[0], y, x, field.vectors[0, r, c]) if mode in (FORWARD, BOTH) else 0
                two = read(parents[-1], y, x, field.vectors[1, r, c]) if mode in (BACKWARD, BOTH) else 0
                places = (np.array((y, x)) << bits) + field.vectors[:, r, c]
                last = np.array(parents[0].shape) - 1 << bits
                inside = ((places >= -BEYOND) & (places <= last + BEYOND)).all(1)
                if mode == BOTH and inside[0] != inside[1]:
                    one = two = one if inside[0] else two
                value = {FORWARD: one, BACKWARD: two, BOTH: (one + two + 1) >> 1, NONE: GRAY}[int(mode)]
                prediction[y, x] += weight * value
                doubt[y, x] += weight * ((one - two) >> 1) if mode == BOTH else 0
    return (prediction + scale // 2) // scale, (doubt + scale // 2) // scale


def test_taps_are_those_of_the_format() -> None:
    """They are made with floats: on every machine they must come out as docs/format.md lists them."""
    assert LUMA_TAPS.tolist() == LUMA
    assert CHROMA_TAPS.tolist() == CHROMA


@pytest.mark.parametrize("count", [1, 2])
def test_compensation_is_its_plain_form(count: int) -> None:
    rng = np.random.default_rng(count)
    parents = [random_planes(rng, 32, 48) for _ in range(count)]
    field = random_field(rng, 4, 6, 3, 5 * (count - 1), 90)
    prediction, doubt = compensate(parents, field)
    for name, block, taps, bits in (("y", 8, LUMA_TAPS, 2), ("u", 4, CHROMA_TAPS, 3)):
        planes = [getattr(parent, name) for parent in parents]
        one, two = plain(planes, field, block, taps.astype(np.int64), bits)
        np.testing.assert_array_equal(getattr(prediction, name), one)
        np.testing.assert_array_equal(getattr(doubt, name), two)


@pytest.mark.parametrize("mode", [FORWARD, BACKWARD, BOTH, NONE])
def test_compensation_of_large_areas_is_its_plain_form(mode: int) -> None:
    """Motion that is the same over many blocks, at borders and beyond, in whole samples along either axis or none."""
    rng = np.random.default_rng(mode)
    parents = [random_planes(rng, 48, 64) for _ in range(2)]
    vectors, modes = np.zeros((2, 6, 8, 2), np.int32), np.full((6, 8), mode, np.uint8)
    vectors[0], vectors[1] = (5, -8), (-4, 3)
    vectors[:, 3:, 2:7] = (-40, 0)
    modes[4, 5], vectors[:, 5, 0] = BOTH, 2
    field = MotionField(vectors, modes, no_corners(modes.shape))
    prediction, doubt = compensate(parents, field)
    for name, block, taps, bits in (("y", 8, LUMA_TAPS, 2), ("v", 4, CHROMA_TAPS, 3)):
        one, two = plain([getattr(parent, name) for parent in parents], field, block, taps.astype(np.int64), bits)
        np.testing.assert_array_equal(getattr(prediction, name), one)
        np.testing.assert_array_equal(getattr(doubt, name), two)


def test_the_search_predicts_as_the_decoder_does() -> None:
    """Beyond borders, too, before blocks are split and after."""
    rng = np.random.default_rng(3)
    source, *parents = (random_planes(rng, 48, 64) for _ in range(3))
    vectors, modes = rng.integers(-60, 61, (2, 6, 8, 2), dtype=np.int32), rng.integers(0, 3, (6, 8), dtype=np.uint8)
    quarters = np.empty((2, 4, 4, 48 + 2 * PAD, 64 + 2 * PAD), np.int16)
    for parent, out in zip(parents, quarters, strict=True):
        write_quarters(parent.y, out)
    total, corners = np.zeros((56, 72), np.int32), no_corners((6, 8))
    accumulate(quarters, vectors, modes, total)
    whole = compensate(parents, MotionField(vectors, modes, corners))[0].y
    np.testing.assert_array_equal(total[4:-4, 4:-4] + 128 >> 8, whole)
    choose(source.y, quarters, tints(source, parents, 1.0), vectors, modes, total, corners, np.ones((MODELS, 2)), 1.0)
    split = compensate(parents, MotionField(vectors, modes, corners))[0].y
    assert corners[0].any() and corners[:, -1].any() and (split != whole).any()
    np.testing.assert_array_equal(total[4:-4, 4:-4] + 128 >> 8, split)


@pytest.mark.parametrize("far", [0, 1, 4, -5])
@pytest.mark.parametrize("reach", [2, 40, 5461])
def test_fields_come_back(far: int, reach: int) -> None:
    rng = np.random.default_rng(reach)
    out, writer = StreamWriter(), MotionModels()
    fields = [random_field(rng, 5, 7, 2, far, reach) for _ in range(4)]
    known = Expectation(np.zeros((2, 5, 7, 2), np.int32), 2, far)
    for field in fields:
        put_field(field, known, writer, out)
    source, reader = StreamReader(out.bytes()), MotionModels()
    for field in fields:
        found = take_field((40, 56), known, reader, source)
        np.testing.assert_array_equal(found.modes, field.modes)
        np.testing.assert_array_equal(found.vectors, field.vectors)
        np.testing.assert_array_equal(found.corners, field.corners)
    source.check_end()


def test_a_field_as_expected_costs_next_to_nothing() -> None:
    expectation = Expectation(np.full((2, 36, 44, 2), 7, np.int32), 4, 4)
    field = MotionField(expectation.vectors.copy(), np.full((36, 44), BOTH, np.uint8), no_corners((36, 44)))
    out, models = StreamWriter(), MotionModels()
    for _ in range(10):
        put_field(field, expectation, models, out)
    assert 32 * out.used < 0.05 * 10 * field.modes.size


def test_noise_is_read_and_motion_that_leads_nowhere_refused() -> None:
    rng, read, refused = np.random.default_rng(0), 0, 0
    for reach, good in ((0, True), (1 << 20, False)):
        for _ in range(20):
            noise = rng.integers(0, 256, 400, np.uint8).tobytes()
            known, source = Expectation(np.full((2, 8, 8, 2), reach, np.int32), 1, 1), StreamReader(noise)
            if not good:
                whole = take_global(2, known.course, GlobalCounts(), 1, StreamReader(noise))
                if whole is None:  # else that is what is expected
                    with pytest.raises(BitstreamError):
                        take_field((64, 64), known, MotionModels(), source)
                    refused += 1
                continue
            try:  # noise may well lead nowhere by itself
                take_field((64, 64), known, MotionModels(), source)
                read += 1
            except BitstreamError:
                assert source.position < 0
    assert read > 10 and refused > 5


def test_motion_before_is_divided_by_time() -> None:
    way = np.zeros((2, 1, 1, 2), np.int32)
    way[0] = 16, -8
    fields = {
        0: (Node(0, 0, ()), None),
        8: (Node(8, 1, (0,)), MotionField(way, np.zeros((1, 1), np.uint8), no_corners((1, 1)))),
    }
    inner = expected(Node(2, 2, (0, 8)), (1, 1), fields)
    assert (inner.near, inner.far) == (2, 6)
    assert inner.vectors[:, 0, 0].tolist() == [[4, -2], [-12, 6]]
    assert expected(Node(12, 1, (8, 0)), (1, 1), fields).vectors[:, 0, 0].tolist() == [[8, -4], [24, -12]]


@pytest.mark.parametrize("turned", [1, -1])
def test_motion_goes_on_from_the_root_both_ways(turned: int) -> None:
    """Of what an anchor before the root moved by, those behind it move by the opposite; and in time turned round."""
    way = np.zeros((2, 1, 1, 2), np.int32)
    way[0] = 16, -8
    fields = {0: (Node(0, 0, ()), None)}
    fields[-8 * turned] = Node(-8 * turned, 1, (0,)), MotionField(way, np.zeros((1, 1), np.uint8), no_corners((1, 1)))
    across = expected(Node(4 * turned, 1, (0, -8 * turned)), (1, 1), fields)
    assert (across.near, across.far) == (4, -12)
    assert across.vectors[:, 0, 0].tolist() == [[-8, 4], [-24, 12]]
    further = expected(Node(-12 * turned, 1, (-8 * turned, 0)), (1, 1), fields)
    assert (further.near, further.far) == (4, -12)
    assert further.vectors[:, 0, 0].tolist() == [[8, -4], [24, -12]]


def drawn(shift: tuple[float, float], rows: int = 96, cols: int = 128) -> Planes:
    """A smooth pattern, moved."""
    y, x = np.arange(rows)[:, None] - shift[0], np.arange(cols)[None] - shift[1]
    luma = 2000 + 700 * np.sin(y / 5 + np.sin(x / 17)) + 700 * np.cos(x / 6 + np.sin(y / 13))
    half = np.full((rows // 2, cols // 2), 2048, np.int16)
    return Planes(luma.astype(np.int16), half, half)


@pytest.mark.parametrize(
    ("shift", "most"), [((0.0, 0.0), 32), ((1.25, -0.5), 32), ((0.0, 21.0), 96), ((-17.0, 9.0), 480)]
)
def test_a_scene_that_slides_is_found_and_cheap(shift: tuple[float, float], most: int) -> None:
    source, parents = drawn((0.0, 0.0)), [drawn(shift), drawn((-shift[0], -shift[1]))]
    known = Expectation(np.zeros((2, 12, 16, 2), np.int32), 4, 4)
    models, out = MotionModels(), StreamWriter()
    field = search(source, parents, 1e-3, known, models.estimates(known))
    prediction, _ = compensate(parents, field)
    inner = slice(24, -24)
    error = (prediction.y.astype(float) - source.y)[inner, inner]
    assert np.sqrt((error**2).mean()) < 16 * 1.5
    put_field(field, known, models, out)
    assert 32 * out.used <= most


def test_hard_edges_that_move_on_their_own_split_blocks() -> None:
    """A rectangle over a ground that stands, off the grid of blocks: where blocks overlap both would blur."""
    y, x = np.mgrid[:96, :128]
    ground = 1500 + 400 * np.sin(y / 4) * np.cos(x / 5)
    half = np.full((48, 64), 2048, np.int16)

    def shown(top: int, left: int) -> Planes:
        luma = ground.copy()
        luma[top : top + 24, left : left + 28] = 3600
        return Planes(luma.astype(np.int16), half, half)

    source, parents = shown(36, 44), [shown(33, 38), shown(39, 50)]
    known, models, out = Expectation(np.zeros((2, 12, 16, 2), np.int32), 1, 1), MotionModels(), StreamWriter()
    field = search(source, parents, 1e-4, known, models.estimates(known))
    assert field.corners.any()

    def error(one: MotionField) -> float:
        return float(((compensate(parents, one)[0].y.astype(float) - source.y) ** 2).mean())

    assert error(field) < 0.5 * error(MotionField(field.vectors, field.modes, no_corners(field.modes.shape)))
    put_field(field, known, models, out)
    found = take_field((96, 128), known, MotionModels(), StreamReader(out.bytes()))
    np.testing.assert_array_equal(found.corners, field.corners)


def test_colour_that_moves_is_found_where_luma_says_nothing() -> None:
    def shown(left: int) -> Planes:
        u = np.full((48, 64), 2048, np.int16)
        u[20:28, left : left + 8] = 3300
        return Planes(np.full((96, 128), 1600, np.int16), u, np.full((48, 64), 2048, np.int16))

    source, parents = shown(24), [shown(20), shown(28)]
    known, models = Expectation(np.zeros((2, 12, 16, 2), np.int32), 1, 1), MotionModels()
    prediction, _ = compensate(parents, search(source, parents, 1e-4, known, models.estimates(known)))
    assert np.abs(prediction.u[22:26, 26:30].astype(int) - 3300).max() < 100
