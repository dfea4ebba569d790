"""``nerv-codec bench``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import shtab

from nerv_codec.base.files import check_input
from nerv_codec.base.progress import format_bytes
from nerv_codec.cli.output import (
    STDOUT,
    add_json,
    add_overwrite,
    add_progress,
    check_json,
    chosen_sink,
    json_file,
    skip_existing,
    told,
    write_json,
)

_EPILOG = """examples:
  nerv-codec bench out.nvc                     frames per second, latency of a frame, peak memory
  nerv-codec bench out.nvc --json=bench.json   the same, to compare machines with"""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "bench",
        help="how fast a .nvc decodes: stages, latency of a frame, memory; bytes by part",
        description="Decodes a .nvc to nothing and tells where the time goes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument("input", metavar="IN", type=Path, help="the .nvc")
    source.complete = shtab.FILE  # type: ignore[attr-defined]
    add_json(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    add_overwrite(parser)
    add_progress(parser)
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    path, on_stdout = json_file(options), options.json == STDOUT
    if path is not None and skip_existing(options, path):
        return 0
    with told(chosen_sink(options, stdout_taken=on_stdout)) as progress:
        check_json(options, options.input)
        check_input(options.input)
        from nerv_codec.evaluation.decode_speed import benchmark_decode  # brings torch

        report = benchmark_decode(options.input, device=options.device, progress=progress)
    write_json(options, report)
    if not options.quiet:
        print(_text(report), file=sys.stderr if on_stdout else sys.stdout)
    return 0


def _text(report: dict[str, Any]) -> str:
    width, height = report["size"]
    frames, one = report["num_frames"], report["random_frame"]
    lines = [
        f"{report['file']}: {report['model']}, {width}x{height}, {frames} frames in {report['num_gops']} GOPs, "
        f"{report['macs_per_pixel']:.0f} MAC/pixel, {report['device']}, {report['threads']} threads"
    ]
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in report["gop_bytes_by_part"].items())
    lines.append(f"  bytes of GOPs      {parts}")
    for name, stage in report["stages"].items():
        lines.append(f"  {name:18} {1000 * stage['seconds'] / frames:9.2f} ms a frame {stage['fps']:10.1f} fps")
    lines += [
        f"  decode to null     {report['decode_to_null']['fps']:.1f} fps",
        f"  the first frame    {1000 * report['first_frame']['seconds']:.0f} ms, file opened anew",
        f"  one random frame   {1000 * one['seconds']:.0f} ms = {one['gop_decodes']:.2f} GOP decodes, file opened anew",
        f"  peak memory        {format_bytes(report['peak_memory_bytes'])}, "
        f"{format_bytes(report['peak_memory_above_start_bytes'])} above the start",
    ]
    return "\n".join(lines)
