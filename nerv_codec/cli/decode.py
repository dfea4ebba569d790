"""``nerv-codec decode``."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

from nerv_codec.base.batch import one_by_one
from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import check_input
from nerv_codec.base.progress import ProgressSink
from nerv_codec.cli.arguments import crop, positive, rate, size, time_or_frame
from nerv_codec.cli.output import (
    STDOUT,
    add_json,
    add_overwrite,
    add_progress,
    check_json,
    chosen_sink,
    skip_existing,
    told,
    write_json,
)
from nerv_codec.cli.several import add_out_dir, paired, run_several, two_names
from nerv_codec.decoding.output_name import check_target, choose_format, default_target, exists

if TYPE_CHECKING:
    from nerv_codec.decoding.decode import DecodeReport

FORMATS = ("mp4", "mkv", "y4m", "png", "md5", "null")
"""Names of formats as ``media.writer.Format`` has them, which is not imported to parse a command line."""
_EPILOG = """examples:
  nerv-codec decode out.nvc                            out.mp4, at the source's size and times
  nerv-codec decode out.nvc --fps 60 --scale 2         out.60fps.x2.mp4: f between frames and pixels
  nerv-codec decode out.nvc zoom.png --scale 8 --crop 640x480+800+200 --start f:9 --end f:10
  nerv-codec decode out.nvc frames/                    a folder of numbered pictures
  nerv-codec decode out.nvc zoom_%04d.png --scale 8    numbered pictures, from zoom_0000.png on
  nerv-codec decode encoded/*.nvc --out-dir decoded
  nerv-codec decode out.nvc - | ffplay -               y4m on stdout
  nerv-codec decode damaged.nvc --keep-going           what is left of it

.mp4 and .mkv carry the sound, subtitles and chapters of the source; the others hold pictures only, not turned as
a player would turn them."""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb ``decode`` and its flags to the command."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "decode",
        help="evaluate a .nvc at any frame rate and size",
        description="Evaluates the function in a .nvc: at the source's lattice, or at any other.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s IN [OUT] [options]\n       %(prog)s IN... --out-dir DIR [options]",
    )
    names = parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="the .nvc, and .mp4 (H.264), .mkv (lossless FFV1), .y4m, .md5, .png (one frame), a folder, "
        "zoom_%%04d.png; - is stdout; with --out-dir only .nvc",
    )
    names.complete = shtab.FILE  # type: ignore[attr-defined]
    where = parser.add_argument_group("where to evaluate")
    where.add_argument("--fps", type=rate, metavar="R", help="60, 30000/1001 or source")
    scaling = where.add_mutually_exclusive_group()
    scaling.add_argument("--scale", type=positive, metavar="F", help="size against the source's")
    scaling.add_argument("--size", type=size, metavar="WxH", help="size in pixels")
    where.add_argument("--crop", type=crop, metavar="WxH+X+Y", help="window of the scaled picture")
    where.add_argument(
        "--start",
        type=time_or_frame,
        metavar="T",
        help="12.5, 00:00:12.5 or f:300; sound is cut at whole packets",
    )
    where.add_argument("--end", type=time_or_frame, metavar="T", help="where to stop, not included")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    output = parser.add_argument_group("output")
    add_out_dir(output, "decode each IN into DIR; what is there already is left alone")
    output.add_argument("--format", choices=FORMATS, help="where the name does not tell")
    output.add_argument("--no-audio", action="store_true", help="pictures only")
    output.add_argument(
        "--keep-going",
        action="store_true",
        help="fill damaged parts with the nearest good frame, end a cut-off file at the cut, and say which frames",
    )
    add_overwrite(output)
    add_progress(output)
    add_json(output)
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    where = {name: getattr(options, name) for name in ("fps", "scale", "size", "crop")}
    chosen: dict[str, Any] = {
        **where,
        "start": options.start,
        "end": options.end,
        "device": options.device,
        "overwrite": options.overwrite,
        "audio": not options.no_audio,
        "keep_going": options.keep_going,
    }
    if options.out_dir is not None:
        return _run_several(options, where, chosen)
    name, output = two_names(options, "IN and at most one OUT", least=1)
    source = Path(name)
    to_stdout = output == STDOUT
    if to_stdout and options.json == STDOUT:
        raise UsageError("expected one output for stdout, found the video and --json (--json=FILE writes a file)")
    with told(chosen_sink(options, stdout_taken=to_stdout or options.json == STDOUT)) as progress:
        target: Any = sys.stdout.buffer if to_stdout else output
        format: Any = choose_format(target, options.format)
        if target is None and format != "null":
            target = default_target(source, format, **where)
        if target is not None and not to_stdout:
            path = Path(target)
            if skip_existing(options, path, exists(path, format)):
                return 0
            check_target(path, format, source=source, overwrite=options.overwrite)
        check_json(options, source, Path(target) if isinstance(target, str | Path) else None)
        check_input(source)
        from nerv_codec.decoding.decode import decode  # brings torch

        report = decode(source, target, format=format, **chosen, progress=progress)
    if not options.quiet:
        for warning in report.warnings:
            print(f"nerv-codec: note: {warning}", file=sys.stderr)
        speed = report.num_frames / max(report.seconds, 1e-9)
        print(
            f"{report.target}: {report.num_frames} frames of {report.width}x{report.height}, "
            f"decoded in {report.seconds:.1f} s, {speed:.1f} a second",
            file=sys.stderr,
        )
    write_json(options, report.to_dict())
    return 0


def _run_several(options: argparse.Namespace, where: dict[str, Any], chosen: dict[str, Any]) -> int:
    format: Any = options.format or "mp4"
    if format == "null":
        raise UsageError("expected a format that writes files for --out-dir, found null")
    with told(chosen_sink(options, stdout_taken=options.json == STDOUT)) as sink:
        pairs = paired(options, lambda source: default_target(source, format, **where).name)
        check_json(options, *(path for pair in pairs for path in pair))
        from nerv_codec.decoding.decode import decode  # brings torch

        def one(source: Path, target: Path, tell: ProgressSink) -> DecodeReport:
            return decode(source, target, format=format, **chosen, progress=tell)

        return run_several(options, pairs, sink, partial(one_by_one, work=one), _row)


def _row(report: DecodeReport) -> dict[str, str]:
    return {
        "frames": str(report.num_frames),
        "size": f"{report.width}x{report.height}",
        "time": f"{report.seconds:.0f} s",
        **({"notes": "; ".join(report.warnings)} if report.warnings else {}),
    }
