"""Blocks that another frame shows exactly: found wherever they are, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from letters import letters

from nerv_codec.representations.warped.motion import BLOCK, Expectation
from nerv_codec.representations.warped.motion_coder import MotionModels
from nerv_codec.representations.warped.planes import UNIT, Planes
from nerv_codec.representations.warped.same_blocks import same_blocks
from nerv_codec.representations.warped.search import search


def test_what_has_scrolled_is_found_where_it_was():
    page = letters(0, 400, 160)
    head = np.full((16, 160), 90, np.int16)
    one, two = (np.concatenate([head, page[begin : begin + 112]]) for begin in (0, 53))
    vectors, found = same_blocks(two, one)
    assert not found[:2].any()  # anywhere
    inside = (128 - 53) // BLOCK
    assert found[2:inside].mean() > 0.9
    assert (vectors[2:inside][found[2:inside]] == (53, 0)).all()
    for r, c in np.argwhere(found):
        y, x = vectors[r, c] + (BLOCK * r, BLOCK * c)
        block = two[BLOCK * r : BLOCK * (r + 1), BLOCK * c : BLOCK * (c + 1)]
        assert np.array_equal(one[y : y + BLOCK, x : x + BLOCK], block)


@pytest.mark.parametrize("kind", ["flat", "stripes", "noise", "dots"])
def test_what_is_anywhere_or_nowhere_is_not_found(kind):
    draw = np.random.default_rng(1)
    rows, cols = np.mgrid[:64, :96]
    plane = {"flat": 0 * rows, "stripes": rows % 3, "dots": (rows % 4 == 0) & (cols % 4 == 0)}
    one, two = (plane.get(kind, draw.integers(0, 256, (64, 96))).astype(np.int16) for _ in range(2))
    vectors, found = same_blocks(one, two)
    assert not found.any() and not vectors.any()


def test_the_search_begins_there():
    """A page that moves on by more than half of its height, whose letters the coarse levels of a search do not show."""
    page = letters(2, 800, 320)
    one, two = page[:256], page[168 : 168 + 256]
    gray = np.full((128, 160), 128 * UNIT, np.int16)
    parent, source = (Planes(np.ascontiguousarray(UNIT * luma), gray, gray) for luma in (one, two))
    known = Expectation(np.zeros((2, 32, 40, 2), np.int32), 1, 0)
    estimates = MotionModels().estimates(known)
    fields = [search(source, [parent], 1e-4, known, estimates, originals=kept) for kept in ((), (two, one))]
    shown = [(field.vectors[0, :9] == (4 * 168, 0)).all(-1).mean() for field in fields]
    assert shown[1] > 0.9 and shown[0] < 0.5
