"""Kills an encode at random moments and lets the same command go on: a table of what that cost.

``python tools/check_resume.py [VIDEO] [--model warped] [--kills 20]``: every fourth kill aims at the final write.
After a kill there must be no output, or a whole one; after the resume the file must be that of a run which nobody
disturbed, byte for byte, with nothing beside it. State is saved twice a second here, every 20 s in earnest. Moments in
a fit are counted in seconds of processors, so that it does not matter what else the machine does; Linux tells them.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nerv_codec.encoding.config import EncoderConfig, SirenConfig, WarpedConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.representations.fitting import checkpoint

CONFIGS = {
    "siren": EncoderConfig(model="siren", gop=8, siren=SirenConfig(width=32, steps=100, batch=2000)),
    "warped": EncoderConfig(gop=8, warped=WarpedConfig(steps=20)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sample = Path(__file__).parents[1] / "samples" / "sample.mp4"
    parser.add_argument("video", nargs="?", type=Path, default=sample)
    parser.add_argument("--model", choices=CONFIGS, default="warped")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    run = partial(encode_apart, CONFIGS[options.model])
    rng = random.Random(options.seed)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = folder / "whole" / "a.nvc"
        whole.parent.mkdir()
        undisturbed = run(options.video, whole)
        print(f"undisturbed: {undisturbed.wall:.1f} s, {undisturbed.cpu:.1f} s of processors\n", flush=True)
        print(
            "| kill | at | what was there | resumed in | processor time lost | same bytes, nothing left |\n|"
            + "---|" * 6
        )
        for number in range(options.kills):
            target = folder / str(number) / "a.nvc"
            target.parent.mkdir()
            at_the_end = number % 4 == 3
            moment = rng.uniform(0, 0.03) if at_the_end else rng.uniform(0.05, 0.95) * undisturbed.cpu
            spent = run(options.video, target, kill_after=moment, from_the_end=at_the_end)
            found = sorted(path.name.split("-")[0] for path in target.parent.iterdir())
            half = target.exists() and target.read_bytes() != whole.read_bytes()
            resumed = run(options.video, target)
            same = target.read_bytes() == whole.read_bytes() and [p.name for p in target.parent.iterdir()] == ["a.nvc"]
            failed += half or not same
            lost = f"{max(0.0, spent.cpu + resumed.cpu - undisturbed.cpu):.2f} s"
            lost = "finished before the kill" if target.name in found else lost
            when = f"final write, {1000 * moment:.0f} ms" if at_the_end else f"{100 * moment / undisturbed.cpu:.0f} %"
            verdict = "no" if half or not same else "yes"
            row = (str(number + 1), when, ", ".join(found), f"{resumed.wall:.2f} s", lost, verdict)
            print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{failed} of {options.kills} failed")
    sys.exit(failed > 0)


@dataclass(frozen=True)
class Spent:
    """Seconds of one run."""

    wall: float
    cpu: float


def encode_apart(
    config: EncoderConfig, video: Path, target: Path, kill_after: float | None = None, from_the_end: bool = False
) -> Spent:
    """Encodes in a process of its own, or kills that.

    Args:
        kill_after: So many seconds of processors; or by the clock, ``from_the_end``.
        from_the_end: Count from when the last GOP is done.
    """
    events, told = os.pipe()
    began = time.monotonic()
    job = os.fork()  # nothing need be imported anew
    if job == 0:
        try:
            os.close(events)
            child(config, video, target, told)
        finally:
            os._exit(1)
    os.close(told)
    with open(events) as lines:
        if from_the_end:
            next((line for line in lines if line == "gop-done 1.0\n"), None)
            time.sleep(kill_after or 0)
        while kill_after is not None and not from_the_end and not spent(job, kill_after):
            time.sleep(0.005)
        if kill_after is not None:
            os.kill(job, signal.SIGKILL)
        lines.read()
        _, status, usage = os.wait4(job, 0)
    if kill_after is None and status:
        raise RuntimeError(f"the encode ended with status {status}")
    return Spent(time.monotonic() - began, usage.ru_utime + usage.ru_stime)


def child(config: EncoderConfig, video: Path, target: Path, told: int) -> None:
    """The encode that is killed; writes a line for each of its events."""
    checkpoint.INTERVAL_SECONDS = 0.5
    with open(told, "w", buffering=1) as lines:
        encode(
            video,
            target,
            config=config,
            frames=24,
            tool_section=False,
            device="cpu",
            overwrite=True,
            progress=lambda event: print(event.type, event.fraction, file=lines),
        )
    os._exit(0)


def spent(process: int, seconds: float) -> bool:
    """Whether a process has used so many seconds of processors, or has ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return fields[0] == "Z" or int(fields[11]) + int(fields[12]) >= seconds * os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
