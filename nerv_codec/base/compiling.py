"""Says how far kernels are compiled, which takes a minute on a machine's first call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nerv_codec.base.progress import Progress, ProgressSink

_listeners: list[Callable[[int], None]] = []


def kernel_begun(still_to_come: int) -> None:
    """What the room of a compiler calls when it begins with a kernel that no earlier process has left compiled.

    Args:
        still_to_come: How many more may follow: all that are loaded and not compiled, needed or not.
    """
    for listener in _listeners[-1:]:
        listener(still_to_come)


@contextmanager
def compiling_told(sink: ProgressSink) -> Iterator[ProgressSink]:
    """Within the block ``sink`` is told about each kernel that is compiled, as a stage of the job.

    Yields:
        The sink to tell about the job itself: compiling takes up the job's last fraction.
    """
    fraction, begun = 0.0, 0

    def tell_job(event: Progress) -> None:
        nonlocal fraction
        fraction = max(fraction, event.fraction)
        sink(event)

    def tell_kernel(still_to_come: int) -> None:
        nonlocal begun
        begun += 1
        stage = f"compiling for this machine, once: kernel {begun} of at most {begun + still_to_come}"
        sink(Progress("compile" if begun == 1 else "progress", fraction, stage))

    _listeners.append(tell_kernel)
    try:
        yield tell_job
    finally:
        _listeners.remove(tell_kernel)
