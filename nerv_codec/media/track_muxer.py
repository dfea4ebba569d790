"""Sound, subtitles, chapters and tags into ordinary files, beside the pictures and on their clock."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from itertools import chain

import av
from av.container import OutputContainer
from av.stream import Disposition, Stream

from nerv_codec.base.companions import Companions, Track, TrackPacket
from nerv_codec.media.tracks import open_stub

_NAMES = {"matroska": "mkv", "mp4": "mp4"}
_MICROSECOND = Fraction(1, 1_000_000)


class TrackMuxer:
    """Adds all tracks that a container can hold to it, before its header is written, and their packets later.

    Args:
        container: Opened for writing, with its video stream.
        muxer: ffmpeg's name of its format.
        companions: What to write.
        packets: Of its tracks, roughly in the order of their times.
        notes: Told what the format cannot hold.
    """

    def __init__(
        self,
        container: OutputContainer,
        muxer: str,
        companions: Companions,
        packets: Iterable[TrackPacket],
        notes: list[str],
    ) -> None:
        self._container = container
        self._muxer = muxer
        self._packets = iter(packets)
        self._notes = notes
        self._tracks = companions.tracks
        self._streams = [_add(container, muxer, track, notes) for track in companions.tracks]
        self._last_dts: dict[int, int] = {}
        self._refused = 0
        container.metadata.update(companions.tags)
        if companions.chapters:
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": max(0, chapter.start_us),
                        "end": max(0, chapter.end_us),
                        "time_base": _MICROSECOND,
                        "metadata": {"title": chapter.title} if chapter.title else {},
                    }
                    for number, chapter in enumerate(companions.chapters, 1)
                ]
            )

    def write_until(self, seconds: Fraction | None, shift_seconds: Fraction) -> None:
        """Writes all packets that are due before ``seconds``; None writes the rest.

        Args:
            seconds: On the clock of the packets.
            shift_seconds: Added to every time: what the pictures are shifted by.
        """
        for packet in self._packets:
            if seconds is not None and packet.dts * self._tracks[packet.track].time_base > seconds:
                self._packets = chain([packet], self._packets)
                return
            self._write(packet, shift_seconds)
        if seconds is None and self._refused:
            self._notes.append(f"packets of sound or subtitles that the format refused: {self._refused}")

    def _write(self, packet: TrackPacket, shift_seconds: Fraction) -> None:
        stream, unit = self._streams[packet.track], self._tracks[packet.track].time_base
        if stream is None:
            return
        shift = round(shift_seconds / unit)
        if not self._last_dts and packet.dts + shift < 0 and self._muxer == "matroska":
            self._notes.append("mkv: sound begins before 0, so that all tracks are shifted to begin there, in sync")
        # Muxers refuse times that do not increase, and a file may be ended over one wrong packet.
        dts = max(packet.dts + shift, self._last_dts.get(packet.track, packet.dts + shift - 1) + 1)
        self._last_dts[packet.track] = dts
        out = av.Packet(packet.data)
        out.stream, out.time_base = stream, unit
        out.dts, out.pts, out.duration = dts, max(dts, packet.pts + shift), packet.duration
        out.is_keyframe = packet.is_key
        try:
            self._container.mux_one(out)
        except (av.InvalidDataError, av.ArgumentError, ValueError):
            self._refused += 1


def _add(container: OutputContainer, muxer: str, track: Track, notes: list[str]) -> Stream | None:
    """Adds the stream of a track; None, and a note, where the format does not know its codec."""
    codec = "damaged"
    try:
        with open_stub(track.stub_format, track.stub) as template:
            kind, codec = template.streams[0].type, template.streams[0].codec_context.codec.canonical_name
            if not _holds(muxer, template.streams[0]):
                notes.append(f"{_NAMES[muxer]}: cannot hold {kind} in {codec}; the track is left out")
                return None
            stream = container.add_stream_from_template(template.streams[0], opaque=True)
    except (av.FFmpegError, ValueError, AttributeError, IndexError):
        notes.append(f"{_NAMES[muxer]}: a track in {codec} cannot be written; it is left out")
        return None
    stream.time_base = track.time_base
    stream.disposition = Disposition(track.disposition)
    stream.metadata.update(track.tags)
    return stream


def _holds(muxer: str, template: Stream) -> bool:
    """Whether a file of this format can begin with such a track: asking the codec alone is not enough."""
    began = False
    with suppress(av.FFmpegError, ValueError), av.open(io.BytesIO(), "w", format=muxer) as trial:
        trial.add_stream_from_template(template, opaque=True)
        trial.start_encoding()
        began = True  # whatever it may say about the end of a file without packets
    return began
