"""Evaluating one video against another: decode both, measure frame by frame, and report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.decoding.inspection import inspect
from nerv_codec.evaluation.matching import FrameSource, check_comparable, clock_shift, in_layout, match_frames
from nerv_codec.evaluation.metrics.pair import FramePair
from nerv_codec.evaluation.metrics.psnr import PsnrMetric
from nerv_codec.evaluation.metrics.suite import MetricChoice, measure, metric_names
from nerv_codec.evaluation.schema import Evaluation, MediaSummary
from nerv_codec.media.containers import open_input, ratio


def evaluate(
    reference: str | Path,
    target: str | Path,
    *,
    metrics: str | Sequence[str] = ("psnr",),
    match: str = "auto",
    device: str = "auto",
    fps: Fraction | None = None,
    lpips_weights: str | Path | None = None,
    progress: ProgressSink = ignore_progress,
) -> Evaluation:
    """Measures how close a video is to its reference, and what it cost.

    Both stream through frame by frame: memory does not grow with their length. A frame is compared with the
    frame of the reference that is shown at the same time, so a ``.nvc`` of a part finds its place.

    Args:
        reference: The original: anything PyAV opens, or a ``.nvc``.
        target: A ``.nvc``, or any ordinary video of the same size.
        metrics: Names out of :data:`nerv_codec.evaluation.metrics.suite.METRICS`, or ``all``; one name may stand alone.
        match: ``time``, ``number`` (first to first ...), or ``auto``: time, unless the first pictures say that the
            clocks disagree, which is noted.
        device: Where a ``.nvc`` is evaluated: ``auto``, ``cpu``, ``cuda`` ...
        fps: Frames per second of a reference that is a folder of pictures, or a pattern; None is 25.
        lpips_weights: AlexNet's weights for lpips: the file, or a folder laid out as TORCH_HOME.
        progress: Told about every frame.

    Raises:
        UsageError: A metric is unknown.
        InputError: A file cannot be read, the sizes differ, or no two frames are shown at one time.
        BitstreamError: The ``.nvc`` is damaged.

    Example:
        >>> evaluate("clip.mp4", "clip.nvc").metric("psnr_y_db")  # doctest: +SKIP
        34.82
    """
    began = time.monotonic()
    progress(Progress("start", 0.0, "open"))
    if match not in ("auto", "time", "number"):
        raise UsageError(f"expected a match by auto, time or number, found {match!r}")
    with FrameSource(reference, device=device, rate=fps) as original, FrameSource(target, device=device) as coded:
        notes = check_comparable(original, coded)
        shift, said = clock_shift(original, coded, by=match)
        notes += said
        choice = MetricChoice(metric_names(metrics), lpips_weights, original.device)
        measuring, skipped = choice.make(original.info)
        pairs = _Pairs(original, coded, match, shift, progress)
        running = measuring.get("psnr")
        pairs.running_psnr = running if isinstance(running, PsnrMetric) else None
        series, failed = measure(pairs, measuring)
        skipped |= failed
        tool = coded.tool
        if tool is None:
            what = "the file has no tool section" if coded.nvc else "an ordinary video does not say"
            skipped["encode_seconds"] = what
        found = Evaluation(
            reference=_summary(original),
            target=_summary(coded),
            frame_seconds=tuple(pairs.seconds),
            frame_numbers=tuple(pairs.target_numbers),
            reference_numbers=tuple(pairs.reference_numbers),
            series=tuple(chain.from_iterable(series.values())),
            encode_seconds=tool.encode_milliseconds / 1000 if tool else None,
            decode_seconds=coded.decode_seconds,
            decoded_frames=coded.frames_read,
            device=coded.device,
            skipped=skipped,
            notes=tuple(notes),
            eval_seconds=time.monotonic() - began,
            identical_frames=pairs.identical_frames,
        )
    progress(Progress("done", 1.0, "done"))
    return found


class _Pairs:
    """The pairs of two sources on their way to the metrics; keeps their times and numbers, tells of progress."""

    def __init__(
        self, original: FrameSource, coded: FrameSource, match: str, shift: Fraction, progress: ProgressSink
    ) -> None:
        self.seconds: list[float] = []
        self.reference_numbers: list[int] = []
        self.target_numbers: list[int] = []
        self.identical_frames = 0
        self.running_psnr: PsnrMetric | None = None
        self._sources = original, coded
        self._match, self._shift = match, shift
        self._progress = progress

    def __iter__(self) -> Iterator[FramePair]:
        original, coded = self._sources
        info = replace(coded.info, pixel_format=original.info.pixel_format)
        total = coded.num_frames or original.num_frames or 0
        for pair in match_frames(original, coded, by=self._match, shift=self._shift):
            target = in_layout(pair.target.planes, coded.info, original.info.pixel_format)
            yield FramePair(pair.reference.planes, target, original.info, info)
            same = zip(pair.reference.planes, target, strict=True)
            self.identical_frames += all(np.array_equal(a, b) for a, b in same)
            self.seconds.append(pair.seconds)
            self.reference_numbers.append(pair.reference_index)
            self.target_numbers.append(pair.target_index)
            detail = {"psnr_db": self.running_psnr.running_db} if self.running_psnr else {}
            done = pair.target_index + 1
            share = min(1.0, done / total) if total else 0.0
            self._progress(Progress("progress", share, f"eval {done}/{total or '?'}", detail))
        if not self.seconds:
            raise InputError(
                f"{coded.path}: expected frames at the times of the reference's, found none; "
                "matching by number compares first to first"
            )


def _summary(source: FrameSource) -> MediaSummary:
    info = source.info
    about: dict[str, Any] = {}
    if source.nvc is not None:
        meta = source.nvc.metadata
        num_frames, duration = meta.num_frames, meta.end_seconds - meta.begin_seconds
        parts = inspect(source.path)
        about = {name: parts[name] for name in ("model", "macs_per_pixel", "bytes_by_part", "gops", "tool")}
    else:
        num_frames, duration = _count_packets(source)
    file_bytes = source.path.stat().st_size
    return MediaSummary(
        file=str(source.path),
        kind="nvc" if source.nvc is not None else "video",
        width=info.width,
        height=info.height,
        num_frames=num_frames,
        fps=num_frames / duration,
        duration_seconds=duration,
        file_bytes=file_bytes,
        rate_bpp=8 * file_bytes / (num_frames * info.height * info.width),
        bitrate_bps=8 * file_bytes / duration,
        about=about,
    )


def _count_packets(source: FrameSource) -> tuple[int, float]:
    """Frames and seconds of an ordinary video, by its packets: headers are only hints."""
    count, first, last = 0, None, None
    try:
        with open_input(f"file:{source.path}") as container:
            stream = container.streams.best("video")
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    count += 1
                    first = packet.pts if first is None else min(first, packet.pts)
                    last = packet.pts if last is None else max(last, packet.pts)
            base = ratio(stream.time_base if stream else None) or Fraction(1)
    except av.FFmpegError:
        pass  # the damage was found while decoding; what was counted before it stands
    count = max(count, source.frames_read)
    if count < 2 or first is None or last is None or last == first:
        return count, float(count / source.frame_rate)
    return count, float((last - first) * base * count / (count - 1))
