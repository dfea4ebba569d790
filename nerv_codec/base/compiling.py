"""Says how far kernels are compiled, which takes a minute on a machine's first call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nerv_codec.base.progress import Progress, ProgressSink

_ONCE = "compiling for this machine, once"
_ALWAYS = "compiling, and again next time: no folder for a cache can be written (NUMBA_CACHE_DIR can name one)"
_listeners: list[Callable[[int, bool], None]] = []


def kernel_begun(still_to_come: int, *, kept: bool = True) -> None:
    """Tells whoever listens that a kernel which no earlier process has left compiled is about to be compiled.

    Args:
        still_to_come: How many more may follow: all that are loaded and not compiled, needed or not.
        kept: Whether a later process will find it compiled.
    """
    for listener in _listeners[-1:]:
        listener(still_to_come, kept)


@contextmanager
def compiling_told(sink: ProgressSink) -> Iterator[ProgressSink]:
    """Within the block ``sink`` is told about each kernel that is compiled, as a stage of the job.

    Yields:
        The sink to tell about the job itself: compiling takes up the job's last fraction.
    """
    fraction, begun, lasting = 0.0, 0, True

    def tell_job(event: Progress) -> None:
        nonlocal fraction
        fraction = max(fraction, event.fraction)
        sink(event)

    def tell_kernel(still_to_come: int, kept: bool) -> None:
        nonlocal begun, lasting
        begun, lasting = begun + 1, lasting and kept
        stage = f"{_ONCE if lasting else _ALWAYS}: kernel {begun} of at most {begun + still_to_come}"
        sink(Progress("compile" if begun == 1 else "progress", fraction, stage, {"kernels": begun}))

    _listeners.append(tell_kernel)
    try:
        yield tell_job
    finally:
        _listeners.remove(tell_kernel)
