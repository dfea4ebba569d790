"""What is encoded: a video, which part of it, and how its pictures are read; opened anew as often as needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nerv_codec.base.video import DEFAULT_RATE, PlanarFrame, VideoInfo
from nerv_codec.bitstream.headers import MAX_DURATION, StreamHeader
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.segmentation import GopFrames, segment
from nerv_codec.media.part import Part
from nerv_codec.media.reader import VideoReader, open_video
from nerv_codec.media.sequence import source_files
from nerv_codec.representations.registry import MODELS


@dataclass(frozen=True)
class EncodeSource:
    """A video to encode, and what of it."""

    stream: str | Path | BinaryIO
    """Anything that PyAV opens, a folder of pictures or a pattern of their names, or a binary stream of y4m."""
    part: Part
    track: int | None
    """Which of several video tracks; None lets ffmpeg choose."""
    audio: bool
    """Whether sound is kept."""
    drop_alpha: bool
    scale_to_first: bool
    rate: Fraction | None = None
    """Frames per second of numbered pictures; None is 25."""

    @property
    def path(self) -> Path | None:
        """The file, which can be opened again; None for a stream."""
        return Path(self.stream) if isinstance(self.stream, str | Path) else None

    @property
    def num_bytes(self) -> int | None:
        """The size of the file or of all pictures; None for a stream."""
        return None if self.path is None else sum(file.stat().st_size for file in source_files(self.path))

    @property
    def choice(self) -> tuple[float | int | str | None, ...]:
        """Which frames are chosen. Whether alpha is dropped and frames are scaled does not belong to it: without that
        an encode ends at the first such frame, and what was fitted before can be gone on with when it is allowed.
        """
        return self.part.start, self.part.end, self.part.frames, self.track, str(self.rate)

    def open(self) -> VideoReader:
        """The frames of the part, one after another. Raises InputError."""
        return open_video(
            self.stream,
            format="yuv4mpegpipe" if self.path is None else None,
            rate=self.rate,
            track=self.track,
            part=self.part,
            drop_alpha=self.drop_alpha,
            scale_to_first=self.scale_to_first,
        )

    def expected_frames(self, reader: VideoReader) -> int:
        """How many frames there will be, as far as the container tells; 0 where it does not."""
        rate, part = reader.frame_rate or DEFAULT_RATE, self.part

        def number(where: float | int) -> int:
            return round(where * rate) if isinstance(where, float) else where

        total = reader.num_frames or 0
        if part.end is not None:
            total = min(number(part.end), total or number(part.end))
        total = max(0, total - number(part.start or 0))
        return min(part.frames, total or part.frames) if part.frames else total

    def bounds(self, header: StreamHeader) -> tuple[Fraction | None, Fraction | None]:
        """From when to when, in seconds, sound is wanted; None where that side of the video was not cut."""
        unit = header.info.time_base
        cut = self.part.end is not None or self.part.frames is not None
        begin = header.pts[0] * unit if self.part.start else None
        stop = (header.pts[-1] + header.last_duration) * unit if cut else None
        return begin, stop


def read_gops(reader: VideoReader, config: EncoderConfig) -> tuple[Iterator[GopFrames], LastDuration]:
    """The GOPs of a video, and an object that can say, after the last one, how long the last frame is shown."""
    last_duration = LastDuration(reader)
    gop, depth = gop_length(config, reader.info), reader.info.pixel_format.bit_depth
    return segment(last_duration, gop=gop, bit_depth=depth), last_duration


def gop_length(config: EncoderConfig, info: VideoInfo) -> int:
    """The most frames from one GOP's start to the next one's: as set, or what a representation takes of such pictures.

    At least 1, of pictures that are too large for the format, too, which is said where that is checked.
    """
    limit = MODELS[config.model].max_gop_pixels
    if limit is None:
        return config.gop
    return min(config.gop, max(1, limit // (info.width * info.height) - 1))  # a GOP holds the start of the next one


class LastDuration:
    """Frames passed through, remembering how long the last one is shown."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader
        self._last: PlanarFrame | None = None
        self._delta = 0
        self._truthful = True

    def __iter__(self) -> Iterator[PlanarFrame]:
        for frame in self._reader:
            if self._last is not None:
                self._delta = frame.pts - self._last.pts
                self._truthful = abs(self._last.duration - self._delta) <= 1
            self._last = frame
            yield frame

    def in_ticks(self, time_base: Fraction) -> int:
        """Until the frame behind the part comes, if there is one; else what the source says, the distance of the last
        two frames, or one over the frame rate.

        A source that was wrong about the frame before is not asked: MP4 counts durations in decoding order.
        """
        following = self._reader.latest_pts - self._last.pts if self._last is not None else 0
        stated = self._last.duration if self._last is not None and self._truthful else 0
        nominal = round(1 / ((self._reader.frame_rate or DEFAULT_RATE) * time_base))
        return min(MAX_DURATION, max(1, following or stated or self._delta or nominal))
