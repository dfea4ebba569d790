"""Encoding: media -> segment -> fit -> bitstream -> verify, GOP after GOP in bounded memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch

from nerv_codec.bitstream.companions import write_companions, write_packets
from nerv_codec.bitstream.container import (
    SECTION_COMPANIONS,
    SECTION_PACKETS,
    SECTION_TOOL,
    pack_section,
    write_prologue,
)
from nerv_codec.bitstream.headers import MIN_SECTION_BYTES, GopEntry, StreamHeader, write_header
from nerv_codec.bitstream.tool import ToolInfo, write_tool
from nerv_codec.companions import TrackPacket
from nerv_codec.config import EncoderConfig, at_crf, load_preset
from nerv_codec.device import choose_device
from nerv_codec.errors import BitstreamError, InputError, VerificationError
from nerv_codec.files import atomic_output, check_output
from nerv_codec.gop_coding import CodedGop, GopCoder, LastDuration
from nerv_codec.interruption import stop_on_signals
from nerv_codec.media.part import Part
from nerv_codec.media.reader import VideoReader, open_video
from nerv_codec.media.segment import segment
from nerv_codec.media.tracks import open_tracks
from nerv_codec.model.coordinates import GopGeometry
from nerv_codec.progress import Progress, ProgressSink, format_bytes, ignore_progress
from nerv_codec.representations import MODEL_IDS, check_gop
from nerv_codec.types import VideoInfo
from nerv_codec.video_decoder import VideoDecoder
from nerv_codec.workspace import open_workspace, source_digest


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
    config: EncoderConfig | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    frames: int | None = None,
    device: str = "auto",
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
        config: All settings; see :func:`nerv_codec.config.load_preset` for a preset's.
        start: Where to begin: seconds since the first frame (float), or a frame number (int).
        end: Where to stop, not included; likewise.
        frames: Stop after so many.
        device: Where to fit: ``auto``, ``cpu``, ``cuda`` ...
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
    config = _settings(config or load_preset(preset), crf)
    target = Path(target)
    path = None if not isinstance(source, str | Path) else Path(source)
    check_output(target, source=path, overwrite=overwrite)
    compute = choose_device(device)
    progress(Progress("start", 0.0, "open"))
    opened = open_video(
        source,
        format="yuv4mpegpipe" if path is None else None,
        track=track,
        part=Part(start, end, frames),
        drop_alpha=drop_alpha,
        scale_to_first=scale_to_first,
    )
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        reader = stack.enter_context(opened)
        _check_storable(reader.info, config, str(source))
        key = _work_key(path, (start, end, frames, track), config, compute) if resume and path is not None else None
        workspace = stack.enter_context(open_workspace(target, key))
        temporary = stack.enter_context(atomic_output(target, overwrite=overwrite))
        expected = _expected_frames(reader, start, end, frames)
        coder = GopCoder(reader.info, reader.frame_rate, config, compute, expected, progress, workspace, stop)
        last_duration = LastDuration(reader, reader.frame_rate)
        gops = []
        sections = stack.enter_context(tempfile.TemporaryFile(dir=target.parent))
        for gop in segment(last_duration, gop=config.gop, bit_depth=reader.info.pixel_format.bit_depth):
            coded, section = coder.code(gop)
            gops.append(coded)
            sections.write(section)
        header = StreamHeader(
            model_id=MODEL_IDS[config.model],
            info=reader.info,
            pts=tuple(pts for gop in gops for pts in gop.pts),
            last_duration=last_duration.in_ticks(reader.info.time_base),
            gops=tuple(gop.entry for gop in gops),
        )
        warnings = list(reader.warnings)
        digest = None
        with temporary.open("wb") as file:
            file.write(write_prologue(header))
            sections.seek(0)
            shutil.copyfileobj(sections, file)
            if path is not None:
                begin, stop_at = _bounds(header, start, end, frames)
                digest, notes = _write_companions(file, path, reader, audio, begin, stop_at)
                warnings += notes
            if tool_section:
                tool = ToolInfo(_tool_name(), round(1000 * (time.monotonic() - began)))
                file.write(pack_section(SECTION_TOOL, write_tool(tool)))
            file.flush()
            os.fsync(file.fileno())
        with VideoDecoder(temporary) as video:
            if verify:
                _verify(video, gops, digest)
            about = video.metadata
    psnr = statistics.fmean(db for gop in gops for db in gop.psnr_y_db)
    progress(Progress("done", 1.0, "done", {"psnr_db": psnr, "bytes": about.file_bytes}))
    return EncodeReport(
        target=str(target),
        file_bytes=about.file_bytes,
        estimated_bits=sum(gop.estimated_bits for gop in gops),
        coded_bits=8 * sum(gop.payload_bytes for gop in gops),
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
    )


def _settings(config: EncoderConfig, crf: float | None) -> EncoderConfig:
    return config if crf is None else at_crf(config, crf)


def _check_storable(info: VideoInfo, config: EncoderConfig, name: str) -> None:
    """Raises InputError for a lattice that the format cannot hold, before hours go into fitting it."""
    longest = GopGeometry(config.gop + 1, info.height, info.width, info.pixel_format.num_planes)
    try:
        write_header(StreamHeader(0, info, (0,), 1, (GopEntry(1, False, MIN_SECTION_BYTES),)))
        check_gop(MODEL_IDS[config.model], longest)
    except (BitstreamError, ValueError) as error:
        raise InputError(f"{name}: this video does not fit the format: {error}") from error


def _work_key(path: Path, choice: tuple[float | int | None, ...], config: EncoderConfig, device: torch.device) -> str:
    """All that determines the bytes of a fit, so that work is gone on with only where it would come out the same."""
    machine = (str(device), torch.__version__, torch.get_num_threads(), _tool_name())
    return repr((source_digest(path), choice, config, machine))


def _bounds(
    header: StreamHeader, start: float | int | None, end: float | int | None, frames: int | None
) -> tuple[Fraction | None, Fraction | None]:
    """From when to when, in seconds, sound is wanted; None where that side of the video was not cut."""
    unit = header.info.time_base
    begin = header.pts[0] * unit if start else None
    stop = (header.pts[-1] + header.last_duration) * unit if end is not None or frames is not None else None
    return begin, stop


def _write_companions(
    file: IO[bytes], path: Path, reader: VideoReader, audio: bool, begin: Fraction | None, end: Fraction | None
) -> tuple[str | None, list[str]]:
    """Writes what travels beside the pictures. Returns the digest of its packets, and what had to be left out."""
    with open_tracks(path, audio=audio) as source:
        companions = source.companions(reader.tags, mastering=reader.mastering, light=reader.light)
        if not companions:
            return None, source.notes
        file.write(pack_section(SECTION_COMPANIONS, write_companions(companions)))
        digest = hashlib.sha256()
        for payload in write_packets(_digested(source.packets(begin, end), digest)):
            file.write(pack_section(SECTION_PACKETS, payload))
        return digest.hexdigest(), source.notes


def _digested(packets: Iterable[TrackPacket], digest: Any) -> Iterator[TrackPacket]:
    for packet in packets:
        digest.update(repr((packet.track, packet.pts, packet.dts, packet.duration, packet.is_key)).encode())
        digest.update(packet.data)
        yield packet


def _verify(video: VideoDecoder, gops: Sequence[CodedGop], packets_digest: str | None) -> None:
    """Decodes every GOP of the written file. Raises VerificationError where one is not what was meant."""
    for index, gop in enumerate(gops):
        try:
            _, digest, _ = video.unpack(index)
        except BitstreamError as error:
            raise VerificationError(f"the written file cannot be decoded: {error}") from error
        if digest != gop.digest:
            raise VerificationError(f"GOP {index} does not decode to the integers that were encoded")
    if packets_digest is not None:
        found = hashlib.sha256()
        for _ in _digested(video.packets(), found):
            pass
        if found.hexdigest() != packets_digest:
            raise VerificationError("sound or subtitles do not come back as they were written")


def _expected_frames(
    reader: VideoReader, start: float | int | None, end: float | int | None, frames: int | None
) -> int:
    """How many frames there will be, as far as the container tells; only progress depends on it."""
    rate = reader.frame_rate or Fraction(25)

    def number(where: float | int) -> int:
        return round(where * rate) if isinstance(where, float) else where

    total = reader.num_frames or 0
    if end is not None:
        total = min(number(end), total or number(end))
    total = max(0, total - number(start or 0))
    return min(frames, total or frames) if frames else total


def _tool_name() -> str:
    try:
        return f"nerv-codec {metadata.version('nerv-codec')}"
    except metadata.PackageNotFoundError:
        return "nerv-codec"
