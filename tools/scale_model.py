"""What encoding takes on many machines: hours, machines, and where the bottleneck is.

``python tools/scale_model.py --hours 10000 --size 1920x1080 --preset medium --cores 64 --nodes 100`` says how long that
takes, for a row of numbers of nodes; ``--check times.json`` holds the model against a simulation of the scheduler, and
both against encodes that were timed (``tools/benchmark/scale_benchmark.py`` makes the file); ``--simulate`` holds the
model against the simulation for the same videos. The model and where its rates come from: docs/scale.md.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nerv_codec.encoding.config import PRESETS, EncoderConfig, load_preset


@dataclass(frozen=True)
class Rates:
    """What GOPs of a preset take; see docs/scale.md for where that was measured."""

    core_seconds: float
    """Of one core, to fit a megapixel: of all frames, luma."""
    variation: float = 0.35
    """Standard deviation of a GOP's fit time over its mean: fits of like GOPs differ by 0.16, scenes cut GOPs short."""


STEP_SECONDS = 0.76
"""Of one core, for a step of a fit and a megapixel."""
FIRST_SECONDS = 9.0
"""Of one core, for a megapixel before the first step."""
PAYLOAD_BYTES = 10500.0
"""Of file, a megapixel, at crf 28."""
GOP_FRAMES = EncoderConfig().gop
BYTES_PER_SAMPLE = 1.5
"""Of a frame in 4:2:0 with 8 bits, a pixel."""
READ_MEGAPIXELS = 120.0
"""A second, that one driver reads, cuts into GOPs and puts into the object store."""
MEMORY = 0.6, 2.0, 0.017
"""GiB that a fit holds at its peak: whatever the picture, for a megapixel of it, and for one of all frames."""
START_SECONDS = 20.0
"""Until the first fit runs: nodes import torch and load compiled kernels."""
LINK_BYTES = 1.25e9
"""A second, that the driver's network card sends: 10 Gbit/s."""


@dataclass(frozen=True)
class Videos:
    """What is to be encoded."""

    count: int
    gops: int
    """Of each."""
    megapixels: float
    """Of a GOP."""


@dataclass(frozen=True)
class Forecast:
    """Seconds, and what they are made of."""

    fits: float
    """All fits, spread over all slots."""
    reading: float
    """All reading, by all drivers."""
    sending: float
    """All frames, through the drivers' network."""
    tail: float
    """From when the first slot stays empty to the end."""
    start: float
    """Until the first fit runs."""

    @property
    def wall(self) -> float:
        """Seconds in all. What is slower, fits or what feeds them, decides; the rest happens beside it."""
        return self.start + max(self.fits, self.reading, self.sending) + self.tail

    @property
    def bottleneck(self) -> str:
        """What an additional node would not make faster, or ``fits``."""
        parts = {"fits": self.fits, "reading": self.reading, "network": self.sending, "tail": self.tail}
        return max(parts, key=lambda name: parts[name])


def forecast(
    videos: Videos,
    rates: Rates,
    slots: int,
    drivers: int = 1,
    *,
    start_seconds: float = START_SECONDS,
) -> Forecast:
    """How long an encode takes.

    The tail is what is left of the fits that run when there is none to start any more. Of a fit at a random moment
    E[t^2] / 2 E[t] is left on average (renewal theory); the longest of n such takes about
    that times the harmonic number of n at the most, and no longer than a long fit.

    Args:
        videos: What is encoded.
        rates: Of the preset.
        slots: Fits at a time.
        drivers: Encodes that run side by side, each with its share of the videos and of the slots.
        start_seconds: Until the first fit runs.
    """
    jobs = videos.count * videos.gops
    mean = videos.megapixels * rates.core_seconds
    fits = jobs * mean / slots
    megapixels = jobs * videos.megapixels
    busy = min(slots, jobs)
    left = mean * (1 + rates.variation**2) / 2
    longest = mean * (1 + 2 * rates.variation)
    tail = min(longest, left * (1 + math.log(busy))) * (busy - 1) / busy
    return Forecast(
        fits=max(fits, mean),
        reading=megapixels / READ_MEGAPIXELS / drivers,
        sending=megapixels * 1e6 * BYTES_PER_SAMPLE / LINK_BYTES / drivers,
        tail=tail if fits > mean else 0.0,
        start=start_seconds,
    )


def simulate(fits: Sequence[Sequence[float]], slots: int, *, read_seconds: float = 0.0, most_open: int = 16) -> float:
    """The scheduler, event by event: seconds from when nodes are there until the last GOP is done.

    A slot takes the next GOP of a video that is open; where none of these has one to start, the next video is opened.

    Args:
        fits: Seconds of each GOP's fit, for each video.
        slots: Fits at a time.
        read_seconds: To read a GOP; the driver reads one at a time.
        most_open: How many videos are open at a time.
    """
    now = reader_free = 0.0
    running: list[tuple[float, int]] = []
    started, done = [0] * len(fits), [0] * len(fits)
    begun = 0

    while sum(done) < sum(map(len, fits)):
        while len(running) < slots:
            candidates = [video for video in range(begun) if started[video] < len(fits[video])]
            is_open = [video for video in range(begun) if done[video] < len(fits[video])]
            if not candidates and begun < len(fits) and len(is_open) < most_open:
                candidates = [begun]
                begun += 1
            if not candidates:
                break
            video = candidates[0]
            reader_free = max(now, reader_free) + read_seconds
            heapq.heappush(running, (reader_free + fits[video][started[video]], video))
            started[video] += 1
        now, video = heapq.heappop(running)
        done[video] += 1
    return now


