"""Has numba compile this package's kernels, with a cache on disk where one can be written, and watches it.

What the cache holds already is loaded, and not counted.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event, types
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

from nerv_codec.base.compiling import kernel_begun

_PACKAGE = __name__.partition(".")[0]
_without_place: set[Callable[..., Any]] = set()
"""Kernels that were to be kept for later processes and cannot be: no folder for a cache can be written."""
_uncounted: set[Callable[..., Any]] = set()
"""Kernels that do not count arrays."""


class _Cache(FunctionCache):
    """numba's cache of one kernel; that a disk is full or not ours is no reason to stop."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def njit(*, cache: bool = False, allocates: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba's decorator of that name; a kernel is compiled for this process alone where no cache can be written.

    numba itself refuses such kernels: an installation that is read-only, for a user without a home.

    Arrays are not counted where none is made: numba would count them atomically wherever one is named or cut, which
    took a third of the time of our inner loops, and more where two threads share an array.

    Args:
        cache: Whether machine code is kept for later processes, beside the source or where numba's own settings say.
        allocates: Whether the kernel makes arrays, or returns any.
        **options: Of ``numba.njit``.

    Raises:
        TypeError: When a kernel is compiled that returns an array and does not say that it allocates: whoever is given
            that array would free it too early.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = numba.njit(_nrt=allocates, **options)(function)
        if not allocates:
            _uncounted.add(function)
        if cache:
            try:
                dispatcher._cache = _Cache(function)
            except RuntimeError:
                _without_place.add(function)
        return dispatcher

    return decorate


class _Listener(event.Listener):
    """Passes on when a kernel of ours begins to be compiled; numba's own helpers are part of it."""

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if dispatcher.py_func.__module__.partition(".")[0] == _PACKAGE:
            kernel_begun(len(_uncompiled()) - 1, kept=dispatcher.py_func not in _without_place)

    def on_end(self, event: Any) -> None:
        """Refuses a kernel of ours that returns arrays which it has not counted."""
        dispatcher = event.data["dispatcher"]
        if dispatcher.py_func in _uncounted:
            for overload in dispatcher.overloads.values():
                if _holds_array(overload.signature.return_type):
                    raise TypeError(f"{dispatcher.py_func.__qualname__} returns an array, which nobody counts")


def _holds_array(kind: Any) -> bool:
    return isinstance(kind, types.Array) or any(map(_holds_array, getattr(kind, "types", ())))


def _uncompiled() -> set[int]:
    """Which kernels of the rooms that are loaded have no machine code in this process."""
    rooms = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == _PACKAGE]
    values = [value for room in rooms for value in list(vars(room).values())]
    return {id(value) for value in values if isinstance(value, Dispatcher) and not value.overloads}


event.register("numba:compile", _Listener())
