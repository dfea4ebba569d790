"""Room for arrays that a thread keeps: what the system gives anew costs as much as filling it does."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_rooms = threading.local()


def kept(use: str, shape: tuple[int, ...], dtype: type) -> npt.NDArray[Any]:
    """An array with anything in it, this thread's until it asks for the next of the same use."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = getattr(_rooms, use, None)
    if room is None or room.size < size:
        room = np.empty(size, np.uint8)
        setattr(_rooms, use, room)
    return room[:size].view(dtype).reshape(shape)


def forget() -> None:
    """Gives back what this thread keeps."""
    vars(_rooms).clear()
