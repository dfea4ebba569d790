"""Encoding: a video is read, cut into GOPs, fitted, written and read back, GOP after GOP in bounded memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import torch

from nerv_codec.base.errors import BitstreamError, InputError, UsageError
from nerv_codec.base.files import atomic_output, check_output
from nerv_codec.base.interruption import stop_on_signals
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.base.video import VideoInfo
from nerv_codec.bitstream.headers import MIN_SECTION_BYTES, GopEntry, StreamHeader, write_header
from nerv_codec.decoding.metadata import VideoMetadata
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.assemble import Assembled, assemble, verify_file
from nerv_codec.encoding.config import EncoderConfig, at_crf, load_preset
from nerv_codec.encoding.engines.engine import Engine, open_engine
from nerv_codec.encoding.gop_job import CodedGop
from nerv_codec.encoding.report import EncodeReport
from nerv_codec.encoding.scheduler import GopScheduler
from nerv_codec.encoding.source import EncodeSource, read_gops
from nerv_codec.encoding.survey import survey
from nerv_codec.encoding.target import Goal, Steering
from nerv_codec.encoding.workspace import open_workspace, program_digest, source_digest
from nerv_codec.media.part import Part
from nerv_codec.media.reader import VideoReader
from nerv_codec.representations.registry import MODELS


def encode(
    source: str | Path | BinaryIO,
    target: str | Path,
    *,
    preset: str = "medium",
    crf: float | None = None,
    bitrate: float | None = None,
    target_bytes: int | None = None,
    target_psnr_db: float | None = None,
    config: EncoderConfig | None = None,
    fps: Fraction | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    frames: int | None = None,
    device: str = "auto",
    jobs: int | None = None,
    engine: str | Engine = "processes",
    fit_cpus: float | None = None,
    fit_gpus: float | None = None,
    overwrite: bool = False,
    track: int | None = None,
    audio: bool = True,
    drop_alpha: bool = False,
    scale_to_first: bool = False,
    resume: bool = True,
    verify: bool = True,
    tool_section: bool = True,
    progress: ProgressSink = ignore_progress,
) -> EncodeReport:
    """Fits a function to a video and writes it as a ``.nvc``.

    The file appears under its name only when it is whole and, unless ``verify`` is off, has been read back and decoded.

    Args:
        source: Anything that PyAV opens; a folder of pictures or a pattern such as ``frame_%04d.png``; or a binary
            stream of y4m.
        target: The ``.nvc`` to write.
        preset: How much effort, where no ``config`` is given.
        crf: Quality, 0..63, lower is better and larger; None leaves the configuration's own (28).
        bitrate: Bits a second of the whole file, sound included, within 5 %; instead of a crf.
        target_bytes: Size of the whole file, within 5 %; instead of a crf or a bitrate.
        target_psnr_db: Luma PSNR, mean over all frames, within 0.2 dB; instead of a crf, a bitrate or a size.
            For a rate the source is looked through first. Where one of these targets is not reached, the file is
            written all the same, and the report says so.
        config: All settings; see :func:`nerv_codec.encoding.config.load_preset` for a preset's.
        fps: Frames per second of numbered pictures, which have no times of their own; None is 25.
        start: Where to begin: seconds since the first frame (float), or a frame number (int).
        end: Where to stop, not included: seconds since the first frame (float), or a frame number (int).
        frames: Stop after so many.
        device: Where to fit: ``auto``, ``cpu``, ``cuda`` ...
        jobs: How many GOPs are fitted side by side, in processes that share the threads; a script then needs the
            usual ``if __name__ == "__main__":``. The bytes are the same, but for a bitrate or a size. None is 1, or
            with Ray as many as the cluster has room for.
        engine: What runs fits: ``processes`` of this machine; ``ray``, a Ray cluster of this machine alone;
            ``ray=ADDRESS``, a cluster that is there, as ``HOST:PORT`` or ``auto``. Or an engine that is open already,
            shared with other encodes; ``device`` and ``jobs`` are then its own.
        fit_cpus: Processors that a fit takes of a Ray cluster; None is 1.
        fit_gpus: GPUs that a fit takes of a Ray cluster, or a share of one; None is 1 where ``device`` is a GPU.
        overwrite: Whether an existing target may be replaced.
        track: Which of several video tracks, from 0; None lets ffmpeg choose.
        audio: Whether the source's sound goes into the file as it is; subtitles, chapters and tags always do.
            Where only a part is encoded, the packets that play within it are kept whole.
        drop_alpha: Whether a video with an alpha channel is encoded without it; else it is refused.
        scale_to_first: Whether frames of another size than the first one are scaled to it; else they are an error.
        resume: Whether to go on with what an earlier run of the same command left in the folder ``.NAME.work`` beside
            the target, and to leave it there for a later one until the file is whole.
        verify: Whether to read the file back.
        tool_section: Whether to write down version and time; without them the same command gives the same bytes.
        progress: Told what happens.

    Raises:
        InputError: The source cannot be read, has no frame to encode, or pictures that a .nvc cannot hold.
        UsageError: A setting makes no sense, or the target exists (OutputExistsError).
        VerificationError: The written bytes do not decode to what was meant.
        Interrupted: Ctrl-C or SIGTERM, in the main thread; the work so far has been kept.
    """
    goal = Goal(bitrate, target_bytes, target_psnr_db)
    video = EncodeSource(source, Part(start, end, frames), track, audio, drop_alpha, scale_to_first, fps)
    config = _settings(config or load_preset(preset), crf, goal)
    flags = overwrite, resume, verify, tool_section
    job = _Encode(video, Path(target), config, goal, *flags, progress)
    job.check()
    if not isinstance(engine, str):
        return job.run(engine, engine.device)
    with open_engine(engine, device=device, jobs=jobs, fit_cpus=fit_cpus, fit_gpus=fit_gpus) as opened:
        return job.run(*opened)


@dataclass(frozen=True)
class _Encode:
    """The arguments of :func:`encode`, those that belong together as one."""

    source: EncodeSource
    target: Path
    config: EncoderConfig
    goal: Goal
    overwrite: bool
    resume: bool
    verify: bool
    tool_section: bool
    progress: ProgressSink

    def check(self) -> None:
        """Refuses what makes no sense, before anything is started for it. Raises UsageError."""
        self.goal.check(self.config, seekable=self.source.path is not None)
        check_output(self.target, source=self.source.path, overwrite=self.overwrite)

    def run(self, engine: Engine | None, device: torch.device) -> EncodeReport:
        """Reads, fits, writes, reads back and reports."""
        began, config, goal, source = time.monotonic(), self.config, self.goal, self.source
        self.progress(Progress("start", 0.0, "open"))
        with ExitStack() as stack:
            stop = stack.enter_context(stop_on_signals())
            reader = stack.enter_context(source.open())
            _check_storable(reader.info, str(source.stream))
            steering = survey(goal, source, config)
            lag = engine.slots if engine and steering.budget else 1
            key = self._work_key(device, steering, lag) if self.resume else None
            workspace = stack.enter_context(open_workspace(self.target, key))
            temporary = stack.enter_context(atomic_output(self.target, overwrite=self.overwrite))
            expected, rate = source.expected_frames(reader), reader.frame_rate
            fits = config, device, expected, self.progress, workspace, stop, steering, engine
            gops, last_duration = read_gops(reader, config)
            coded = stack.enter_context(closing(GopScheduler(reader.info, rate, *fits).code(gops)))
            made = assemble(
                temporary,
                self._while_free(coded),
                model_id=MODELS[config.model].model_id,
                source=source,
                reader=reader,
                last_duration=lambda: last_duration.in_ticks(reader.info.time_base),
                began=began if self.tool_section else None,
            )
            with VideoDecoder(temporary) as written:
                if self.verify:
                    verify_file(written, made)
                about = written.metadata
        report = self._report(reader, made, about, began)
        facts = {"psnr_db": report.psnr_y_db, "bytes": report.file_bytes}
        self.progress(Progress("done", 1.0, "done", facts | ({"missed": report.missed} if report.missed else {})))
        return report

    def _while_free(self, gops: Iterable[tuple[CodedGop, bytes]]) -> Iterator[tuple[CodedGop, bytes]]:
        """The same GOPs; once somebody else has written the target, no more are fitted for nothing."""
        for gop in gops:
            yield gop
            check_output(self.target, source=self.source.path, overwrite=self.overwrite)

    def _work_key(self, device: torch.device, steering: Steering, lag: int) -> str | None:
        """All that determines the bytes of a fit: work is gone on with only where it would come out the same.

        None for a stream, which cannot be told from another one.
        """
        if self.source.path is None:
            return None
        machine = (str(device), torch.__version__, program_digest())
        return repr((source_digest(self.source.path), self.source.choice, self.config, machine, steering, lag))

    def _report(self, reader: VideoReader, made: Assembled, about: VideoMetadata, began: float) -> EncodeReport:
        psnr = statistics.fmean(db for gop in made.gops for db in gop.psnr_y_db)
        shown_seconds = about.end_seconds - about.begin_seconds
        return EncodeReport(
            target=str(self.target),
            file_bytes=about.file_bytes,
            estimated_bits=sum(gop.estimated_bits for gop in made.gops),
            coded_bits=8 * sum(gop.payload_bytes for gop in made.gops),
            input_bytes=self.source.num_bytes,
            num_frames=about.num_frames,
            num_gops=about.num_gops,
            rate_bpp=about.rate_bpp,
            bitrate_bps=about.bitrate_bps,
            psnr_y_db=psnr,
            float_psnr_y_db=statistics.fmean(db for gop in made.gops for db in gop.float_psnr_y_db),
            macs_per_pixel=about.macs_per_pixel,
            fit_seconds=sum(gop.fit_seconds for gop in made.gops),
            seconds=time.monotonic() - began,
            verified=self.verify,
            exact=MODELS[self.config.model].is_exact,
            warnings=(*reader.warnings, *made.beside.notes),
            missed=self.goal.missed(file_bytes=about.file_bytes, seconds=shown_seconds, psnr_db=psnr),
        )


def _settings(config: EncoderConfig, crf: float | None, goal: Goal) -> EncoderConfig:
    if crf is not None and goal != Goal():
        raise UsageError("expected a crf or a target, found both")
    return config if crf is None else at_crf(config, crf)


def _check_storable(info: VideoInfo, name: str) -> None:
    """Raises InputError for a lattice that the format cannot hold, before hours go into fitting it."""
    try:
        write_header(StreamHeader(0, info, (0,), 1, (GopEntry(1, False, MIN_SECTION_BYTES),)))
    except (BitstreamError, ValueError) as error:
        raise InputError(f"{name}: this video does not fit the format: {error}") from error
