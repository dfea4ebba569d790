"""Kills an encode at random moments and lets the same command go on: a table of what that cost.

``python tools/check_resume.py [VIDEO] [--kills 20]``: every fourth kill aims at the final write. After a kill there
must be no output, or a whole one; after the resume the file must be that of a run which nobody disturbed, byte for
byte, with nothing beside it. State is saved twice a second here, every 20 s in earnest.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_CHILD = """
import sys
import time
from nerv_codec.config import EncoderConfig, SirenConfig, TrainingConfig
from nerv_codec.encoder import encode
from nerv_codec.progress import make_sink
from nerv_codec.training import checkpoint
checkpoint.INTERVAL_SECONDS = 0.5
training = TrainingConfig(steps=100, batch=2000)
config = EncoderConfig(model="siren", gop=8, siren=SirenConfig(width=32), training=training)
print(time.process_time(), flush=True)
encode(sys.argv[1], sys.argv[2], config=config, frames=24, tool_section=False, device="cpu", overwrite=True,
       progress=make_sink("json"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sample = Path(__file__).parents[1] / "samples" / "sample.mp4"
    parser.add_argument("video", nargs="?", type=Path, default=sample)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
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
            moment = rng.uniform(0, 0.03) if at_the_end else rng.uniform(0.05, 0.9) * undisturbed.wall
            spent = run(options.video, target, kill_after=moment, from_the_end=at_the_end)
            found = sorted(path.name.split("-")[0] for path in target.parent.iterdir())
            half = target.exists() and target.read_bytes() != whole.read_bytes()
            resumed = run(options.video, target)
            same = target.read_bytes() == whole.read_bytes() and [p.name for p in target.parent.iterdir()] == ["a.nvc"]
            failed += half or not same
            lost = f"{max(0.0, spent.cpu + resumed.cpu - undisturbed.cpu):.2f} s"
            lost = "finished before the kill" if target.name in found else lost
            when = f"{spent.wall:.2f} s" + (" (final write)" if at_the_end else "")
            verdict = "no" if half or not same else "yes"
            row = (str(number + 1), when, ", ".join(found), f"{resumed.wall:.2f} s", lost, verdict)
            print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{failed} of {options.kills} failed")
    sys.exit(failed > 0)


@dataclass(frozen=True)
class Spent:
    """Seconds of one run, imports not counted."""

    wall: float
    cpu: float


def run(video: Path, target: Path, kill_after: float | None = None, from_the_end: bool = False) -> Spent:
    """Encodes, or kills that after so many seconds."""
    command = [sys.executable, "-c", _CHILD, str(video), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        imports = float(job.stdout.readline())
        began = time.monotonic()
        if from_the_end:
            for line in job.stdout:
                event = json.loads(line)
                if event["type"] == "gop-done" and event["fraction"] == 1:
                    break
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(job.pid, signal.SIGKILL)  # job.kill() would collect a run that has ended
        job.stdout.read()
        _, status, usage = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
    if kill_after is None and job.returncode:
        raise RuntimeError(f"the encode ended with exit code {job.returncode}")
    return Spent(time.monotonic() - began, usage.ru_utime + usage.ru_stime - imports)


if __name__ == "__main__":
    main()
