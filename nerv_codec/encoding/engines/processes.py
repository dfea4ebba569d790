"""Processes that fit GOPs side by side, each joined to this one by a pipe.

Down the pipe go jobs and the wish to stop, up come figures, results and errors. A process whose pipe breaks has lost
its parent and ends, so that nothing goes on after a ``kill -9``.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import torch

from nerv_codec.base.compiling import compiling_told
from nerv_codec.base.errors import Interrupted, NervCodecError
from nerv_codec.base.interruption import StopRequest
from nerv_codec.base.progress import Progress
from nerv_codec.encoding.gop_job import CodedGop, GopJob
from nerv_codec.representations.fitting.status import FitStatus

_STOP = "stop"
_GRACE_SECONDS = 30.0
"""How long processes that were asked to stop may take to save their work."""


class FitProcesses:
    """A row of processes, started as they are needed. Used as a context; leaving it ends them all.

    Args:
        count: How many at the most. Torch's threads are divided among them.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads = max(1, torch.get_num_threads() // count)
        self._idle: list[_Process] = []
        self._busy: dict[int, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._idle, *self._busy.values()]:
            process.end()

    @property
    def has_room(self) -> bool:
        """Whether another job can start now."""
        return len(self._busy) < self._count

    @property
    def is_busy(self) -> bool:
        """Whether any job is running."""
        return bool(self._busy)

    def start(self, job: GopJob) -> None:
        """Hands a job to a process, one that is idle or a new one; the job's frames need not be kept here."""
        process = self._idle.pop() if self._idle else _Process(self._threads)
        self._busy[job.index] = process
        process.connection.send(job)

    def events(self, timeout_seconds: float) -> Iterator[tuple[int, FitStatus | Progress | tuple[CodedGop, bytes]]]:
        """What has come up from the processes: figures, kernels being compiled, or a result, with its job's index.

        Raises:
            What a job raised, or NervCodecError where a process died.
        """
        waiting = {process.connection: index for index, process in self._busy.items()}
        for connection in multiprocessing.connection.wait(list(waiting), timeout_seconds):
            index = waiting[connection]  # type: ignore[index]
            message = self._busy[index].receive()
            if isinstance(message, BaseException):
                self._busy.pop(index).end()
                raise message
            if not isinstance(message, FitStatus | Progress):
                self._idle.append(self._busy.pop(index))
            yield index, message

    def stop(self) -> None:
        """Lets all jobs save their work and end. Raises Interrupted."""
        for process in self._busy.values():
            process.connection.send(_STOP)
        until = time.monotonic() + _GRACE_SECONDS
        reason: BaseException = Interrupted("interrupted; the same command goes on behind the last whole GOP")
        while self._busy and time.monotonic() < until:
            try:
                for _ in self.events(0.2):
                    pass
            except Interrupted as saved:
                reason = saved
            except NervCodecError:
                continue
        raise reason


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
