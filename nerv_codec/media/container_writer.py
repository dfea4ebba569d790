"""Writing MP4 and Matroska: encoded pictures, and beside them sound, subtitles, chapters and tags."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from nerv_codec.base.companions import Companions, TrackPacket
from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media.attachments import AttachmentMuxer
from nerv_codec.media.encodable import Encodable, encodable
from nerv_codec.media.matroska_hdr import add_hdr_stream
from nerv_codec.media.plain_writers import VideoWriter
from nerv_codec.media.side_data import display_matrix, x264_hdr_params
from nerv_codec.media.track_muxer import TrackMuxer

_MOST_TICKS, _MICROSECONDS = 100_000_000, 1_000_000
_SITING_NAMES = {1: "left", 2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}
_CODECS = {
    "mp4": ("libx264", {"crf": "10", "preset": "veryfast"}),
    # Level 3 cuts pictures in slices, which ffmpeg refuses for small ones and which damages 4:1:0 and 4:1:1.
    "mkv": ("ffv1", {"level": "1"}),
}


class ContainerWriter(VideoWriter):
    """Writes an MP4 (H.264) or a Matroska file (FFV1).

    Args:
        target: A path, or a binary stream, which stays open.
        format: ``mp4`` or ``mkv``.
        info: What all frames look like.
        rate: Frames per second, nominal.
        companions: What else goes into the file.
        packets: Those of its tracks, in the order of their times.

    Raises:
        UsageError: The format cannot hold such pictures.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        format: str,
        info: VideoInfo,
        rate: Fraction,
        companions: Companions,
        packets: Iterable[TrackPacket],
    ) -> None:
        self.notes: list[str] = []
        self._form = encodable(info, format)
        self._time_base = info.time_base
        self._shift: int | None = None
        muxer = "matroska" if format == "mkv" else "mp4"
        # Without this MP4 has a time scale of its own choice, and pts would be rounded to it.
        options = _mp4_scales(info, companions) if format == "mp4" else {}
        if isinstance(target, Path):
            target.open("wb").close()  # ffmpeg opens it with the first frame, and an error should not wait for that
        name = f"file:{target}" if isinstance(target, Path) else target
        self._container = av.open(name, "w", format=muxer, container_options=options)
        self._stream = _add_video(self._container, format, self._form, rate, companions)
        if self._form.layout != info.pixel_format or self._form.color.matrix != info.color.matrix:
            self.notes.append(f"{format}: pixels are converted to {self._form.name}")
        if format == "mkv" and info.sample_aspect != 1:
            self.notes.append(f"mkv: the shape of pixels, {info.sample_aspect}, is left out; mp4 and y4m hold it")
        try:
            self._stream.codec_context.open()
        except av.FFmpegError as error:
            self.abort()
            what = f"{info.width}x{info.height} {self._form.name}"
            codec = self._stream.codec_context.name
            raise UsageError(f"{format}: expected pictures that {codec} can encode, found {what}") from error
        self._tracks = TrackMuxer(self._container, muxer, companions, packets, self.notes)
        self._attachments = AttachmentMuxer(self._container, muxer, companions.attachments, self.notes)

    def write(self, frame: PlanarFrame) -> None:
        if self._shift is None:
            self._shift = self._begin(frame.pts)
        self._tracks.write_until(frame.pts * self._time_base)
        picture = self._form.frame(frame.planes)
        picture.pts, picture.time_base = frame.pts + self._shift, self._time_base
        picture.duration = frame.duration
        self._container.mux(self._stream.encode(picture))

    def _begin(self, first: int) -> int:
        """Writes the header. Returns what is added to the time of every frame, so that the file begins at 0.

        Neither container holds pictures at negative times, and players wait for what begins late, be it an hour. Sound
        that begins before 0 stays there where the first picture is not: both containers have a place for that.
        """
        sound = self._tracks.earliest
        earliest = first if sound is None else min(first, math.floor(sound / self._time_base))
        shift = -first if first < 0 else min(0, -earliest)
        self._tracks.begin(shift * self._time_base)
        self._container.start_encoding()
        self._attachments.write()
        return shift

    def close(self) -> None:
        if self._shift is None:
            self._begin(0)
        self._container.mux(self._stream.encode(None))
        self._tracks.write_until(None)
        self._container.close()

    def abort(self) -> None:
        with suppress(av.FFmpegError):
            self._container.close()


def _add_video(
    container: OutputContainer, format: str, form: Encodable, rate: Fraction, companions: Companions
) -> VideoStream:
    """Adds the video track and returns it, with its encoder set up but not opened yet."""
    info, color = form.source, form.color
    codec, options = _CODECS[format]
    mastering, light = companions.mastering, companions.light
    if format == "mkv" and (mastering or light):
        stream = add_hdr_stream(container, mastering, light)
    else:
        added = container.add_stream(codec)
        assert isinstance(added, VideoStream)
        stream = added
        if hdr := x264_hdr_params(mastering, light):
            options = options | {"x264-params": hdr}
    context = stream.codec_context
    context.options = options | {"chroma_sample_location": _SITING_NAMES[color.chroma_location]}
    context.framerate = rate
    context.width, context.height, context.pix_fmt = info.width, info.height, form.name
    context.sample_aspect_ratio = info.sample_aspect
    context.time_base = stream.time_base = info.time_base
    context.colorspace, context.color_range = color.matrix, 2 if color.full_range else 1
    context.color_primaries, context.color_trc = color.primaries, color.transfer
    # Else an encoder makes up durations from the nominal rate, and the last frame's is lost.
    context.flags |= Flags.frame_duration.value
    if info.orientation:
        stream.set_display_matrix(display_matrix(info.orientation))
    stream.metadata.update(companions.video_tags)
    return stream


def _mp4_scales(info: VideoInfo, companions: Companions) -> dict[str, str]:
    """Returns MP4's two time scales in ticks per second: one for the pictures, and one for where tracks begin.

    The latter is 1 ms unless it is named here.
    """
    units = [info.time_base.denominator, *(track.time_base.denominator for track in companions.tracks)]
    common = math.lcm(*units)
    movie = common if common <= _MOST_TICKS else _MICROSECONDS
    return {"video_track_timescale": str(units[0]), "movie_timescale": str(movie)}
