"""Reading sound, subtitles, chapters and tags: packets as they are stored, on the clock of the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from nerv_codec.base.companions import (
    Attachment,
    Chapter,
    Companions,
    LightLevel,
    MasteringDisplay,
    Track,
    TrackPacket,
)
from nerv_codec.base.errors import InputError
from nerv_codec.media import probe
from nerv_codec.media.attachments import read_attachments
from nerv_codec.media.containers import legible, open_input, ratio
from nerv_codec.media.continuity import clock_streams, continuous
from nerv_codec.media.flac import FlacTrack
from nerv_codec.media.packet_setup import SETUP_CODECS, PacketSetup
from nerv_codec.media.sequence import is_sequence
from nerv_codec.media.stubs import make_stub

if TYPE_CHECKING:
    from av.container.core import Chapter as AvChapter  # in the stubs only

_FILE_TAGS = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "genre", "date", "year", "comment", "description"}
    | {"synopsis", "copyright", "show", "episode_id", "track", "network", "creation_time", "location"}
)
_TRACK_TAGS = frozenset({"language", "title"})
_MOST_TEXT_BYTES = 4096
_LOOKAHEAD = 2000
"""Packets that are read for the first one of each track."""
_OVERRUN_SECONDS = 10
"""How far behind the end packets are still looked for: tracks are interleaved, but not strictly."""


def open_tracks(source: str | Path, *, audio: bool = True) -> TrackReader:
    """Opens a file once more, for what is in it besides the pictures.

    Args:
        source: A file; or numbered pictures, which have nothing beside them.
        audio: Whether sound is wanted; subtitles, chapters and tags always are.

    Raises:
        InputError: It cannot be opened.
    """
    if is_sequence(Path(source)):
        return TrackReader(None, audio=audio)
    notes = Counter[str]()
    with _open(source) as once:
        attachments = read_attachments(once, notes)
    container = _open(source)
    try:
        return TrackReader(container, audio=audio, attachments=attachments, notes=notes)
    except BaseException:
        container.close()
        raise


def _open(source: str | Path) -> InputContainer:
    try:
        return open_input(f"file:{source}")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{source}: expected a video, found {probe.plain_reason(error)}") from error


class TrackReader:
    """The tracks of one file and, once, their packets.

    Attributes:
        tracks: The tracks that can be kept.
    """

    def __init__(
        self,
        container: InputContainer | None,
        *,
        audio: bool,
        attachments: Sequence[Attachment] = (),
        notes: Counter[str] | None = None,
    ) -> None:
        self._container = container
        self._attachments = tuple(attachments)
        self._notes = Counter[str]() if notes is None else notes
        self._streams: list[Stream] = []
        self._setups: dict[int, PacketSetup] = {}
        self._encrypted: set[int] = set()
        self._flac: dict[int, FlacTrack] = {}
        self._packets: Iterator[Packet[Stream]] = iter(())
        tracks = []
        if container is not None:
            wanted = [stream for stream in container.streams if self._is_wanted(stream, audio)]
            # Pictures are not decoded here, but their packets tell how far the file has been read.
            clocks = [*container.streams.video[:1], *clock_streams(container)] if wanted else []
            self._packets = self._demux({stream.index: stream for stream in (*wanted, *clocks)})
            self._look_ahead([stream for stream in wanted if stream.codec_context.name in SETUP_CODECS])
            tracks = [track for stream in wanted if (track := self._track(stream)) is not None]
            self._note_pictures(container)
        self.tracks = tuple(tracks)

    def _is_wanted(self, stream: Stream, audio: bool) -> bool:
        """Whether a stream is one to keep; what is left out gets a note."""
        if stream.type in ("data", "unknown"):
            self._notes["tracks of data (timecode, telemetry) left out: {}"] += 1
        if stream.type != "subtitle" and not (stream.type == "audio" and audio):
            return False
        if probe.codec_context(stream) is None or not stream.time_base:
            self._notes[f"{stream.type} tracks of an unknown codec, left out: {{}}"] += 1
            return False
        return True

    def _note_pictures(self, container: InputContainer) -> None:
        if (videos := len(probe.picture_tracks(container))) > 1:
            self._notes["further video tracks left out: {}"] += videos - 1

    def _look_ahead(self, candidates: Sequence[Stream]) -> None:
        """Reads on to the first packet of each candidate, to find out whether its packets carry their setup."""
        missing = {stream.index: stream for stream in candidates}
        seen: list[Packet[Stream]] = []
        while missing and len(seen) < _LOOKAHEAD:
            packet = next(self._packets, None)
            if packet is None:
                break
            seen.append(packet)
            stream = missing.pop(packet.stream_index, None) if packet.size else None
            if stream is None:
                continue
            if packet.has_sidedata("encryption_info"):
                self._encrypted.add(stream.index)
            elif setup := PacketSetup.found(stream.codec_context.name, bytes(packet)):
                self._setups[stream.index] = setup
        self._packets = chain(seen, self._packets)

    def _track(self, stream: Stream) -> Track | None:
        """Returns the description of a stream and counts it among those that are kept; None, and a note, for others."""
        codec, setup = stream.codec_context.name, self._setups.get(stream.index)
        if stream.index in self._encrypted:
            self._notes[f"encrypted {stream.type} tracks left out: {{}}"] += 1
            return None
        stub, unit = make_stub(stream, setup.extradata if setup else None), ratio(stream.time_base)
        if stub is None and isinstance(stream, AudioStream):
            with suppress(av.FFmpegError, ValueError):
                flac = self._flac[stream.index] = FlacTrack(stream, len(self._streams))
                stub, unit = ("matroska", flac.stub), flac.time_base
                self._notes[f"audio tracks in {codec}, which no output can hold, kept as FLAC: {{}}"] += 1
        if stub is None or unit is None:
            self._notes[f"{stream.type} tracks in {codec}, which no output can hold, left out: {{}}"] += 1
            return None
        self._streams.append(stream)
        return Track(*stub, unit, int(stream.disposition), _kept(stream.metadata, _TRACK_TAGS))

    @property
    def notes(self) -> list[str]:
        """What had to be left out, one plain sentence each."""
        return [note.format(count) for note, count in self._notes.items()]

    def companions(
        self,
        video: Mapping[str, str],
        mastering: MasteringDisplay | None = None,
        light: LightLevel | None = None,
    ) -> Companions:
        """Returns everything but the packets.

        Args:
            video: The tags of the video track.
            mastering: The display on which the video was graded.
            light: The light level of the video.
        """
        found = self._container.chapters() if self._container is not None else []
        chapters = tuple(_chapter(chapter) for chapter in found if chapter["time_base"] and chapter["end"] is not None)
        tags = _kept(self._container.metadata, _FILE_TAGS) if self._container is not None else {}
        return Companions(self.tracks, chapters, tags, _kept(video, _TRACK_TAGS), mastering, light, self._attachments)

    def packets(self, begin: Fraction | None = None, end: Fraction | None = None) -> Iterator[TrackPacket]:
        """Yields the packets that play within [begin, end) seconds on the file's clock, whole, in the file's order."""
        for found in self._all_packets(end):
            if found.plays_within(self.tracks[found.track].time_base, begin, end):
                yield found

    def _all_packets(self, end: Fraction | None) -> Iterator[TrackPacket]:
        """Yields packets at whatever time, and stops some way behind the end."""
        numbers = {stream.index: number for number, stream in enumerate(self._streams)}
        clocks, hidden = [0] * len(self._streams), dict[int, TrackPacket]()
        for packet in self._packets:
            dts = packet.pts if packet.dts is None else packet.dts
            if end is not None and dts is not None and dts * packet.time_base > end + _OVERRUN_SECONDS:
                break
            number = numbers.get(packet.stream_index)
            if number is None or not packet.size:
                continue
            if flac := self._flac.get(packet.stream_index):
                yield from self._as_flac(flac, packet)
                continue
            dts = clocks[number] if dts is None else dts
            pts = dts if packet.pts is None else packet.pts
            duration = max(0, packet.duration or 0)
            clocks[number] = dts + duration
            data = self._data(packet)
            if not data:
                continue
            found = TrackPacket(number, data, pts, dts, duration, packet.is_keyframe)
            if packet.is_discard and self._streams[number].type == "audio":
                hidden[number] = found  # an edit list cuts it off: the last one is kept, as the next may lean on it
                continue
            if number in hidden:
                yield hidden.pop(number)
            yield found
        for flac in self._flac.values():
            yield from self._as_flac(flac, None)

    def _as_flac(self, flac: FlacTrack, packet: Packet[Stream] | None) -> Iterator[TrackPacket]:
        """Yields what comes of a packet that no output can hold; nothing, and a note, where it is damaged."""
        try:
            yield from flac.packets(cast("Packet[AudioStream] | None", packet))
        except (av.FFmpegError, ValueError):
            self._notes["damaged packets of sound left out: {}"] += 1

    def _data(self, packet: Packet[Stream]) -> bytes:
        """Returns the data of a packet, without the setup of its codec; empty, and a note, where it is damaged."""
        setup = self._setups.get(packet.stream_index)
        try:
            return bytes(packet) if setup is None else setup.stripped(bytes(packet))
        except (av.FFmpegError, ValueError):
            self._notes["damaged packets of sound left out: {}"] += 1
            return b""

    def _demux(self, streams: Mapping[int, Stream]) -> Iterator[Packet[Stream]]:
        if self._container is None or not streams:
            return
        try:
            # Jumps of the clock are noted where the pictures are read.
            yield from continuous(self._container.demux(*streams.values()), self._container, Counter())
        except av.FFmpegError:
            self._notes["the file is damaged: sound and subtitles end where it could not be read on"] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is not None:
            self._container.close()


def _kept(tags: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    kept = {key.lower(): value.replace("\0", "") for key, value in tags.items() if key.lower() in names}
    said = {key: text for key, text in kept.items() if (key, text) != ("language", "und")}
    return {key: text for key, text in said.items() if text and len(text.encode()) <= _MOST_TEXT_BYTES}


def _chapter(found: AvChapter) -> Chapter:
    unit = (ratio(found["time_base"]) or Fraction(0)) * 1_000_000
    start, end = round(found["start"] * unit), round(found["end"] * unit)
    title = legible(found["metadata"].get("title", "")).replace("\0", "")
    return Chapter(start, max(start, end), title.encode()[:_MOST_TEXT_BYTES].decode("utf-8", "ignore"))
