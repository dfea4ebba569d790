"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import format_bytes
from nerv_codec.evaluation.report.pictures import DIFFERENCE_GAIN, ZOOM, worst_frames, zoomed_crop
from nerv_codec.evaluation.report.svg import Line, Plot, render
from nerv_codec.evaluation.schema import Delta, Evaluation, RdCurve

TITLES = {
    "psnr_y_db": "PSNR Y",
    "psnr_rgb_db": "PSNR RGB",
    "psnr_yuv611_db": "PSNR YUV 6:1:1",
    "psnr_worst_chroma_db": "PSNR of the worst block of chroma",
    "ssim_y": "SSIM Y",
    "ms_ssim_rgb": "MS-SSIM RGB",
    "xpsnr_y_db": "XPSNR Y",
    "xpsnr_yuv611_db": "XPSNR YUV 6:1:1",
    "lpips_alex": "LPIPS (AlexNet)",
    "vmaf": "VMAF",
}
"""What people call the series."""

_GROUPS = (
    ("PSNR, dB", ("psnr_y_db", "psnr_rgb_db", "psnr_yuv611_db", "psnr_worst_chroma_db")),
    ("XPSNR, dB", ("xpsnr_y_db", "xpsnr_yuv611_db")),
    ("SSIM, MS-SSIM", ("ssim_y", "ms_ssim_rgb")),
    ("LPIPS (lower is better)", ("lpips_alex",)),
    ("VMAF", ("vmaf",)),
)
_POOLING_TITLES = {
    "mean": "mean",
    "harmonic_mean": "harmonic mean",
    "p5": "5th percentile",
    "p95": "95th percentile",
    "min": "worst",
    "max": "worst",
    "of_mean_mse": "of mean MSE",
}


@dataclass(frozen=True)
class Card:
    """One figure at the head of the page."""

    title: str
    value: str
    unit: str = ""
    note: str = ""


