"""What an encode will come to, size, quality and hours, from a few of its GOPs, before it is begun.

Sampling is systematic: the video's frames are cut into as many equal stretches as there are samples, and the GOP at the
middle of each stands for its stretch. A GOP is so chosen with a chance in proportion to its length, and the mean of
bits a frame over the samples is without bias (Hansen and Hurwitz, 1943); that of samples taken at random would scatter
by the standard error that is given with it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

from nerv_codec.base.errors import UsageError
from nerv_codec.base.interruption import stop_on_signals
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress, part_of
from nerv_codec.encoding.config import EncoderConfig, at_crf, load_preset, override
from nerv_codec.encoding.engines.engine import open_engine
from nerv_codec.encoding.gop_job import CodedGop
from nerv_codec.encoding.scheduler import GopScheduler
from nerv_codec.encoding.segmentation import GopFrames
from nerv_codec.encoding.source import EncodeSource, read_gops
from nerv_codec.encoding.survey import Overview, look_through
from nerv_codec.media.part import Part
from nerv_codec.representations.registry import MODELS

DEFAULT_CRFS = (22.0, 28.0, 34.0, 40.0)
DEFAULT_SAMPLES = 3


@dataclass(frozen=True)
class EstimatedEncode:
    """What an encode at one crf is expected to come to."""

    crf: float | None
    """None of a model that gives every sample back."""
    file_bytes: int
    """Of the whole file, sound included."""
    file_bytes_error: int | None
    """One standard error of it; 0 where all GOPs were fitted, None where one sample says nothing about it."""
    bitrate_bps: float
    psnr_y_db: float
    """Luma, mean over frames."""
    encode_seconds: float
    """With as many jobs as were estimated with, on this machine."""


@dataclass(frozen=True)
class EstimateReport:
    """What an encode is expected to come to, and from how much of the video that is known."""

    source: str
    width: int
    height: int
    num_frames: int
    seconds: float
    """How long the video plays."""
    num_gops: int
    sampled_gops: tuple[int, ...]
    """Numbers of the GOPs that were fitted."""
    sampled_frames: int
    overhead_bytes: int
    """Of the file: sound, subtitles, header and all else that is no picture; known, not estimated."""
    encodes: tuple[EstimatedEncode, ...]
    estimate_seconds: float
    """What this took."""


def estimate(
    source: str | Path,
    *,
    preset: str = "medium",
    crfs: Iterable[float] | None = None,
    samples: int = DEFAULT_SAMPLES,
    config: EncoderConfig | None = None,
    fps: Fraction | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    frames: int | None = None,
    device: str = "auto",
    jobs: int = 1,
    track: int | None = None,
    audio: bool = True,
    drop_alpha: bool = False,
    scale_to_first: bool = False,
    progress: ProgressSink = ignore_progress,
) -> EstimateReport:
    """Fits a few GOPs of a video at each crf and says what the whole will come to. Nothing is written.

    Args:
        source: A file, a folder of pictures or a pattern of their names; it is read twice.
        preset: How much effort, where no ``config`` is given.
        crfs: Qualities to try; None is DEFAULT_CRFS, or the only one that a model has which gives every sample back.
        samples: How many GOPs to fit, at least as many as ``jobs``; all of them where there are no more.
        config: All settings but the crf.
        fps: As all that follows, what :func:`nerv_codec.encode` takes.
        start: Where to begin.
        end: Where to stop, not included.
        frames: Stop after so many.
        device: Where to fit.
        jobs: How many GOPs are fitted side by side.
        track: Which of several video tracks.
        audio: Whether sound would be kept.
        drop_alpha: Whether alpha would be dropped.
        scale_to_first: Whether frames of another size would be scaled.
        progress: Told what happens.

    Raises:
        InputError: The source cannot be read, or has no frame.
        UsageError: A setting makes no sense.
        Interrupted: Ctrl-C or SIGTERM, in the main thread.
    """
    began = time.monotonic()
    config = config or load_preset(preset)
    tried: list[tuple[float | None, EncoderConfig]] = [(None, config)]
    if crfs is not None or not MODELS[config.model].is_exact:
        tried = [(crf, at_crf(config, crf)) for crf in (DEFAULT_CRFS if crfs is None else crfs)]
    if samples < 1 or not tried:
        raise UsageError(f"expected a sample and a crf at least, found {samples} and {len(tried)}")
    video = EncodeSource(source, Part(start, end, frames), track, audio, drop_alpha, scale_to_first, fps)
    progress(Progress("start", 0.0, "look through"))
    overview = look_through(video, config)
    chosen = choose_gops(overview.gop_frames, max(samples, jobs))
    gops = _read(video, config, chosen)
    sampler = _Sampler(overview, gops, device, jobs)
    sampler.fit(_shortest(config), gops[:1], ignore_progress)  # compiles what is not compiled yet
    encodes = []
    for number, (crf, settings) in enumerate(tried):
        tell = part_of(progress, number / len(tried), 1 / len(tried), "" if crf is None else f"crf {crf:g}")
        coded, seconds = sampler.fit(settings, gops, tell)
        encodes.append(_expected(crf, overview, coded, list(chosen.values()), seconds))
    progress(Progress("done", 1.0, "done"))
    return EstimateReport(
        source=str(source),
        width=overview.info.width,
        height=overview.info.height,
        num_frames=overview.num_frames,
        seconds=overview.seconds,
        num_gops=len(overview.gop_frames),
        sampled_gops=tuple(chosen),
        sampled_frames=sum(len(gop.frames) for gop in gops),
        overhead_bytes=overview.overhead_bytes,
        encodes=tuple(encodes),
        estimate_seconds=time.monotonic() - began,
    )


def choose_gops(lengths: Sequence[int], samples: int) -> dict[int, int]:
    """The GOPs to fit, in order, and how many stretches of the video each stands for.

    Args:
        lengths: Frames of every GOP.
        samples: How many stretches there are; where there are no more GOPs than that, each stands for its frames.
    """
    if len(lengths) <= samples:
        return dict(enumerate(lengths))
    ends = list(accumulate(lengths))
    middles = [(2 * number + 1) * ends[-1] / (2 * samples) for number in range(samples)]
    return dict(Counter(next(gop for gop, end in enumerate(ends) if end > middle) for middle in middles))


@dataclass(frozen=True)
class _Sampler:
    """Fits the samples, as an encode would."""

    overview: Overview
    gops: Sequence[GopFrames]
    device: str
    jobs: int

    def fit(
        self, config: EncoderConfig, gops: Sequence[GopFrames], progress: ProgressSink
    ) -> tuple[list[CodedGop], float]:
        """The GOPs as they would stand in a file, and how long that took on the wall's clock."""
        expected = sum(len(gop.frames) - gop.continues for gop in gops)
        began = time.monotonic()
        with (
            open_engine("processes", device=self.device, jobs=min(self.jobs, len(gops))) as (engine, device),
            stop_on_signals() as stop,
        ):
            info = self.overview.info
            scheduler = GopScheduler(info, None, config, device, expected, progress, None, stop, engine=engine)
            coded = [gop for gop, _ in scheduler.code(iter(gops))]
        return coded, time.monotonic() - began


