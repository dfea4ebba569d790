"""Encoding: media -> segment -> fit -> bitstream -> verify, GOP after GOP in bounded memory."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import IO, BinaryIO

import torch

from nerv_codec.bitstream.container import SECTION_GOP, SECTION_TOOL, pack_section, write_prologue
from nerv_codec.bitstream.headers import MAX_DURATION, MIN_SECTION_BYTES, GopEntry, StreamHeader, write_header
from nerv_codec.bitstream.tool import ToolInfo, write_tool
from nerv_codec.config import EncoderConfig, load_preset
from nerv_codec.device import choose_device
from nerv_codec.errors import BitstreamError, InputError, VerificationError
from nerv_codec.files import atomic_output, check_output
from nerv_codec.media.reader import VideoReader, open_video, trim
from nerv_codec.media.segment import GopFrames, segment
from nerv_codec.progress import Progress, ProgressSink, format_bytes, ignore_progress
from nerv_codec.representations import MODEL_IDS, unpack_gop
from nerv_codec.training.fit import FitStatus, fit_gop, luma_psnr_db
from nerv_codec.training.sites import gop_geometry
from nerv_codec.types import PlanarFrame, VideoInfo
from nerv_codec.video_decoder import VideoDecoder

_FIT_SHARE = 0.97
"""Share of a GOP's progress that its fit takes; decoding it back is the rest."""


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


@dataclass(frozen=True)
class _CodedGop:
    """One GOP as it stands in the file, and what was measured on it. Its own frames are all but a shared first."""

    entry: GopEntry
    pts: tuple[int, ...]
    digest: int
    payload_bytes: int
    estimated_bits: float
    psnr_y_db: tuple[float, ...]
    float_psnr_y_db: tuple[float, ...]
    fit_seconds: float


