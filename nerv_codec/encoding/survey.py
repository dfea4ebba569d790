"""A look through a video before it is fitted: its GOPs, its length, and what its file holds besides payloads."""

from __future__ import annotations

import tempfile

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


def survey(goal: Goal, source: EncodeSource, config: EncoderConfig) -> Steering:
    """What each GOP is to come to; for a bitrate or a size, the whole video is looked through first."""
    if not goal.is_rate:
        return Steering(goal.psnr_db)
    with source.open() as reader:
        gops, last_duration = read_gops(reader, config.gop)
        pts: list[int] = []
        entries = []
        for gop in gops:
            pts += [frame.pts for frame in gop.frames[gop.continues :]]
            entries.append(GopEntry(len(gop.frames), gop.continues, _TYPICAL_SECTION_BYTES))
        if not entries:
            return Steering()  # what follows finds the same, and says so
        ticks = last_duration.in_ticks(reader.info.time_base)
        header = StreamHeader(MODELS[config.model].model_id, reader.info, tuple(pts), ticks, tuple(entries))
        overhead = len(write_prologue(header)) + len(entries) * _SECTION_FRAME_BYTES + _TOOL_BYTES
        with tempfile.TemporaryFile() as file:
            write_beside(file, source, reader, header)
            overhead += file.tell()
    seconds = float((pts[-1] + ticks - pts[0]) * reader.info.time_base)
    frames = [entry.num_frames for entry in entries]
    return Steering(budget=goal.budget(seconds=seconds, overhead_bytes=overhead, gop_frames=frames))
