"""Rate-distortion curves on the frames of one evaluation: ours through more files, baselines through PyAV."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from nerv_codec.base.errors import InputError
from nerv_codec.base.files import atomic_output
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.base.video import PlanarFrame
from nerv_codec.evaluation.baselines import Baseline, EncodedBaseline, baseline, encode_baseline
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.matching import FrameSource, in_layout, select_frames
from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas, rate_at_quality
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable
from nerv_codec.evaluation.metrics.suite import METRICS_VERSION, MetricChoice, measure
from nerv_codec.evaluation.schema import Delta, Evaluation, RdCurve, RdPoint

OURS = "nerv-codec"


def compare(
    found: Evaluation,
    *,
    points: Sequence[str | Path] = (),
    baselines: Sequence[str] = (),
    choice: MetricChoice,
    work: Path,
    device: str = "auto",
    progress: ProgressSink = ignore_progress,
) -> Evaluation:
    """An evaluation with curves: of its target and other files, and of baselines on the same frames.

    Args:
        found: The evaluation of one file.
        points: More files of the same reference, which become one curve with it.
        baselines: Names out of :data:`nerv_codec.evaluation.baselines.BASELINES`.
        choice: What to measure.
        work: Folder where encodes and figures of baselines are kept, so that they are made once.
        device: Where a ``.nvc`` is evaluated.
        progress: Told about every frame.

    Raises:
        UsageError: A baseline is unknown.
        InputError: A point cannot be read, or shows other frames than the evaluated file.
    """
    codecs = [baseline(name) for name in baselines]
    jobs = len(points) + sum(len(codec.crfs) for codec in codecs)
    skipped = dict(found.skipped)
    ours = [_own_point(found)]
    for index, path in enumerate(points):
        sink = _Part(progress, index, jobs, Path(path).name)
        other = evaluate(
            found.reference.file,
            path,
            metrics=choice.names,
            device=device,
            lpips_weights=choice.lpips_weights,
            progress=sink,
        )
        if other.reference_numbers != found.reference_numbers:
            raise InputError(f"{path}: expected the same frames as {found.target.file}, found other ones")
        ours.append(_own_point(other))
    model = found.target.about.get("model")
    own = RdCurve(OURS if model else "target", str(model or found.target.kind), "whole file", _by_rate(ours))
    curves = [own]
    for number, codec in enumerate(codecs):
        before = len(points) + sum(len(earlier.crfs) for earlier in codecs[:number])
        try:
            curves.append(_BaselineRun(found, codec, choice, work).curve(progress, before, jobs))
        except Unavailable as reason:
            skipped[codec.name] = str(reason)
    deltas = [
        _delta(series, found, own, anchor)
        for anchor in curves[1:]
        for series in found.series
        if all(series.name in point.metrics for point in anchor.points)
    ]
    return replace(found, curves=tuple(curves), deltas=tuple(deltas), skipped=skipped)


@dataclass(frozen=True)
class _BaselineRun:
    """One codec on the frames of one evaluation."""

    found: Evaluation
    codec: Baseline
    choice: MetricChoice
    work: Path

    def curve(self, progress: ProgressSink, first: int, jobs: int) -> RdCurve:
        """All its points, from the cache or made now. Raises Unavailable."""
        points = []
        for index, crf in enumerate(self.codec.crfs):
            sink = _Part(progress, first + index, jobs, f"{self.codec.name} crf {crf}")
            points.append(self.point(crf, sink))
        counted = "packets and parameter sets; container and encoder's messages left out"
        return RdCurve(self.codec.name, self.codec.settings(self.keyint), counted, _by_rate(points))

    @property
    def keyint(self) -> int:
        """The target's own distance of entry points; for an ordinary video one key frame in all."""
        gops = self.found.target.about.get("gops", ())
        return max((max(1, gop["num_frames"] - 1) for gop in gops), default=max(2, len(self.found.frame_seconds)))

    def point(self, crf: int, progress: ProgressSink) -> RdPoint:
        """One encode, decoded and measured."""
        path = Path(self.found.reference.file)
        stat = path.stat()
        numbers = self.found.reference_numbers
        identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {sorted(numbers)}"
        total = len(numbers)
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            progress(Progress("progress", done / total / 2, "encode"))

        with FrameSource(path) as source:
            info = source.info
        coded = encode_baseline(
            self.codec,
            crf,
            self._frames,
            info,
            rate=self._rate(),
            keyint=self.keyint,
            identity=identity,
            folder=self.work,
            tick=tick,
        )
        metrics, decode_seconds = self._measured(coded, progress)
        pixels = coded.num_frames * info.height * info.width
        return RdPoint(
            label=f"crf {crf}",
            coded_bytes=coded.coded_bytes,
            rate_bpp=8 * coded.coded_bytes / pixels,
            bitrate_bps=8 * coded.coded_bytes * float(self._rate()) / coded.num_frames,
            metrics=metrics,
            encode_seconds=coded.encode_seconds,
            decode_seconds=decode_seconds,
            device="cpu",
        )

    def _rate(self) -> Fraction:
        return Fraction(self.found.target.fps).limit_denominator(1001)

    def _frames(self) -> Iterator[PlanarFrame]:
        """The frames of the reference that were compared."""
        return select_frames(self.found.reference.file, self.found.reference_numbers)

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
        with FrameSource(coded.path) as target, FrameSource(self.found.reference.file) as source:
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


class _Part:
    """Progress of one job of several, told as progress of them all."""

    def __init__(self, sink: ProgressSink, index: int, jobs: int, name: str) -> None:
        self._sink, self._index, self._jobs, self._name = sink, index, jobs, name

    def __call__(self, event: Progress) -> None:
        if event.type == "progress":
            share = (self._index + event.fraction) / self._jobs
            self._sink(Progress("progress", share, f"{self._name} {event.stage}", event.detail))


def _own_point(found: Evaluation) -> RdPoint:
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
