"""``nerv-codec encode``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

from nerv_codec.base.batch import BatchProgress, Outcome
from nerv_codec.base.errors import TargetNotReachedError, UsageError
from nerv_codec.base.files import check_input, check_output
from nerv_codec.base.progress import Progress, ProgressSink, format_bytes
from nerv_codec.cli.arguments import bitrate, byte_size, count, crf, positive, rate, time_or_frame, track
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
from nerv_codec.cli.settings import add_settings, chosen_settings
from nerv_codec.cli.several import add_out_dir, paired, run_several, two_names

if TYPE_CHECKING:
    from nerv_codec.encoding.report import EncodeReport

_OTHERS = {".avi", ".avif", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".png", ".ts", ".webm", ".y4m"}
"""Suffixes that promise another kind of file than a .nvc."""
_EPILOG = """examples:
  nerv-codec encode video.mp4 out.nvc
  nerv-codec encode video.mp4 out.nvc --preset fast --frames 64
  nerv-codec encode video.mp4 out.nvc --crf 24
  nerv-codec encode video.mp4 out.nvc --bitrate 500k -j 4
  nerv-codec encode video.mp4 out.nvc --lossless
  nerv-codec encode video.mp4 out.nvc --target-size 1MiB
  nerv-codec encode video.mkv out.nvc --start 1:30 --end 1:40 --track 1 --no-audio
  nerv-codec encode *.mp4 --out-dir encoded -j 4
  nerv-codec encode film.mkv film.nvc --engine ray=auto --fit-gpus 0.5
  nerv-codec encode frames/ out.nvc --fps 24
  ffmpeg -i video.mp4 -f yuv4mpegpipe - | nerv-codec encode - out.nvc

Ctrl-C keeps what has been fitted; the same command goes on from there. Sound, subtitles, chapters, tags and the
display rotation come along. Interlaced video is deinterlaced, and a note says so."""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "encode",
        help="fit a function to a video and write it as a .nvc",
        description="Fits a function to a video and writes it as a .nvc.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s IN OUT [options]\n       %(prog)s IN... --out-dir DIR [options]",
    )
    names = parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="a video, or a folder of pictures (- is y4m on stdin), and the .nvc to write; with --out-dir only videos",
    )
    names.complete = shtab.FILE  # type: ignore[attr-defined]
    _add_effort(parser)
    add_input(parser)
    _add_output(parser)
    parser.set_defaults(run=_run)
    return parser


def _add_effort(parser: argparse.ArgumentParser) -> None:
    effort = parser.add_argument_group("effort and size")
    add_settings(effort)
    size = effort.add_mutually_exclusive_group()
    size.add_argument("--crf", type=crf, metavar="F", help="quality: lower is better and larger (28)")
    size.add_argument("--bitrate", type=bitrate, metavar="R", help="bits a second of the whole file: 500k, 1.5M")
    size.add_argument("--target-size", type=byte_size, metavar="S", help="of the whole file: 300kB, 1MiB")
    size.add_argument("--target-psnr", type=positive, metavar="F", help="of luma, in dB, mean over all frames")
    _add_engine(parser)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where fits run")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    where.add_argument(
        "-j",
        "--jobs",
        type=count,
        metavar="N",
        help="fit N GOPs side by side (1; on Ray all there is room for)",
    )
    where.add_argument(
        "--engine",
        default="processes",
        metavar="E",
        help="processes of this machine; ray, a cluster of this machine alone; ray=HOST:PORT or ray=auto, one that is "
        "there (processes)",
    )
    where.add_argument("--fit-cpus", type=positive, metavar="F", help="processors that a fit takes on Ray (1)")
    where.add_argument(
        "--fit-gpus",
        type=positive,
        metavar="F",
        help="GPUs that a fit takes on Ray, 0.5 is half of one (1)",
    )


def add_input(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say what of a video is encoded."""
    part = parser.add_argument_group("part of the input")
    part.add_argument("--start", type=time_or_frame, metavar="T", help="12.5, 00:00:12.5 or f:300")
    part.add_argument("--end", type=time_or_frame, metavar="T", help="where to stop, not included")
    part.add_argument("--frames", type=count, metavar="N", help="stop after N frames")
    part.add_argument("--fps", type=rate, metavar="R", help="of a folder of pictures or of frame_%%04d.png (25)")
    part.add_argument("--track", type=track, metavar="N", help="which of several video tracks, from 0 (the best)")
    part.add_argument(
        "--no-audio",
        action="store_true",
        help="leave out sound; else it is kept as it is, of a part the packets that play within it",
    )
    pictures = parser.add_argument_group("pictures that a .nvc cannot hold")
    pictures.add_argument("--drop-alpha", action="store_true", help="encode the colours of a transparent video alone")
    pictures.add_argument(
        "--scale-to-first",
        action="store_true",
        help="scale frames to the first one's size where it changes; else that is an error",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    add_out_dir(output, "encode each IN to DIR/IN.nvc, together; what is there already is left alone")
    add_overwrite(output)
    output.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on where the same command was stopped, and keep work in .OUT.work until it is done (yes)",
    )
    output.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True, help="read the written file back (yes)"
    )
    output.add_argument(
        "--no-metadata",
        action="store_true",
        help="leave out version and encoding time: same command, same bytes",
    )
    add_progress(output)
    add_json(output)


