"""How far estimates are off: ``python tools/benchmark/check_estimate.py CLIP ... [--samples 3] [--preset fast]``.

Estimates each clip at a crf, encodes it with the same settings, and prints both: size, PSNR and seconds. The machine
should have nothing else to do meanwhile, or seconds mean little.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from nerv_codec import encode, estimate
from nerv_codec.cli.settings import add_settings, chosen_settings
from nerv_codec.encoding.config import at_crf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--crf", type=float, default=28.0)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--samples", type=int, default=3)
    add_settings(parser)
    options = parser.parse_args()
    config = chosen_settings(options)
    print("| clip | GOPs fitted | bytes expected | +- | came to | off by | dB expected | came to | seconds | came to |")
    print("|" + "---|" * 10)
    for clip in options.clips:
        found = estimate(clip, config=config, crfs=(options.crf,), samples=options.samples, frames=options.frames)
        with tempfile.TemporaryDirectory() as folder:
            made = encode(clip, Path(folder) / "a.nvc", config=at_crf(config, options.crf), frames=options.frames)
        (one,) = found.encodes
        off = 100 * (one.file_bytes / made.file_bytes - 1)
        print(
            f"| {clip.name} | {len(found.sampled_gops)} of {found.num_gops} | {one.file_bytes} | "
            f"{one.file_bytes_error} | {made.file_bytes} | {off:+.1f} % | {one.psnr_y_db:.2f} | {made.psnr_y_db:.2f} | "
            f"{one.encode_seconds:.0f} | {made.seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
