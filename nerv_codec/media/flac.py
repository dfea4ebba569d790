"""Sound that no output can hold as it is, such as ADPCM or AAC in LATM, kept as FLAC: what it decodes to, exactly.

Decoders that give real numbers are the exception: FLAC has 24 bits for them, and nothing beyond full scale.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from nerv_codec.base.companions import TrackPacket

_SHORT = {"u8", "u8p", "s16", "s16p"}
"""ffmpeg's names of sample formats that 16 bits hold."""


class FlacTrack:
    """Decodes the packets of one track and encodes them again.

    Args:
        stream: The track; its decoder is used up.
        number: The number that its packets are given.

    Attributes:
        stub: The description of the track that comes of it, in Matroska.
        time_base: Of its packets' times.

    Raises:
        av.FFmpegError, ValueError: It cannot be decoded, or FLAC has no such sound.
    """

    def __init__(self, stream: AudioStream, number: int) -> None:
        context = stream.codec_context
        if not context.sample_rate or not context.format:
            raise ValueError("expected sound of a known rate and format")
        form = "s16" if context.format.name in _SHORT else "s32"
        self.time_base = Fraction(1, context.sample_rate)
        self._number = number
        buffer = io.BytesIO()
        self._container = av.open(buffer, "w", format="matroska")
        self._encoder = self._container.add_stream(
            "flac", rate=context.sample_rate, layout=context.layout.name, format=form
        )
        self._container.start_encoding()
        self.stub = buffer.getvalue()
        self._resampler = AudioResampler(form, context.layout.name, context.sample_rate, self._encoder.frame_size)

    def packets(self, packet: Packet[AudioStream] | None) -> Iterator[TrackPacket]:
        """Yields what comes of a packet; None is the end. Raises av.FFmpegError where it is damaged."""
        for frame in packet.decode() if packet is not None else (None,):
            yield from self._encoded(frame)

    def _encoded(self, frame: AudioFrame | None) -> Iterator[TrackPacket]:
        pieces: list[AudioFrame | None] = [*self._resampler.resample(frame)]
        for piece in pieces if frame is not None else [*pieces, None]:
            for packet in self._encoder.encode(piece):
                unit = packet.time_base / self.time_base
                pts, duration = round((packet.pts or 0) * unit), round((packet.duration or 0) * unit)
                yield TrackPacket(self._number, bytes(packet), pts, pts, duration)
