"""The standard streams as a verb needs them: all three there, and none that stops at a letter."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def mend_streams() -> None:
    """Puts something in place of streams that the caller has closed, and lets those for text take any text.

    A closed descriptor is the next one that is given out: without this, what is said on stderr would go into the
    first file that is opened, or into the video on stdout. Reading from a closed stdin and writing to a closed stdout
    are errors, as they would be by themselves; what is said on a closed stderr is lost.

    A name can have letters that stdout's encoding lacks, and bytes that are no text at all: they are escaped.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        if not _is_open(number):
            null = os.open(os.devnull, mode)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_stdout() -> None:
    """Writes out what is left, so that an error is told now instead of in Python's last moments. Raises OSError."""
    try:
        sys.stdout.flush()
    except OSError:
        give_up_stdout()
        raise


def give_up_stdout() -> None:
    """What is still to be written goes nowhere; else Python would complain once more when it closes stdout."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
