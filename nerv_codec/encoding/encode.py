"""Encoding: media -> segment -> fit -> bitstream -> verify, GOP after GOP in bounded memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

import torch

from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import BitstreamError, InputError, UsageError, VerificationError
from nerv_codec.base.files import atomic_output, check_output
from nerv_codec.base.interruption import stop_on_signals
from nerv_codec.base.progress import Progress, ProgressSink, format_bytes, ignore_progress
from nerv_codec.base.video import DEFAULT_RATE, VideoInfo
from nerv_codec.bitstream.container import (
    SECTION_TOOL,
    pack_section,
    write_prologue,
)
from nerv_codec.bitstream.headers import MIN_SECTION_BYTES, GopEntry, StreamHeader, write_header
from nerv_codec.bitstream.tool import ToolInfo, write_tool
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig, at_crf, load_preset
from nerv_codec.encoding.gop_job import CodedGop
from nerv_codec.encoding.scheduler import GopCoder
from nerv_codec.encoding.start_from import EarlierEncode
from nerv_codec.encoding.survey import bounds, digested, read_gops, survey, write_beside
from nerv_codec.encoding.target import Goal, Steering
from nerv_codec.encoding.workspace import open_workspace, source_digest
from nerv_codec.media.part import Part
from nerv_codec.media.reader import VideoReader, open_video
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import MAX_TRACKED_PIXELS, MODEL_IDS, check_gop


@dataclass(frozen=True)
class EncodeReport:
    """What an encode made."""

    target: str
    file_bytes: int
    estimated_bits: float
    """Of all GOPs, by the entropy model's tables, ..."""
    coded_bits: int
    """... and what they came to in the file."""
    input_bytes: int | None
    """None where the input is a pipe."""
    num_frames: int
    num_gops: int
    rate_bpp: float
    bitrate_bps: float
    psnr_y_db: float
    """Luma, mean over frames, of what the written bytes decode to."""
    float_psnr_y_db: float
    """The same before the weights were quantised."""
    macs_per_pixel: float
    fit_seconds: float
    seconds: float
    """Wall time of the whole encode."""
    verified: bool
    warnings: tuple[str, ...]
    missed: str = ""
    """What was asked for and what came instead, where a bitrate, size or PSNR was not reached; else empty."""

    def summary(self) -> str:
        """One line for people."""
        share = f" ({100 * self.file_bytes / self.input_bytes:.1f} % of input)" if self.input_bytes else ""
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.target}: {format_bytes(self.file_bytes)}{share}, {self.rate_bpp:.4f} bpp, "
            f"{self.bitrate_bps / 1000:.0f} kb/s, PSNR {self.psnr_y_db:.2f} dB, {self.macs_per_pixel:.0f} MAC/px, "
            f"{minutes}m{seconds:02d}s, {'verified' if self.verified else 'not verified'}"
        )


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
    start_from: str | Path | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    frames: int | None = None,
    device: str = "auto",
    jobs: int = 1,
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

    The file appears under its name only when it is whole and, unless ``verify`` is off, has been read back:
    every GOP decoded from the bytes on disk, its integers compared with those that were meant.

    Args:
        source: Anything that PyAV opens, or a binary stream of y4m.
        target: The ``.nvc`` to write.
        preset: How much effort, where no ``config`` is given.
        crf: Quality, 0..63, lower is better and larger; None leaves the configuration's own (28).
        bitrate: Bits a second of the whole file, sound included, within 5 %; instead of a crf. The source is
            looked through once before the first fit.
        target_bytes: Size of the whole file, within 5 %; likewise.
        target_psnr_db: Luma PSNR, mean over all frames, within 0.2 dB; likewise.
            Where one of these is not reached, the file is written all the same, and the report says so.
        config: All settings; see :func:`nerv_codec.encoding.config.load_preset` for a preset's.
        start_from: A ``.nvc`` of the same frames, at whatever quality: fits begin with what it holds, sizes of
            grids and networks included, and need fewer steps.
        start: Where to begin: seconds since the first frame (float), or a frame number (int).
        end: Where to stop, not included; likewise.
        frames: Stop after so many.
        device: Where to fit: ``auto``, ``cpu``, ``cuda`` ...
        jobs: How many GOPs are fitted side by side, in processes that share the threads. The bytes are the same,
            but for a bitrate or a size, where a GOP knows what fewer earlier ones have cost. A script that asks
            for more than one needs the usual ``if __name__ == "__main__":``.
        overwrite: Whether an existing target may be replaced.
        track: Which of several video tracks, from 0; None lets ffmpeg choose.
        audio: Whether the source's sound goes into the file as it is; subtitles, chapters and tags always do.
            Where only a part is encoded, the packets that play within it are kept whole.
        drop_alpha: Whether a video with an alpha channel is encoded without it; else it is refused.
        scale_to_first: Whether frames of another size than the first one are scaled to it; else the encode ends
            with an error where the size changes.
        resume: Whether to go on where an earlier run of the same command ended, and to keep work for a later
            one, in the folder ``.NAME.work`` beside the target, which goes when the file is whole.
        verify: Whether to read the file back.
        tool_section: Whether to write down the encoder's version and the time it took. Without it the same
            command gives the same bytes.
        progress: Told what happens.

    Raises:
        InputError: The source cannot be read, has no frame to encode, or pictures that a .nvc cannot hold.
        OutputExistsError: The target exists, or is the source.
        UsageError: A setting makes no sense.
        VerificationError: The written bytes do not decode to what was meant.
        Interrupted: Ctrl-C or SIGTERM, in the main thread; the work so far has been kept.
    """
    began = time.monotonic()
    goal = Goal(bitrate, target_bytes, target_psnr_db)
    config = _settings(config or load_preset(preset), crf, goal)
    target = Path(target)
    path = None if not isinstance(source, str | Path) else Path(source)
    goal.check(config, seekable=path is not None)
    check_output(target, source=path, overwrite=overwrite)
    compute = choose_device(device)
    progress(Progress("start", 0.0, "open"))
    part = Part(start, end, frames)
    read = partial(
        open_video,
        source,
        format="yuv4mpegpipe" if path is None else None,
        track=track,
        part=part,
        drop_alpha=drop_alpha,
        scale_to_first=scale_to_first,
    )
    opened = read()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        reader = stack.enter_context(opened)
        _check_storable(reader.info, config, str(source))
        steering = _steering(goal, path, read, part, config, audio)
        earlier = stack.enter_context(closing(EarlierEncode(start_from, config))) if start_from else None
        choice = start, end, frames, track, start_from and source_digest(Path(start_from))
        key = _work_key(path, choice, config, compute, steering, jobs) if resume and path is not None else None
        workspace = stack.enter_context(open_workspace(target, key))
        temporary = stack.enter_context(atomic_output(target, overwrite=overwrite))
        expected = _expected_frames(reader, start, end, frames)
        coder = GopCoder(
            reader.info,
            reader.frame_rate,
            config,
            compute,
            expected,
            progress,
            workspace,
            stop,
            steering,
            jobs,
            earlier,
        )
        pictures, last_duration = read_gops(reader, config)
        gops = []
        sections = stack.enter_context(tempfile.TemporaryFile(dir=target.parent))
        for coded, section in stack.enter_context(closing(coder.code(pictures))):
            gops.append(coded)
            sections.write(section)
        header = StreamHeader(
            model_id=MODEL_IDS[config.model],
            info=reader.info,
            pts=tuple(pts for gop in gops for pts in gop.pts),
            last_duration=last_duration.in_ticks(reader.info.time_base),
            gops=tuple(gop.entry for gop in gops),
            shared=gops[0].shared,
        )
        sections.seek(0)
        with temporary.open("wb") as file:
            file.write(write_prologue(header))
            shutil.copyfileobj(sections, file)
            digest, notes = write_beside(file, path, reader, audio, *bounds(header, part)) if path else (None, [])
            if tool_section:
                file.write(_tool(began))
            file.flush()
            os.fsync(file.fileno())
        warnings = [*reader.warnings, *notes]
        with VideoDecoder(temporary) as video:
            if verify:
                _verify(video, gops, digest)
            about = video.metadata
    psnr = statistics.fmean(db for gop in gops for db in gop.psnr_y_db)
    missed = goal.missed(file_bytes=about.file_bytes, seconds=about.end_seconds - about.begin_seconds, psnr_db=psnr)
    facts = {"psnr_db": psnr, "bytes": about.file_bytes, **({"missed": missed} if missed else {})}
    progress(Progress("done", 1.0, "done", facts))
    return EncodeReport(
        target=str(target),
        file_bytes=about.file_bytes,
        estimated_bits=sum(gop.estimated_bits for gop in gops),
        coded_bits=8 * sum(gop.payload_bytes + len(gop.shared) for gop in gops),
        input_bytes=path.stat().st_size if path is not None else None,
        num_frames=about.num_frames,
        num_gops=about.num_gops,
        rate_bpp=about.rate_bpp,
        bitrate_bps=about.bitrate_bps,
        psnr_y_db=psnr,
        float_psnr_y_db=statistics.fmean(db for gop in gops for db in gop.float_psnr_y_db),
        macs_per_pixel=about.macs_per_pixel,
        fit_seconds=sum(gop.fit_seconds for gop in gops),
        seconds=time.monotonic() - began,
        verified=verify,
        warnings=tuple(warnings),
        missed=missed,
    )


def _settings(config: EncoderConfig, crf: float | None, goal: Goal) -> EncoderConfig:
    if crf is not None and goal != Goal():
        raise UsageError("expected a crf or a target, found both")
    return config if crf is None else at_crf(config, crf)


def _steering(
    goal: Goal, path: Path | None, read: Callable[[], VideoReader], part: Part, config: EncoderConfig, audio: bool
) -> Steering:
    """What each GOP is to come to; for a rate, the video is looked through first."""
    if not goal.is_rate or path is None:
        return Steering(goal.psnr_db)
    with read() as reader:
        return survey(goal, path, reader, part, config, audio)


def _check_storable(info: VideoInfo, config: EncoderConfig, name: str) -> None:
    """Raises InputError for a lattice that the format cannot hold, before hours go into fitting it."""
    longest = GopGeometry(config.gop + 1, info.height, info.width, info.pixel_format.num_planes)
    try:
        write_header(StreamHeader(0, info, (0,), 1, (GopEntry(1, False, MIN_SECTION_BYTES),)))
    except (BitstreamError, ValueError) as error:
        raise InputError(f"{name}: this video does not fit the format: {error}") from error
    try:
        check_gop(MODEL_IDS[config.model], longest)
    except BitstreamError as error:
        fitting = MAX_TRACKED_PIXELS // (info.width * info.height) - 1  # a GOP holds the start of the next one
        raise InputError(f"{name}: {error}; a gop of {fitting} or less fits") from error


def _work_key(
    path: Path,
    choice: tuple[float | int | str | None, ...],
    config: EncoderConfig,
    device: torch.device,
    steering: Steering,
    jobs: int,
) -> str:
    """All that determines the bytes of a fit, so that work is gone on with only where it would come out the same.

    Whether alpha is dropped and frames are scaled does not: without it an encode ends at the first such frame, and
    what was fitted before can be gone on with when it is allowed.
    """
    machine = (str(device), torch.__version__, _tool_name())
    lag = jobs if steering.budget else 1
    return repr((source_digest(path), choice, config, machine, steering, lag))


def _verify(video: VideoDecoder, gops: Sequence[CodedGop], packets_digest: str | None) -> None:
    """Decodes every GOP of the written file. Raises VerificationError where one is not what was meant."""
    for index, gop in enumerate(gops):
        try:
            _, digest, _ = video.loader.unpack(index)
        except BitstreamError as error:
            raise VerificationError(f"the written file cannot be decoded: {error}") from error
        if digest != gop.digest:
            raise VerificationError(f"GOP {index} does not decode to the integers that were encoded")
    if packets_digest is not None:
        found = hashlib.sha256()
        for _ in digested(video.packets(), found):
            pass
        if found.hexdigest() != packets_digest:
            raise VerificationError("sound or subtitles do not come back as they were written")


def _expected_frames(
    reader: VideoReader, start: float | int | None, end: float | int | None, frames: int | None
) -> int:
    """How many frames there will be, as far as the container tells; only progress depends on it."""
    rate = reader.frame_rate or DEFAULT_RATE

    def number(where: float | int) -> int:
        return round(where * rate) if isinstance(where, float) else where

    total = reader.num_frames or 0
    if end is not None:
        total = min(number(end), total or number(end))
    total = max(0, total - number(start or 0))
    return min(frames, total or frames) if frames else total


def _tool(began: float) -> bytes:
    """The section that says what made the file, and in what time."""
    tool = ToolInfo(_tool_name(), round(1000 * (time.monotonic() - began)))
    return pack_section(SECTION_TOOL, write_tool(tool))


def _tool_name() -> str:
    try:
        return f"nerv-codec {metadata.version('nerv-codec')}"
    except metadata.PackageNotFoundError:
        return "nerv-codec"
