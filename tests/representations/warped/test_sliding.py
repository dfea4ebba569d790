import cv2
import numpy as np
import pytest

from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.motion import BOTH, Expectation, MotionField, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels, field_bits
from nerv_codec.representations.warped.planes import UNIT, Planes
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.sliding import _leading_out, common_ways


def scene(left: int, apart: int = 0) -> Planes:
    """Blobs on ground that is flat on one side, seen from ``left`` samples on; the upper half moves by more."""
    rng = np.random.default_rng(5)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (64, 400)), (0, 0), 2)
    texture *= np.linspace(-0.5, 1, 400).clip(0)
    luma = np.round((128 + 200 * texture) * UNIT).astype(np.int16)
    seen = luma[:, left : left + 96].copy()
    seen[:32] = luma[:32, left + apart : left + apart + 96]
    gray = np.full((32, 48), 128 * UNIT, np.int16)
    return Planes(seen, gray, gray)


def field_of(vectors: np.ndarray, modes: np.ndarray) -> MotionField:
    return MotionField(vectors.astype(np.int32), modes, no_corners(modes.shape))


def test_what_most_blocks_do_and_what_shows_the_picture_best() -> None:
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.zeros((8, 12), np.uint8)
    vectors[0, :, 10:, 1] = 4 * 9
    vectors[0, 0, 0] = 3, -3
    first, second = common_ways(scene(50 + 9), [scene(50)], field_of(vectors, modes))
    assert (first.vectors == 0).all() and (second.vectors[0] == (0, 36)).all()
    for way in (first, second):
        assert not way.modes.any() and not way.corners.any()
    vectors[0, ..., :] = 0, 36
    (way,) = common_ways(scene(50 + 9), [scene(50)], field_of(vectors, modes))
    assert (way.vectors[0] == (0, 36)).all()


def test_blocks_that_come_in_do_not_count_and_those_that_move_apart_do() -> None:
    """Half of the picture is new; half of it moves by more."""
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.zeros((8, 12), np.uint8)
    vectors[0, ..., 1] = 4 * 48
    vectors[0, :, 6:] = np.random.default_rng(1).integers(-40, 40, (8, 6, 2))
    (way,) = common_ways(scene(250 + 48), [scene(250)], field_of(vectors, modes))
    assert (way.vectors[0] == (0, 4 * 48)).all()
    vectors[0] = 0, 4 * 9
    vectors[0, :4] = 0, 4 * 15
    assert common_ways(scene(250 + 9, 6), [scene(250)], field_of(vectors, modes)) == []


def test_what_leads_out_is_what_the_kernel_says() -> None:
    vectors = np.random.default_rng(2).integers(-300, 300, (2, 8, 12, 2))
    vectors[0, 0, 0], vectors[0, 7, 11] = (-16, 0), (15, 16)  # just inside, just outside
    found = _leading_out(field_of(vectors, np.zeros((8, 12), np.uint8)))
    assert not found[0, 0] and found[7, 11] and 0.2 < found.mean() < 0.9
    for (r, c), out in np.ndenumerate(found):
        assert out == motion_kernel.leads_out((8, 12), r, c, *vectors[0, r, c])


def test_modes_and_both_vectors_are_shared() -> None:
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.full((8, 12), BOTH, np.uint8)
    vectors[:, ..., 1] = np.array([20, 40]).reshape(2, 1, 1)
    modes[0, :2] = 0
    (way, *_) = common_ways(scene(250 + 10), [scene(255), scene(250)], field_of(vectors, modes))
    assert (way.vectors[0, ..., 1] == 20).all() and (way.vectors[1, ..., 1] == 40).all() and (way.modes == BOTH).all()


@pytest.mark.parametrize("step", [9, 30])
def test_calmer_motion_takes_fewer_bits(step: int) -> None:
    """Of what comes in at a border most moves as all does, and flat ground does not stay behind."""
    source, parents = scene(170 + step), [scene(170)]
    known = Expectation(np.zeros((2, 8, 12, 2), np.int32), near=1, far=0)
    models = MotionModels()
    free = search(source, parents, 1e-4, known, models.estimates(known))
    ways = common_ways(source, parents, free)
    calm = search(source, parents, 1e-4, known, models.estimates(known), calmed=(ways[-1], free))
    assert (ways[-1].vectors[0] == (0, 4 * step)).all()
    assert field_bits(calm, known, models) < 0.6 * field_bits(free, known, models)
    inside = calm.vectors[0, :, : (96 - step) // 8 - 1]
    assert (inside == (0, 4 * step)).all(-1).mean() > 0.95
