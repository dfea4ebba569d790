"""Rate-distortion sweeps: our points and those of x264, x265 and SVT-AV1 on the same frames, and BD-rate between them.

    rd_sweep.py results.json clip_a.mp4:33 clip_b.mkv:21 --crf 22,27,32,37 --model tracked --hours 3

Every point stands in the results as soon as it is made, with the command that makes it; what stands there is not made
again, so that the same call goes on where it was stopped. Bytes are those of our whole file, and of the others'
packets without their container. PSNR YUV is (6 Y + U + V) / 8, the mean over frames of planes in dB.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from nerv_codec.base.psnr import plane_psnr_db, yuv611_db
from nerv_codec.cli.arguments import crfs
from nerv_codec.encoding.config import MODELS, PRESETS, EncoderConfig, at_crf, load_preset, override, parse_assignment
from nerv_codec.encoding.encode import encode
from nerv_codec.evaluation.baselines import Baseline, encode_baseline
from nerv_codec.evaluation.matching import FrameSource, in_layout, select_frames
from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas
from nerv_codec.evaluation.metrics.pair import Unavailable

OURS = "nerv-codec"
_QUIET_X265 = "x265-params=log-level=none:info=0"
ANCHORS = {
    anchor.name: anchor
    for anchor in (
        Baseline("x264", "libx264", "veryslow", tuple(range(18, 45, 2))),
        Baseline("x265", "libx265", "veryslow", tuple(range(18, 45, 2)), _QUIET_X265),
        Baseline("svtav1", "libsvtav1", "2", tuple(range(20, 63, 3))),
        # The same without what they do for the eye at the cost of PSNR.
        Baseline("x264-psnr", "libx264", "veryslow", tuple(range(18, 45, 2)), "tune=psnr"),
        Baseline(
            "x265-psnr",
            "libx265",
            "veryslow",
            tuple(range(18, 45, 2)),
            f"{_QUIET_X265}:aq-mode=0:psy-rd=0:psy-rdoq=0",
        ),
    )
}


@dataclass(frozen=True)
class Clip:
    """The first frames of a file."""

    path: Path
    frames: int


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    clip: str
    frames: int
    codec: str
    settings: str
    crf: float
    bytes: int
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv611: float
    seconds: float
    """To encode."""
    command: str
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, str, str, float]:
        """What makes two points the same."""
        return self.clip, self.frames, self.codec, self.settings, self.crf


class Results:
    """Points in a JSON file, written whole after every addition."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points = [Point(**point) for point in json.loads(path.read_text())] if path.exists() else []
        self.folder = path.with_suffix(".files")

    def has(self, key: tuple[str, int, str, str, float]) -> bool:
        return any(point.key == key for point in self.points)

    def add(self, point: Point) -> None:
        self.points.append(point)
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text(json.dumps([asdict(one) for one in self.points], indent=1) + "\n")
        temporary.replace(self.path)

    def curve(self, clip: Clip, codec: str, settings: str) -> list[Point]:
        """By rate."""
        wanted = (clip.path.name, clip.frames, codec, settings)
        return sorted((point for point in self.points if point.key[:4] == wanted), key=lambda point: point.bytes)


def main() -> None:
    options = _parser().parse_args()
    clips = [_clip(text) for text in options.clips]
    codecs = options.codecs.split(",")
    config = load_preset(options.preset)
    for assignment in [*options.set, *([f"model={options.model}"] if options.model else [])]:
        config = override(config, parse_assignment(assignment))
    settings = " ".join([options.preset, config.model, *options.set])
    until = time.monotonic() + 3600 * options.hours
    results = Results(options.results)
    results.folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        for name in codecs:
            if name in ANCHORS:
                _sweep_anchor(results, clip, ANCHORS[name], options.anchor_crf, config.gop, until)
    if OURS in codecs:
        for clip in clips:
            _sweep_ours(results, clip, config, settings, options, until)
    print(table(results, clips, settings, [name for name in codecs if name != OURS]))


def _sweep_anchor(
    results: Results, clip: Clip, codec: Baseline, chosen: Sequence[float], gop: int, until: float
) -> None:
    """One key frame where we have one GOP, else key frames at our distance."""
    keyint = clip.frames if clip.frames <= gop + 1 else gop
    settings = f"{codec.preset} keyint {keyint}" + (f" {codec.parameters}" if codec.parameters else "")
    for crf in [int(crf) for crf in chosen] or codec.crfs:
        if results.has((clip.path.name, clip.frames, codec.name, settings, crf)) or time.monotonic() > until:
            continue
        with FrameSource(clip.path) as source:
            info, rate = source.info, source.frame_rate
        try:
            coded = encode_baseline(
                Baseline(codec.name, codec.encoder, codec.preset, (crf,), codec.parameters),
                crf,
                lambda: select_frames(clip.path, range(clip.frames)),
                info,
                rate=Fraction(rate),
                keyint=keyint,
                identity=f"{clip.path.resolve()} {clip.path.stat().st_mtime_ns} {clip.frames}",
                folder=results.folder,
            )
        except Unavailable as reason:
            print(f"{codec.name}: {reason}")
            return
        option, _, value = codec.parameters.partition("=")
        extra = f" -{option} {value}" if option else ""
        command = (
            f"ffmpeg -i {shlex.quote(str(clip.path))} -frames:v {clip.frames} -c:v {codec.encoder} "
            f"-preset {codec.preset} -crf {crf} -g {keyint}{extra} out.mkv"
        )
        key = (clip.path.name, clip.frames, codec.name, settings, crf)
        results.add(Point(*key, coded.coded_bytes, *psnr(clip, coded.path), coded.encode_seconds, command))
        _tell(results.points[-1])


