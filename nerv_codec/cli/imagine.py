"""``nerv-codec imagine``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import atomic_output, check_input, check_output
from nerv_codec.cli.arguments import count, positive, seed
from nerv_codec.cli.output import add_overwrite, add_progress, chosen_sink, skip_existing, told

if TYPE_CHECKING:
    from nerv_codec.base.progress import ProgressSink
    from nerv_codec.base.video import Plane, VideoInfo

    _Found = tuple[dict[str, float], VideoInfo, Sequence[Sequence[Plane]], str]
    """Bits per pixel by name; what frames are like; frames to write; and a page."""

_FORMATS = ("png", "mkv", "mp4", "y4m")
_ROWS = 16
_EPILOG = """examples:
  nerv-codec imagine photo.png rest.png                       the lower half, drawn from the upper one
  nerv-codec imagine photo.png page.html --given 0.7 --seed 3  beside what was there, with bits per pixel
  nerv-codec imagine video.mp4 next.mkv --frame 40 --more 8    eight frames behind frame 40
  nerv-codec imagine video.nvc page.html --grids 4             details of a lossy file, from 4 pixels on
  nerv-codec imagine photo.png page.html --compressors         rows gone on with by gzip, LZMA and ours

The lossless model says how likely each value of the next sample is; decoding random bits draws from that. It knows
textures and edges, and no things: what it draws is as surprising to it as what it was expected to see.
With --grids, the context model of a .nvc of warped draws its finer grids of latents, given the coarser ones.
With --compressors, gzip, LZMA and the lossless model go on with rows of the picture, grey and 500 x 290, each row for
itself: 250 pixels are given, 250 drawn, each value as likely as the bytes it saves say. A row takes some seconds."""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb ``imagine`` and its flags to the command."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "imagine",
        help="draw the rest of a picture or video from the model that codes it",
        description="Draws the lower part of a frame, or the next frames, sample by sample from the lossless model; "
        "or the details of a lossy file from its own.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument("input", metavar="IN", type=Path, help="a picture, a video or a .nvc")
    target = parser.add_argument("target", metavar="OUT", type=Path, help="a .png, .mkv, .mp4 or .y4m, or a .html page")
    source.complete = target.complete = shtab.FILE  # type: ignore[attr-defined]
    parser.add_argument("--frame", type=int, default=0, metavar="N", help="which frame of a video (0)")
    parser.add_argument("--given", type=float, metavar="SHARE", help="how much of its rows is given (0.5)")
    parser.add_argument("--more", type=count, default=0, metavar="N", help="draw the N frames behind it instead")
    parser.add_argument("--grids", type=int, choices=(16, 8, 4, 2), help="draw this grid of a .nvc and finer ones")
    parser.add_argument(
        "--compressors",
        type=count,
        nargs="?",
        const=_ROWS,
        metavar="ROWS",
        help=f"go on with so many rows by gzip, LZMA and ours ({_ROWS}; 290 are all)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of chance (0)")
    parser.add_argument("--temperature", type=positive, default=1.0, help="less keeps to what is likely (1)")
    add_overwrite(parser)
    add_progress(parser)
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    suffix = options.target.suffix[1:].lower()
    if suffix != "html" and suffix not in _FORMATS:
        raise UsageError(f"{options.target}: expected a name that ends in .html, .{', .'.join(_FORMATS)}")
    if suffix == "png" and options.more > 1:
        raise UsageError("expected a video or a page for several frames, found a .png")
    if options.grids and (options.more or options.given is not None):
        raise UsageError("--grids draws details of one frame: neither --given nor --more goes with it")
    if options.compressors is not None and (
        options.grids or options.more or options.given is not None or options.temperature != 1
    ):
        raise UsageError("--compressors goes with --frame and --seed alone")
    if skip_existing(options, options.target):
        return 0
    check_output(options.target, source=options.input, overwrite=options.overwrite)
    check_input(options.input)
    with told(chosen_sink(options, stdout_taken=False)) as progress:
        figures, info, frames, page = (_rows if options.compressors else _rest)(options, suffix, progress)
    if suffix == "html":
        with atomic_output(options.target, overwrite=options.overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")
    else:
        _write(info, frames, options.target, suffix, overwrite=options.overwrite)
    if not options.quiet:
        words = ", ".join(f"{value:.3f} {name}" for name, value in figures.items())
        print(f"{options.target}: bits per pixel {words}", file=sys.stderr)
    return 0


def _rest(options: argparse.Namespace, suffix: str, _: ProgressSink) -> _Found:
    """The rest of a picture or video, or details of a file, from the models of the codec."""
    from nerv_codec.evaluation.imagining import imagine_grids, imagine_rest, page

    chance = {"seed": options.seed, "temperature": options.temperature}
    if options.grids:
        found = imagine_grids(options.input, options.grids, frame=options.frame, **chance)
    else:
        share = 0.5 if options.given is None else options.given
        found = imagine_rest(options.input, frame=options.frame, share=share, more=options.more, **chance)
    title = f"The {'details' if options.grids else 'rest'} of {options.input.name}, imagined"
    frames = found.drawn[found.first :] if suffix == "png" else found.drawn
    return found.figures(), found.info, frames, page(found, title)


def _rows(options: argparse.Namespace, _: str, progress: ProgressSink) -> _Found:
    """Rows of a picture, from compressors."""
    from nerv_codec.evaluation.imagined_rows import imagine_rows, rows_page

    found = imagine_rows(
        options.input, frame=options.frame, count=options.compressors, seed=options.seed, progress=progress
    )
    title = f"Rows of {options.input.name}, gone on with by compressors"
    return found.figures(), *found.picture(), rows_page(found, title)


def _write(info: VideoInfo, frames: Sequence[Sequence[Plane]], target: Path, format: Any, *, overwrite: bool) -> None:
    """The picture, or what was given and the frames drawn behind it."""
    from nerv_codec.base.video import PlanarFrame
    from nerv_codec.media.writer import open_writer

    info = replace(info, time_base=Fraction(1, 25))
    with (
        atomic_output(target, overwrite=overwrite) as temporary,
        open_writer(temporary, format, info, frame_rate=Fraction(25)) as writer,
    ):
        for number, planes in enumerate(frames):
            writer.write(PlanarFrame(tuple(planes), number, 1))