def html_report(found: Evaluation) -> str:
    """An evaluation as one HTML page that holds all it needs.

    Raises:
        UsageError: jinja2 is not installed.
        InputError: A video of the evaluation can no longer be read.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise UsageError("a page needs the package jinja2, which is not installed") from None
    folder = resources.files("nerv_codec.evaluation.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    page: str = template.render(
        found=found,
        name=Path(found.target.file).name,
        reference_name=Path(found.reference.file).name,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
        cards=_cards(found),
        titles=TITLES,
        pooling_titles=_POOLING_TITLES,
        figure=figure,
        size=format_bytes,
        rd_plots=_rd_plots(found),
        deltas=_delta_table(found.deltas),
        curve_plots=_frame_plots(found),
        parts=_parts(found),
        gops=_gops(found),
        worst=worst_frames(found),
        zoom=zoomed_crop(found),
        zoom_factor=ZOOM,
        gain=DIFFERENCE_GAIN,
    )
    return page


def figure(name: str, value: float | None) -> str:
    """A figure of a series with as many digits as mean something."""
    if value is None:
        return ""
    return f"{value:.2f}" if name.endswith("_db") or name == "vmaf" else f"{value:.4f}"


def _cards(found: Evaluation) -> list[Card]:
    target = found.target
    cards = []
    for name in ("psnr_y_db", "psnr_rgb_db", "xpsnr_y_db", "ssim_y", "ms_ssim_rgb", "lpips_alex", "vmaf"):
        for series in found.series:
            if series.name == name:
                pooled = series.pooled
                worst = figure(name, pooled.get("min", pooled.get("max")))
                cards.append(Card(TITLES[name], figure(name, pooled["mean"]), series.unit, f"worst frame {worst}"))
    pixels = f"{target.num_frames} frames of {target.width}x{target.height}"
    cards.append(Card("Rate", f"{target.rate_bpp:.4f}", "bpp", f"{target.bitrate_bps / 1000:.0f} kb/s"))
    size, unit = format_bytes(target.file_bytes).split()
    cards.append(Card("File", size, unit, pixels))
    if found.encode_seconds is not None:
        cards.append(Card("Encode", f"{found.encode_seconds:.1f}", "s", _pace(target.num_frames, found.encode_seconds)))
    cards.append(Card("Decode", f"{found.decode_fps:.1f}", "fps", f"{found.decode_seconds:.2f} s on {found.device}"))
    if "macs_per_pixel" in target.about:
        note = f"model {target.about['model']}"
        cards.append(Card("Complexity", f"{target.about['macs_per_pixel'] / 1000:.3g}", "kMAC/px", note))
    return cards


def _pace(frames: int, seconds: float) -> str:
    pace = frames / max(seconds, 1e-9)
    return f"{pace:.2f} fps" if pace >= 0.1 else f"{seconds / frames:.0f} s a frame"


def _rd_plots(found: Evaluation) -> list[tuple[str, str]]:
    """(title, svg) for each series that at least two points have."""
    plots = []
    for series in found.series:
        curves = [(i, curve) for i, curve in enumerate(found.curves) if _has(curve, series.name)]
        if sum(len(curve.points) for _, curve in curves) < 2:
            continue
        lines = [_rd_line(index, curve, series.name) for index, curve in curves]
        label = TITLES.get(series.name, series.name) + (", dB" if series.unit == "dB" else "")
        plot = Plot(lines, "bits per pixel (logarithmic)", label, log_x=True)
        title = TITLES.get(series.name, series.name) + ("" if series.higher_is_better else " (lower is better)")
        plots.append((title, render(plot)))
    return plots


def _has(curve: RdCurve, metric: str) -> bool:
    return all(metric in point.metrics for point in curve.points)


def _rd_line(index: int, curve: RdCurve, metric: str) -> Line:
    titles = [
        f"{curve.name} {point.label}: {point.rate_bpp:.4f} bpp, {figure(metric, point.metrics[metric])}"
        for point in curve.points
    ]
    xs, ys = [point.rate_bpp for point in curve.points], [point.metrics[metric] for point in curve.points]
    return Line(curve.name, xs, ys, index, markers=True, titles=titles)


def _delta_table(deltas: Sequence[Delta]) -> dict[str, Any]:
    """Rows by metric with a cell by anchor, and what is missing by its reason."""
    anchors = list(dict.fromkeys(delta.anchor for delta in deltas))
    rows = []
    for metric in dict.fromkeys(delta.metric for delta in deltas):
        cells = {delta.anchor: _delta_cell(delta) for delta in deltas if delta.metric == metric}
        rows.append({"metric": TITLES.get(metric, metric), "cells": [cells.get(anchor) for anchor in anchors]})
    missing: dict[str, dict[str, list[str]]] = {}
    for delta in deltas:
        for reason in filter(None, delta.reason.split("; ")):
            by_anchor = missing.setdefault(reason, {})
            by_anchor.setdefault(delta.anchor, []).append(TITLES.get(delta.metric, delta.metric))
    return {"anchors": anchors, "rows": rows, "missing": missing}


def _delta_cell(delta: Delta) -> dict[str, str]:
    """One comparison in words."""
    cell = {"rate": "\u2013", "good": "", "quality": "", "overlap": "", "equal": "\u2013", "equal_good": ""}
    if delta.bd is not None:
        unit = " dB" if delta.metric.endswith("_db") else ""
        cell["rate"] = f"{delta.bd.bd_rate_percent:+.1f} %"
        cell["good"] = "good" if delta.bd.bd_rate_percent < 0 else "bad"
        cell["quality"] = f"{delta.bd.bd_quality:+.{2 if unit else 4}f}{unit}"
        cell["overlap"] = f"overlap {100 * delta.bd.quality_overlap:.0f} % / {100 * delta.bd.rate_overlap:.0f} %"
    if delta.equal_quality_percent is not None:
        cell["equal"] = f"{delta.equal_quality_percent:+.1f} %"
        cell["equal_good"] = "good" if delta.equal_quality_percent < 0 else "bad"
    return cell


def _frame_plots(found: Evaluation) -> list[tuple[str, list[tuple[str, int]], str]]:
    """(title, [(name, colour)], svg) for each group of series, over seconds, with the GOPs' starts."""
    starts, scenes = _gop_seconds(found)
    plots = []
    for title, names in _GROUPS:
        chosen = [series for name in names for series in found.series if series.name == name]
        if not chosen:
            continue
        lines = [
            Line(TITLES[series.name], found.frame_seconds, series.values, index) for index, series in enumerate(chosen)
        ]
        plot = Plot(lines, "seconds", title.split(" (")[0], marks=starts, strong_marks=scenes, cross=True)
        plots.append((title, [(line.name, line.color) for line in lines], render(plot)))
    return plots


def _gop_seconds(found: Evaluation) -> tuple[list[float], list[float]]:
    """When GOPs start: those that go on from the one before, and those that start a scene (the first left out)."""
    at = dict(zip(found.frame_numbers, found.frame_seconds, strict=True))
    gops = [gop for gop in found.target.about.get("gops", [])[1:] if gop["first_frame"] in at]
    shared = [at[gop["first_frame"]] for gop in gops if gop["shares_first"]]
    return shared, [at[gop["first_frame"]] for gop in gops if not gop["shares_first"]]


def _parts(found: Evaluation) -> list[dict[str, Any]]:
    """Bytes by part of a ``.nvc``, largest first."""
    parts = found.target.about.get("bytes_by_part", {})
    total = max(1, sum(parts.values()))
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return [
        {"name": name, "bytes": count, "percent": 100 * count / total, "color": index % 6}
        for index, (name, count) in enumerate(ordered)
        if count
    ]


def _gops(found: Evaluation) -> list[dict[str, Any]]:
    """Bytes and bits per pixel of every GOP, with a bar's length relative to the largest."""
    gops = found.target.about.get("gops", [])
    pixels = found.target.width * found.target.height
    largest = max((gop["bytes"] for gop in gops), default=1)
    return [
        {
            "index": gop["index"],
            "first": gop["first_frame"],
            "frames": gop["num_frames"] - int(gop["shares_first"]),
            "bytes": gop["bytes"],
            "bpp": 8 * gop["bytes"] / (pixels * max(1, gop["num_frames"] - int(gop["shares_first"]))),
            "percent": 100 * gop["bytes"] / largest,
        }
        for gop in gops
    ]
