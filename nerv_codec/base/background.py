"""Work in a thread beside the caller's: items made ahead of their use, or used behind their making, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
_PATIENCE_SECONDS = 5.0
"""How long an error waits for a write in progress: one into a pipe that nobody reads would never end."""


class _Closed(Exception):
    """The other side has gone."""


class _Channel(Generic[Item]):
    """A queue that can be closed from both sides: by its end, by an error, or because nobody listens any more.

    Python 3.13 has ``queue.Queue.shutdown`` for this; until that is the oldest version, it stands here.
    """

    def __init__(self, depth: int) -> None:
        self._items: list[Item] = []
        self._depth = depth
        self._changed = threading.Condition()
        self._ended = self._abandoned = False
        self.error: BaseException | None = None

    def put(self, item: Item) -> None:
        """Waits for room. Raises _Closed where nobody listens any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._depth)
            if self._abandoned:
                raise _Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> Item:
        """Waits for an item. Raises _Closed at the end, or the error that was one."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._abandoned)
            if not self._items:
                raise self.error or _Closed
            item = self._items.pop(0)
            self._changed.notify_all()
            return item

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._ended, self.error = True, self.error or error
            self._changed.notify_all()

    def abandon(self, error: BaseException | None = None) -> None:
        """Nothing more will be taken; what waits is dropped."""
        with self._changed:
            self._abandoned, self.error = True, self.error or error
            self._items.clear()
            self._changed.notify_all()


@contextmanager
def read_ahead(items: Iterable[Item], depth: int = 1) -> Iterator[Iterator[Item]]:
    """An iterator over the same items, made in a thread while the block works on those before.

    An error of ``items`` is raised where its item would have come. ``items`` is not touched any more once the block
    has been left.

    Args:
        items: What to iterate over.
        depth: How many may wait; one more is in the making.
    """
    channel: _Channel[Item] = _Channel(depth)

    def make() -> None:
        try:
            for item in items:
                channel.put(item)
        except _Closed:
            pass
        except BaseException as error:
            channel.end(error)
        else:
            channel.end()

    def take() -> Iterator[Item]:
        while True:
            try:
                item = channel.get()
            except _Closed:
                return
            yield item
            del item  # not held while the next one is waited for

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        channel.abandon()
        thread.join()


@contextmanager
def write_behind(write: Callable[[Item], None], depth: int = 4) -> Iterator[Callable[[Item], None]]:
    """A function that has ``write`` called in a thread, in order, while the block goes on.

    An error of ``write`` is raised by the next call, or at the end of the block, which waits until all is written.

    Args:
        write: Called with one item after another.
        depth: How many may wait; one more is being written.
    """
    channel: _Channel[Item] = _Channel(depth)

    def work() -> None:
        try:
            while True:
                write(channel.get())
        except _Closed:
            pass
        except BaseException as error:
            channel.abandon(error)

    def put(item: Item) -> None:
        try:
            channel.put(item)
        except _Closed:
            raise channel.error or _Closed from None

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield put
    except BaseException:
        channel.abandon()
        thread.join(_PATIENCE_SECONDS)
        raise
    channel.end()
    thread.join()
    if channel.error is not None:
        raise channel.error
