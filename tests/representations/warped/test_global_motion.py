import dataclasses

import numpy as np
import pytest

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped.global_motion import (
    LARGEST_NUMBER,
    Course,
    GlobalCounts,
    GlobalMotion,
    Numbers,
    put_global,
    scaled_numbers,
    take_global,
)
from nerv_codec.representations.warped.motion import BLOCK, BOTH, Expectation, MotionField, expected, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels, field_bits, put_field, take_field
from nerv_codec.representations.warped.tree import Node


def a_zoom(whole: GlobalMotion | None) -> MotionField:
    """A field of 3 by 4 blocks that move as a whole."""
    vectors = whole.vectors((3, 4)) if whole else np.zeros((2, 3, 4, 2), np.int32)
    return MotionField(vectors, np.zeros((3, 4), np.uint8), no_corners((3, 4)), whole)


def test_vectors_lie_on_a_plane_and_are_rounded_once() -> None:
    motion = GlobalMotion(((10, -7), (300, 5), (-40, 1201)))
    found = motion.vectors((9, 13))
    r, c = np.indices((9, 13))
    for k in range(2):
        first, down, across = (pair[k] for pair in motion.numbers)
        assert np.array_equal(found[0, ..., k], np.floor((first + down * r / 8 + across * c / 12) / 4 + 0.5))
    assert not found[1].any() and found.dtype == np.int32


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_one_row_or_column_of_blocks(shape: tuple[int, int]) -> None:
    found = GlobalMotion(((8, 12), (400, 400), (400, 400))).vectors(shape)
    assert found[0, 0, 0].tolist() == [2, 3]


def test_numbers_come_back() -> None:
    rng, counts, out = np.random.default_rng(1), GlobalCounts(), StreamWriter()
    told: list[tuple[int, Course, GlobalMotion | None]] = []

    def pairs(count: int, size: int) -> Numbers:
        return tuple((int(a), int(b)) for a, b in rng.integers(-size, size + 1, (count, 2)))

    for number in range(60):
        parents, size = 1 + number % 2, int(rng.choice([1, 50, LARGEST_NUMBER]))
        course = Course(pairs(3, size) if number % 5 else None, (int(rng.integers(-9, 10)), int(rng.integers(1, 9))))
        told.append((parents, course, GlobalMotion(pairs(3 * parents, size)) if number % 3 else None))
        put_global(told[-1][2], course, counts, number % 3, out)
    source, counts = StreamReader(out.bytes()), GlobalCounts()
    for number, (parents, course, motion) in enumerate(told):
        assert take_global(parents, course, counts, number % 3, source) == motion


def test_a_way_that_goes_on_costs_next_to_nothing() -> None:
    """An anchor that zooms as the one before did, and what lies between; the second parent as straight motion says."""
    first = ((-90, 80), (250, 9), (-9, 260))
    fields = {0: (Node(0, 0, ()), None), 4: (Node(4, 1, (0,)), a_zoom(GlobalMotion(first)))}
    anchor = expected(Node(8, 1, (4, 0)), (3, 4), fields)
    assert anchor.whole == first and anchor.course.ratio == (4 + 4, 4)
    onward = anchor.course.straight(2)
    assert onward is not None and onward.numbers[3:] == ((-180, 160), (500, 18), (-18, 520))
    between = expected(Node(1, 2, (0, 4)), (3, 4), fields)
    assert between.whole == ((-22, 20), (63, 2), (-2, 65))
    straight = between.course.straight(2)
    assert straight is not None and straight.numbers[3] == (66, -60)
    field, out = a_zoom(straight), StreamWriter()
    put_global(field.whole, between.course, GlobalCounts(), 1, out)
    assert out.bits < 12
    assert expected(Node(8, 1, (4, 0)), (3, 4), {**fields, 4: (fields[4][0], a_zoom(None))}).course.straight(2) is None


def test_numbers_do_not_grow_without_end() -> None:
    most = ((LARGEST_NUMBER, -LARGEST_NUMBER),)
    assert scaled_numbers(most, 64, 1) == most and scaled_numbers(most, -64, 1) == ((-LARGEST_NUMBER, LARGEST_NUMBER),)


def test_a_field_is_coded_against_the_whole() -> None:
    """Blocks that move as the whole does cost next to nothing, and come back, with one that does not."""
    shape, whole = (9, 11), GlobalMotion(((-90, 80), (250, 9), (-9, 260), (90, -80), (-250, -9), (9, -260)))
    known = Expectation(np.zeros((2, *shape, 2), np.int32), 2, 2)
    vectors = whole.vectors(shape)
    vectors[:, 4, 5] = 7
    field = MotionField(vectors, np.full(shape, BOTH, np.uint8), no_corners(shape), whole)
    plain = MotionField(vectors, field.modes, field.corners)
    assert field_bits(field, known, MotionModels()) < 0.5 * field_bits(plain, known, MotionModels())
    out = StreamWriter()
    put_field(field, known, MotionModels(), out)
    found = take_field((BLOCK * shape[0], BLOCK * shape[1]), known, MotionModels(), StreamReader(out.bytes()))
    assert found.whole == whole and np.array_equal(found.vectors, vectors)


def test_a_whole_that_leads_nowhere_is_refused() -> None:
    shape = (3, 4)
    whole = GlobalMotion(((LARGEST_NUMBER, 0), (LARGEST_NUMBER, 0), (0, 0)))
    known = Expectation(np.zeros((2, *shape, 2), np.int32), 1, 0)
    field = MotionField(whole.vectors(shape), np.zeros(shape, np.uint8), no_corners(shape), whole)
    with pytest.raises(AssertionError):
        put_field(field, known, MotionModels(), StreamWriter())
    out = StreamWriter()
    hidden = MotionField(np.zeros((2, *shape, 2), np.int32), field.modes, field.corners, whole)
    put_field(hidden, known, MotionModels(), out)
    read = take_field((BLOCK * shape[0], BLOCK * shape[1]), known, MotionModels(), StreamReader(out.bytes()))
    assert not read.vectors.any()
    way = GlobalMotion(((20_000, 0), (20_000, 0), (0, 0)))
    within, out = MotionField(way.vectors(shape), field.modes, field.corners, way), StreamWriter()
    put_field(within, known, MotionModels(), out)
    further = dataclasses.replace(known, whole=way.numbers)  # of which the stream says as much more
    with pytest.raises(BitstreamError):
        take_field((BLOCK * shape[0], BLOCK * shape[1]), further, MotionModels(), StreamReader(out.bytes()))
