"""Several files in one call: names of their outputs, a line for each, a table in the end, one exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nerv_codec.base.batch import BatchProgress, Outcome
from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import Progress, ProgressSink
from nerv_codec.cli.output import STDOUT, describe, exit_code, write_json

Row = Callable[[Any], dict[str, str]]
"""What the table shows of a report, by the heads of its columns."""
Work = Callable[[list[tuple[Path, Path]], Callable[[int, Outcome], None], BatchProgress], list[Outcome]]
"""Does the work on sources and targets, and tells about each file that has ended."""


def add_out_dir(group: Any, what: str) -> None:
    """Adds ``--out-dir``."""
    group.add_argument("--out-dir", type=Path, metavar="DIR", help=what)


def two_names(options: argparse.Namespace, expected: str, *, least: int = 2) -> tuple[str, str | None]:
    """The two operands of a verb that has no ``--out-dir``; the second may be missing where ``least`` is 1.

    Raises:
        UsageError: They are fewer or more.
    """
    names = options.names
    if least <= len(names) <= 2:
        return names[0], names[1] if len(names) == 2 else None
    hint = "; --json=FILE writes into a file" if options.json == STDOUT else ""
    raise UsageError(f"expected {expected}, or --out-dir DIR, found {' '.join(names)}{hint}")


def paired(options: argparse.Namespace, name: Callable[[Path], str], *, make: bool = True) -> list[tuple[Path, Path]]:
    """Each source with its target in the folder of ``--out-dir``.

    Args:
        options: With ``names`` and ``out_dir``.
        name: The name of a source's target.
        make: Whether the folder is made if it is not there.

    Raises:
        UsageError: Two would have the same target, a source is stdin, or the folder is missing or cannot be made.
    """
    folder: Path = options.out_dir
    if STDOUT in options.names:
        raise UsageError("expected files for --out-dir, found -")
    pairs = [(Path(word), folder / name(Path(word))) for word in options.names]
    taken: dict[Path, Path] = {}
    for source, target in pairs:
        if (other := taken.setdefault(target, source)) is not source:
            raise UsageError(f"expected names that differ, found {other} and {source}: both become {target}")
    if not make and not folder.exists():
        raise UsageError(f"{folder}: expected a folder, found nothing there")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder, found: {error.strerror}") from error
    return pairs


def run_several(
    options: argparse.Namespace,
    pairs: Sequence[tuple[Path, Path]],
    sink: ProgressSink,
    work: Work,
    row: Row,
    code: Callable[[Any], int] = lambda _: 0,
) -> int:
    """Works on those whose targets are not there yet, or on all with ``-y``; tells what became of each.

    Args:
        options: Of the command line.
        pairs: Sources and targets.
        sink: Told about the whole.
        work: Makes targets.
        row: What the table shows of a report.
        code: The exit code that a report stands for.

    Returns:
        0, or the exit code of the first that failed, else of the first that has one.
    """
    outcomes = {}
    todo = []
    for pair in pairs:
        if pair[1].exists() and not options.overwrite:
            outcomes[pair] = Outcome(*pair)
        else:
            todo.append(pair)
    sizes = [source.stat().st_size if source.is_file() else 1 for source, _ in todo]
    progress = BatchProgress(sizes, sink)

    def ended(number: int, outcome: Outcome) -> None:
        progress.ended(number, outcome, _line(outcome, row))

    outcomes |= {(found.source, found.target): found for found in work(todo, ended, progress)} if todo else {}
    sink(Progress("done", 1.0, "done"))
    found = [outcomes[pair] for pair in pairs]
    if not options.quiet:
        print(_table(found, row), file=sys.stderr)
    write_json(options, {"schema_version": 1, "files": [_facts(outcome) for outcome in found]})
    failed = [exit_code(outcome.error) for outcome in found if outcome.error]
    return next(filter(None, [*failed, *(code(one.report) for one in found if one.report is not None)]), 0)


def _line(outcome: Outcome, row: Row) -> str:
    if outcome.error:
        return f"nerv-codec: error: {outcome.source}: {_said(outcome)}"
    return f"{outcome.target}: {', '.join(f'{name} {value}' for name, value in row(outcome.report).items())}"


def _said(outcome: Outcome) -> str:
    """The error of a file that failed, in a line that does not begin with its name again."""
    assert outcome.error is not None
    return " ".join(describe(outcome.error).split()).removeprefix(f"{outcome.source}: ")


def _facts(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": str(outcome.source), "target": str(outcome.target), "state": outcome.state}
    if outcome.error:
        facts |= {"error": _said(outcome), "exit_code": exit_code(outcome.error)}
    elif outcome.report is not None:
        facts["report"] = outcome.report.to_dict()
    return facts


def _table(outcomes: Sequence[Outcome], row: Row) -> str:
    """A line a file, columns aligned; and how many there were of each kind."""
    shown = [{} if outcome.report is None else row(outcome.report) for outcome in outcomes]
    heads = list(dict.fromkeys(name for cells in shown for name in cells))
    lines = [["file", *heads, ""]]
    lines += [
        [str(outcome.target), *(cells.get(head, "") for head in heads), outcome.state]
        for outcome, cells in zip(outcomes, shown, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "skipped", "failed") if state in states)
    return "\n".join(
        [*("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines), f"{len(outcomes)} files: {counts}"]
    )
