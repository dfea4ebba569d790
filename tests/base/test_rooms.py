"""Room that threads keep."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nerv_codec.base import rooms


def test_room_is_kept_for_its_use_and_its_thread() -> None:
    first = rooms.kept("first", (2, 3), np.int32)
    other = rooms.kept("other", (2, 3), np.int32)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(rooms.kept, "first", (2, 3), np.int32).result()
    again = rooms.kept("first", (5,), np.int16)
    assert np.shares_memory(first, again)
    assert again.shape == (5,) and again.dtype == np.int16
    assert not np.shares_memory(first, other) and not np.shares_memory(first, theirs)


def test_room_grows_and_is_given_back() -> None:
    small = rooms.kept("use", (2,), np.int32)
    large = rooms.kept("use", (200,), np.int32)
    assert not np.shares_memory(small, large)
    rooms.forget()
    assert not np.shares_memory(large, rooms.kept("use", (2,), np.int32))
