"""What a scheduler asks of whatever runs fits, and how one is chosen by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch

from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import Progress
from nerv_codec.encoding.gop_job import CodedGop, GopJob, JobKey
from nerv_codec.representations.fitting.status import FitStatus

Message = FitStatus | Progress | tuple[CodedGop, bytes] | BaseException
"""Where a fit stands, a kernel that is compiled or a line to tell; last what it came to, or the error that ended it."""


def is_last(message: Message) -> bool:
    """Whether nothing more comes from a fit."""
    return not isinstance(message, FitStatus | Progress)


class Engine(Protocol):
    """Runs fits side by side."""

    @property
    def slots(self) -> int:
        """How many fits run at a time."""
        ...

    @property
    def device(self) -> torch.device:
        """What fits compute on."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether another job can start now."""
        ...

    @property
    def places(self) -> Mapping[str, int]:
        """How many fits run on which machine, by its name; empty where all run on this one."""
        ...

    def start(self, job: GopJob) -> None:
        """Begins a fit; the job's frames need not be kept by the caller."""
        ...

    def events(self, timeout_seconds: float) -> Iterator[tuple[JobKey, Message]]:
        """What has come from the fits; waits for something, but not longer than the timeout."""
        ...

    def stop(self, key: JobKey) -> None:
        """Lets a fit save its work, where it can, and end: its last message is then Interrupted."""
        ...

    def drop(self, key: JobKey) -> None:
        """Ends a fit that nobody wants any more; nothing more comes from it."""
        ...


@contextmanager
def open_engine(
    name: str, *, device: str, jobs: int | None, fit_cpus: float | None = None, fit_gpus: float | None = None
) -> Iterator[tuple[Engine | None, torch.device]]:
    """What runs fits, closed at the end of the block.

    Args:
        name: ``processes`` of this machine; ``ray``, a cluster of this machine alone; ``ray=ADDRESS``, one that is
            there, as ``HOST:PORT`` or ``auto``.
        device: What to compute on: ``auto``, ``cpu``, ``cuda`` ...
        jobs: How many fits run at a time; None is 1, or with Ray as many as the cluster has room for.
        fit_cpus: Processors that a fit takes of a Ray cluster; None is 1.
        fit_gpus: GPUs that a fit takes of a Ray cluster, or a share of one; None is 1 where the device is a GPU.

    Yields:
        The engine, None where fits run one after another in this process; and what they compute on.

    Raises:
        UsageError: There is no such engine, device or cluster, or Ray is not installed.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"expected 1 job or more, found {jobs}")
    kind, _, address = name.partition("=")
    if kind not in ("processes", "ray") or (kind != "ray" and address):
        raise UsageError(f"expected an engine of processes, ray, ray=ADDRESS, found {name!r}")
    if kind == "ray":
        try:
            from nerv_codec.encoding.engines.ray import RayFits
        except ImportError as error:
            if error.name != "ray":
                raise
            raise UsageError("expected Ray for this engine, found none: pip install 'nerv-codec[ray]'") from error
        with RayFits(address or "local", device=device, jobs=jobs, cpus=fit_cpus, gpus=fit_gpus) as cluster:
            yield cluster, cluster.device
        return
    if fit_cpus is not None or fit_gpus is not None:
        raise UsageError("expected the engine ray for shares of processors and GPUs, found processes")
    here = choose_device(device)
    if jobs is None or jobs == 1:
        yield None, here
        return
    from nerv_codec.encoding.engines.processes import FitProcesses

    with FitProcesses(jobs, here) as processes:
        yield processes, here
