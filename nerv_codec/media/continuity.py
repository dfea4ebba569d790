"""One clock for a file that was joined from several: where its times jump, what follows is put behind what was before.

MPEG-TS and other files without an index can be joined with ``cat``, and recorders restart their clocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

_INDEXED = frozenset({"mov", "avi", "mxf"})
"""Formats whose index gives every packet its time, so that nothing can be appended to a file."""
_DISCONTINUOUS = 0x0200
"""FFmpeg's AVFMT_TS_DISCONT: formats whose clock may jump by design."""
_LEAST_JUMP_BACK = Fraction(1, 4)
"""Seconds. Pictures that are stored out of order go back by less."""
_REORDERED_PICTURES = 5
_LEAST_JUMP_AHEAD = 10
"""Seconds, in formats whose clock may jump; FFmpeg's own threshold."""
_LOOKAHEAD = 256
"""Packets of a new segment that are looked at before its beginning is decided on."""


def clock_streams(container: InputContainer) -> list[Stream]:
    """Returns the streams by which jumps of a file's clock are seen: its first video track and all sound.

    Whoever reads packets of such a file must demultiplex these too, so that all readers see the same jumps. Empty
    where the format rules out jumps.
    """
    if set(container.format.name.split(",")) & _INDEXED:
        return []
    return [*container.streams.video[:1], *container.streams.audio]


def continuous(
    packets: Iterable[Packet[Stream]], container: InputContainer, notes: Counter[str]
) -> Iterator[Packet[Stream]]:
    """Yields all packets, with the times of each segment moved behind the end of the segment before it.

    All tracks of a segment are moved by the same time and stay in sync. The first segment keeps its times.

    Args:
        packets: In the file's order, those of ``clock_streams`` among them.
        container: Where they come from.
        notes: Told how many jumps there were.
    """
    watched = {stream.index for stream in clock_streams(container)}
    return _Segments(watched, bool(container.format.flags & _DISCONTINUOUS), notes).moved(packets)


@dataclass
class _Track:
    """What a watched track last said, in seconds on the file's clock."""

    dts: Fraction
    latest: Fraction

    def jumps(self, packet: Packet[Stream], *, ahead: bool) -> bool:
        """Whether a packet cannot belong to the same segment."""
        pts, dts, duration = _times(packet)
        if dts < self.dts:
            return pts < self.latest - max(_LEAST_JUMP_BACK, _REORDERED_PICTURES * duration)
        return ahead and dts > self.dts + _LEAST_JUMP_AHEAD

    def follow(self, packet: Packet[Stream]) -> None:
        pts, self.dts, _ = _times(packet)
        self.latest = max(self.latest, pts)


class _Segments:
    """The state of one pass through a file."""

    def __init__(self, watched: set[int], ahead: bool, notes: Counter[str]) -> None:
        self._watched, self._ahead, self._notes = watched, ahead, notes
        self._shift = Fraction(0)
        self._end: Fraction | None = None
        self._tracks: dict[int, _Track] = {}
        self._begun: set[int] = set()
        self._waiting: list[Packet[Stream]] = []

    def moved(self, packets: Iterable[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        for packet in packets:
            index = packet.stream_index
            track = self._tracks.get(index)
            timed = index in self._watched and _timed(packet)
            if timed and track is not None and index not in self._begun and track.jumps(packet, ahead=self._ahead):
                self._begun.add(index)
            if self._begun and (index in self._begun or not timed):
                self._waiting.append(packet)
            else:
                yield self._placed(packet, timed=timed)
            if self._begun and (self._begun >= set(self._tracks) or len(self._waiting) > _LOOKAHEAD):
                yield from self._begin_segment()
        yield from self._begin_segment()

    def _begin_segment(self) -> Iterator[Packet[Stream]]:
        """Gives the waiting packets a place behind all that were placed so far."""
        if not self._begun:
            return
        self._notes["jumps in the file's clock, what follows is put behind what was before: {}"] += 1
        begun = (packet for packet in self._waiting if packet.stream_index in self._begun and _timed(packet))
        first = min(_times(packet)[0] for packet in begun)
        self._shift = (self._end or Fraction(0)) - first
        waiting, self._waiting = self._waiting, []
        self._tracks.clear()
        self._begun.clear()
        for packet in waiting:
            yield self._placed(packet, timed=packet.stream_index in self._watched and _timed(packet))

    def _placed(self, packet: Packet[Stream], *, timed: bool) -> Packet[Stream]:
        if timed:
            pts, dts, duration = _times(packet)
            self._tracks.setdefault(packet.stream_index, _Track(dts, pts)).follow(packet)
            end = pts + duration + self._shift
            self._end = end if self._end is None else max(self._end, end)
        if self._shift and packet.time_base:
            ticks = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return packet


def _timed(packet: Packet[Stream]) -> bool:
    return packet.pts is not None and packet.dts is not None


def _times(packet: Packet[Stream]) -> tuple[Fraction, Fraction, Fraction]:
    """Returns when a packet is presented and decoded, and how long it lasts, in seconds on the file's clock."""
    unit = packet.time_base
    return (packet.pts or 0) * unit, (packet.dts or 0) * unit, max(0, packet.duration or 0) * unit
