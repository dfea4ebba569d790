"""A whole study of one file: its evaluation, curves against baselines, and held-out samples."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress, part_of
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.evaluation.curves import compare, compare_exact
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.holdout import hold_out_frames, hold_out_pixels
from nerv_codec.evaluation.metrics.suite import MetricChoice, metric_names
from nerv_codec.evaluation.own_points import encode_points
from nerv_codec.evaluation.schema import Evaluation


@dataclass(frozen=True)
class StudyPlan:
    """What a study covers."""

    metrics: tuple[str, ...] = ("psnr",)
    match: str = "auto"
    points: tuple[Path, ...] = ()
    """More files of the same reference: points of the target's curve."""
    crfs: tuple[float, ...] = ()
    """The reference is encoded at these too: further points of that curve."""
    baselines: tuple[str, ...] = ()
    hold_out_frames: int = 0
    """Fit one frame in so many; 0 does not."""
    hold_out_pixels: int = 0
    """Fit the picture reduced so many times; 0 does not."""
    config: EncoderConfig = field(default_factory=EncoderConfig)
    """How to fit at other crf, and what has samples held out."""
    settings: str = ""
    """``config`` in words, for the report."""
    work: Path = Path(".")
    """Where baselines and encodes at other crf are kept."""
    device: str = "auto"
    fps: Fraction | None = None
    """Frames per second of a reference that is a folder of pictures."""
    lpips_weights: str | Path | None = None


def study(
    reference: str | Path, target: str | Path, plan: StudyPlan, *, progress: ProgressSink = ignore_progress
) -> Evaluation:
    """Evaluates a file, compares it with other codecs and holds samples out, as the plan says.

    Raises:
        UsageError: The plan makes no sense. InputError: A file cannot be read or compared.
        BitstreamError: A ``.nvc`` is damaged.
    """
    began = time.monotonic()
    names = metric_names(plan.metrics)
    choice = MetricChoice(names, plan.lpips_weights)
    # Rough shares of the wall time; a fit takes longest by far.
    shares = {"eval": 1.0, "encode": 6.0 * len(plan.crfs)}
    shares |= {"compare": 3.0 * bool(plan.points or plan.crfs or plan.baselines)}
    shares |= {"frames": 6.0 * bool(plan.hold_out_frames), "pixels": 6.0 * bool(plan.hold_out_pixels)}
    total = sum(shares.values())
    starts, before = {}, 0.0
    for name, share in shares.items():
        starts[name] = before / total
        before += share

    def part(name: str) -> ProgressSink:
        return part_of(progress, starts[name], shares[name] / total)

    progress(Progress("start", 0.0, "open"))
    found = evaluate(
        reference,
        target,
        metrics=names,
        match=plan.match,
        device=plan.device,
        fps=plan.fps,
        lpips_weights=plan.lpips_weights,
        progress=part("eval"),
    )
    made: tuple[Path, ...] = ()
    if plan.crfs:
        made = encode_points(
            reference,
            found.reference_numbers,
            plan.crfs,
            config=plan.config,
            work=plan.work,
            device=plan.device,
            fps=plan.fps,
            progress=part("encode"),
        )
    if found.is_identical and not (plan.points or made):
        found = compare_exact(found, baselines=plan.baselines, work=plan.work, progress=part("compare"))
    else:
        found = compare(
            found,
            points=(*plan.points, *made),
            baselines=plan.baselines,
            choice=choice,
            work=plan.work,
            device=plan.device,
            fps=plan.fps,
            progress=part("compare"),
        )
    holdouts = []
    for name, hold_out, factor in (
        ("frames", hold_out_frames, plan.hold_out_frames),
        ("pixels", hold_out_pixels, plan.hold_out_pixels),
    ):
        if factor:
            holdouts.append(
                hold_out(
                    reference,
                    found.reference_numbers,
                    factor,
                    config=plan.config,
                    settings=plan.settings,
                    choice=choice,
                    device=plan.device,
                    fps=plan.fps,
                    progress=part(name),
                )
            )
    progress(Progress("done", 1.0, "done"))
    return replace(found, holdouts=tuple(holdouts), eval_seconds=time.monotonic() - began)
