"""``nerv-codec encode``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import shtab

from nerv_codec.base.errors import TargetNotReachedError, UsageError
from nerv_codec.base.files import check_input, check_output
from nerv_codec.base.progress import Progress, ProgressSink
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

_OTHERS = {".avi", ".avif", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".png", ".ts", ".webm", ".y4m"}
"""Suffixes that promise another kind of file than a .nvc."""
_EPILOG = """examples:
  nerv-codec encode video.mp4 out.nvc
  nerv-codec encode video.mp4 out.nvc --preset fast --frames 64
  nerv-codec encode video.mp4 out.nvc --crf 24
  nerv-codec encode video.mp4 out.nvc --bitrate 500k -j 4
  nerv-codec encode video.mp4 out.nvc --target-size 1MiB
  nerv-codec encode video.mp4 better.nvc --start-from out.nvc --preset slow
  nerv-codec encode video.mkv out.nvc --start 1:30 --end 1:40 --track 1 --no-audio
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
    )
    source = parser.add_argument("input", metavar="IN", help="a video, or a folder of pictures; - reads y4m from stdin")
    target = parser.add_argument("output", metavar="OUT", type=Path, help="the .nvc to write")
    source.complete = target.complete = shtab.FILE  # type: ignore[attr-defined]
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
    earlier = effort.add_argument(
        "--start-from", type=Path, metavar="F.nvc", help="begin with an earlier encode of the same frames, at any crf"
    )
    earlier.complete = shtab.FILE  # type: ignore[attr-defined]
    effort.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    effort.add_argument("-j", "--jobs", type=count, default=1, metavar="N", help="fit N GOPs side by side (1)")


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
    add_overwrite(output)
    output.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on where the same command was stopped, and keep work in .OUT.work until it is done (yes)",
    )
    output.add_argument("--no-verify", action="store_true", help="do not read the written file back")
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
    if str(options.output) == "-":
        raise UsageError("expected a file for the .nvc, found -: only decode writes to stdout")
    if skip_existing(options, options.output):
        return 0
    with told(chosen_sink(options, stdout_taken=options.json == STDOUT)) as told_to:
        progress = told_to
        config = chosen_settings(options, options.crf)
        source = None if options.input == "-" else Path(options.input)
        if source is not None:
            check_input(source)
        check_output(options.output, source=source, overwrite=options.overwrite)
        check_json(options, source, options.output)
        if options.output.suffix.lower() in _OTHERS and not options.quiet:
            progress = _after(progress, f"nerv-codec: note: {options.output} will be a .nvc, which no player opens")
        from nerv_codec.encoding.encode import encode  # brings torch, which a wrong word need not wait for

        report = encode(
            sys.stdin.buffer if source is None else source,
            options.output,
            config=config,
            bitrate=options.bitrate,
            target_bytes=options.target_size,
            target_psnr_db=options.target_psnr,
            start_from=options.start_from,
            fps=options.fps,
            start=options.start,
            end=options.end,
            frames=options.frames,
            device=options.device,
            jobs=options.jobs,
            overwrite=options.overwrite,
            track=options.track,
            audio=not options.no_audio,
            drop_alpha=options.drop_alpha,
            scale_to_first=options.scale_to_first,
            resume=options.resume,
            verify=not options.no_verify,
            tool_section=not options.no_metadata,
            progress=progress,
        )
    if not options.quiet:
        for warning in report.warnings:
            print(f"nerv-codec: note: {warning}", file=sys.stderr)
        print(report.summary(), file=sys.stderr)
    write_json(options, dataclasses.asdict(report))
    if report.missed:
        raise TargetNotReachedError(f"{options.output} is written, but misses its target: {report.missed}")
    return 0
