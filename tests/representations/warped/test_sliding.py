import cv2
import numpy as np
import pytest

from nerv_codec.representations.warped import tint_kernel
from nerv_codec.representations.warped.global_motion import GlobalMotion
from nerv_codec.representations.warped.motion import BLOCK, BOTH, PRECISION, Expectation, MotionField, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels, field_bits
from nerv_codec.representations.warped.planes import UNIT, Planes
from nerv_codec.representations.warped.search import search
from nerv_codec.representations.warped.sliding import (
    _leading_out,
    alike,
    as_expected,
    fitted,
    mapped_share,
    most_frequent,
    moving_as_a_whole,
    one_step,
    promised,
    shown_by,
)

PRICE = 1e-4


def scene(left: int, apart: int = 0) -> Planes:
    """Blobs on ground that is flat on one side, seen from ``left`` samples on; the upper half moves by more."""
    rng = np.random.default_rng(5)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (64, 400)), (0, 0), 2)
    texture *= np.linspace(-0.5, 1, 400).clip(0)
    luma = np.round((128 + 200 * texture) * UNIT).astype(np.int16)
    seen = luma[:, left : left + 96].copy()
    seen[:32] = luma[:32, left + apart : left + apart + 96]
    return gray(seen)


def mapped(rows: int, cols: int, zoom: float, turn: float, down: float = 0.0) -> tuple[Planes, np.ndarray]:
    """Blobs, larger, turned by degrees and moved, and the map from a place (x, y, 1) to where it was before."""
    blobs = cv2.GaussianBlur(np.random.default_rng(6).normal(0, 1, (rows, cols)), (0, 0), 2.5)
    luma = np.round((128 + 300 * blobs).clip(0, 255) * UNIT).astype(np.float32)
    near = cv2.getRotationMatrix2D((cols / 2, rows / 2), turn, zoom)
    near[1, 2] += down
    moved = cv2.warpAffine(luma, near, (cols, rows), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return gray(np.rint(moved).astype(np.int16)), cv2.invertAffineTransform(near)


def gray(luma: np.ndarray) -> Planes:
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128 * UNIT, np.int16)
    return Planes(luma, chroma, chroma)


def still(shape: tuple[int, ...], far: int = 0) -> Expectation:
    return Expectation(np.zeros((2, *shape, 2), np.int32), 1, far)


def field_of(vectors: np.ndarray, modes: np.ndarray) -> MotionField:
    return MotionField(vectors.astype(np.int32), modes, no_corners(modes.shape))


def test_what_most_blocks_do_comes_first() -> None:
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.zeros((8, 12), np.uint8)
    vectors[0, :, 10:, 1] = 4 * 9
    vectors[0, 0, 0] = 3, -3
    first, second, third = most_frequent(field_of(vectors, modes))
    assert (first.vectors == 0).all() and (second.vectors[0] == (0, 36)).all() and (third.vectors[0] == (3, -3)).all()
    assert not any(way.modes.any() or way.corners.any() or way.whole for way in (first, second, third))
    source, parents = scene(250 + 9), [scene(250)]
    assert promised(source, parents, second, PRICE) < 0.5 * promised(source, parents, first, PRICE)
    assert promised(parents[0], parents, first, PRICE) == 0


def test_modes_and_both_vectors_are_shared() -> None:
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.full((8, 12), BOTH, np.uint8)
    vectors[:, ..., 1] = np.array([20, 40]).reshape(2, 1, 1)
    modes[0, :2] = 0
    way, _ = most_frequent(field_of(vectors, modes))
    assert (way.vectors[0, ..., 1] == 20).all() and (way.vectors[1, ..., 1] == 40).all() and (way.modes == BOTH).all()


def test_blocks_that_come_in_do_not_count_and_those_that_move_apart_do() -> None:
    """Half of the picture is new; half of it moves by more."""
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.zeros((8, 12), np.uint8)
    vectors[0, ..., 1] = 4 * 48
    vectors[0, :, 6:] = np.random.default_rng(1).integers(-40, 40, (8, 6, 2))
    own = field_of(vectors, modes)
    assert shown_by(scene(250 + 48), [scene(250)], most_frequent(own)[0], own, PRICE) >= 0.8
    vectors[0] = 0, 4 * 9
    vectors[0, :4] = 0, 4 * 15
    own = field_of(vectors, modes)
    assert not any(shown_by(scene(250 + 9, 6), [scene(250)], way, own, PRICE) >= 0.8 for way in most_frequent(own))


