"""How many frames a damaged file has lost: packets from which no picture came, whether or not ffmpeg says so."""

from __future__ import annotations

import heapq

from av.packet import Packet
from av.video.stream import VideoStream

_A_PICTURE_A_PACKET = {"h264", "hevc", "vvc", "mpeg2video", "mpeg4"}
"""Codecs in which every packet is shown as one picture; others have packets that are never shown."""


class LostFrames:
    """Counts the packets that pictures have overtaken: they come out in the order of their times.

    Args:
        codec: ffmpeg's name.
    """

    def __init__(self, codec: str) -> None:
        self._watched = codec in _A_PICTURE_A_PACKET
        self._waiting: list[int] = []

    def sent(self, packet: Packet[VideoStream]) -> bool:
        """Takes note of a packet that goes to the decoder. Returns whether its loss would be seen."""
        if not self._watched or packet.pts is None:
            return False
        if packet.size and not packet.is_discard:
            heapq.heappush(self._waiting, packet.pts)
        return True

    def until(self, pts: int | None) -> int:
        """Returns how many were lost before the picture shown at ``pts``, None being the end; each is counted once."""
        lost = 0
        while self._waiting and (pts is None or self._waiting[0] <= pts):
            lost += heapq.heappop(self._waiting) != pts
        return lost
