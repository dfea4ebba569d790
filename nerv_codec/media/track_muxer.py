"""Writing sound, subtitles, chapters and tags into ordinary files, beside the pictures and on their clock."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition, Stream

from nerv_codec.base.companions import Companions, Track, TrackPacket
from nerv_codec.media.packet_setup import PacketSetup
from nerv_codec.media.plain_text import TEXT_CODECS, mov_text, words_of
from nerv_codec.media.stubs import open_stub

_NAMES = {"matroska": "mkv", "mp4": "mp4"}
_MICROSECOND = Fraction(1, 1_000_000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Where channels only are counted: ffmpeg's defaults."""
_LOOKAHEAD = 500
"""Packets that are looked at for the first one of each track."""


@dataclass(frozen=True)
class _Output:
    """A track of the file that is written."""

    stream: Stream
    codec: str
    """ffmpeg's name of what the packets come in."""
    setup: PacketSetup | None
    """What is taken out of the packets, where they carry it."""
    text: str | None
    """The codec that subtitles are converted to, if they are."""

    def data(self, packet: bytes) -> bytes:
        """Returns a packet's data as the file holds it; empty where there is nothing to write."""
        if self.text == "mov_text":
            return mov_text(self.codec, packet)
        if self.text is not None:
            return words_of(packet)
        return packet if self.setup is None else self.setup.stripped(packet)


class TrackMuxer:
    """Adds all tracks that a container can hold to it, before its header is written, and their packets later.

    Args:
        container: Opened for writing, with its video stream.
        muxer: ffmpeg's name of its format.
        companions: What to write.
        packets: Those of its tracks, roughly in the order of their times.
        notes: Told what the format cannot hold.

    Attributes:
        earliest: The time of the first sound in seconds; None without any.
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
        self._notes = notes
        self._chapters = companions.chapters
        self._tracks = companions.tracks
        left = iter(packets)
        first: dict[int, TrackPacket] = {}
        seen: list[TrackPacket] = []
        for packet in islice(left, _LOOKAHEAD if self._tracks else 0):
            seen.append(packet)
            first.setdefault(packet.track, packet)
            if len(first) == len(self._tracks):
                break
        self._packets: Iterable[TrackPacket] = chain(seen, left)
        self._outputs = [
            _add(container, muxer, track, first[number].data if number in first else b"", notes)
            for number, track in enumerate(self._tracks)
        ]
        sound = {number for number, output in enumerate(self._outputs) if output and output.stream.type == "audio"}
        times = (one.pts * self._tracks[one.track].time_base for one in seen if one.track in sound)
        self.earliest: Fraction | None = min(times, default=None)
        self._shift = Fraction(0)
        self._last_dts: dict[int, int] = {}
        self._refused = 0
        container.metadata.update(companions.tags)

    def begin(self, shift: Fraction) -> None:
        """Sets by how many seconds all times are moved; called once, before the container's header is written."""
        self._shift = shift
        microseconds = round(shift / _MICROSECOND)
        chapters: list[Any] = [  # the type of a ratio in it depends on PyAV's version
            {
                "id": number,
                "start": max(0, chapter.start_us + microseconds),
                "end": max(0, chapter.end_us + microseconds),
                "time_base": _MICROSECOND,
                "metadata": {"title": chapter.title} if chapter.title else {},
            }
            for number, chapter in enumerate(self._chapters, 1)
        ]
        if chapters:
            self._container.set_chapters(chapters)

    def write_until(self, seconds: Fraction | None) -> None:
        """Writes all packets that are due before ``seconds`` on the clock of the packets; None writes the rest."""
        left = iter(self._packets)
        for packet in left:
            if seconds is not None and packet.dts * self._tracks[packet.track].time_base > seconds:
                self._packets = chain([packet], left)
                return
            self._write(packet)
        self._packets = ()
        if seconds is None and self._refused:
            self._notes.append(f"packets of sound or subtitles that the format refused: {self._refused}")

    def _write(self, packet: TrackPacket) -> None:
        output, unit = self._outputs[packet.track], self._tracks[packet.track].time_base
        if output is None:
            return
        shift = round(self._shift / unit)
        if output.stream.type == "subtitle" and packet.pts + shift < 0:
            packet = _from_0(packet, shift)
            if not packet.duration:
                return
        if not self._last_dts and packet.dts + shift < 0 and self._muxer == "matroska":
            self._notes.append("mkv: sound begins before 0, so that all tracks are shifted to begin there, in sync")
        # Muxers refuse times that do not increase, and a file may be ended over one wrong packet.
        dts = max(packet.dts + shift, self._last_dts.get(packet.track, packet.dts + shift - 1) + 1)
        self._last_dts[packet.track] = dts
        try:
            data = output.data(packet.data)
            if not data:
                return
            out = av.Packet(data)
            out.stream, out.time_base = output.stream, unit
            out.dts, out.pts, out.duration = dts, max(dts, packet.pts + shift), packet.duration
            out.is_keyframe = packet.is_key
            self._container.mux_one(out)
        except (av.InvalidDataError, av.ArgumentError, ValueError):
            self._refused += 1


