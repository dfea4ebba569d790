"""Several files one job: what became of each, and progress of the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerv_codec.base.progress import Progress, ProgressSink

_PASSED_ON = ("progress", "gop-done", "compile")


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    source: Path
    target: Path
    report: Any = None
    """What the verb reports; None where there is no result, or the target was there already."""
    error: Exception | None = None
    """Why there is none."""

    @property
    def state(self) -> str:
        """``done``, ``skipped`` or ``failed``."""
        return "failed" if self.error else "skipped" if self.report is None else "done"


class BatchProgress:
    """Tells about the files of a batch as one job, with a line for each that has ended.

    Args:
        weights: How much of the whole each file is, in any unit.
        sink: Told about the whole.
    """

    def __init__(self, weights: Sequence[float], sink: ProgressSink) -> None:
        self._shares = [weight / (sum(weights) or 1.0) for weight in weights]
        self._fractions = [0.0] * len(weights)
        self._ended = 0
        self._sink = sink

    def tell(self, number: int, name: str, event: Progress) -> None:
        """Passes on what a file's job tells; that it starts and ends is no news of the whole."""
        if event.type not in (*_PASSED_ON, "note"):
            return
        self._fractions[number] = max(self._fractions[number], event.fraction)
        kind = "progress" if event.type == "gop-done" else event.type
        about = f"{name}: {event.stage}"
        stage = about if kind == "note" else f"{self._ended}/{len(self._shares)} files, {about}"
        self._sink(dataclasses.replace(event, type=kind, fraction=self._whole, stage=stage))

    def ended(self, number: int, outcome: Outcome, line: str) -> None:
        """Tells what became of a file."""
        self._fractions[number] = 1.0
        self._ended += 1
        detail = {"file": str(outcome.target), "state": outcome.state}
        self._sink(Progress("file-done", self._whole, line, detail))

    @property
    def _whole(self) -> float:
        return sum(share * done for share, done in zip(self._shares, self._fractions, strict=True))


def one_by_one(
    pairs: Sequence[tuple[Path, Path]],
    ended: Callable[[int, Outcome], None],
    progress: BatchProgress,
    *,
    work: Callable[[Path, Path, ProgressSink], Any],
) -> list[Outcome]:
    """Works on one file after another; an error ends its own file only.

    Args:
        pairs: Sources and targets.
        ended: Told about each file, with its number.
        progress: Told how far the whole is.
        work: Makes a target; returns a report.

    Raises:
        KeyboardInterrupt: As it came; files that were finished stay.
    """
    outcomes = []
    for number, (source, target) in enumerate(pairs):

        def tell(event: Progress, number: int = number, source: Path = source) -> None:
            progress.tell(number, source.name, event)

        try:
            outcomes.append(Outcome(source, target, work(source, target, tell)))
        except Exception as error:
            outcomes.append(Outcome(source, target, error=error))
        ended(number, outcomes[-1])
    return outcomes
