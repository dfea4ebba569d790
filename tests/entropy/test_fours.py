"""Four doubles at a time: each is rounded as a single number is, and nothing is contracted."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import between, entries, held, load, splat, store, total


@njit()
def apply(a, b, c, out):
    for k in range(0, a.shape[0], 4):
        store(out, k, load(a, k) * load(b, k) - splat(2.0) * load(c, k) + load(a, k))
    return total(load(out, 0))


def test_fours_are_single_numbers_side_by_side():
    a, b, c = np.random.default_rng(1).normal(size=(3, 64))
    c[:32] = a[:32] * b[:32] / 2  # what a contracted product would not cancel
    out = np.zeros(64)
    found = apply(a, b, c, out)
    assert np.array_equal(out, (a * b - 2.0 * c) + a)
    assert found == (out[0] + out[1]) + (out[2] + out[3])


@njit()
def begin_anywhere(numbers, at):
    store(numbers, at, load(numbers, at + 1))


def test_fours_need_not_be_aligned():
    numbers = np.arange(16.0)
    begin_anywhere(numbers, 3)
    assert numbers.tolist() == [0, 1, 2, 4, 5, 6, 7, *range(7, 16)]


@njit()
def look_up(table, places, least, most, whole, linear):
    for k in range(0, places.shape[0], 4):
        place = held(load(places, k), splat(least), splat(most))
        store(whole, k, entries(table, place))
        store(linear, k, between(table, place) / splat(3.0))


def test_tables_are_read_where_places_are_held():
    rng = np.random.default_rng(2)
    table, places = rng.normal(size=12), np.concatenate([rng.uniform(-3, 14, 62), [0.0, 10.0]])
    whole, linear = np.zeros((2, 64))
    look_up(table, places, 0.0, 10.0, whole, linear)
    at = np.clip(places, 0, 10)
    first = at.astype(int)
    assert np.array_equal(whole, table[first])
    assert np.array_equal(linear, (table[first] + (at - first) * (table[first + 1] - table[first])) / 3)
