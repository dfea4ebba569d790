"""Ctrl-C and SIGTERM as a question that work asks where it can stop, instead of an exception anywhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether somebody has asked for an end."""

    def __init__(self) -> None:
        self._asked: float | None = None

    def __call__(self) -> bool:
        return self._asked is not None

    def seconds_ago(self) -> float:
        """How long it has been waiting; 0 where nobody asked."""
        return 0.0 if self._asked is None else time.monotonic() - self._asked

    def ask(self, *_: object) -> None:
        """What the signals call. Raises KeyboardInterrupt the second time: then it is urgent."""
        if self._asked is not None:
            raise KeyboardInterrupt
        self._asked = time.monotonic()


_of_main_thread: list[StopRequest] = []


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns Ctrl-C and SIGTERM into a request inside of the block.

    Signals come to the main thread only: in another thread this is the request of the block that the main thread is
    in, and where it is in none, one that nobody makes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield next(reversed(_of_main_thread), StopRequest())
        return
    request = StopRequest()
    before = {number: signal.signal(number, request.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    _of_main_thread.append(request)
    try:
        yield request
    finally:
        _of_main_thread.remove(request)
        for number, handler in before.items():
            signal.signal(number, handler)
