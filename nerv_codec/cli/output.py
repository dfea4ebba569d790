"""What the verbs share: reports as JSON, whether an existing output may be replaced, and how failure is told."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nerv_codec.base.compiling import compiling_told
from nerv_codec.base.errors import NervCodecError, UsageError
from nerv_codec.base.files import atomic_output, check_output
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress, make_sink

STDOUT = "-"
"""The name of stdout as an output."""
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
        help="how to tell how far it is: a bar, lines, NDJSON on stdout, or stderr if that is taken "
        "(auto: a bar on a terminal, else lines)",
    )


def add_json(group: Any) -> None:
    """Adds ``--json`` and ``--json=FILE``; :func:`bare_json` has to have seen the command line."""
    group.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="the report as JSON on stdout, where nothing else goes then; with --json=FILE in a file",
    )


def bare_json(arguments: Sequence[str]) -> list[str]:
    """A command line in which ``--json`` alone does not take the word behind it for its file."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [f"--json={STDOUT}" if word == "--json" else word for word in arguments[:end]] + list(arguments[end:])


def chosen_sink(options: argparse.Namespace, *, stdout_taken: bool) -> ProgressSink:
    """Who is told about progress: as ``--progress`` says, but on stderr where stdout carries something else."""
    if options.quiet:
        return ignore_progress
    return make_sink(options.progress, sys.stderr if stdout_taken else None)


def check_json(options: argparse.Namespace, *others: Path | None) -> None:
    """Refuses a file for ``--json`` that would destroy something, such as one of the verb's other files.

    Raises:
        OutputExistsError, UsageError: What is wrong with it.
    """
    path = json_file(options)
    if path is None or (options.no_overwrite and path.exists()):
        return
    for other in others:
        if other is not None and path.resolve() == other.resolve():
            raise UsageError(f"{path}: expected a file of its own for --json")
    check_output(path, source=None, overwrite=options.overwrite)


def json_file(options: argparse.Namespace) -> Path | None:
    """The file that ``--json`` names, if it names one."""
    return None if options.json in (None, STDOUT) else Path(options.json)


def write_json(options: argparse.Namespace, report: Any) -> None:
    """Writes a report to where ``--json`` asks for it, if it does. Raises OSError, OutputExistsError."""
    text, path = json.dumps(report, indent=2, allow_nan=False) + "\n", json_file(options)
    if options.json == STDOUT:
        sys.stdout.write(text)
    elif path is not None and not (options.no_overwrite and path.exists()):
        with atomic_output(path, overwrite=options.overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")


def skip_existing(options: argparse.Namespace, target: Path, exists: bool | None = None) -> bool:
    """Whether ``-n`` asks to leave ``target`` alone; says so. ``exists`` is known where the name is not a file's."""
    if not (options.no_overwrite and (target.exists() if exists is None else exists)):
        return False
    if not options.quiet:
        print(f"nerv-codec: {target} exists already, skipped", file=sys.stderr)
    return True


def exit_code(error: BaseException) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return error.exit_code if isinstance(error, NervCodecError) else 1


def describe(error: BaseException) -> str:
    """What an error says to people, for one line."""
    if isinstance(error, NervCodecError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted; nothing was written"
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ImportError):  # as libraries of torch under a limit on memory
        return f"cannot load what this needs: {error}"
    if isinstance(error, OSError):
        closed = "expected stdin and stdout to be open, found one of them closed"
        said = closed if error.errno == errno.EBADF else error.strerror or error
        return f"{error.filename}: {said}" if error.filename else str(said)
    return f"unexpected {type(error).__name__}: {error} (-v tells where)"


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