def _after(sink: ProgressSink, note: str) -> ProgressSink:
    """A sink before whose first event a note is printed: a usage error, which comes before, stays one line."""
    notes = [note]

    def tell(event: Progress) -> None:
        while notes:
            print(notes.pop(), file=sys.stderr)
        sink(event)

    return tell


def _run(options: argparse.Namespace) -> int:
    if options.out_dir is not None:
        return _run_several(options)
    name, output = two_names(options, "IN and OUT")
    target = Path(str(output))
    if output == STDOUT:
        raise UsageError("expected a file for the .nvc, found -: only decode writes to stdout")
    if skip_existing(options, target):
        return 0
    with told(chosen_sink(options, stdout_taken=options.json == STDOUT)) as told_to:
        progress = told_to
        chosen = _chosen(options)
        source = None if name == STDOUT else Path(name)
        if source is not None:
            check_input(source)
        check_output(target, source=source, overwrite=options.overwrite)
        check_json(options, source, target)
        if target.suffix.lower() in _OTHERS and not options.quiet:
            progress = _after(progress, f"nerv-codec: note: {target} will be a .nvc, which no player opens")
        from nerv_codec.encoding.encode import encode  # brings torch, which a wrong word need not wait for

        report = encode(sys.stdin.buffer if source is None else source, target, **chosen, progress=progress)
    if not options.quiet:
        for warning in report.warnings:
            print(f"nerv-codec: note: {warning}", file=sys.stderr)
        print(report.summary(), file=sys.stderr)
    write_json(options, report.to_dict())
    if report.missed:
        raise TargetNotReachedError(f"{target} is written, but misses its target: {report.missed}")
    return 0


def _run_several(options: argparse.Namespace) -> int:
    with told(chosen_sink(options, stdout_taken=options.json == STDOUT)) as sink:
        chosen = _chosen(options)
        pairs = paired(options, lambda source: f"{source.name if source.is_dir() else source.stem}.nvc")
        check_json(options, *(path for pair in pairs for path in pair))
        from nerv_codec.encoding.together import encode_together  # brings torch

        def work(todo: list[tuple[Path, Path]], ended: Any, progress: BatchProgress) -> list[Outcome]:
            return encode_together(todo, ended=ended, progress=progress, **chosen)

        def code(report: EncodeReport) -> int:
            return TargetNotReachedError.exit_code if report.missed else 0

        return run_several(options, pairs, sink, work, _row, code)


def _row(report: EncodeReport) -> dict[str, str]:
    return {
        "size": format_bytes(report.file_bytes),
        "bpp": f"{report.rate_bpp:.4f}",
        "PSNR": f"{report.psnr_y_db:.2f} dB",
        "frames": str(report.num_frames),
        "time": f"{report.seconds:.0f} s",
        **({"missed": report.missed} if report.missed else {}),
    }


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    """All that the command line says about an encode, but for its source and target."""
    return {
        "config": chosen_settings(options, options.crf),
        "bitrate": options.bitrate,
        "target_bytes": options.target_size,
        "target_psnr_db": options.target_psnr,
        "fps": options.fps,
        "start": options.start,
        "end": options.end,
        "frames": options.frames,
        "device": options.device,
        "jobs": options.jobs,
        "engine": options.engine,
        "fit_cpus": options.fit_cpus,
        "fit_gpus": options.fit_gpus,
        "overwrite": options.overwrite,
        "track": options.track,
        "audio": not options.no_audio,
        "drop_alpha": options.drop_alpha,
        "scale_to_first": options.scale_to_first,
        "resume": options.resume,
        "verify": options.verify,
        "tool_section": not options.no_metadata,
    }
