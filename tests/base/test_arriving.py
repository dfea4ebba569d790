"""Arriving: items are made as far as somebody asks, by one thread at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from nerv_codec.base.arriving import Arriving


class Made:
    """Squares of numbers in an order of their own; counts what was made, and fails where it is told to."""

    def __init__(self, order, fails_at=None):
        self.order, self.fails_at, self.made = order, fails_at, []

    def __iter__(self):
        for number in self.order:
            if number == self.fails_at:
                raise ValueError("damaged")
            self.made.append(number)
            yield number, number**2


@pytest.fixture
def made():
    return Made([0, 8, 4, 2, 6, 1, 3, 5, 7])


def test_no_more_is_made_than_what_is_asked_for(made):
    found = Arriving(iter(made), 9)
    assert made.made == [] and len(found) == 9
    assert found[0] == 0 and made.made == [0]
    assert found[4] == 16 and found[8] == 64 and made.made == [0, 8, 4]
    assert dict(found) == {number: number**2 for number in range(9)} and made.made == made.order
    with pytest.raises(KeyError):
        found[9]


def test_the_rest_is_made_until_somebody_has_enough(made):
    found = Arriving(iter(made), 9)
    found.rest(lambda: len(made.made) == 3)
    assert made.made == [0, 8, 4]
    found.rest()
    found.rest()
    assert made.made == made.order


def test_an_error_stays_where_it_was():
    made = Made([0, 2, 1], fails_at=1)
    found = Arriving(iter(made), 3)
    for _ in range(2):
        with pytest.raises(ValueError, match="damaged"):
            found.rest()
        with pytest.raises(ValueError, match="damaged"):
            found[1]
        assert found[2] == 4


def test_what_is_checked_behind_the_last_item_keeps_it_back():
    def checked(is_right):
        yield from ((0, "root"), (1, "leaf"))
        ended.append(is_right)
        if not is_right:
            raise ValueError("another digest")

    ended = []
    found = Arriving(checked(False), 2)
    assert found[0] == "root" and ended == []
    with pytest.raises(ValueError, match="digest"):
        found[1]
    assert Arriving(checked(True), 2)[1] == "leaf" and ended == [False, True]


def test_the_room_is_entered_by_whoever_makes_items(made):
    entered = []

    class Room:
        def __enter__(self):
            entered.append("in")

        def __exit__(self, *_):
            entered.append("out")

    found = Arriving(iter(made), 9, Room())
    assert [found[0], found[8], found[0], found[2]] == [0, 64, 0, 4]
    assert entered == ["in", "out"] * 3


def test_threads_get_theirs_while_one_goes_on():
    """One thread makes all; another is given an item as soon as it has come, and not before."""
    begun, go_on = threading.Event(), threading.Event()

    def slowly():
        yield 0, "root"
        begun.set()
        assert go_on.wait(10)
        yield 1, "leaf"

    found = Arriving(slowly(), 2)
    maker = threading.Thread(target=found.rest)
    maker.start()
    assert begun.wait(10) and found[0] == "root"
    leaf = []
    asker = threading.Thread(target=lambda: leaf.append(found[1]))
    asker.start()
    asker.join(0.05)
    assert leaf == []
    go_on.set()
    maker.join(10)
    asker.join(10)
    assert leaf == ["leaf"]


def test_who_waits_goes_on_where_another_stopped(made):
    """A thread that had enough leaves the rest to those that still wait."""
    found, stops = Arriving(iter(made), 9), threading.Event()

    @contextmanager
    def waiting():
        askers = [threading.Thread(target=found.__getitem__, args=(number,)) for number in (7, 3)]
        for asker in askers:
            asker.start()
        yield
        for asker in askers:
            asker.join(10)
            assert not asker.is_alive()

    def enough():
        stops.wait(0.1)
        return len(made.made) == 2

    maker = threading.Thread(target=found.rest, args=(enough,))
    maker.start()
    with waiting():
        stops.set()
    maker.join(10)
    assert made.made == made.order
