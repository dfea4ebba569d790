"""Watches numba compile this package's kernels; what its cache on disk holds already is loaded, and not counted."""

from __future__ import annotations

import sys
from typing import Any

from numba.core import event
from numba.core.dispatcher import Dispatcher

from nerv_codec.base.compiling import kernel_begun

_PACKAGE = __name__.partition(".")[0]


class _Listener(event.Listener):
    """Passes on when a kernel of ours begins to be compiled; numba's own helpers are part of it."""

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if function.__module__.partition(".")[0] == _PACKAGE:
            kernel_begun(len(_uncompiled()) - 1)

    def on_end(self, event: Any) -> None:
        """The next kernel says as much."""


def _uncompiled() -> set[int]:
    """Which kernels of the rooms that are loaded have no machine code in this process."""
    rooms = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == _PACKAGE]
    values = [value for room in rooms for value in list(vars(room).values())]
    return {id(value) for value in values if isinstance(value, Dispatcher) and not value.overloads}


event.register("numba:compile", _Listener())
