"""``nerv-codec estimate``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import check_input
from nerv_codec.base.progress import format_bytes
from nerv_codec.cli.arguments import count, crfs
from nerv_codec.cli.encode import add_input
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
from nerv_codec.cli.settings import add_settings, chosen_settings, describe_settings

if TYPE_CHECKING:
    from nerv_codec.encoding.estimate import EstimateReport

_EPILOG = """examples:
  nerv-codec estimate video.mp4                               size, PSNR and hours at four qualities
  nerv-codec estimate video.mp4 --preset slow --crf 20,26 -j 4
  nerv-codec estimate video.mp4 --samples 8 --json | jq .encodes

How it samples: the video is cut into as many equal stretches as there are samples, and the GOP at the middle of each
is fitted at every crf, with all the settings of an encode. +- is one standard error of the size, as the samples
scatter. Hours are those of this machine as it is now. Nothing is written."""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "estimate",
        help="what an encode will come to: size, PSNR, hours",
        description="Fits a few GOPs of a video and says what size, PSNR and hours the whole will come to.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument("input", metavar="IN", type=Path, help="a video, or a folder of pictures")
    source.complete = shtab.FILE  # type: ignore[attr-defined]
    effort = parser.add_argument_group("effort and size")
    add_settings(effort)
    effort.add_argument("--crf", type=crfs, metavar="A,B,...", help="qualities (22,28,34,40), none with --lossless")
    effort.add_argument("--samples", type=count, default=3, metavar="N", help="fit N GOPs (3)")
    effort.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    effort.add_argument("-j", "--jobs", type=count, default=1, metavar="N", help="fit N GOPs side by side (1)")
    add_input(parser)
    output = parser.add_argument_group("output")
    add_json(output)
    add_overwrite(output)
    add_progress(output)
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    if str(options.input) == "-":
        raise UsageError("expected a file, found -: an estimate reads the video twice")
    path, on_stdout = json_file(options), options.json == STDOUT
    if path is not None and skip_existing(options, path):
        return 0
    with told(chosen_sink(options, stdout_taken=on_stdout)) as progress:
        config = chosen_settings(options)
        check_json(options, options.input)
        check_input(options.input)
        from nerv_codec.encoding.estimate import estimate  # brings torch

        report = estimate(
            options.input,
            crfs=options.crf,
            samples=options.samples,
            config=config,
            fps=options.fps,
            start=options.start,
            end=options.end,
            frames=options.frames,
            device=options.device,
            jobs=options.jobs,
            track=options.track,
            audio=not options.no_audio,
            drop_alpha=options.drop_alpha,
            scale_to_first=options.scale_to_first,
            progress=progress,
        )
    write_json(options, dataclasses.asdict(report) | {"settings": describe_settings(options)})
    if not options.quiet:
        taken = on_stdout or options.progress == "json"
        print(_text(report, describe_settings(options)), file=sys.stderr if taken else sys.stdout)
    return 0


def _text(report: EstimateReport, settings: str) -> str:
    measured = len(report.sampled_gops)
    lines = [
        f"{report.source}: {report.num_frames} frames of {report.width}x{report.height}, {report.seconds:.1f} s, "
        f"{settings}",
        f"  from {measured} of {report.num_gops} GOPs ({report.sampled_frames} frames), spread evenly; "
        f"{format_bytes(report.overhead_bytes)} of sound, header and so on are in the sizes",
        "   crf         size                kb/s   PSNR Y     time",
    ]
    for one in report.encodes:
        error = "?" if one.file_bytes_error is None else f"{100 * one.file_bytes_error / one.file_bytes:.0f}"
        crf, quality = ("", "lossless") if one.crf is None else (f"{one.crf:g}", f"{one.psnr_y_db:5.2f} dB")
        lines.append(
            f"  {crf:>4} {format_bytes(one.file_bytes):>12} +- {error:>3} % {one.bitrate_bps / 1000:12.1f} "
            f"{quality} {_duration(one.encode_seconds):>8}"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    """``42 s``, ``12.3 min``, ``8.1 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
