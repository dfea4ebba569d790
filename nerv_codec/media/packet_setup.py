"""Codecs that may carry their setup in every packet, where containers such as MP4 and Matroska want it once, in front.

In MPEG-TS each AAC frame has an ADTS header (ISO 14496-3, 1.A.2.2). Without it, and with the AudioSpecificConfig that
follows from it, the same access units can be stored anywhere.
"""

from __future__ import annotations

from typing import Self

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet

_FILTERS = {"aac": "aac_adtstoasc"}
SETUP_CODECS = frozenset(_FILTERS)
"""ffmpeg's names of codecs whose packets may carry their setup."""


class PacketSetup:
    """Takes the setup out of the packets of one track.

    Attributes:
        extradata: The setup, as it stands in front of a track.
    """

    def __init__(self, codec: str, first: bytes) -> None:
        self._filter = BitStreamFilterContext(_FILTERS[codec], codec)
        (packet,) = self._filter.filter(Packet(first))
        self.extradata = bytes(packet.get_sidedata("new_extradata"))

    @classmethod
    def found(cls, codec: str, first: bytes) -> Self | None:
        """Returns the setup of a track by its first packet; None where its packets do not carry it.

        Args:
            codec: ffmpeg's name.
            first: The data of the first packet.
        """
        if codec not in _FILTERS or len(first) < 2 or first[0] != 0xFF or first[1] & 0xF0 != 0xF0:
            return None
        try:
            return cls(codec, first)
        except (av.FFmpegError, ValueError):
            return None

    def stripped(self, data: bytes) -> bytes:
        """Returns a packet's access unit without setup. Raises av.FFmpegError, ValueError where it has no valid one."""
        (packet,) = self._filter.filter(Packet(data))
        return bytes(packet)
