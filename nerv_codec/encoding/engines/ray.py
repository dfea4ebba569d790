"""Fits as tasks of a Ray cluster, tried again elsewhere where a process or a machine is lost.

A job goes through Ray's object store once, whatever the number of tries. Nodes need the same nerv-codec, but no file
system in common: what a fit comes to travels back, and is kept where the encode runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import ray
import torch
from ray import exceptions

from nerv_codec.base.compiling import compiling_told
from nerv_codec.base.errors import Interrupted, NervCodecError, UsageError
from nerv_codec.base.interruption import StopRequest
from nerv_codec.base.progress import Progress
from nerv_codec.encoding.assemble import tool_name
from nerv_codec.encoding.engines.engine import Message, is_last
from nerv_codec.encoding.gop_job import GopJob, JobKey
from nerv_codec.representations.fitting.status import FitStatus

_TRIES = 3
_REACH_SECONDS = 5.0
"""How long an address may take to answer."""
_COUNT_SECONDS = 5.0
"""How long a count of the cluster's nodes is believed."""
_TELL_SECONDS = 1.0
"""Between two figures of one fit."""


class RayFits:
    """Fits on a Ray cluster. Used as a context.

    Args:
        address: ``HOST:PORT`` or ``auto`` of a cluster that is there; ``local`` starts one of this machine alone, for
            as long as the context lasts.
        device: What to compute on; ``auto`` is a GPU where the cluster has some.
        jobs: How many fits run at a time; None is as many as the cluster has room for, also when it grows or shrinks.
        cpus: Processors that a fit takes, which is also how many threads it has; None is 1.
        gpus: GPUs that a fit takes, or a share of one; None is 1 where the device is a GPU.

    Raises:
        UsageError: There is no cluster at that address, or no node of it has room for a fit.
    """

    def __init__(
        self,
        address: str,
        *,
        device: str = "auto",
        jobs: int | None = None,
        cpus: float | None = None,
        gpus: float | None = None,
    ) -> None:
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect(address)
        try:
            has_gpus = gpus != 0 and any(node.get("GPU") for node in _nodes())
            self.device = torch.device(("cuda" if has_gpus else "cpu") if device == "auto" else device)
            on_gpu = self.device.type != "cpu"
            self._needs = {"CPU": 1.0 if cpus is None else cpus, "GPU": float(on_gpu) if gpus is None else gpus}
            self._jobs = jobs
            self._counted = time.monotonic()
            self._room = self._count()
            if not jobs and not self._room:
                wanted = " and ".join(f"{amount:g} {name}" for name, amount in self._needs.items() if amount)
                raise UsageError(f"expected a node with {wanted} for a fit, found none in the Ray cluster")
            self.slots = jobs or self._room
        except BaseException:
            self.__exit__()
            raise
        self._busy: dict[JobKey, _Fit] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            ray.shutdown()

    @property
    def has_room(self) -> bool:
        if self._jobs is None and time.monotonic() - self._counted > _COUNT_SECONDS:
            self._counted, self._room = time.monotonic(), self._count()
        return len(self._busy) < (self._jobs or max(1, self._room))

    @property
    def places(self) -> Mapping[str, int]:
        return Counter(fit.place for fit in list(self._busy.values()) if fit.place)

    def start(self, job: GopJob) -> None:
        sent = ray.put(dataclasses.replace(job, workspace=None))
        # What stays here are the job's facts: its frames are in the object store now.
        kept = dataclasses.replace(job, task=dataclasses.replace(job.task, frames=()))
        self._busy[job.key] = _Fit(kept, sent, self._submitted(sent))

    def events(self, timeout_seconds: float) -> Iterator[tuple[JobKey, Message]]:
        streams = {fit.stream: key for key, fit in self._busy.items()}
        if not streams:
            time.sleep(timeout_seconds)
            return
        ray.wait(list(streams), timeout=timeout_seconds)
        for stream in ray.wait(list(streams), num_returns=len(streams), timeout=0)[0]:
            key = streams[stream]
            if (fit := self._busy.get(key)) is None:
                continue
            message = self._next(key, fit)
            if message is None:
                continue
            if is_last(message):
                del self._busy[key]
                if isinstance(message, tuple):
                    fit.job.keep(*message)
            yield key, message

    def stop(self, key: JobKey) -> None:
        self._busy[key].stopped = True
        ray.cancel(self._busy[key].stream)

    def drop(self, key: JobKey) -> None:
        ray.cancel(self._busy.pop(key).stream)

    def _submitted(self, sent: ray.ObjectRef) -> Any:
        """A task that fits a job, as the stream of what it tells."""
        cpus, gpus = self._needs["CPU"], self._needs["GPU"]
        task = _remote_fit.options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy="SPREAD")
        return task.remote(made_by(), [sent], max(1, int(cpus)))

    def _next(self, key: JobKey, fit: _Fit) -> Message | None:
        """What a fit tells next; the loss of one that is to be tried again as a line to tell."""
        try:
            message = ray.get(next(fit.stream))
        except (exceptions.RayError, StopIteration) as error:
            if fit.stopped:
                return Interrupted("interrupted; the same command goes on behind the last whole GOP")
            reason = _reason(error) + (f" on {fit.place}" if fit.place else "")
            if fit.tries == _TRIES:
                return NervCodecError(f"GOP {key.gop} failed {_TRIES} times, at last so: {reason}")
            fit.tries, fit.place = fit.tries + 1, ""
            fit.stream = self._submitted(fit.sent)
            return Progress("note", stage=f"GOP {key.gop}: {reason}; try {fit.tries} of {_TRIES}")
        if isinstance(message, str):
            fit.place = message
            return None
        return message  # type: ignore[no-any-return]

    def _count(self) -> int:
        """How many fits the nodes have room for, whatever else they do."""
        return sum(
            min(int(node.get(name, 0) // amount) for name, amount in self._needs.items() if amount) for node in _nodes()
        )


@dataclass
class _Fit:
    """A job that is being fitted."""

    job: GopJob
    """Without what its fit needs."""
    sent: ray.ObjectRef
    """The whole job."""
    stream: Any
    tries: int = 1
    place: str = ""
    """The node's name, once it runs."""
    stopped: bool = False


def made_by() -> str:
    """What nodes have to have in common with where the encode runs, for the bytes to be the same."""
    return f"{tool_name()} with torch {torch.__version__}"


@ray.remote(max_retries=0, num_returns="streaming")
def _remote_fit(expected: str, sent: list[ray.ObjectRef], threads: int) -> Iterator[str | Message]:
    """Fits a job on a node: the node's name, then what the fit tells, then what it came to."""
    node = socket.gethostname()
    if made_by() != expected:
        yield UsageError(f"expected {expected} on every node, found {made_by()} on {node}")
        return
    yield node
    told: queue.Queue[Message] = queue.Queue()
    stop = StopRequest()
    work = threading.Thread(target=_work, args=(_writable(ray.get(sent[0])), threads, told, stop))
    work.start()
    try:
        while True:
            try:
                message = told.get(timeout=0.5)  # with a timeout, so that a cancellation comes through
            except queue.Empty:
                continue
            if isinstance(message, BaseException) and not isinstance(message, NervCodecError):
                raise message
            yield message
            if is_last(message):
                return
    finally:
        stop.ask()
        work.join()


def _work(job: GopJob, threads: int, told: queue.Queue[Message], stop: StopRequest) -> None:
    """Fits a job in a thread beside the task's own, which hands on what is told."""
    last = 0.0

    def report(status: FitStatus) -> None:
        nonlocal last
        if time.monotonic() - last >= _TELL_SECONDS:
            last = time.monotonic()
            told.put(status)

    torch.set_num_threads(threads)
    try:
        with compiling_told(told.put):
            told.put(job.run(report, stop))
    except BaseException as error:
        told.put(error)


def _writable(job: GopJob) -> GopJob:
    """The same job: arrays in the object store are read-only, and compiled kernels take others only."""
    frames = (dataclasses.replace(f, planes=tuple(plane.copy() for plane in f.planes)) for f in job.task.frames)
    return dataclasses.replace(job, task=dataclasses.replace(job.task, frames=tuple(frames)))


def _connect(address: str) -> None:
    """Joins or starts a cluster, which says nothing by itself. Raises UsageError."""
    if address not in ("local", "auto"):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _REACH_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"expected a Ray cluster at {address} (HOST:PORT or auto), found {error}") from error
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = (str(error).splitlines() or ["nothing"])[0]
        raise UsageError(f"expected a Ray cluster at {address}, found: {said}") from error
    finally:
        if main:  # Ray sets its own, which exits
            signal.signal(signal.SIGTERM, handler)
    with contextlib.suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False  # deaths of workers are told on stdout otherwise


def _nodes() -> list[dict[str, float]]:
    """The resources of each node that lives."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _reason(error: BaseException) -> str:
    """Why a try failed, in a line."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, exceptions.RayTaskError):
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"the fit failed with {' '.join(lines[-1].split())}" if lines else "the fit failed"
    if isinstance(error, exceptions.WorkerCrashedError):
        return "its process was lost"
    return f"it was lost ({type(error).__name__})"
