"""``nerv-codec eval``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nerv_codec.base.batch import one_by_one
from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import atomic_output, check_input, check_output
from nerv_codec.base.progress import ProgressSink
from nerv_codec.cli.arguments import count, crfs, rate
from nerv_codec.cli.output import (
    STDOUT,
    add_json,
    add_overwrite,
    add_progress,
    check_json,
    chosen_sink,
    skip_existing,
    told,
)
from nerv_codec.cli.settings import add_settings, chosen_settings, describe_settings
from nerv_codec.cli.several import add_out_dir, paired, run_several, two_names

if TYPE_CHECKING:
    from nerv_codec.encoding.config import EncoderConfig
    from nerv_codec.evaluation.schema import Evaluation
    from nerv_codec.evaluation.study import StudyPlan

METRICS = ("psnr", "ssim", "xpsnr", "ms-ssim", "lpips", "vmaf")
"""Names that ``evaluation.metrics.suite`` has, which is not imported to parse a command line."""
BASELINES = ("x264", "x265", "svtav1", "ffv1")
"""Names that ``evaluation.baselines`` has, which is not imported to parse a command line."""
_EPILOG = """examples:
  nerv-codec eval video.mp4 out.nvc
  nerv-codec eval video.mp4 out.nvc --metrics all --html report.html
  nerv-codec eval video.mp4 a.nvc --points b.nvc c.nvc --baselines x264,svtav1 --html report.html
  nerv-codec eval video.mp4 out.nvc --crf 20,26,32,38 --preset fast --baselines x265
  nerv-codec eval video.mp4 out.nvc --holdout 2 --holdout-scale 2 --preset fast
  nerv-codec eval *.mp4 --out-dir encoded           after: nerv-codec encode *.mp4 --out-dir encoded
  nerv-codec eval video.mp4 other.mkv --json | jq .metrics"""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "eval",
        help="how close a .nvc (or any video) is to its reference",
        description="Measures a .nvc, or any video, against its reference: quality, rate and time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s REFERENCE IN [options]\n       %(prog)s REFERENCE... --out-dir DIR [options]",
    )
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="the original video, and the .nvc or another video of that size; with --out-dir only originals",
    )
    _add_measures(parser)
    held = parser.add_argument_group("held-out samples: fits anew, which takes time")
    held.add_argument("--holdout", type=count, metavar="N", default=0, help="fit one frame in N, measure the others")
    held.add_argument("--holdout-scale", type=count, metavar="N", default=0, help="fit the picture reduced N:1")
    add_settings(parser.add_argument_group("settings of fits, for --crf and held-out samples"))
    output = parser.add_argument_group("output")
    add_out_dir(output, "measure DIR/NAME.nvc of each REFERENCE into DIR/NAME.eval.json, unless that is there")
    add_json(output)
    output.add_argument("--csv", metavar="F", help="one row a frame; - is stdout")
    output.add_argument("--html", metavar="F", help="a page with plots and pictures; - is stdout")
    output.add_argument("--rd", metavar="F", help="the curve as CompressAI's JSON, baselines as F's name with theirs")
    add_overwrite(output)
    add_progress(output)
    parser.set_defaults(run=_run)
    return parser


def _add_measures(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--metrics",
        type=_words(METRICS, "all"),
        default=("psnr",),
        metavar="A,B,...",
        help=f"{', '.join(METRICS)} or all (psnr)",
    )
    what.add_argument(
        "--match",
        choices=("auto", "time", "number"),
        default="auto",
        help="which frames belong together: those of one time, or of one number (auto: time)",
    )
    what.add_argument("--lpips-weights", type=Path, metavar="F", help="AlexNet's weights, or a TORCH_HOME with them")
    what.add_argument("--fps", type=rate, metavar="R", help="of a reference that is a folder of pictures (25)")
    what.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    curves = parser.add_argument_group("rate-distortion curves")
    curves.add_argument("--points", type=Path, nargs="+", default=[], metavar="F", help="more files of that reference")
    curves.add_argument("--crf", type=crfs, metavar="A,B,...", default=(), help="encode the reference at these too")
    curves.add_argument("--baselines", type=_words(BASELINES), default=(), metavar="A,B,...", help=", ".join(BASELINES))
    curves.add_argument("--work", type=Path, metavar="DIR", help="where baselines and encodes are kept (a cache)")


def _run(options: argparse.Namespace) -> int:
    if options.out_dir is not None:
        return _run_several(options)
    reference, measured = map(Path, cast("tuple[str, str]", two_names(options, "REFERENCE and IN")))
    wanted = {name: target for name in _CONTENTS if (target := getattr(options, name)) is not None}
    if list(wanted.values()).count(STDOUT) > 1:
        raise UsageError("expected - (stdout) for one output, found it for two")
    files = dict(_files(options, wanted))
    if len({path.resolve() for path in files.values()}) < len(files):
        raise UsageError("expected a different file for each output")
    if files and all(skip_existing(options, path) for path in files.values()):
        return 0
    if options.no_overwrite:
        files = {name: path for name, path in files.items() if not path.exists()}
    on_stdout = STDOUT in wanted.values()
    with told(chosen_sink(options, stdout_taken=on_stdout)) as progress:
        sources = (reference, measured, *options.points)
        for path in files.values():
            for source in sources:
                check_output(path, source=source, overwrite=options.overwrite)
        config = chosen_settings(options)
        for source in sources:
            check_input(source)
        from nerv_codec.evaluation.report.tables import text_report
        from nerv_codec.evaluation.study import study  # brings torch

        found = study(reference, measured, _plan(options, config), progress=progress)
    found = replace(found, command=_command(sys.argv))
    for name, target in wanted.items():
        if target == STDOUT:
            sys.stdout.write(_CONTENTS[name](found, 0))
    for (name, index), path in files.items():
        with atomic_output(path, overwrite=options.overwrite) as temporary:
            text = _CONTENTS[name](found, index)
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # names need not be text
    if not options.quiet:
        print(text_report(found), file=sys.stderr if on_stdout or options.progress == "json" else sys.stdout)
    return 0


def _report_name(source: Path) -> str:
    return f"{source.name if source.is_dir() else source.stem}.eval.json"


def _run_several(options: argparse.Namespace) -> int:
    """Measures each ``DIR/NAME.nvc`` against its reference, into ``DIR/NAME.eval.json``."""
    if options.points or any(getattr(options, name) is not None for name in _CONTENTS if name != "json"):
        raise UsageError("expected one file for --points, --csv, --html and --rd, found --out-dir")
    with told(chosen_sink(options, stdout_taken=options.json == STDOUT)) as sink:
        plan = _plan(options, chosen_settings(options))
        pairs = paired(options, _report_name, make=False)
        check_json(options, *(path for pair in pairs for path in pair))
        from nerv_codec.evaluation.study import study  # brings torch

        def one(source: Path, target: Path, tell: ProgressSink) -> Evaluation:
            measured = target.with_name(f"{target.name.removesuffix('.eval.json')}.nvc")
            for path in (source, measured):
                check_input(path)
            found = replace(study(source, measured, plan, progress=tell), command=_command(sys.argv))
            with atomic_output(target, overwrite=options.overwrite) as temporary:
                temporary.write_text(_json(found, 0), encoding="utf-8", errors="backslashreplace")
            return found

        return run_several(options, pairs, sink, partial(one_by_one, work=one), _row)


def _row(found: Evaluation) -> dict[str, str]:
    series = {series.name: series.pooled["mean"] for series in found.series}
    return {"bpp": f"{found.target.rate_bpp:.4f}", **{name: f"{value:.4f}" for name, value in series.items()}}


def _json(found: Evaluation, _: int) -> str:
    return json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n"


def _csv(found: Evaluation, _: int) -> str:
    from nerv_codec.evaluation.report.tables import csv_report

    return csv_report(found)


def _html(found: Evaluation, _: int) -> str:
    from nerv_codec.evaluation.report.page import html_report

    return html_report(found)


def _rd(found: Evaluation, index: int) -> str:
    from nerv_codec.evaluation.report.tables import rd_report

    return json.dumps(rd_report(found.curves[index]), indent=2, allow_nan=False) + "\n"


_CONTENTS: dict[str, Callable[[Evaluation, int], str]] = {"json": _json, "csv": _csv, "html": _html, "rd": _rd}
"""What goes into each output, given a report and the number of one of its curves."""


def _files(options: argparse.Namespace, wanted: dict[str, str]) -> Iterator[tuple[tuple[str, int], Path]]:
    """Every file to write, by output and curve."""
    for name, target in wanted.items():
        if target == STDOUT:
            continue
        path = Path(target)
        yield (name, 0), path
        if name == "rd":
            for index, codec in enumerate(options.baselines, start=1):
                yield (name, index), path.with_name(f"{path.stem}.{codec}{path.suffix}")


def _plan(options: argparse.Namespace, config: EncoderConfig) -> StudyPlan:
    from nerv_codec.evaluation.study import StudyPlan

    return StudyPlan(
        metrics=options.metrics,
        match=options.match,
        points=tuple(options.points),
        crfs=options.crf,
        baselines=options.baselines,
        hold_out_frames=options.holdout,
        hold_out_pixels=options.holdout_scale,
        config=config,
        settings=describe_settings(options),
        work=options.work or _cache_folder(),
        device=options.device,
        fps=options.fps,
        lpips_weights=options.lpips_weights,
    )


def _cache_folder() -> Path:
    """Where this system keeps what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nerv-codec" / "eval"


def _words(known: Sequence[str], *also: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma-separated names."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        if not names or any(name not in (*known, *also) for name in names):
            raise ArgumentTypeError(f"expected some of {', '.join((*known, *also))}, found {text!r}")
        return names

    return parse


def _command(arguments: Sequence[str]) -> str:
    """The command line as typed, with the program's name alone."""
    return shlex.join(["nerv-codec", *arguments[1:]])
