"""What fits cost, for ``tools/scale_model.py``: processor time, bytes and memory of a video's first GOPs.

``python tools/benchmark/fit_cost.py VIDEO --preset instant --crf 28 --gops 2 [--gop 16]`` fits them one after another
in this process and prints a line of JSON for each. The first loads kernels, or compiles them, so the second is the
rate; the peak of memory is that of the process so far, as a worker has it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import islice

import torch

from nerv_codec.base.interruption import StopRequest
from nerv_codec.cli.settings import add_settings, chosen_settings
from nerv_codec.encoding.gop_job import GopJob
from nerv_codec.encoding.source import read_gops
from nerv_codec.media.reader import open_video
from nerv_codec.representations.fitting.status import FitStatus
from nerv_codec.representations.fitting.task import GopTask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--crf", type=float)
    parser.add_argument("--gops", type=int, default=2)
    add_settings(parser)
    options = parser.parse_args()
    config = chosen_settings(options, options.crf)
    with open_video(options.video) as reader:
        gops = list(islice(read_gops(reader, config.gop)[0], options.gops))
        info = reader.info
    for index, gop in enumerate(gops):
        task = GopTask(gop.frames, info, index, config.seed, torch.device("cpu"))
        before, began = peak_mib(), time.process_time()
        _, payload = GopJob(task, gop.continues, config, None).run(_ignore, StopRequest())
        seconds = time.process_time() - began
        pixels = len(gop.frames) * info.width * info.height
        print(
            json.dumps(
                {
                    "size": f"{info.width}x{info.height}",
                    "frames": len(gop.frames),
                    "megapixels": round(pixels / 1e6, 3),
                    "core_seconds": round(seconds, 2),
                    "core_seconds_a_megapixel": round(seconds / pixels * 1e6, 1),
                    "bytes_a_megapixel": round(len(payload) / pixels * 1e6),
                    "mib_before": round(before),
                    "mib_peak": round(peak_mib()),
                }
            ),
            flush=True,
        )


def peak_mib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ignore(_: FitStatus) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    main()
