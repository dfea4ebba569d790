"""Frames that a damaged file has lost: packets from which no picture came, whether or not ffmpeg says so."""

from __future__ import annotations

import heapq

import av

_A_PICTURE_A_PACKET = {"h264", "hevc", "vvc", "mpeg2video", "mpeg4"}
"""Others have packets that are never shown."""


class LostFrames:
    """Counts the packets that pictures have overtaken: they come out in the order of their times.

    Args:
        codec: ffmpeg's name.
    """

    def __init__(self, codec: str) -> None:
        self._watched = codec in _A_PICTURE_A_PACKET
        self._waiting: list[int] = []

    def sent(self, packet: av.Packet) -> bool:
        """Notes a packet that goes to the decoder. Returns whether its loss would be seen."""
        seen = self._watched and packet.pts is not None
        if seen and packet.size and not packet.is_discard:
            heapq.heappush(self._waiting, packet.pts)
        return seen

    def until(self, pts: int | None) -> int:
        """How many were lost before the picture that is shown at ``pts``; None is the end. Each is told once."""
        lost = 0
        while self._waiting and (pts is None or self._waiting[0] <= pts):
            lost += heapq.heappop(self._waiting) != pts
        return lost
