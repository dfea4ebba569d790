"""Processes that fit GOPs side by side, each joined to this one by a pipe.

Down the pipe go jobs and the wish to stop, up come figures, results and errors. A process whose pipe breaks has lost
its parent and ends, so that nothing goes on after a ``kill -9``.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import torch

from nerv_codec.base.compiling import compiling_told
from nerv_codec.base.errors import NervCodecError
from nerv_codec.base.interruption import StopRequest
from nerv_codec.encoding.engines.engine import Message, is_last
from nerv_codec.encoding.gop_job import GopJob, JobKey

_STOP = "stop"


class FitProcesses:
    """A row of processes, started as they are needed. Used as a context; leaving it ends them all.

    Args:
        count: How many at the most. Threads of torch and of numpy are divided among them.
        device: What they compute on.
    """

    places: Mapping[str, int] = {}

    def __init__(self, count: int, device: torch.device) -> None:
        self.slots = count
        self.device = device
        self._threads = max(1, torch.get_num_threads() // count)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(self._threads))  # numpy's, read where it is loaded
        self._idle: list[_Process] = []
        self._busy: dict[JobKey, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._idle, *self._busy.values()]:
            process.end()

    @property
    def has_room(self) -> bool:
        return len(self._busy) < self.slots

    def start(self, job: GopJob) -> None:
        process = self._idle.pop() if self._idle else _Process(self._threads)
        self._busy[job.key] = process
        with suppress(OSError):  # one that has died says so by itself
            process.connection.send(job)

    def events(self, timeout_seconds: float) -> Iterator[tuple[JobKey, Message]]:
        waiting = {process.connection: key for key, process in self._busy.items()}
        for connection in multiprocessing.connection.wait(list(waiting), timeout_seconds):
            key = waiting[connection]  # type: ignore[index]
            message = self._busy[key].receive()
            if isinstance(message, BaseException):
                self.drop(key)
            elif is_last(message):
                self._idle.append(self._busy.pop(key))
            yield key, message

    def stop(self, key: JobKey) -> None:
        with suppress(OSError):
            self._busy[key].connection.send(_STOP)

    def drop(self, key: JobKey) -> None:
        self._busy.pop(key).end()


class _Process:
    """One process and this side of its pipe."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """The next message; the death of the process counts as an error."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            return NervCodecError(f"a fitting process ended with code {self._process.exitcode}: out of memory?")

    def end(self) -> None:
        """Ends the process at once."""
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Any, threads: int) -> None:
    """The other process: job after job, until the pipe breaks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent decides
    torch.set_num_threads(threads)
    stop = _StopFromAbove(connection)
    while True:
        try:
            job = connection.recv()
            if job == _STOP:
                continue  # it came too late for the last job
            connection.send(_outcome(job, connection, stop))
        except (EOFError, OSError):
            return


def _outcome(job: GopJob, connection: Any, stop: StopRequest) -> object:
    """What a job came to, or the error that ended it."""
    alone = threading.Lock()  # kernels are compiled in whichever thread needs them first

    def tell(message: object) -> None:
        with alone:
            connection.send(message)

    try:
        with compiling_told(tell):
            return job.run(tell, stop)
    except (EOFError, BrokenPipeError):
        raise
    except BaseException as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error


class _StopFromAbove(StopRequest):
    """Whether the parent wants an end, looked for in the pipe whenever the fit asks."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection

    def __call__(self) -> bool:
        if not super().__call__() and self._connection.poll():
            self._connection.recv()
            self.ask()
        return super().__call__()

    def seconds_ago(self) -> float:
        self()
        return super().seconds_ago()
