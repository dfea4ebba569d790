"""Metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.lpips import LpipsMetric
from nerv_codec.evaluation.metrics.pair import FramePair, Metric, Series, Unavailable
from nerv_codec.evaluation.metrics.psnr import PsnrMetric
from nerv_codec.evaluation.metrics.ssim import MsSsimMetric, SsimMetric
from nerv_codec.evaluation.metrics.vmaf import VmafMetric
from nerv_codec.evaluation.metrics.xpsnr import XpsnrMetric

_MAKERS: dict[str, Callable[[VideoInfo], Metric]] = {
    "psnr": PsnrMetric,
    "ssim": SsimMetric,
    "xpsnr": XpsnrMetric,
    "ms-ssim": MsSsimMetric,
    "lpips": LpipsMetric,
    "vmaf": VmafMetric,
}

METRICS = tuple(_MAKERS)
"""All names."""

METRICS_VERSION = 2
"""Grows when a metric's figures change: kept figures of older versions are then measured anew."""


def metric_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """``names`` without repetitions, and with ``all`` spelt out; a text has them between commas.

    Raises:
        UsageError: One is unknown.
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    unknown = [name for name in names if name not in (*METRICS, "all")]
    if unknown or not names:
        raise UsageError(f"expected metrics out of {', '.join(METRICS)} or all, found {', '.join(unknown) or 'none'}")
    return METRICS if "all" in names else tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class MetricChoice:
    """What to measure, and with what."""

    names: tuple[str, ...] = ("psnr",)
    """Out of METRICS."""
    lpips_weights: str | Path | None = None
    """See :func:`nerv_codec.evaluation.metrics.lpips.load_lpips`."""
    device: str = "cpu"
    """Where networks among the metrics run."""

    def make(self, info: VideoInfo) -> tuple[dict[str, Metric], dict[str, str]]:
        """Fresh metrics for pictures like ``info``, by name; and why others cannot be had, by name."""
        metrics: dict[str, Metric] = {}
        skipped: dict[str, str] = {}
        for name in self.names:
            try:
                if name == "lpips":
                    metrics[name] = LpipsMetric(info, self.lpips_weights, self.device)
                else:
                    metrics[name] = _MAKERS[name](info)
            except Unavailable as reason:
                skipped[name] = str(reason)
        return metrics, skipped


def measure(
    pairs: Iterable[FramePair], metrics: Mapping[str, Metric]
) -> tuple[dict[str, list[Series]], dict[str, str]]:
    """Feeds pairs to metrics; returns their series, and why some have none after all, by name of the metric."""
    for pair in pairs:
        for metric in metrics.values():
            metric.add(pair)
    found: dict[str, list[Series]] = {}
    skipped: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            found[name] = metric.series()
        except Unavailable as reason:
            skipped[name] = str(reason)
    return found, skipped
