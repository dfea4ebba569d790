"""What the codec does, in a minute or two: ``python tools/demo.py FOLDER`` (or ``make demo``).

Encodes the sample clip, decodes it between its frames and pixels, shows what is in the file and how good it
is. Every command is shown as a user would type it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[1] / "samples/sample.mp4"


def nerv_codec(*words: str | Path) -> float:
    """Shows a command line and runs it; returns the seconds it took. Ends the demo where it fails."""
    line = [str(word) for word in words]
    print(f"\n$ nerv-codec {shlex.join(line)}", flush=True)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "nerv_codec", *line], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return time.monotonic() - began


def measured(report: dict[str, Any], name: str) -> float:
    """The mean over frames of a metric in an eval report."""
    return float(report["metrics"][name]["pooled"]["mean"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if it is not there")
    parser.add_argument("--preset", default="fast", help="effort of the fit (fast)")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    coded, played = folder / "sample.nvc", folder / "sample.60fps.x2.mp4"
    report, page = folder / "eval.json", folder / "eval.html"

    encoding = nerv_codec("encode", SAMPLE, coded, "--preset", options.preset, "-y")
    decoding = nerv_codec("decode", coded, played, "--fps", "60", "--scale", "2", "-y")
    nerv_codec("info", coded)
    nerv_codec("eval", SAMPLE, coded, "--metrics", "psnr,ssim", f"--json={report}", "--html", page, "-y")

    psnr = measured(json.loads(report.read_text()), "psnr_y_db")
    sizes = [path.stat().st_size for path in (SAMPLE, coded, played)]
    print(f"""
The sample, {SAMPLE}, has {sizes[0]} bytes, sound included.
As a function it has {sizes[1]} bytes: PSNR {psnr:.2f} dB (Y), after {encoding:.0f} s of encoding.
Evaluated at 60 frames a second and twice the size, {decoding:.0f} s:
    {played}   ({sizes[2]} bytes of H.264, to look at)
The report, with plots and the worst frames: {page}
Everything lies in {folder.resolve()}""")


if __name__ == "__main__":
    main()
