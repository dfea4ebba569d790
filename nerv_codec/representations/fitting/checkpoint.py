"""The state of a fit on disk: tensors in safetensors, numbers as JSON in its header; nothing is pickled."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.files import write_atomically

INTERVAL_SECONDS = 20.0
"""Between two saves: what a power cut costs at the most, but for one step."""


@dataclass(frozen=True)
class FitState:
    """Everything that a fit needs to go on as if it had never stopped."""

    tensors: Mapping[str, Tensor]
    """Weights, optimiser state, random generator ..."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Step, phase ...: whatever JSON holds."""


class Checkpoint:
    """Keeps the state of one fit. This one keeps nothing, and stops when it is asked to.

    Args:
        stop: Says whether the fit shall stop at its next step.
    """

    def __init__(self, stop: Callable[[], bool] = lambda: False) -> None:
        self.stop = stop

    def load(self) -> FitState | None:
        """The state that was saved last, or None. Tensors are on the CPU."""
        return None

    def offer(self, state: Callable[[], FitState]) -> None:
        """Called between any two steps: saves the state if it is time.

        Raises:
            Interrupted: The fit shall stop; the state has been saved.
        """
        if self.stop():
            raise Interrupted("interrupted; nothing was written")


class FileCheckpoint(Checkpoint):
    """Keeps the state in a file.

    Args:
        path: The file; it need not exist.
        stop: As above.
        interval_seconds: Between two saves; None is ``INTERVAL_SECONDS``.
    """

    def __init__(
        self, path: Path, stop: Callable[[], bool] = lambda: False, interval_seconds: float | None = None
    ) -> None:
        super().__init__(stop)
        self._path = path
        self._interval = INTERVAL_SECONDS if interval_seconds is None else interval_seconds
        self._saved = time.monotonic()

    def load(self) -> FitState | None:
        try:
            with safe_open(self._path, framework="pt") as file:
                values = json.loads((file.metadata() or {})["values"])
                return FitState({name: file.get_tensor(name) for name in file.keys()}, values)  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None  # none yet, or damaged: the fit starts anew

    def offer(self, state: Callable[[], FitState]) -> None:
        stop = self.stop()
        if not stop and time.monotonic() - self._saved < self._interval:
            return
        now = state()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in now.tensors.items()}
        try:
            write_atomically(self._path, save(tensors, {"values": json.dumps(dict(now.values))}))
        except OSError as error:  # a full disk need not end a fit, only its safety net
            if stop:
                raise Interrupted(
                    f"interrupted; the fit could not be saved ({os.strerror(error.errno or 0)})"
                ) from error
        self._saved = time.monotonic()
        if stop:
            raise Interrupted("interrupted; the fit is saved, and the same command goes on from here")
