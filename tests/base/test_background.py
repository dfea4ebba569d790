from __future__ import annotations

import threading
import time

import pytest

from nerv_codec.base.background import read_ahead, write_behind


def test_read_ahead_gives_the_same_items_from_another_thread():
    threads = []

    def items():
        for index in range(20):
            threads.append(threading.get_ident())
            yield index

    with read_ahead(items()) as ahead:
        assert list(ahead) == list(range(20))
    assert set(threads) != {threading.get_ident()}
    with read_ahead([]) as ahead:
        assert list(ahead) == []


def test_read_ahead_is_bounded():
    made = []
    with read_ahead((made.append(index) or index for index in range(100)), depth=2) as ahead:
        for taken in ahead:
            time.sleep(0.002)
            assert len(made) <= taken + 1 + 2 + 1
            if taken == 20:
                break
    count = len(made)
    time.sleep(0.02)
    assert len(made) == count < 30


def test_an_error_comes_where_its_item_would_have_come():
    def items():
        yield from (1, 2)
        raise OSError("no more")

    taken = []
    with pytest.raises(OSError, match="no more"), read_ahead(items(), depth=5) as ahead:
        for item in ahead:
            taken.append(item)
            time.sleep(0.01)
    assert taken == [1, 2]


def test_write_behind_writes_all_in_order():
    written = []
    with write_behind(lambda item: (time.sleep(0.001), written.append(item)), depth=2) as write:
        for index in range(20):
            write(index)
            assert index - len(written) <= 2 + 1
    assert written == list(range(20))


@pytest.mark.parametrize("count", [1, 50])
def test_an_error_of_the_writer_comes_out(count):
    def fail(item):
        raise OSError(f"disk full at {item}")

    with pytest.raises(OSError, match="disk full at 0"), write_behind(fail) as write:
        for index in range(count):
            write(index)
            time.sleep(0.001)


def test_an_error_of_the_block_ends_the_writer():
    written = []
    with pytest.raises(KeyError), write_behind(written.append) as write:
        write(1)
        raise KeyError
    assert threading.active_count() < 50
