import numpy as np
import pytest

from tools.training import drawings, photos


@pytest.mark.parametrize("kind", drawings.KINDS)
def test_drawings_are_the_same_for_a_seed(kind):
    first, again = (drawings.drawing(kind, 7, 0) for _ in range(2))
    assert first.shape == (384, 512, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, drawings.drawing(kind, 7, 1))


def test_crops_of_a_photo_are_reduced_and_do_not_overlap():
    rows, cols = np.mgrid[:1600, :2200]
    photo = np.stack([rows // 7, cols // 9, rows * 0], -1).astype(np.uint8)
    found = photos.crops(photo, 9, np.random.default_rng(0))
    corners = {(int(crop[0, 0, 0]), int(crop[0, 0, 1])) for crop in found}
    assert len(found) == len(corners) == 6  # four at one half, one each at a third and a fourth
    assert all(crop.shape == (photos.ROWS, photos.COLS, 3) for crop in found)


def test_small_photos_are_left_out():
    assert photos.crops(np.zeros((600, 900, 3), np.uint8), 4, np.random.default_rng(0)) == []