def _sweep_ours(
    results: Results, clip: Clip, config: EncoderConfig, settings: str, options: argparse.Namespace, until: float
) -> None:
    """From the coarsest point on, each started from the one before where the fit can do that."""
    neighbour: Path | None = None
    label = options.label or OURS
    for crf in sorted(options.crf, reverse=True):
        key = (clip.path.name, clip.frames, label, settings, crf)
        path = (
            results.folder
            / f"{clip.path.stem}.{clip.frames}.{label}.{zlib.crc32(settings.encode()):08x}.crf{crf:g}.nvc"
        )
        if not results.has(key) and time.monotonic() <= until:
            report = encode(
                clip.path,
                path,
                config=at_crf(config, crf),
                frames=clip.frames,
                audio=False,
                device=options.device,
                overwrite=True,
                start_from=neighbour if options.warm else None,
            )
            words = ["nerv-codec", "encode", str(clip.path), "out.nvc", "--frames", str(clip.frames), "--no-audio"]
            words += ["--preset", options.preset, "--crf", f"{crf:g}", "--model", config.model]
            words += ["--start-from", neighbour.name] if options.warm and neighbour else []
            words += [part for assignment in options.set for part in ("--set", assignment)]
            about = {"fit_seconds": report.fit_seconds, "estimated_bits": report.estimated_bits}
            about |= {"coded_bits": report.coded_bits, "macs_per_pixel": report.macs_per_pixel}
            point = Point(*key, report.file_bytes, *psnr(clip, path), report.seconds, shlex.join(words), about)
            results.add(point)
            _tell(point)
        neighbour = path if path.exists() else neighbour


def psnr(clip: Clip, path: Path) -> tuple[float, float, float, float]:
    """(Y, U, V, YUV 6:1:1) in dB, each the mean over the frames."""
    frames = []
    with FrameSource(path) as decoded, FrameSource(clip.path) as source:
        info, peak = source.info, float(source.info.pixel_format.max_value)
        for original, picture in zip(select_frames(clip.path, range(clip.frames)), decoded, strict=True):
            planes = in_layout(picture.planes, decoded.info, info.pixel_format)
            frames.append(plane_psnr_db(original.planes, planes, peak))
    planes = [statistics.fmean(plane) for plane in zip(*frames, strict=True)]
    return planes[0], planes[-2 % len(planes)], planes[-1], yuv611_db(planes)


def table(results: Results, clips: Sequence[Clip], settings: str, anchors: Sequence[str]) -> str:
    """BD-rate of every curve of ours against every anchor, clip by clip and on average, as Markdown."""
    curves = sorted({(p.codec, p.settings) for p in results.points if p.codec not in ANCHORS})
    rows = ["| ours | against | " + " | ".join(clip.path.stem for clip in clips) + " | average |"]
    rows.append("|" + "---|" * (len(clips) + 3))
    for label, own in curves:
        for name in anchors:
            cells = [_bd_percent(results, clip, (label, own), name) for clip in clips]
            known = [cell for cell in cells if isinstance(cell, float)]
            average = f"{statistics.fmean(known):+.1f} %" if known and len(known) == len(cells) else "-"
            shown = [f"{cell:+.1f} %" if isinstance(cell, float) else cell for cell in cells]
            mark = "" if own == settings else " (other settings)"
            rows.append(f"| {label} [{own}]{mark} | {name} | " + " | ".join(shown) + f" | {average} |")
    return "\n".join(rows)


def _bd_percent(results: Results, clip: Clip, own: tuple[str, str], anchor: str) -> float | str:
    ours = results.curve(clip, *own)
    others = [p for p in results.points if (p.clip, p.frames, p.codec) == (clip.path.name, clip.frames, anchor)]
    try:
        axes = [axis for curve in (ours, others) for axis in ([p.bytes for p in curve], [p.psnr_yuv611 for p in curve])]
        return bjontegaard_deltas(*axes).bd_rate_percent
    except ValueError as error:
        return str(error)


def _tell(point: Point) -> None:
    print(
        f"{point.clip} {point.frames} f, {point.codec} crf {point.crf:g}: {point.bytes} bytes, "
        f"Y {point.psnr_y:.2f} dB, YUV {point.psnr_yuv611:.2f} dB, {point.seconds:.0f} s",
        flush=True,
    )


def _clip(text: str) -> Clip:
    name, _, frames = text.rpartition(":")
    if not name or not frames.isdigit():
        raise SystemExit(f"expected CLIP:FRAMES, found {text!r}")
    return Clip(Path(name), int(frames))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON of all points; files lie in a folder beside it")
    parser.add_argument("clips", nargs="+", metavar="CLIP:FRAMES")
    parser.add_argument("--codecs", default=",".join([OURS, "x264", "x265", "svtav1"]), help=", ".join(ANCHORS))
    parser.add_argument("--crf", type=crfs, default=(22.0, 27.0, 32.0, 37.0), help="our points: 22,27,32,37")
    parser.add_argument("--anchor-crf", type=crfs, default=(), help="theirs; else a dense row for each")
    parser.add_argument("--preset", choices=PRESETS, default="medium")
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--label", help="name of our curve, to tell versions of the code apart")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--warm", action="store_true", help="start each point from the one before")
    parser.add_argument("--hours", type=float, default=1e9, help="begin no point after so long")
    return parser


if __name__ == "__main__":
    main()
