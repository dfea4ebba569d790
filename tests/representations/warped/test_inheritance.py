"""Prices of anchors by how many frames inherit from them."""

import pytest

from nerv_codec.representations.warped import inheritance
from nerv_codec.representations.warped.inheritance import inherited, prices
from nerv_codec.representations.warped.tree import evenly, waves


def nodes(anchors):
    return [node for wave in waves(anchors) for node in wave]


def test_what_is_kept_whole_comes_to_the_root(monkeypatch):
    """Every frame's error has its origin in some others; where nothing is coded anew, all of it in the root."""
    monkeypatch.setattr(inheritance, "_KEPT", 1.0)
    monkeypatch.setattr(inheritance, "_KEPT_BETWEEN", 1.0)
    for anchors in (evenly(33, 8), (0, 1, 2, 4, 8), (0, 5), (0,)):
        assert inherited(nodes(anchors))[0] == pytest.approx(anchors[-1] + 1)


def test_nothing_comes_to_anybody_where_all_is_coded_anew(monkeypatch):
    monkeypatch.setattr(inheritance, "_KEPT", 0.0)
    monkeypatch.setattr(inheritance, "_KEPT_BETWEEN", 0.0)
    assert set(inherited(nodes(evenly(33, 8))).values()) == {1.0}


def test_a_middle_is_kept_by_those_on_both_sides():
    found = inherited(nodes((0, 4)))
    assert found[1] == found[3] == 1
    assert found[2] == pytest.approx(1 + 2 * 0.5 * inheritance._KEPT_BETWEEN)


def test_the_last_anchors_are_dearer_and_the_mean_stays():
    for anchors in (evenly(33, 8), evenly(17, 8), (0, 1, 2, 4, 8, 16, 24, 32)):
        found = prices(anchors)
        assert list(found) == list(anchors[1:])
        assert max(found, key=found.__getitem__) == anchors[-1] and found[anchors[-1]] > 2
        assert abs(sum(found.values())) <= len(found) / 2


@pytest.mark.parametrize("anchors", [(0,), (0, 5)])
def test_an_anchor_by_itself_costs_what_it_did(anchors):
    assert not any(prices(anchors).values())
