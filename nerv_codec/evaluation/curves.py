"""Rate-distortion curves on the frames of one evaluation: ours through more files, baselines through PyAV."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np

from nerv_codec.base.errors import InputError
from nerv_codec.base.files import atomic_output
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress, part_of
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.evaluation.baselines import Baseline, EncodedBaseline, baseline, encode_baseline
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.matching import FrameSource, in_layout, select_frames
from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas, rate_at_quality
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable
from nerv_codec.evaluation.metrics.suite import METRICS_VERSION, MetricChoice, measure
from nerv_codec.evaluation.schema import Delta, Evaluation, ExactSize, RdCurve, RdPoint

OURS = "nerv-codec"


def compare(
    found: Evaluation,
    *,
    points: Sequence[str | Path] = (),
    baselines: Sequence[str] = (),
    choice: MetricChoice,
    work: Path,
    device: str = "auto",
    fps: Fraction | None = None,
    progress: ProgressSink = ignore_progress,
) -> Evaluation:
    """Adds rate-distortion curves to an evaluation: of its target and other files, and of baselines.

    Args:
        found: The evaluation of one file.
        points: More files of the same reference, which become one curve with it.
        baselines: Names out of :data:`nerv_codec.evaluation.baselines.BASELINES`.
        choice: What to measure.
        work: Folder where encodes and figures of baselines are kept, so that they are made once.
        device: Where a ``.nvc`` is evaluated.
        fps: Frames per second of a reference that is numbered pictures; None is 25. Baselines have the target's.
        progress: Told about every frame.

    Raises:
        UsageError: A baseline is unknown.
        InputError: A point cannot be read, or shows other frames than the evaluated file.
    """
    codecs = [baseline(name) for name in baselines]
    jobs = len(points) + sum(len(codec.crfs) for codec in codecs)
    skipped = dict(found.skipped)
    ours = [own_point(found)]
    for index, path in enumerate(points):
        other = evaluate(
            found.reference.file,
            path,
            metrics=choice.names,
            device=device,
            fps=fps,
            lpips_weights=choice.lpips_weights,
            progress=part_of(progress, index / jobs, 1 / jobs, Path(path).name),
        )
        if other.reference_numbers != found.reference_numbers:
            raise InputError(f"{path}: expected the same frames as {found.target.file}, found other ones")
        ours.append(own_point(other))
    model = found.target.about.get("model")
    own = RdCurve(OURS if model else "target", str(model or found.target.kind), "whole file", _by_rate(ours))
    curves = [own]
    done = len(points)
    for codec in codecs:
        if not codec.crfs:
            skipped[codec.name] = f"{codec.name} is for files that are identical to their reference"
            continue
        run = BaselineRun.of(found, codec, choice, work)
        try:
            curves.append(run.curve(part_of(progress, done / jobs, len(codec.crfs) / jobs)))
        except Unavailable as reason:
            skipped[codec.name] = str(reason)
        done += len(codec.crfs)
    deltas = [
        _delta(series, found, own, anchor)
        for anchor in curves[1:]
        for series in found.series
        if all(series.name in point.metrics for point in anchor.points)
    ]
    return replace(found, curves=tuple(curves), deltas=tuple(deltas), skipped=skipped)


def compare_exact(
    found: Evaluation, *, baselines: Sequence[str], work: Path, progress: ProgressSink = ignore_progress
) -> Evaluation:
    """Adds to the evaluation of an identical file what other codecs need to give every sample back.

    Args:
        found: The evaluation.
        baselines: Names out of :data:`nerv_codec.evaluation.baselines.BASELINES`.
        work: Folder where encodes are kept, so that they are made once.
        progress: Told about every frame.

    Raises:
        UsageError: A baseline is unknown.
    """
    sizes, skipped = [], dict(found.skipped)
    for index, codec in enumerate([baseline(name) for name in baselines]):
        run = BaselineRun.of(found, codec, MetricChoice(()), work)
        try:
            coded = run.exact(part_of(progress, index / len(baselines), 1 / len(baselines), codec.name))
        except Unavailable as reason:
            skipped[codec.name] = str(reason)
            continue
        settings = ", ".join(f"{name} {value}" for name, value in codec.ffmpeg_options(None, run.keyint).items())
        percent = 100 * (found.target.file_bytes / coded.coded_bytes - 1)
        sizes.append(ExactSize(codec.name, settings, coded.coded_bytes, percent))
    return replace(found, exact_sizes=tuple(sizes), skipped=skipped)


def _keyint(found: Evaluation) -> int:
    """The target's own distance of entry points in frames; for an ordinary video one key frame in all."""
    gops = found.target.about.get("gops", ())
    return max((max(1, gop["num_frames"] - 1) for gop in gops), default=max(2, len(found.frame_seconds)))


