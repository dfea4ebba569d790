"""Threads that each take whole chunks of work, instead of threads inside of every operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

import torch

Result = TypeVar("Result")


class Workers:
    """A pool as wide as torch's own, in which, and beside which, operators run on one thread.

    Operators on matrices that fit a cache gain nothing from threads of their own: these wait for each other
    after each operator, and spin while they do. A chunk that one thread computes from end to end also has
    the same value whatever the number of threads.

    Used as a context; torch's setting is put back at its end.
    """

    def __init__(self) -> None:
        self.count = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> Self:
        torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self.count)

    def map(self, function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
        """The results of ``function`` for each item, in order, computed side by side."""
        return list(self._pool.map(function, *arguments))
