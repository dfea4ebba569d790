"""How many threads a picture deserves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_PIXELS_WORTH_SHARING = 1 << 19


@contextlib.contextmanager
def threads_for(pixels: int) -> Iterator[None]:
    """A context in which torch computes on one thread if a picture has few pixels.

    Waiting for other threads after every operation takes longer than the operation, and on a machine with
    other work to do, a dozen times as long.
    """
    before = torch.get_num_threads()
    if pixels >= _PIXELS_WORTH_SHARING or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
