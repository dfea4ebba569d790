"""Rate-distortion sweeps: our points and those of x264, x265 and SVT-AV1 on the same frames, and BD-rate between them.

    rd_sweep.py results.json clip_a.mp4:33 clip_b.mkv:21 --crf 22,27,32,37 --hours 3
    rd_sweep.py results.json clip_a.mp4:33 clip_b.mkv:21 --hours 0     # only the table

Every point stands in the results as soon as it is made, with the command that makes it; what stands there is not made
again, so that the same call goes on where it was stopped. Bytes are those of our whole file, and of the others'
packets without their container. The others run at their slowest presets, x264 and x265 with ``tune=psnr`` and on one
thread, which takes the fewest bytes, with one key frame where we have one GOP, else with key frames at our distance.
BD-rate is taken of PSNR YUV, (6 Y + U + V) / 8, the mean over frames of planes in dB.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nerv_codec.cli.arguments import crfs
from nerv_codec.cli.settings import add_settings, chosen_settings, settings_words
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.evaluation.baselines import BASELINES
from nerv_codec.evaluation.curves import BaselineRun, own_point
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.matching import FrameSource
from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas
from nerv_codec.evaluation.metrics.pair import Unavailable
from nerv_codec.evaluation.metrics.suite import MetricChoice
from nerv_codec.evaluation.own_points import encode_point
from nerv_codec.evaluation.schema import RdPoint

OURS = "nerv-codec"
_ONE_THREAD = {
    "x264": {"threads": "1"},
    "x265": {"x265-params": f"{BASELINES['x265'].options['x265-params']}:frame-threads=1:pools=none"},
    "svtav1": {},
}
"""Threads that divide frames, or rows of them, between them take more bytes, the more the more cores there are; what
SVT-AV1 writes does not depend on them."""
SLOWEST = {
    name: replace(
        BASELINES[name], preset=preset, crfs=tuple(row), options={**BASELINES[name].options, **_ONE_THREAD[name]}
    )
    for name, preset, row in (
        ("x264", "veryslow", range(18, 45, 2)),
        ("x265", "veryslow", range(18, 45, 2)),
        ("svtav1", "2", range(20, 63, 3)),
    )
}
FOR_SCREENS = {
    "svtav1-screen": replace(SLOWEST["svtav1"], name="svtav1-screen", options={"svtav1-params": "tune=1:scm=1"})
}
"""With palettes and copies within a picture."""
OTHERS = SLOWEST | FOR_SCREENS


@dataclass(frozen=True)
class Clip:
    """The first frames of a file."""

    path: Path
    frames: int


@dataclass(frozen=True)
class Curve:
    """One codec on one clip."""

    clip: str
    frames: int
    codec: str
    settings: str


class Results:
    """Points in a JSON file, written whole after every addition."""

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, path.with_suffix(".files")
        self.points: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def point(self, curve: Curve, crf: float) -> dict[str, Any] | None:
        return next((point for point in self.curve(curve) if point["crf"] == crf), None)

    def add(self, curve: Curve, crf: float, command: str, point: RdPoint) -> None:
        self.points.append({**asdict(curve), "crf": crf, "command": command, **asdict(point)})
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text("[\n" + ",\n".join(map(json.dumps, self.points)) + "\n]\n")
        temporary.replace(self.path)
        quality = f"Y {point.metrics['psnr_y_db']:.2f} dB, YUV {point.metrics['psnr_yuv611_db']:.2f} dB"
        what = f"{curve.clip} {curve.frames} f, {curve.codec} crf {crf:g}"
        print(f"{what}: {point.coded_bytes} bytes, {quality}, {point.encode_seconds or 0:.0f} s", flush=True)

    def curve(self, curve: Curve) -> list[dict[str, Any]]:
        return [point for point in self.points if asdict(curve).items() <= point.items()]

    def curves(self) -> list[Curve]:
        return list(dict.fromkeys(Curve(p["clip"], p["frames"], p["codec"], p["settings"]) for p in self.points))


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    codecs = options.codecs.split(",")
    if unknown := [name for name in codecs if name not in (OURS, *OTHERS)]:
        parser.error(f"expected codecs out of {', '.join((OURS, *OTHERS))}, found {', '.join(unknown)}")
    clips = [_clip(text) for text in options.clips]
    config = chosen_settings(options)
    rest = [f"gop={options.gop}"] * bool(options.gop) + [f"seed={options.seed}"] * bool(options.seed)
    settings = " ".join([options.preset, config.model, *map(str, filter(None, [options.config])), *options.set, *rest])
    until = time.monotonic() + 3600 * options.hours
    results = Results(options.results)
    for clip in clips:
        for name in codecs:
            if name in OTHERS:
                _sweep_baseline(results, clip, name, options.anchor_crf, config.gop, until)
    for clip in clips if OURS in codecs else []:
        _sweep_ours(results, clip, config, settings, options, until)
    print(table(results, [(clip.path.name, clip.frames) for clip in clips]))


def _sweep_baseline(results: Results, clip: Clip, name: str, chosen: Sequence[float], gop: int, until: float) -> None:
    codec = OTHERS[name]
    keyint = clip.frames if clip.frames <= gop + 1 else gop

    def make(crf: int) -> RdPoint:
        with FrameSource(clip.path) as source:
            rate = source.frame_rate
        run = BaselineRun(codec, clip.path, range(clip.frames), rate, keyint, MetricChoice(), results.folder)
        return run.point(crf)

    tune = ["tune psnr, 1 thread"] if "tune" in codec.options else []
    settings = " ".join([codec.preset, *tune, f"gop {gop}"])
    curve = Curve(clip.path.name, clip.frames, name, settings)
    for crf in [int(crf) for crf in chosen] or codec.crfs:
        options = [word for key, value in codec.ffmpeg_options(crf, keyint).items() for word in (f"-{key}", value)]
        command = ["ffmpeg", "-i", clip.path.name, "-frames:v", str(clip.frames), "-c:v", codec.encoder, *options]
        try:
            _once(results, curve, crf, until, shlex.join([*command, "out.mkv"]), partial(make, crf))
        except Unavailable as reason:
            print(f"{name}: {reason}")
            return


def _sweep_ours(
    results: Results, clip: Clip, config: EncoderConfig, settings: str, options: argparse.Namespace, until: float
) -> None:
    """From the coarsest point on."""
    for crf in sorted(options.crf, reverse=True):
        words = ["nerv-codec", "encode", clip.path.name, f"{crf:g}.nvc", "--frames", str(clip.frames), "--no-audio"]
        words += ["--crf", f"{crf:g}", *settings_words(options)]

        def make(crf: float = crf) -> RdPoint:
            where = {"config": config, "work": results.folder, "device": options.device}
            path = encode_point(clip.path, 0, clip.frames, crf, **where)
            return own_point(evaluate(clip.path, path, device=options.device))

        curve = Curve(clip.path.name, clip.frames, options.label or OURS, settings)
        _once(results, curve, crf, until, shlex.join(words), make)


def _once(results: Results, curve: Curve, crf: float, until: float, command: str, make: Callable[[], RdPoint]) -> None:
    """Makes the point of that curve if there is none yet and time is left."""
    if results.point(curve, crf) is None and time.monotonic() <= until:
        results.add(curve, crf, command, make())


def table(results: Results, clips: Sequence[tuple[str, int]] | None = None) -> str:
    """BD-rate of every curve of ours against every other codec, clip by clip and on average, as Markdown."""
    clips = clips or list(dict.fromkeys((curve.clip, curve.frames) for curve in results.curves()))
    kinds = list(dict.fromkeys((curve.codec, curve.settings) for curve in results.curves()))
    rows = ["| ours | against | " + " | ".join(Path(clip).stem for clip, _ in clips) + " | average |"]
    rows.append("|" + "---|" * (len(clips) + 3))
    for ours in (kind for kind in kinds if kind[0] not in OTHERS):
        for other in (kind for kind in kinds if kind[0] in OTHERS):
            cells = [_bd_percent(results, Curve(*clip, *ours), Curve(*clip, *other)) for clip in clips]
            known = [cell for cell in cells if isinstance(cell, float)]
            average = f"{statistics.fmean(known):+.1f} %" if len(known) == len(cells) else "-"
            shown = [f"{cell:+.1f} %" if isinstance(cell, float) else cell for cell in cells]
            rows.append(
                "| " + " | ".join([f"{ours[0]} [{ours[1]}]", f"{other[0]} [{other[1]}]", *shown, average]) + " |"
            )
    return "\n".join(rows) if len(rows) > 2 else "no table: the results hold no curve of ours beside another codec's"


def _bd_percent(results: Results, own: Curve, anchor: Curve) -> float | str:
    axes = [
        [point[key] if key else point["metrics"]["psnr_yuv611_db"] for point in results.curve(curve)]
        for curve in (own, anchor)
        for key in ("coded_bytes", "")
    ]
    try:
        return bjontegaard_deltas(*axes).bd_rate_percent
    except ValueError as error:
        return str(error)


def _clip(text: str) -> Clip:
    name, _, frames = text.rpartition(":")
    if not name or not frames.isdigit():
        raise SystemExit(f"expected CLIP:FRAMES, found {text!r}")
    return Clip(Path(name), int(frames))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON of all points; files lie in a folder beside it")
    parser.add_argument("clips", nargs="+", metavar="CLIP:FRAMES")
    parser.add_argument("--codecs", default=",".join([OURS, *SLOWEST]), help=f"some of {', '.join((OURS, *OTHERS))}")
    parser.add_argument("--crf", type=crfs, default=(22.0, 27.0, 32.0, 37.0), help="our points: 22,27,32,37")
    parser.add_argument("--anchor-crf", type=crfs, default=(), help="theirs; else a dense row for each")
    add_settings(parser)
    parser.add_argument("--label", help="name of our curve, to tell versions of the code apart")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--hours", type=float, default=1e9, help="begin no point after so long")
    return parser


if __name__ == "__main__":
    main()
