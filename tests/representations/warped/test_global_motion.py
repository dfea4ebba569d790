import numpy as np
import pytest

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped.global_motion import (
    LARGEST_NUMBER,
    GlobalCounts,
    GlobalMotion,
    put_global,
    take_global,
)
from nerv_codec.representations.warped.motion import BLOCK, BOTH, Expectation, MotionField, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels, field_bits, put_field, take_field


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
    told: list[tuple[int, GlobalMotion | None]] = []
    for number in range(40):
        parents = 1 + number % 2
        size = int(rng.choice([1, 50, LARGEST_NUMBER]))
        pairs = tuple((int(a), int(b)) for a, b in rng.integers(-size, size + 1, (3 * parents, 2)))
        told.append((parents, GlobalMotion(pairs) if number % 3 else None))
        put_global(told[-1][1], counts, number % 3, out)
    source, counts = StreamReader(out.bytes()), GlobalCounts()
    assert [take_global(parents, counts, k % 3, source) for k, (parents, _) in enumerate(told)] == [m for _, m in told]


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
    out = StreamWriter()
    with pytest.raises(AssertionError):
        put_field(field, known, MotionModels(), out)
    hidden = MotionField(np.zeros((2, *shape, 2), np.int32), field.modes, field.corners, whole)
    put_field(hidden, known, MotionModels(), out)
    read = take_field((BLOCK * shape[0], BLOCK * shape[1]), known, MotionModels(), StreamReader(out.bytes()))
    assert not read.vectors.any()
    with pytest.raises(BitstreamError):
        take_field((BLOCK * 40, BLOCK * 40), known, MotionModels(), StreamReader(b"\x81" * 200))
