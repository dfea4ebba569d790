"""Threads that each take whole chunks of work, instead of threads inside of every operator."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Self, TypeVar

import torch

from nerv_codec.base import rooms

Result = TypeVar("Result")


class Task(Generic[Result]):
    """A piece of work that whoever needs its result first does, if no thread has begun with it.

    So tasks may wait for others that were begun before them: no thread waits for what nobody works on.
    """

    def __init__(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments
        self._claim = threading.Lock()
        self._future: Future[Result] = Future()

    def __call__(self) -> None:
        """Does the work unless that has begun."""
        if self._claim.acquire(blocking=False):
            function, arguments = self._function, self._arguments
            del self._function, self._arguments
            try:
                found = function(*arguments)
            except BaseException as error:  # told to whoever asks for the result
                self._future.set_exception(error)
            else:
                # What is done needs neither: a closure may hold pictures, and even its own task.
                del function, arguments
                self._future.set_result(found)

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._future.done()

    def result(self) -> Result:
        """The result, or what the work raised."""
        self()
        return self._future.result()


class Workers:
    """As many threads as torch has, the caller's among them, in which operators run on one thread.

    Operators on matrices that fit a cache gain nothing from threads of their own: these wait for each other
    after each operator, and spin while they do. A chunk that one thread computes from end to end also has
    the same value whatever the number of threads.

    Used as a context, again and again if need be; torch's setting is put back at its end, and tasks that nobody has
    begun with wait for the next time.
    """

    _active, _before, _lock = 0, 1, threading.Lock()
    """How many are entered, in all threads, and torch's setting before the first of them was."""

    def __init__(self) -> None:
        self.count = self._own = torch.get_num_threads()
        self._waiting: deque[Task[Any]] = deque()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._own = torch.get_num_threads()
        with Workers._lock:
            if not Workers._active:
                Workers._before = self._own
            Workers._active += 1
        torch.set_num_threads(1)
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count - 1, initializer=torch.set_num_threads, initargs=(1,))
            for _ in range(len(self._waiting)):
                self._pool.submit(self._help)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        rooms.forget()
        with Workers._lock:
            Workers._active -= 1
            # New threads begin with what was set last, by whichever thread: the last one leaves what the first found.
            torch.set_num_threads(self._own if Workers._active else Workers._before)

    def begin(self, function: Callable[..., Result], *arguments: Any) -> Task[Result]:
        """A task that a thread begins with when it is free, at the latest whoever asks for its result."""
        task = Task(function, arguments)
        if self._pool is not None:
            self._waiting.append(task)
            self._pool.submit(self._help)
        return task

    def result(self, task: Task[Result]) -> Result:
        """What `Task.result` gives; while another thread is at it, this one does other tasks that were begun.

        Such a task must not wait for what its caller is at: the thread would wait for itself.
        """
        task()
        while not task.is_done and self._help():
            pass
        return task.result()

    def _help(self) -> bool:
        """Does one task; whether there was any."""
        try:
            task = self._waiting.popleft()
        except IndexError:
            return False
        task()
        return True

    def map(self, function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
        """The results of ``function`` for each item, in order, computed side by side."""
        tasks = [self.begin(function, *items) for items in zip(*arguments, strict=False)]
        for task in tasks:
            task()  # whoever waits for one while another thread is at it leaves the others to that thread
        return [task.result() for task in tasks]


def side_by_side(workers: Workers | None, function: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """``Workers.map``, or one after another where there are no workers."""
    return list(map(function, *arguments)) if workers is None else workers.map(function, *arguments)