def test_errors_that_are_worth_less_than_a_bit_are_none() -> None:
    """Flat ground that is one code value off; its own motion, from a corner that is not, leaves nothing."""
    vectors, modes = np.zeros((2, 8, 12, 2), np.int32), np.zeros((8, 12), np.uint8)
    vectors[0] = -4 * BLOCK * np.indices((8, 12)).transpose(1, 2, 0)
    source, parent = (Planes(*(np.full((64 // k, 96 // k), 2000, np.int16) for k in (1, 2, 2))) for _ in range(2))
    parent.y[16:] += 16
    parent.y[:, 16:] += 16
    own, still = field_of(vectors, modes), field_of(np.zeros_like(vectors), modes)
    shares = [shown_by(source, [parent], still, own, price) for price in (100 * PRICE, PRICE / 100)]
    assert shares[0] >= 0.8 > shares[1]


def test_what_leads_out_is_what_the_kernel_says() -> None:
    vectors = np.random.default_rng(2).integers(-300, 300, (2, 8, 12, 2))
    vectors[0, 0, 0], vectors[0, 7, 11] = (-16, 0), (15, 16)  # just inside, just outside
    found = _leading_out(field_of(vectors, np.zeros((8, 12), np.uint8)))
    assert not found[0, 0] and found[7, 11] and 0.2 < found.mean() < 0.9
    for (r, c), out in np.ndenumerate(found):
        assert out == tint_kernel.leads_out((8, 12), r, c, *vectors[0, r, c])


@pytest.mark.parametrize("size", [(96, 128), (592, 640)])
def test_a_zoom_and_a_turn_are_found(size: tuple[int, int]) -> None:
    """From a field of which three blocks of ten are wrong, to an eighth of a sample; large pictures at half size."""
    (first, _), (source, back) = mapped(*size, 1, 0), mapped(*size, 1.04, 2, 3.3)
    shape = size[0] // 8, size[1] // 8
    y, x = 8 * np.indices(shape) + 3.5
    true = np.stack(
        [back[1, 0] * x + (back[1, 1] - 1) * y + back[1, 2], (back[0, 0] - 1) * x + back[0, 1] * y + back[0, 2]]
    )
    vectors, rng = np.zeros((2, *shape, 2)), np.random.default_rng(3)
    vectors[0] = np.moveaxis(np.rint(PRECISION * true), 0, -1)
    wrong = rng.random(shape) < 0.3
    vectors[0, wrong] = rng.integers(-60, 60, (wrong.sum(), 2))
    whole = fitted(source, [first], field_of(vectors, np.zeros(shape, np.uint8)))
    found = whole and moving_as_a_whole(whole, still(shape))
    assert found is not None and found.whole is not None and not found.modes.any() and not found.vectors[1].any()
    assert np.abs(found.vectors[0] / PRECISION - np.moveaxis(true, 0, -1)).max() <= 0.25
    assert field_bits(found, still(shape), MotionModels()) < 200


def test_two_parents_have_a_map_each() -> None:
    (first, _), (source, _), (last, _) = (mapped(96, 128, 1 + 0.04 * k, 0) for k in range(3))
    shape = (12, 16)
    field = search(source, [first, last], PRICE, still(shape, 1), MotionModels().estimates(still(shape, 1)))
    whole = fitted(source, [first, last], field)
    assert whole is not None and len(whole.numbers) == 6
    found = moving_as_a_whole(whole, still(shape, 1))
    assert found is not None and found.whole == whole and (found.modes == BOTH).all()
    away = 8 * np.moveaxis(np.indices(shape), 0, -1) + 3.5 - (48, 64)
    for number, ratio in enumerate((1 / 1.04, 1.08 / 1.04)):
        assert np.abs(found.vectors[number] / PRECISION - (ratio - 1) * away).max() <= 0.25
    assert any(way.whole for way in alike(source, [first, last], field, still(shape, 1)))


def test_a_pattern_that_repeats_itself_is_followed_frame_by_frame() -> None:
    """Waves that turn by 12 degrees in eight frames, at whose sides blocks find others of their like."""
    y, x = np.mgrid[:192, :256] - np.array([95.5, 127.5]).reshape(2, 1, 1)

    def turned(degrees: float) -> Planes:
        s, c = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        waves = np.sin((c * x - s * y) * 2 * np.pi / 14) + np.sin((s * x + c * y) * 2 * np.pi / 22)
        return gray(np.rint((128 + 50 * waves) * UNIT).astype(np.int16))

    source, before, parent, shape = turned(12), turned(10.5), turned(0), (24, 32)
    known = Expectation(np.zeros((2, *shape, 2), np.int32), 8, 0)
    fields = [search(source, [one], PRICE, known, MotionModels().estimates(known)) for one in (parent, before)]
    without = alike(source, [parent], fields[0], known)
    with_step = alike(source, [parent], fields[0], known, one_step(source, before, fields[1]))
    least, found = (min(promised(source, [parent], way, PRICE) for way in ways) for ways in (without, with_step))
    assert found < 0.4 * least


def test_nothing_to_go_by_is_no_error() -> None:
    """Flat pictures, and blocks that lead farther than a straight way on may."""
    flat, shape = gray(np.full((64, 96), 128 * UNIT, np.int16)), (8, 12)
    known = still(shape)
    whole = fitted(flat, [flat], as_expected(known))
    found = whole and moving_as_a_whole(whole, known)
    assert found is not None and not found.vectors.any()
    known = Expectation(np.zeros((2, *shape, 2), np.int32), 1, 8)
    whole = fitted(flat, [flat, flat], field_of(np.full((2, *shape, 2), 5000), np.full(shape, BOTH, np.uint8)))
    assert whole is not None and moving_as_a_whole(whole, known) is None
    assert fitted(flat, [flat], field_of(np.full((2, *shape, 2), 9000), np.zeros(shape, np.uint8))) is None


@pytest.mark.parametrize("step", [9, 30])
def test_calmer_motion_takes_fewer_bits(step: int) -> None:
    """Of what comes in at a border most moves as all does, and flat ground does not stay behind."""
    source, parents = scene(170 + step), [scene(170)]
    known = Expectation(np.zeros((2, 8, 12, 2), np.int32), near=1, far=0)
    models = MotionModels()
    free = search(source, parents, PRICE, known, models.estimates(known))
    way = min(most_frequent(free), key=lambda way: promised(source, parents, way, PRICE))
    calm = search(source, parents, PRICE, known, models.estimates(known), calmed=(way, free), dearer=4.0)
    assert (way.vectors[0] == (0, 4 * step)).all()
    assert field_bits(calm, known, models) < 0.6 * field_bits(free, known, models)
    inside = calm.vectors[0, :, : (96 - step) // 8 - 1]
    assert (inside == (0, 4 * step)).all(-1).mean() > 0.95


def test_the_share_that_moves_as_the_map_does() -> None:
    """A quarter of the blocks goes another way; to a parent that there is not, vectors do not count."""
    shape, whole = (6, 8), GlobalMotion(((8, 40), (16, 0), (0, -24)))
    vectors = whole.vectors(shape)
    vectors[0, :, :2, 1] += 1
    vectors[1] += 7
    field = MotionField(vectors, np.zeros(shape, np.uint8), no_corners(shape), whole)
    assert mapped_share(field) == 0.75
    assert mapped_share(None) == mapped_share(field_of(vectors, field.modes)) == 0
    both = GlobalMotion((*whole.numbers, *whole.numbers))
    assert mapped_share(MotionField(both.vectors(shape), np.full(shape, BOTH, np.uint8), no_corners(shape), both)) == 1
    assert mapped_share(MotionField(vectors, field.modes, no_corners(shape), both)) == 0