@dataclass(frozen=True)
class BaselineRun:
    """One ordinary codec on chosen frames of one video."""

    codec: Baseline
    reference: Path
    numbers: Sequence[int]
    """Which frames, ascending."""
    rate: Fraction
    """Frames a second."""
    keyint: int
    """Largest distance between key frames."""
    choice: MetricChoice
    """What to measure."""
    work: Path
    """Folder where encodes and figures are kept."""

    @classmethod
    def of(cls, found: Evaluation, codec: Baseline, choice: MetricChoice, work: Path) -> BaselineRun:
        """A codec on the frames of an evaluation."""
        return cls(
            codec=codec,
            reference=Path(found.reference.file),
            numbers=found.reference_numbers,
            rate=Fraction(found.target.fps).limit_denominator(1001),
            keyint=_keyint(found),
            choice=choice,
            work=work,
        )

    def curve(self, progress: ProgressSink = ignore_progress) -> RdCurve:
        """The points of all its crf, from the cache or made now. Raises Unavailable."""
        total = len(self.codec.crfs)
        points = [
            self.point(crf, part_of(progress, index / total, 1 / total, f"{self.codec.name} crf {crf}"))
            for index, crf in enumerate(self.codec.crfs)
        ]
        counted = "packets and parameter sets; container and encoder's messages left out"
        return RdCurve(self.codec.name, self.codec.settings(self.keyint), counted, _by_rate(points))

    def point(self, crf: int, progress: ProgressSink = ignore_progress) -> RdPoint:
        """One encode, decoded and measured, from the cache or made now. Raises Unavailable."""
        coded, info = self.encoded(crf, progress)
        metrics, decode_seconds = self._measured(coded, progress)
        pixels = coded.num_frames * info.height * info.width
        return RdPoint(
            label=f"crf {crf}",
            coded_bytes=coded.coded_bytes,
            rate_bpp=8 * coded.coded_bytes / pixels,
            bitrate_bps=8 * coded.coded_bytes * float(self.rate) / coded.num_frames,
            metrics=metrics,
            encode_seconds=coded.encode_seconds,
            decode_seconds=decode_seconds,
            device="cpu",
        )

    def exact(self, progress: ProgressSink = ignore_progress) -> EncodedBaseline:
        """An encode that gives every sample back, from the cache or made now. Raises Unavailable where none does."""
        coded, _ = self.encoded(None, progress)
        with FrameSource(coded.path) as decoded:
            pairs = zip(self._frames(), decoded, strict=True)
            if not all(np.array_equal(*planes) for a, b in pairs for planes in zip(a.planes, b.planes, strict=True)):
                raise Unavailable(f"{self.codec.encoder} does not give these samples back")
        return coded

    def encoded(self, crf: int | None, progress: ProgressSink = ignore_progress) -> tuple[EncodedBaseline, VideoInfo]:
        """One encode, from the cache or made now, and what it shows. Raises Unavailable."""
        stat = self.reference.stat()
        identity = f"{self.reference.resolve()} {stat.st_size} {stat.st_mtime_ns} {list(self.numbers)}"
        ticks = count(1)
        with FrameSource(self.reference) as source:
            info = source.info
        coded = encode_baseline(
            self.codec,
            crf,
            self._frames,
            info,
            rate=self.rate,
            keyint=self.keyint,
            identity=identity,
            folder=self.work,
            tick=lambda: progress(Progress("progress", next(ticks) / len(self.numbers) / 2, "encode")),
        )
        return coded, info

    def _frames(self) -> Iterator[PlanarFrame]:
        return select_frames(self.reference, self.numbers)

    def _measured(self, coded: EncodedBaseline, progress: ProgressSink) -> tuple[dict[str, float], float]:
        """Means by series and the time to decode; figures that are kept beside the encode are not made again."""
        note = coded.path.with_suffix(".metrics.json")
        known: dict[str, dict[str, float]] = {}
        seconds = 0.0
        with contextlib.suppress(OSError, ValueError, KeyError):
            kept = json.loads(note.read_text())
            if kept["version"] == METRICS_VERSION:
                known, seconds = kept["metrics"], kept["decode_seconds"]
        missing = tuple(name for name in self.choice.names if name not in known)
        if missing:
            series, seconds = self._measure(coded, replace(self.choice, names=missing), progress)
            known |= {name: {one.name: one.pooled["mean"] for one in own} for name, own in series.items()}
            with atomic_output(note, overwrite=True) as temporary:
                content = {"version": METRICS_VERSION, "metrics": known, "decode_seconds": seconds}
                temporary.write_text(json.dumps(content))
        return {key: value for name in self.choice.names for key, value in known.get(name, {}).items()}, seconds

    def _measure(
        self, coded: EncodedBaseline, choice: MetricChoice, progress: ProgressSink
    ) -> tuple[dict[str, list[Series]], float]:
        with FrameSource(coded.path) as target, FrameSource(self.reference) as source:
            info = source.info
            target_info = replace(target.info, pixel_format=info.pixel_format, color=info.color)

            def pairs() -> Iterator[FramePair]:
                for number, (original, decoded) in enumerate(zip(self._frames(), target, strict=False), start=1):
                    planes = in_layout(decoded.planes, target.info, info.pixel_format)
                    yield FramePair(original.planes, planes, info, target_info)
                    progress(Progress("progress", 0.5 + number / coded.num_frames / 2, "measure"))

            metrics, _ = choice.make(info)
            series, _ = measure(pairs(), metrics)
            return series, target.decode_seconds


