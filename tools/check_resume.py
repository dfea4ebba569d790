"""Kills an encode at random moments and lets the same command go on: a table of what that cost.

``python tools/check_resume.py [VIDEO] [--kills 20]``: every fourth kill aims at the final write. After a kill there
must be no output, or a whole one; after the resume the file must be that of a run which nobody disturbed, byte for
byte, with nothing beside it. State is saved twice a second here, every 20 s in earnest.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_CHILD = """
import sys
from nerv_codec.config import EncoderConfig, SirenConfig, TrainingConfig
from nerv_codec.encoder import encode
from nerv_codec.progress import make_sink
from nerv_codec.training import checkpoint
checkpoint.INTERVAL_SECONDS = 0.5
config = EncoderConfig(gop=8, siren=SirenConfig(width=32), training=TrainingConfig(steps=300, batch=2000))
print('{"type": "ready"}', flush=True)
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
        print(f"undisturbed: {undisturbed:.1f} s, {whole.stat().st_size} bytes\n")
        print("| kill | at | what was there | resumed in | lost | same bytes, nothing left |\n|" + "---|" * 6)
        for number in range(options.kills):
            target = folder / str(number) / "a.nvc"
            target.parent.mkdir()
            at_the_end = number % 4 == 3
            moment = rng.uniform(0, 0.15) if at_the_end else rng.uniform(0.05, 0.97) * undisturbed
            spent = run(options.video, target, kill_after=moment, from_the_end=at_the_end)
            found = sorted(path.name.split("-")[0] for path in target.parent.iterdir())
            half = target.exists() and target.read_bytes() != whole.read_bytes()
            resumed = run(options.video, target)
            same = target.read_bytes() == whole.read_bytes() and [p.name for p in target.parent.iterdir()] == ["a.nvc"]
            failed += half or not same
            lost = max(0.0, spent + resumed - undisturbed)
            when = f"{spent:.2f} s" + (" (final write)" if at_the_end else "")
            verdict = "no" if half or not same else "yes"
            print(
                f"| {number + 1} | {when} | {', '.join(found)} | {resumed:.2f} s | {lost:.2f} s | {verdict} |",
                flush=True,
            )
    print(f"\n{failed} of {options.kills} failed")
    sys.exit(failed > 0)


def run(video: Path, target: Path, kill_after: float | None = None, from_the_end: bool = False) -> float:
    """Encodes, or kills that after so many seconds. Returns the seconds it worked, imports not counted."""
    command = [sys.executable, "-c", _CHILD, str(video), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        job.stdout.readline()
        began = time.monotonic()
        if from_the_end:
            for line in job.stdout:
                event = json.loads(line)
                if event["type"] == "gop-done" and event["fraction"] == 1:
                    break
        if kill_after is not None:
            time.sleep(kill_after)
            job.kill()
        job.communicate()
    if kill_after is None and job.returncode:
        raise RuntimeError(f"the encode ended with exit code {job.returncode}")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
