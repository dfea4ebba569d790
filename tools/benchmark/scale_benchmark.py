"""Times encodes on a Ray cluster of this machine, for ``tools/scale_model.py --check``.

``python tools/benchmark/scale_benchmark.py VIDEO times.json --gops 2 4 8 --workers 1 2 [--preset fast]`` writes, for
each number of GOPs and workers, the wall time and what the model needs to say it beforehand: the time of each job, and
what comes before the first and after the last. ``--processes`` times ``-j N`` beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nerv_codec.cli.settings import add_settings, chosen_settings
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.engines.engine import Engine, Message, open_engine
from nerv_codec.encoding.gop_job import GopJob, JobKey


class Timed:
    """An engine, with a look at the clock at each job's start and end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.began: dict[JobKey, float] = {}
        self.ended: dict[JobKey, float] = {}

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def device(self) -> torch.device:
        return self._engine.device

    @property
    def has_room(self) -> bool:
        return self._engine.has_room

    @property
    def places(self) -> Mapping[str, int]:
        return self._engine.places

    def start(self, job: GopJob) -> None:
        self.began[job.key] = time.monotonic()
        self._engine.start(job)

    def events(self, timeout_seconds: float) -> Iterator[tuple[JobKey, Message]]:
        for key, message in self._engine.events(timeout_seconds):
            if isinstance(message, tuple):
                self.ended[key] = time.monotonic()
            yield key, message

    def stop(self, key: JobKey) -> None:
        self._engine.stop(key)

    def drop(self, key: JobKey) -> None:
        self._engine.drop(key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("target", type=Path)
    parser.add_argument("--gops", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--processes", action="store_true")
    add_settings(parser)
    options = parser.parse_args()
    runs = []
    for gops in options.gops:
        for workers in options.workers:
            for name in ("ray", "processes") if options.processes and workers > 1 else ("ray",):
                runs.append(timed(options, name, gops, workers))
                print(json.dumps(runs[-1]), flush=True)
                options.target.write_text(json.dumps(runs, indent=1) + "\n")


def timed(options: argparse.Namespace, name: str, gops: int, workers: int) -> dict[str, Any]:
    """Encodes the first GOPs of the video on a fresh engine."""
    config = chosen_settings(options)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, open_engine(name, device="cpu", jobs=workers) as (opened, _):
        assert opened is not None
        engine, opened_at = Timed(opened), time.monotonic()
        report = encode(
            options.video,
            Path(folder) / "a.nvc",
            config=config,
            frames=gops * config.gop,  # of a video without cuts
            engine=engine,
            audio=False,
            resume=False,
        )
        done = time.monotonic()
    return {
        "engine": name,
        "slots": workers,
        "gops": report.num_gops,
        "wall_seconds": done - opened_at,
        "cluster_seconds": opened_at - began,
        "opening_seconds": min(engine.began.values()) - opened_at,
        "job_seconds": [engine.ended[key] - engine.began[key] for key in sorted(engine.ended)],
        "closing_seconds": done - max(engine.ended.values()),
        "driver_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
