"""Items that come one after another, made as far as somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Arriving(Mapping[int, Item], Generic[Item]):
    """Numbered items of an iterator, which goes on until the one that is asked for has come.

    Threads may ask side by side: one of them makes items, the others wait until theirs has come. Whoever asks for an
    item that an error has kept from coming gets that error; those that came before it stay. The last one comes when the
    iterator has ended, so that what is checked behind it keeps it back.

    Args:
        items: Numbers and items, in the order in which they come.
        count: How many there are.
        room: Entered by whoever makes items, each time; it can be entered again.
    """

    def __init__(
        self, items: Iterator[tuple[int, Item]], count: int, room: AbstractContextManager[object] | None = None
    ) -> None:
        self._items, self._count = items, count
        self._room = room or nullcontext()
        self._come: dict[int, Item] = {}
        self._changed = threading.Condition()
        self._is_made = False
        self._error: BaseException | None = None

    def __getitem__(self, number: int) -> Item:
        if number not in self._come:
            self._make(lambda: number in self._come)
        return self._come[number]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        """The numbers in the order in which their items come; all of these are made."""
        self.rest()
        return iter(self._come)

    def rest(self, until: Callable[[], bool] = lambda: False) -> None:
        """Makes what is left, or goes on until somebody says so: ``until`` is asked after each item."""
        self._make(lambda: until() or len(self._come) == self._count)

    def _make(self, enough: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: enough() or not self._is_made)
            if enough():
                return
            if self._error is not None:
                raise self._error
            self._is_made = True
        try:
            with self._room:
                for number, item in self._items:
                    if len(self._come) + 1 == self._count:
                        next(self._items, None)
                    with self._changed:
                        self._come[number] = item
                        self._changed.notify_all()
                    if enough():
                        break
        except BaseException as error:
            self._error = error
            raise
        finally:
            with self._changed:
                self._is_made = False
                self._changed.notify_all()