def drawn(videos: Videos, rates: Rates, rng: random.Random) -> list[list[float]]:
    """Fit times of GOPs: lognormal, which is what measured ones look like."""
    sigma = math.sqrt(math.log(1 + rates.variation**2))
    mean = math.log(videos.megapixels * rates.core_seconds) - sigma**2 / 2
    return [[rng.lognormvariate(mean, sigma) for _ in range(videos.gops)] for _ in range(videos.count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10000.0, help="of video")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--minutes", type=float, default=60.0, help="a video's length")
    parser.add_argument("--preset", choices=PRESETS, default="medium")
    parser.add_argument("--cores", type=int, default=64, help="of a node")
    parser.add_argument("--memory", type=float, default=256.0, help="GiB of a node")
    parser.add_argument("--fit-cpus", type=int, help="of a fit (as many as memory leaves cores for)")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100, 1000, 10000])
    parser.add_argument("--drivers", type=int, default=1)
    parser.add_argument("--check", type=Path, metavar="F.json", help="hold the model against timed encodes instead")
    parser.add_argument("--simulate", action="store_true", help="simulate too: for thousands of GOPs at the most")
    options = parser.parse_args()
    print(checked(json.loads(options.check.read_text())) if options.check else table(options))


def table(options: argparse.Namespace) -> str:
    """Hours and bottleneck by number of nodes, as text."""
    width, height = map(int, options.size.split("x"))
    gop = width * height * GOP_FRAMES / 1e6
    gops = math.ceil(options.minutes * 60 * options.fps / GOP_FRAMES)
    videos = Videos(math.ceil(options.hours * 60 / options.minutes), gops, gop)
    rates = Rates(FIRST_SECONDS + STEP_SECONDS * load_preset(options.preset).warped.steps)
    total = videos.count * gops * gop
    core_hours = total * rates.core_seconds / 3600
    floor, each, all_frames = MEMORY
    memory = floor + (each / GOP_FRAMES + all_frames) * gop
    fitting = min(options.cores, max(1, int(options.memory / memory)))
    cpus = options.fit_cpus or options.cores // fitting
    fits = min(fitting, options.cores // cpus)
    rates = replace(rates, core_seconds=rates.core_seconds / cpus)
    lines = [
        f"{options.hours:g} hours of {options.size}, {options.fps:g} fps, preset {options.preset}: "
        f"{total:.3g} megapixels, {core_hours:.3g} core-hours, "
        f"{total * PAYLOAD_BYTES / 1e12:.3g} TB of files",
        f"a GOP: {gop:.1f} megapixels, {core_hours / videos.count / gops:.1f} core-hours, {memory:.1f} GiB a fit, "
        f"{gop * 1e6 * BYTES_PER_SAMPLE / 2**20:.0f} MiB through the object store",
        f"a node: {fits} fits at a time, {cpus} of {options.cores} cores each, {options.memory:g} GiB",
        "",
        "| nodes | fits at a time | days | reading | network | tail | bottleneck |"
        + (" simulated |" if options.simulate else ""),
        "|---" * (8 if options.simulate else 7) + "|",
    ]
    fit_times = drawn(videos, rates, random.Random(0)) if options.simulate else []
    for nodes in options.nodes:
        found = forecast(videos, rates, max(1, nodes * fits), options.drivers)
        days = [seconds / 86400 for seconds in (found.wall, found.reading, found.sending, found.tail)]
        cells = " | ".join(f"{value:.3g}" for value in days)
        lines.append(f"| {nodes} | {nodes * fits} | {cells} | {found.bottleneck} |")
        if options.simulate:
            seconds = START_SECONDS + simulate(fit_times, nodes * fits, read_seconds=gop / READ_MEGAPIXELS)
            lines[-1] += f" {seconds / 86400:.3g} |"
    return "\n".join(lines)


def checked(runs: Sequence[dict[str, Any]]) -> str:
    """Measured wall beside the simulation and the model, and beside what a short run on one worker lets expect.

    Simulation and model have the times of the run's own jobs; a worker's start is part of its first one. What is
    expected has those of the longest run of at most four GOPs on one worker, of which the last one stands for all more.
    """
    lines = ["| GOPs | workers | engine | real wall, s | simulated, s | model, s | expected, s |", "|---" * 7 + "|"]
    short = max((run for run in runs if run["slots"] == 1 and run["gops"] <= 4), key=lambda run: run["gops"])
    for run in runs:
        jobs, slots = run["job_seconds"], run["slots"]
        beside = run["opening_seconds"] + run["closing_seconds"]
        mean = statistics.fmean(jobs)
        rates = Rates(mean, statistics.pstdev(jobs) / mean)
        model = forecast(Videos(1, len(jobs), 1.0), rates, slots, start_seconds=beside).wall
        known = short["job_seconds"]
        known = [*known[: len(jobs)], *[known[-1]] * (len(jobs) - len(known))]
        expected = simulate([known], slots) + short["opening_seconds"] + short["closing_seconds"]
        seconds = run["wall_seconds"], simulate([jobs], slots) + beside, model, expected
        cells = " | ".join(f"{value:.1f}" for value in seconds)
        lines.append(f"| {len(jobs)} | {slots} | {run['engine']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
