"""A video looked through before it is fitted: its GOPs, and what a file takes that is no GOP."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

from nerv_codec.base.errors import InputError
from nerv_codec.base.video import VideoInfo
from nerv_codec.bitstream.container import write_prologue
from nerv_codec.bitstream.headers import GopEntry, StreamHeader
from nerv_codec.encoding.companions import write_beside
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.source import EncodeSource, read_gops
from nerv_codec.encoding.target import Goal, Steering
from nerv_codec.representations.registry import MODELS

_TYPICAL_SECTION_BYTES = 1 << 14
_SECTION_FRAME_BYTES = 8
"""Type, length and checksum."""
_TOOL_BYTES = 36
"""With what its length adds to the header's."""


@dataclass(frozen=True)
class Overview:
    """What there is to fit."""

    info: VideoInfo
    gop_frames: tuple[int, ...]
    """Frames of every GOP, a shared first one included."""
    num_frames: int
    seconds: float
    """From the first frame to the end of the last one."""
    overhead_bytes: int
    """Of the file: header, framing, sound and all else that is no payload of a GOP."""


def look_through(source: EncodeSource, config: EncoderConfig) -> Overview:
    """Reads a whole video, without fitting anything. Raises InputError where it has no frame, or cannot be read."""
    with source.open() as reader:
        gops, last_duration = read_gops(reader, config)
        pts: list[int] = []
        entries = []
        for gop in gops:
            pts += [frame.pts for frame in gop.frames[gop.continues :]]
            entries.append(GopEntry(len(gop.frames), gop.continues, _TYPICAL_SECTION_BYTES))
        if not entries:
            raise InputError(f"{source.stream}: expected frames, found none")
        ticks = last_duration.in_ticks(reader.info.time_base)
        header = StreamHeader(MODELS[config.model].model_id, reader.info, tuple(pts), ticks, tuple(entries))
        overhead = len(write_prologue(header)) + len(entries) * _SECTION_FRAME_BYTES + _TOOL_BYTES
        with tempfile.TemporaryFile() as file:
            write_beside(file, source, reader, header)
            overhead += file.tell()
    return Overview(
        info=reader.info,
        gop_frames=tuple(entry.num_frames for entry in entries),
        num_frames=len(pts),
        seconds=float((pts[-1] + ticks - pts[0]) * reader.info.time_base),
        overhead_bytes=overhead,
    )


def survey(goal: Goal, source: EncodeSource, config: EncoderConfig) -> Steering:
    """What each GOP is to come to; for a bitrate or a size, the whole video is looked through first."""
    if not goal.is_rate:
        return Steering(goal.psnr_db)
    found = look_through(source, config)
    return Steering(
        budget=goal.budget(
            seconds=found.seconds, overhead_bytes=found.overhead_bytes, gop_frames=list(found.gop_frames)
        )
    )
