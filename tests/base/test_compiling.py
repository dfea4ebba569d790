from __future__ import annotations

from nerv_codec.base.compiling import compiling_told, kernel_begun
from nerv_codec.base.progress import Progress


def test_kernels_are_a_stage_of_the_job():
    told = []
    kernel_begun(5)  # nobody listens
    with compiling_told(told.append) as progress:
        progress(Progress("progress", 0.25, "fit"))
        kernel_begun(2)
        kernel_begun(1)
    kernel_begun(0)
    assert [(event.type, event.fraction) for event in told] == [
        ("progress", 0.25),
        ("compile", 0.25),
        ("progress", 0.25),
    ]
    stages = [event.stage for event in told[1:]]
    assert stages == [f"compiling for this machine, once: kernel {number} of at most 3" for number in (1, 2)]


def test_the_innermost_listener_is_told():
    outer, inner = [], []
    with compiling_told(outer.append):
        with compiling_told(inner.append):
            kernel_begun(0)
        kernel_begun(0)
    assert len(inner) == len(outer) == 1
