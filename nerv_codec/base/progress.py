"""Progress events and where they go: a tqdm bar, plain lines, NDJSON, or nowhere.

The encoder and the decoder only call a sink with :class:`Progress` values; they never print.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

PLAIN_INTERVAL_SECONDS = 10.0
JSON_INTERVAL_SECONDS = 0.5
_BAR_FORMAT = "{{desc}} {{percentage:3.0f}}% |{{bar:20}}| {figures} | {clock}"


@dataclass(frozen=True)
class Progress:
    """One moment of a job."""

    type: str
    """``start``, ``progress``, ``compile`` (of the first kernel on a machine), ``gop-done``, ``done`` or ``error``;
    ``note`` and ``file-done`` are lines that stay, for a fit that is tried again and for one of several files."""
    fraction: float = 0.0
    """Share of the whole job that is done, 0..1."""
    stage: str = ""
    """What is happening, as ``gop 2/7 fit 3200/8000``."""
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Figures so far: psnr_db, rate_bpp, bitrate_bps, bytes, estimated_bytes, places (fits by machine), message ...;
    kernels, where what takes time now is that so many are compiled, which says nothing about the rest of the job."""


ProgressSink = Callable[[Progress], None]
_LINES = ("note", "file-done")
_NAMED_PLACES = 3


def ignore_progress(_: Progress) -> None:
    """The sink that says nothing."""


def part_of(sink: ProgressSink, start: float, share: float, name: str = "") -> ProgressSink:
    """A sink for one part of a job, which tells ``sink`` about it as progress of the whole job.

    When the part itself starts and ends is not passed on.

    Args:
        sink: Told about the whole job.
        start: Share of the whole job that is done before the part, 0..1.
        share: Share of the whole job that the part makes up, 0..1.
        name: Put before every stage of the part.
    """

    def tell(event: Progress) -> None:
        if event.type == "note":
            sink(dataclasses.replace(event, fraction=start + share * event.fraction))
        if event.type in ("progress", "gop-done"):
            stage = f"{name} {event.stage}".strip()
            sink(dataclasses.replace(event, type="progress", fraction=start + share * event.fraction, stage=stage))

    return tell


class _Clock:
    """How long a job has taken, and how long it will if it goes on as it did since the last kernel was compiled."""

    def __init__(self) -> None:
        self._start = self._since = time.monotonic()
        self._done = 0.0

    def __call__(self, event: Progress) -> str:
        """For people, as ``0:01:12 eta 0:02:40``."""
        now, gained = time.monotonic(), event.fraction - self._done
        eta = "?"
        if "kernels" in event.detail:
            self._since, self._done = now, event.fraction
        elif gained > 0:
            eta = _clock((now - self._since) * (1 - event.fraction) / gained)
        return f"{_clock(now - self._start)} eta {eta}"


class BarSink:
    """A tqdm bar on a terminal, 2 Hz, with the whole job's ETA."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from tqdm import tqdm  # which ``--help`` need not wait for

        self._bar = tqdm(
            total=1.0,
            file=stream or sys.stderr,
            bar_format=_BAR_FORMAT.format(figures="", clock=""),
            mininterval=0.5,
            leave=False,
            dynamic_ncols=True,
        )
        self._clock = _Clock()

    def __call__(self, event: Progress) -> None:
        if event.type in ("done", "error"):
            self._bar.close()
            return
        if event.type in _LINES:
            self._bar.write(_line(event), file=self._bar.fp)
            return
        self._bar.set_description_str(event.stage, refresh=False)
        # Not as tqdm's postfix, which it sets off by a comma.
        self._bar.bar_format = _BAR_FORMAT.format(figures=figures(event.detail), clock=self._clock(event))
        self._bar.update(max(0.0, event.fraction - self._bar.n))


class PlainSink:
    """One line every ten seconds and at the end of every GOP, without carriage returns: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._clock, self._last = _Clock(), time.monotonic()

    def __call__(self, event: Progress) -> None:
        now, clock = time.monotonic(), self._clock(event)
        due = now - self._last >= PLAIN_INTERVAL_SECONDS
        if event.type in ("done", "error", "start") or (event.type == "progress" and not due):
            return
        if event.type in _LINES:
            print(_line(event), file=self._stream, flush=True)
            return
        self._last = now
        print(
            f"{event.stage} {event.fraction:4.0%} | {figures(event.detail)} | {clock}",
            file=self._stream,
            flush=True,
        )


class JsonSink:
    """One JSON object a line; the last one is ``done`` or ``error``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._start = time.monotonic()
        self._last = 0.0

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        if event.type == "progress" and now - self._last < JSON_INTERVAL_SECONDS:
            return
        self._last = now
        record = {
            "type": event.type,
            "fraction": round(event.fraction, 5),
            "stage": event.stage,
            **event.detail,
        }
        record["elapsed_seconds"] = round(now - self._start, 3)
        print(json.dumps(record), file=self._stream, flush=True)


def make_sink(kind: str, stream: TextIO | None = None) -> ProgressSink:
    """A sink by name: ``auto`` (a bar on a terminal, else plain lines), ``bar``, ``plain``, ``json``, ``none``."""
    if kind == "auto":
        kind = "bar" if (stream or sys.stderr).isatty() else "plain"
    sinks: dict[str, Callable[[], ProgressSink]] = {
        "bar": lambda: BarSink(stream),
        "plain": lambda: PlainSink(stream),
        "json": lambda: JsonSink(stream),
        "none": lambda: ignore_progress,
    }
    return sinks[kind]()


def figures(detail: dict[str, Any]) -> str:
    """PSNR, rate and size in one line for people, as far as they are known: ``34.82 dB 0.0410 bpp ...``."""
    parts = []
    if "psnr_db" in detail:
        parts.append(f"{detail['psnr_db']:.2f} dB")
    if "rate_bpp" in detail:
        parts.append(f"{detail['rate_bpp']:.4f} bpp")
    if "bitrate_bps" in detail:
        parts.append(f"{detail['bitrate_bps'] / 1000:.0f} kb/s")
    if "bytes" in detail:
        parts.append(format_bytes(detail["bytes"]))
    if "estimated_bytes" in detail:
        parts.append(f"est {format_bytes(detail['estimated_bytes'])}")
    if "fps" in detail:
        parts.append(f"{detail['fps']:.1f} fps")
    if places := detail.get("places"):
        many = f"{sum(places.values())} on {len(places)} nodes"
        each = ", ".join(f"{fits} on {place}" for place, fits in places.items())
        parts.append(each if len(places) <= _NAMED_PLACES else many)
    return " ".join(parts)


def _line(event: Progress) -> str:
    return f"nerv-codec: note: {event.stage}" if event.type == "note" else event.stage


def format_bytes(size: float) -> str:
    """A size for people: ``812 B``, ``3.4 KiB``, ``3.4 MiB``."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024 or unit == "GiB":
            break
    return f"{size:.2f} {unit}"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