def _read(source: EncodeSource, config: EncoderConfig, chosen: dict[int, int]) -> list[GopFrames]:
    """The frames of the chosen GOPs, and no more than these in memory."""

    def wanted(gops: Iterator[GopFrames]) -> Iterator[GopFrames]:
        for number, gop in enumerate(gops):
            if number in chosen:
                yield gop
            if number >= max(chosen):
                return

    with source.open() as reader:
        return list(wanted(read_gops(reader, config)[0]))


def _shortest(config: EncoderConfig) -> EncoderConfig:
    """One step where a representation takes steps: what compiles its kernels soonest."""
    takes_steps = hasattr(getattr(config, config.model, None), "steps")
    return override(config, {config.model: {"steps": 1}}) if takes_steps else config


def _expected(
    crf: float | None, overview: Overview, coded: Sequence[CodedGop], weights: Sequence[int], seconds: float
) -> EstimatedEncode:
    """The whole, each sample standing for as many frames as its weight says."""
    total_frames, sampled = sum(overview.gop_frames), [gop.entry.num_frames for gop in coded]

    def mean(value: Callable[[CodedGop], float]) -> float:
        return sum(weight * value(gop) for weight, gop in zip(weights, coded, strict=True)) / sum(weights)

    def bytes_a_frame(gop: CodedGop) -> float:
        return gop.payload_bytes / gop.entry.num_frames

    file_bytes = overview.overhead_bytes + mean(bytes_a_frame) * total_frames
    missing = 1 - len(coded) / len(overview.gop_frames)
    error = None if missing else 0
    if missing and len(coded) > 1:
        scatter = statistics.stdev(map(bytes_a_frame, coded))
        error = round(total_frames * scatter * math.sqrt(missing / len(coded)))
    return EstimatedEncode(
        crf=crf,
        file_bytes=round(file_bytes),
        file_bytes_error=error,
        bitrate_bps=8 * file_bytes / overview.seconds,
        psnr_y_db=mean(lambda gop: statistics.fmean(gop.psnr_y_db)),
        encode_seconds=seconds * total_frames / sum(sampled),
    )
