"""Opening files, and what they say of themselves, in the types of this package: those of PyAV differ by its version."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import InputContainer

# From version 19 on this is how PyAV reads tags, and the argument is gone.
_BYTE_EXACT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "surrogateescape"}


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Ratio(Protocol):
    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


def open_input(
    source: str | _Stream,
    *,
    format: str | None = None,
    options: dict[str, str] | None = None,
    io_open: Callable[..., Any] | None = None,
) -> InputContainer:
    """Opens a file for reading. The tags of the file and of its streams are :func:`legible`, those of chapters not yet.

    Args:
        source: A name as ffmpeg takes it, ``file:`` in front of a path; or a binary stream.
        format: ffmpeg's name of the container; None detects it.
        options: Those of the container.
        io_open: Called for every further file that this one refers to.

    Raises:
        av.FFmpegError, OSError, ValueError: It cannot be opened.
    """
    container: InputContainer = av.open(source, "r", format=format, options=options, io_open=io_open, **_BYTE_EXACT)
    for tags in (container.metadata, *(stream.metadata for stream in container.streams)):
        clean = {legible(key): legible(value) for key, value in tags.items()}
        tags.clear()
        tags.update(clean)
    return container


def legible(text: str) -> str:
    """Returns text of a file with U+FFFD for whatever is no UTF-8, which PyAV hands on as lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def ratio(value: _Ratio | None) -> Fraction | None:
    """Returns a ratio that PyAV gives; None where it is not set: None, 0 or without a denominator there."""
    return Fraction(value.numerator, value.denominator) if value else None