def _add(container: OutputContainer, muxer: str, track: Track, first: bytes, notes: list[str]) -> _Output | None:
    """Adds the stream of a track; None, and a note, where the format does not know its codec."""
    codec = "damaged"
    try:
        with open_stub(track.stub_format, track.stub) as template:
            source = template.streams[0]
            kind, codec = source.type, source.codec_context.codec.canonical_name
            setup = PacketSetup.found(codec, first)
            text = _text_codec(muxer, codec)
            if text is not None:
                stream = container.add_mux_stream(text)
                notes.append(f"{_NAMES[muxer]}: subtitles in {codec} become plain text ({text})")
            elif not _holds(muxer, source):
                notes.append(f"{_NAMES[muxer]}: cannot hold {kind} in {codec}; the track is left out")
                return None
            else:
                stream = _added(container, source)
                if setup is not None:
                    stream.codec_context.extradata = setup.extradata
    except (av.FFmpegError, ValueError, AttributeError, IndexError):
        notes.append(f"{_NAMES[muxer]}: a track in {codec} cannot be written; it is left out")
        return None
    stream.time_base = track.time_base
    stream.disposition = Disposition(track.disposition)
    stream.metadata.update(track.tags)
    return _Output(stream, codec, setup, text)


def _from_0(packet: TrackPacket, shift: int) -> TrackPacket:
    """What a subtitle is that is on the screen before the file begins; without a duration if it is gone by then."""
    return replace(packet, pts=-shift, dts=-shift, duration=max(0, packet.pts + packet.duration + shift))


def _text_codec(muxer: str, codec: str) -> str | None:
    """What subtitles are converted to, where a format cannot hold them as they are but can hold their words."""
    if muxer == "mp4":
        return "mov_text" if codec in TEXT_CODECS else None
    return "subrip" if codec == "mov_text" else None


def _added(container: OutputContainer, template: Stream) -> Stream:
    """Adds a stream like this one. mp4 asks for a layout of PCM's channels, which a stub may only have counted."""
    stream = container.add_stream_from_template(template, opaque=True)
    if isinstance(stream, AudioStream) and isinstance(template, AudioStream):
        count = template.codec_context.channels
        if template.codec_context.layout.name == f"{count} channels" and count in _LAYOUTS:
            stream.codec_context.layout = _LAYOUTS[count]
    return stream


def _holds(muxer: str, template: Stream) -> bool:
    """Whether a file of this format can begin with such a track: asking the codec alone is not enough."""
    began = False
    with suppress(av.FFmpegError, ValueError), av.open(io.BytesIO(), "w", format=muxer) as trial:
        _added(trial, template)
        trial.start_encoding()
        began = True  # whatever it may say about the end of a file without packets
    return began
