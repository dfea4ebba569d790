"""Sound, subtitles, chapters and tags out of ordinary files, as packets that nothing has been done to."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, cast

import av
from av.container import InputContainer
from av.container.core import Flags
from av.packet import Packet
from av.stream import Stream

from nerv_codec.base.companions import Chapter, Companions, Track, TrackPacket
from nerv_codec.base.errors import InputError
from nerv_codec.media import probe

STUB_OPTIONS: dict[str, dict[str, str]] = {"matroska": {}, "mp4": {"movflags": "empty_moov+default_base_moof"}}
"""The containers whose beginning can describe a track, the more compact one first, and how that is written."""
_EMPTY_CLUSTER = bytes.fromhex("1f43b67501ffffffffffffff")
"""Where Matroska's demuxer stops looking for more tracks."""
_FILE_TAGS = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "genre", "date", "year", "comment", "description"}
    | {"synopsis", "copyright", "show", "episode_id", "track", "network", "creation_time", "location"}
)
_TRACK_TAGS = frozenset({"language", "title"})
_MOST_TEXT_BYTES = 4096
_OVERRUN_SECONDS = 10
"""How far behind the end packets are still looked for: tracks are interleaved, but not strictly."""


def open_tracks(source: str | Path, *, audio: bool = True) -> TrackReader:
    """Opens a file once more, for what is in it besides pictures.

    Args:
        source: A path.
        audio: Whether sound is wanted; subtitles, chapters and tags always are.

    Raises:
        InputError: It cannot be opened.
    """
    try:
        container = av.open(f"file:{source}", metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{source}: expected a video, found {probe.plain_reason(error)}") from error
    try:
        return TrackReader(container, audio=audio)
    except BaseException:
        container.close()
        raise


class TrackReader:
    """The tracks of one file and, once, their packets.

    Attributes:
        tracks: What was found and can be kept.
    """

    def __init__(self, container: InputContainer, *, audio: bool) -> None:
        self._container = container
        self._notes: Counter[str] = Counter()
        self._streams: list[Stream] = []
        tracks = []
        for stream in container.streams:
            if stream.type == "attachment":
                self._notes["attachments left out: {}"] += 1
            if stream.type != "subtitle" and not (stream.type == "audio" and audio):
                continue
            stub = make_stub(stream)
            if stub is None or not stream.time_base:
                self._notes[f"{stream.type} tracks of an unknown codec, left out: {{}}"] += 1
                continue
            tracks.append(Track(*stub, stream.time_base, int(stream.disposition), _kept(stream.metadata, _TRACK_TAGS)))
            self._streams.append(stream)
        self.tracks = tuple(tracks)

    @property
    def notes(self) -> list[str]:
        """What had to be left out, one plain sentence each."""
        return [note.format(count) for note, count in self._notes.items()]

    def companions(self, video: Mapping[str, str], **static: Any) -> Companions:
        """All but the packets; ``video`` are the tags of the video track, ``static`` its HDR metadata."""
        chapters = tuple(
            _chapter(found) for found in self._container.chapters() if found["time_base"] and found["end"] is not None
        )
        tags = _kept(self._container.metadata, _FILE_TAGS)
        return Companions(self.tracks, chapters, tags, _kept(video, _TRACK_TAGS), **static)

    def packets(self, begin: Fraction | None = None, end: Fraction | None = None) -> Iterator[TrackPacket]:
        """The packets that sound within [begin, end) seconds on the file's clock; whole ones, in the file's order."""
        numbers = {stream.index: number for number, stream in enumerate(self._streams)}
        clocks = [0] * len(self._streams)
        # Pictures are not decoded here, but their packets tell how far the file has been read.
        pictures = [stream for stream in self._container.streams.video[:1] if end is not None]
        for packet in self._demux(*self._streams, *pictures) if self._streams else ():
            dts = packet.pts if packet.dts is None else packet.dts
            if end is not None and dts is not None and dts * packet.time_base > end + _OVERRUN_SECONDS:
                return
            number = numbers.get(packet.stream_index)
            if number is None or not packet.size:
                continue
            dts = clocks[number] if dts is None else dts
            pts = dts if packet.pts is None else packet.pts
            duration = max(0, packet.duration or 0)
            clocks[number] = dts + duration
            found = TrackPacket(number, bytes(packet), pts, dts, duration, packet.is_keyframe)
            if found.plays_within(self.tracks[number].time_base, begin, end):
                yield found

    def _demux(self, *streams: Stream) -> Iterator[Packet[Stream]]:
        try:
            yield from self._container.demux(*streams)
        except av.FFmpegError:
            self._notes["the file is damaged: sound and subtitles end where it could not be read on"] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()


def make_stub(stream: Stream) -> tuple[str, bytes] | None:
    """Returns (format, bytes) of a file that describes a stream and has no packet; None where none can."""
    for name, options in STUB_OPTIONS.items():
        buffer = io.BytesIO()
        try:
            with av.open(buffer, "w", format=name, container_options=options) as container:
                container.flags |= cast(int, Flags.bitexact.value)  # no random identifiers
                container.add_stream_from_template(stream, opaque=True)
                container.start_encoding()
                stub = buffer.getvalue()
            with open_stub(name, stub) as check:
                if check.streams[0].codec_context.codec.name == stream.codec_context.codec.name:
                    return name, stub
        except (av.FFmpegError, ValueError, AttributeError, IndexError, NotImplementedError):
            continue  # this container does not know the codec; the other one may
    return None


def open_stub(name: str, stub: bytes) -> InputContainer:
    """Opens a stub, as a template for a stream. It comes from a stranger: nothing else can be opened by it.

    Raises:
        av.FFmpegError, ValueError, IndexError: It is damaged or describes no track.
    """
    if name not in STUB_OPTIONS:
        raise ValueError(f"Expected one of {', '.join(STUB_OPTIONS)}, got {name}.")
    ended = stub + (_EMPTY_CLUSTER if name == "matroska" else b"")
    container = av.open(io.BytesIO(ended), "r", format=name, metadata_errors="replace", io_open=_refuse)
    if len(container.streams) != 1 or container.streams[0].type not in ("audio", "subtitle"):
        container.close()
        raise ValueError("Expected the description of one track of sound or subtitles.")
    return container


def describe_stub(name: str, stub: bytes) -> dict[str, str]:
    """Returns ``kind`` (audio, subtitle) and ``codec`` of a track; ``unknown`` where the stub is damaged."""
    try:
        with open_stub(name, stub) as container:
            stream = container.streams[0]
            return {"kind": stream.type, "codec": stream.codec_context.codec.canonical_name}
    except (av.FFmpegError, ValueError, AttributeError, IndexError):
        return {"kind": "unknown", "codec": "unknown"}


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError("a track may not refer to another file")


def _kept(tags: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    kept = {key.lower(): value.replace("\0", "") for key, value in tags.items() if key.lower() in names}
    said = {key: text for key, text in kept.items() if (key, text) != ("language", "und")}
    return {key: text for key, text in said.items() if text and len(text.encode()) <= _MOST_TEXT_BYTES}


def _chapter(found: Mapping[str, Any]) -> Chapter:
    start, end = (round(found[name] * found["time_base"] * 1_000_000) for name in ("start", "end"))
    title = found["metadata"].get("title", "").replace("\0", "")
    return Chapter(start, max(start, end), title.encode()[:_MOST_TEXT_BYTES].decode("utf-8", "ignore"))
