"""What the verbs share: whether an existing output may be replaced, and how failure is told."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nerv_codec.base.compiling import compiling_told
from nerv_codec.base.errors import NervCodecError
from nerv_codec.base.progress import Progress, ProgressSink

_INTERRUPTED = 130


def add_overwrite(group: Any) -> None:
    """Adds ``-y`` and ``-n``."""
    choice = group.add_mutually_exclusive_group()
    choice.add_argument("-y", "--overwrite", action="store_true", help="replace an existing output")
    choice.add_argument("-n", "--no-overwrite", action="store_true", help="leave an existing output, exit 0")


def add_progress(group: Any) -> None:
    """Adds ``--progress``."""
    group.add_argument(
        "--progress",
        choices=("auto", "bar", "plain", "json", "none"),
        default="auto",
        help="how to tell how far it is: a bar, lines, NDJSON on stdout (auto: a bar on a terminal, else lines)",
    )


def skip_existing(options: argparse.Namespace, target: Path) -> bool:
    """Whether ``-n`` asks to leave ``target`` alone; says so."""
    if not (options.no_overwrite and target.exists()):
        return False
    if not options.quiet:
        print(f"nerv-codec: {target} exists already, skipped", file=sys.stderr)
    return True


def exit_code(error: BaseException) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return error.exit_code if isinstance(error, NervCodecError) else 1


@contextlib.contextmanager
def told(sink: ProgressSink) -> Iterator[ProgressSink]:
    """Tells ``sink`` about kernels that have to be compiled, and about an error on its way out.

    By an error a bar is cleared, and a JSON stream ends with it.

    Yields:
        The sink to tell about the work in the block.
    """
    try:
        with compiling_told(sink) as passed_on:
            yield passed_on
    except BaseException as error:
        message = " ".join(str(error).split()) or type(error).__name__
        sink(Progress("error", detail={"message": message, "exit_code": exit_code(error)}))
        raise
