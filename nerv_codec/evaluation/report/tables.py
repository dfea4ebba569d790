"""An evaluation as text for people, and as tidy CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from nerv_codec.base.progress import format_bytes
from nerv_codec.evaluation.schema import Evaluation, MediaSummary, RdCurve

_POOLINGS = (
    ("mean", "mean"),
    ("harmonic_mean", "harmonic"),
    ("p5", "5 %"),
    ("min", "worst"),
    ("of_mean_mse", "of mean MSE"),
)
_BAD_END = {"p5": "p95", "min": "max"}


def text_report(found: Evaluation) -> str:
    """A short table for the terminal."""
    target = found.target
    rate = f"{target.rate_bpp:.5f} bpp, {target.bitrate_bps / 1000:.1f} kb/s, {format_bytes(target.file_bytes)}"
    lines = [
        f"{target.file} against {found.reference.file}",
        f"  frames     {len(found.frame_seconds)} compared{_coverage(found)}, {target.width}x{target.height}",
        f"  rate       {rate}",
        f"  time       {_times(found)}",
    ]
    if found.is_identical:
        lines.append("  quality    identical: every sample of every plane")
    rows = []
    for series in found.series:
        pooled = series.pooled
        names = [name if name in pooled else _BAD_END.get(name, name) for name, _ in _POOLINGS]
        figures = [f"{pooled[name]:.{_digits(series.unit)}f}" if name in pooled else "" for name in names]
        rows.append([series.name, *figures, series.domain])
    if rows:
        lines += _columns([["metric", *(title for _, title in _POOLINGS), "of"], *rows])
    lines += _comparison(found)
    lines += [f"  skipped    {name}: {reason}" for name, reason in found.skipped.items()]
    lines += [f"  note       {note}" for note in found.notes]
    return "\n".join(lines)


def csv_report(found: Evaluation) -> str:
    """Tidy CSV: one row a frame, one column a figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["frame", "seconds", *(series.name for series in found.series)])
    columns = [series.values for series in found.series]
    for row, (number, seconds) in enumerate(zip(found.frame_numbers, found.frame_seconds, strict=True)):
        writer.writerow([number, f"{seconds:.6f}", *(f"{values[row]:.6f}" for values in columns)])
    return out.getvalue()


def rd_report(curve: RdCurve) -> dict[str, Any]:
    """One curve in the shape that CompressAI's benchmarks exchange: lists by metric, one entry a point."""
    names = list(dict.fromkeys(name for point in curve.points for name in point.metrics))
    results: dict[str, list[float]] = {"bpp": [point.rate_bpp for point in curve.points]}
    for name in names:
        if all(name in point.metrics for point in curve.points):
            key = name.removesuffix("_db").replace("_", "-")
            results[key] = [point.metrics[name] for point in curve.points]
    if all(point.encode_seconds is not None for point in curve.points):
        results["encoding_time"] = [point.encode_seconds or 0.0 for point in curve.points]
    results["decoding_time"] = [point.decode_seconds for point in curve.points]
    return {"name": curve.name, "description": f"{curve.settings}; counted: {curve.counted}", "results": results}


def _comparison(found: Evaluation) -> list[str]:
    """Baselines and held-out samples, a few lines each."""
    lines = []
    rows = []
    for delta in found.deltas:
        rate = f"{delta.bd.bd_rate_percent:+.1f} %" if delta.bd else "-"
        overlap = f"{100 * delta.bd.quality_overlap:.0f} %" if delta.bd else "-"
        equal = f"{delta.equal_quality_percent:+.1f} %" if delta.equal_quality_percent is not None else "-"
        rows.append([f"{delta.metric} vs {delta.anchor}", rate, overlap, equal, delta.reason])
    if rows:
        lines += _columns([["rate against baselines", "BD-rate", "overlap", "at equal quality", ""], *rows])
    rows = [
        [size.codec, format_bytes(size.coded_bytes), f"{size.percent:+.1f} %", size.settings]
        for size in found.exact_sizes
    ]
    if rows:
        lines += _columns([["lossless codecs", "size", "this file", ""], *rows])
    for holdout in found.holdouts:
        names = list(holdout.methods[0].metrics)
        what = "frames between" if holdout.kind == "time" else "pixels between"
        title = f"held-out {what} (1 in {holdout.factor})"
        rows = [
            [f"{method.name} ({method.given})", *(f"{method.metrics[name]:.3f}" for name in names), ""]
            for method in holdout.methods
        ]
        lines += _columns([[title, *names, ""], *rows])
    return lines


def _coverage(found: Evaluation) -> str:
    """Which part of the two videos that is, where it is not all."""
    compared = len(found.frame_seconds)

    def part(media: MediaSummary, name: str) -> list[str]:
        return [f"{media.num_frames} in the {name}"] if media.num_frames != compared else []

    parts = part(found.reference, "reference") + part(found.target, "target")
    return f" (of {', '.join(parts)})" if parts else ""


def _times(found: Evaluation) -> str:
    encode = "unknown" if found.encode_seconds is None else f"{found.encode_seconds:.1f} s"
    return f"encode {encode}, decode {found.decode_seconds:.2f} s ({found.decode_fps:.1f} fps on {found.device})"


def _digits(unit: str) -> int:
    return 3 if unit == "dB" else 5


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with figures right-aligned under their titles; the first and the last column are words."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        middle = "  ".join(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True))
        lines.append(f"  {row[0].ljust(widths[0])}  {middle}  {row[-1]}".rstrip())
    return lines
