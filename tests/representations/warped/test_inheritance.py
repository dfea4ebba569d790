"""Prices of anchors by how many frames inherit from them."""

import pytest

from nerv_codec.representations.warped import inheritance
from nerv_codec.representations.warped.inheritance import inherited, prices
from nerv_codec.representations.warped.tree import Anchors, evenly, waves


def nodes(anchors):
    return [node for wave in waves(anchors) for node in wave]


def test_what_is_kept_whole_comes_to_the_root(monkeypatch):
    """Every frame's error has its origin in some others; where nothing is coded anew, all of it in the root."""
    monkeypatch.setattr(inheritance, "_KEPT", 1.0)
    monkeypatch.setattr(inheritance, "_KEPT_BETWEEN", 1.0)
    for anchors in (evenly(33, 8), Anchors((0, 1, 2, 4, 8)), Anchors((0, 5), 5), evenly(1, 8)):
        assert inherited(nodes(anchors))[anchors.root] == pytest.approx(anchors.frames[-1] + 1)


def test_nothing_comes_to_anybody_where_all_is_coded_anew(monkeypatch):
    monkeypatch.setattr(inheritance, "_KEPT", 0.0)
    monkeypatch.setattr(inheritance, "_KEPT_BETWEEN", 0.0)
    assert set(inherited(nodes(evenly(33, 8))).values()) == {1.0}


def test_a_middle_is_kept_by_those_on_both_sides():
    found = inherited(nodes(Anchors((0, 4))))
    assert found[1] == found[3] == 1
    assert found[2] == pytest.approx(1 + 2 * 0.5 * inheritance._KEPT_BETWEEN)


@pytest.mark.parametrize("anchors", [evenly(33, 8), evenly(17, 8), Anchors((0, 1, 2, 4, 8, 16, 24, 32))])
def test_the_last_anchors_are_dearer_and_the_mean_of_all_but_the_root_stays(anchors):
    found = prices(anchors, 1.4)
    assert list(found) == list(anchors.frames) and max(found.values()) == found[anchors.frames[-1]] > 0
    assert abs(sum(found.values()) - found[anchors.root]) <= len(found) / 2


def test_the_root_is_cheaper_the_more_lean_on_it():
    found = [prices(evenly(frames, 8), 1.4)[evenly(frames, 8).root] for frames in (1, 9, 17, 33)]
    assert found == sorted(found, reverse=True) and found[0] == 0 and found[-1] < -16
    twice, once = (prices(evenly(33, 8), octaves)[16] for octaves in (2.0, 1.0))
    assert abs(twice - 2 * once) <= 1


@pytest.mark.parametrize("anchors", [(0,), (0, 5)])
def test_an_anchor_by_itself_has_the_price_of_its_depth(anchors):
    assert not prices(Anchors(anchors), 1.4)[anchors[-1]]
