"""Torch as this package expects it, whatever its caller has set, and as the caller has set it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_torch() -> Iterator[None]:
    """Within the block numbers are made as float32, gradients can be taken, nothing is cast by itself.

    Random numbers of torch's own generator go on after it as if it had not been. All but the default type of numbers,
    which all threads have in common, is of the calling thread alone.
    """
    default = torch.get_default_dtype()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        torch.random.fork_rng(devices=[]),
    ):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)