def encode(
    source: str | Path | BinaryIO,
    target: str | Path,
    *,
    preset: str = "medium",
    config: EncoderConfig | None = None,
    start: float | int | None = None,
    end: float | int | None = None,
    frames: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
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
        config: All settings; see :func:`nerv_codec.config.load_preset` for a preset's.
        start: Where to begin: seconds since the first frame (float), or a frame number (int).
        end: Where to stop, not included; likewise.
        frames: Stop after so many.
        device: Where to fit: ``auto``, ``cpu``, ``cuda`` ...
        overwrite: Whether an existing target may be replaced.
        verify: Whether to read the file back.
        tool_section: Whether to write down the encoder's version and the time it took. Without it the same
            command gives the same bytes.
        progress: Told what happens.

    Raises:
        InputError: The source cannot be read or has no frame to encode.
        OutputExistsError: The target exists, or is the source.
        UsageError: A setting makes no sense.
        VerificationError: The written bytes do not decode to what was meant.
    """
    began = time.monotonic()
    config = config or load_preset(preset)
    target = Path(target)
    path = None if not isinstance(source, str | Path) else Path(source)
    check_output(target, source=path, overwrite=overwrite)
    compute = choose_device(device)
    progress(Progress("start", 0.0, "open"))
    opened = open_video(source) if path is not None else open_video(source, format="yuv4mpegpipe")
    with opened as reader, atomic_output(target, overwrite=overwrite) as temporary:
        _check_storable(reader.info, str(source))
        trimmed = trim(
            reader,
            time_base=reader.info.time_base,
            start_seconds=start if isinstance(start, float) else None,
            end_seconds=end if isinstance(end, float) else None,
            start_frame=start if isinstance(start, int) else None,
            end_frame=end if isinstance(end, int) else None,
            max_frames=frames,
        )
        expected = _expected_frames(reader, start, end, frames)
        job = _Job(reader.info, reader.frame_rate, config, compute, expected, progress)
        last_duration = _LastDuration(trimmed, reader.frame_rate)
        gops = []
        with tempfile.TemporaryFile(dir=target.parent) as sections:
            for gop in segment(last_duration, gop=config.gop, bit_depth=reader.info.pixel_format.bit_depth):
                gops.append(job.code(gop, sections))
            if not gops:
                raise InputError(f"{source}: no frame in the chosen range")
            header = StreamHeader(
                model_id=MODEL_IDS[config.model],
                info=reader.info,
                pts=tuple(pts for gop in gops for pts in gop.pts),
                last_duration=last_duration.in_ticks(reader.info.time_base),
                gops=tuple(gop.entry for gop in gops),
            )
            with temporary.open("wb") as file:
                file.write(write_prologue(header))
                sections.seek(0)
                shutil.copyfileobj(sections, file)
                if tool_section:
                    tool = ToolInfo(_tool_name(), round(1000 * (time.monotonic() - began)))
                    file.write(pack_section(SECTION_TOOL, write_tool(tool)))
                file.flush()
                os.fsync(file.fileno())
        with VideoDecoder(temporary) as video:
            if verify:
                _verify(video, gops)
            about = video.metadata
        warnings = tuple(reader.warnings)
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
        warnings=warnings,
    )


def _check_storable(info: VideoInfo, name: str) -> None:
    """Raises InputError for a lattice that the format cannot hold, before hours go into fitting it."""
    try:
        write_header(StreamHeader(0, info, (0,), 1, (GopEntry(1, False, MIN_SECTION_BYTES),)))
    except (BitstreamError, ValueError) as error:
        raise InputError(f"{name}: this video does not fit the format: {error}") from error


@dataclass
class _Job:
    """Codes GOP after GOP and tells how far the whole is."""

    info: VideoInfo
    frame_rate: Fraction | None
    config: EncoderConfig
    device: torch.device
    expected_frames: int
    progress: ProgressSink
    gops: int = 0
    frames: int = 0
    bytes: int = 0

    def code(self, gop: GopFrames, sections: IO[bytes]) -> _CodedGop:
        """Fits one GOP, appends its section, and decodes the payload again to measure what it gives."""
        own = gop.frames[gop.continues :]
        total = max(self.expected_frames, self.frames + len(own))
        num_gops = max(self.gops + 1, round((self.gops + 1) * total / (self.frames + len(own))))
        name = f"gop {self.gops + 1}/{num_gops}"

        def tell(status: FitStatus) -> None:
            covered = self.frames + len(own)
            bits = 8 * self.bytes + status.estimated_bits
            detail = {
                "psnr_db": status.psnr_db,
                "rate_bpp": bits / (covered * self.info.width * self.info.height),
                "bytes": self.bytes,
                "estimated_bytes": round(bits / 8 * total / covered),
            }
            if self.frame_rate:
                detail["bitrate_bps"] = bits * float(self.frame_rate) / covered
            share = (self.frames + len(own) * _FIT_SHARE * status.step / status.steps) / total
            stage = f"{name} {status.stage} {status.step}/{status.steps}"
            self.progress(Progress("progress", share, stage, detail))

        began = time.monotonic()
        fitted = fit_gop(
            gop.frames,
            self.info,
            self.config,
            device=self.device,
            seed=self.config.seed + self.gops,
            report=tell,
        )
        fit_seconds = time.monotonic() - began
        section = pack_section(SECTION_GOP, fitted.payload)
        sections.write(section)
        geometry = gop_geometry(gop.frames, self.info)
        model, digest, _ = unpack_gop(MODEL_IDS[self.config.model], fitted.payload, geometry)
        scores = luma_psnr_db(model.to(self.device), gop.frames, self.info)[gop.continues :]
        self.gops += 1
        self.frames += len(own)
        self.bytes += len(section)
        detail = {"psnr_db": statistics.fmean(scores), "bytes": self.bytes}
        self.progress(Progress("gop-done", self.frames / total, f"{name} done", detail))
        return _CodedGop(
            entry=GopEntry(len(gop.frames), gop.continues, len(section)),
            pts=tuple(frame.pts for frame in own),
            digest=digest,
            payload_bytes=len(fitted.payload),
            estimated_bits=fitted.estimated_bits,
            psnr_y_db=scores,
            float_psnr_y_db=fitted.float_psnr_y_db[gop.continues :],
            fit_seconds=fit_seconds,
        )


class _LastDuration:
    """Frames passed through, remembering how long the last one is shown."""

    def __init__(self, frames: Iterable[PlanarFrame], frame_rate: Fraction | None) -> None:
        self._frames = frames
        self._frame_rate = frame_rate
        self._last: PlanarFrame | None = None
        self._delta = 0

    def __iter__(self) -> Iterator[PlanarFrame]:
        for frame in self._frames:
            if self._last is not None:
                self._delta = frame.pts - self._last.pts
            self._last = frame
            yield frame

    def in_ticks(self, time_base: Fraction) -> int:
        """What the source says, else the distance of the last two frames, else one over the frame rate."""
        stated = self._last.duration if self._last is not None else 0
        nominal = round(1 / ((self._frame_rate or Fraction(25)) * time_base))
        return min(MAX_DURATION, max(1, stated or self._delta or nominal))


def _verify(video: VideoDecoder, gops: Sequence[_CodedGop]) -> None:
    """Decodes every GOP of the written file. Raises VerificationError where one is not what was meant."""
    for index, gop in enumerate(gops):
        try:
            _, digest, _ = video.unpack(index)
        except BitstreamError as error:
            raise VerificationError(f"the written file cannot be decoded: {error}") from error
        if digest != gop.digest:
            raise VerificationError(f"GOP {index} does not decode to the integers that were encoded")


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
