"""A look through a video before it is fitted: its GOPs, its length, and what its file holds besides payloads."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from nerv_codec.base.companions import TrackPacket
from nerv_codec.base.video import DEFAULT_RATE, PlanarFrame
from nerv_codec.bitstream.companions import write_companions, write_packets
from nerv_codec.bitstream.container import SECTION_COMPANIONS, SECTION_PACKETS, pack_section, write_prologue
from nerv_codec.bitstream.headers import MAX_DURATION, GopEntry, StreamHeader
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.segmentation import GopFrames, segment
from nerv_codec.encoding.target import Goal, Steering
from nerv_codec.media.part import Part
from nerv_codec.media.reader import VideoReader
from nerv_codec.media.tracks import open_tracks
from nerv_codec.representations.registry import MODEL_IDS

_TYPICAL_SECTION_BYTES = 1 << 14
_SECTION_FRAME_BYTES = 8
"""Type, length and checksum."""
_TOOL_BYTES = 32


def read_gops(reader: VideoReader, config: EncoderConfig) -> tuple[Iterator[GopFrames], LastDuration]:
    """The GOPs of what a reader gives, and what knows, after the last one, how long the last frame is shown."""
    last_duration = LastDuration(reader, reader.frame_rate)
    return segment(last_duration, gop=config.gop, bit_depth=reader.info.pixel_format.bit_depth), last_duration


def survey(goal: Goal, path: Path, reader: VideoReader, part: Part, config: EncoderConfig, audio: bool) -> Steering:
    """Looks through the video for its length and its GOPs, and at all that the file holds besides payloads."""
    gops, last_duration = read_gops(reader, config)
    pts: list[int] = []
    entries = []
    for gop in gops:
        pts += [frame.pts for frame in gop.frames[gop.continues :]]
        entries.append(GopEntry(len(gop.frames), gop.continues, _TYPICAL_SECTION_BYTES))
    if not entries:
        return Steering()  # what follows finds the same, and says so
    ticks = last_duration.in_ticks(reader.info.time_base)
    header = StreamHeader(MODEL_IDS[config.model], reader.info, tuple(pts), ticks, tuple(entries))
    overhead = len(write_prologue(header)) + len(entries) * _SECTION_FRAME_BYTES + _TOOL_BYTES
    with tempfile.TemporaryFile() as file:
        write_beside(file, path, reader, audio, *bounds(header, part))
        overhead += file.tell()
    seconds = float((pts[-1] + ticks - pts[0]) * reader.info.time_base)
    frames = [entry.num_frames for entry in entries]
    return Steering(budget=goal.budget(seconds=seconds, overhead_bytes=overhead, gop_frames=frames))


def bounds(header: StreamHeader, part: Part) -> tuple[Fraction | None, Fraction | None]:
    """From when to when, in seconds, sound is wanted; None where that side of the video was not cut."""
    unit = header.info.time_base
    cut = part.end is not None or part.frames is not None
    begin = header.pts[0] * unit if part.start else None
    stop = (header.pts[-1] + header.last_duration) * unit if cut else None
    return begin, stop


def write_beside(
    file: IO[bytes], path: Path, reader: VideoReader, audio: bool, begin: Fraction | None, end: Fraction | None
) -> tuple[str | None, list[str]]:
    """Writes what travels beside the pictures. Returns the digest of its packets, and what had to be left out."""
    with open_tracks(path, audio=audio) as source:
        companions = source.companions(reader.tags, mastering=reader.mastering, light=reader.light)
        if not companions:
            return None, source.notes
        file.write(pack_section(SECTION_COMPANIONS, write_companions(companions)))
        digest = hashlib.sha256()
        for payload in write_packets(digested(source.packets(begin, end), digest)):
            file.write(pack_section(SECTION_PACKETS, payload))
        return digest.hexdigest(), source.notes


def digested(packets: Iterable[TrackPacket], digest: Any) -> Iterator[TrackPacket]:
    """The packets, passed through while ``digest`` takes them in."""
    for packet in packets:
        digest.update(repr((packet.track, packet.pts, packet.dts, packet.duration, packet.is_key)).encode())
        digest.update(packet.data)
        yield packet


class LastDuration:
    """Frames passed through, remembering how long the last one is shown."""

    def __init__(self, frames: Iterable[PlanarFrame], frame_rate: Fraction | None) -> None:
        self._frames = frames
        self._frame_rate = frame_rate
        self._last: PlanarFrame | None = None
        self._delta = 0
        self._truthful = True

    def __iter__(self) -> Iterator[PlanarFrame]:
        for frame in self._frames:
            if self._last is not None:
                self._delta = frame.pts - self._last.pts
                self._truthful = abs(self._last.duration - self._delta) <= 1
            self._last = frame
            yield frame

    def in_ticks(self, time_base: Fraction) -> int:
        """What the source says, else the distance of the last two frames, else one over the frame rate.

        A source that was wrong about the frame before is not asked: MP4 counts durations in decoding order.
        """
        stated = self._last.duration if self._last is not None and self._truthful else 0
        nominal = round(1 / ((self._frame_rate or DEFAULT_RATE) * time_base))
        return min(MAX_DURATION, max(1, stated or self._delta or nominal))