def own_point(found: Evaluation) -> RdPoint:
    """The evaluated file as a point of a curve: all of its bytes, and the mean of every series."""
    return RdPoint(
        label=Path(found.target.file).name,
        coded_bytes=found.target.file_bytes,
        rate_bpp=found.target.rate_bpp,
        bitrate_bps=found.target.bitrate_bps,
        metrics={series.name: series.pooled["mean"] for series in found.series},
        encode_seconds=found.encode_seconds,
        decode_seconds=found.decode_seconds,
        device=found.device,
    )


def _by_rate(points: Sequence[RdPoint]) -> tuple[RdPoint, ...]:
    return tuple(sorted(points, key=lambda point: point.rate_bpp))


def _delta(series: Series, found: Evaluation, own: RdCurve, anchor: RdCurve) -> Delta:
    """One cell of the table: the curve against the anchor, and the evaluated file against it."""
    sign = 1.0 if series.higher_is_better else -1.0
    rates, qualities = _axes(own, series.name, sign)
    anchor_rates, anchor_qualities = _axes(anchor, series.name, sign)
    bd, percent, reasons = None, None, []
    try:
        bd = bjontegaard_deltas(rates, qualities, anchor_rates, anchor_qualities)
    except ValueError as error:
        reasons.append(f"no BD-rate: {error}")
    try:
        needed = rate_at_quality(anchor_rates, anchor_qualities, sign * series.pooled["mean"])
        percent = 100 * (found.target.rate_bpp / needed - 1)
    except ValueError as error:
        reasons.append(f"no rate at equal quality: {error}")
    return Delta(series.name, own.name, anchor.name, bd, percent, "; ".join(reasons))


def _axes(curve: RdCurve, metric: str, sign: float) -> tuple[list[float], list[float]]:
    return [point.rate_bpp for point in curve.points], [sign * point.metrics[metric] for point in curve.points]
