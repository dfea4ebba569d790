"""From the packets of a file to decoded frames: past damage, over jumps of the clock, with times where AVI has none."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nerv_codec.base.errors import InputError
from nerv_codec.media.continuity import clock_streams, continuous
from nerv_codec.media.losses import LostFrames

_Y4M_FRAME = b"FRAME\n"


def decoded_frames(
    container: InputContainer, stream: VideoStream, name: str, notes: Counter[str], size: Callable[[], int]
) -> Iterator[VideoFrame]:
    """Yields all frames of a track that can be decoded, in presentation order; their times may still be wrong.

    Args:
        container: The file, opened and not read from yet.
        stream: The track.
        name: Of the file, for messages.
        notes: Told what was lost and what is damaged.
        size: Says at the end how many bytes there were.

    Raises:
        InputError: The track is encrypted, or ffmpeg has no decoder for it.
    """
    return _Decoder(container, stream, name, notes, size).frames()


class _Decoder:
    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        name: str,
        notes: Counter[str],
        size: Callable[[], int],
    ) -> None:
        self._container, self._stream, self._name, self._notes = container, stream, name, notes
        self._size = size
        self._raw_end = 0
        self._losses = LostFrames(stream.codec_context.codec.canonical_name)
        # AVI stores decoding times only, and what ffmpeg makes of them is wrong for pictures that are stored out of
        # order. But pictures come out of the decoder in order, one for each packet, so that the times go to them in
        # turn.
        self._turns: deque[int] | None = deque() if container.format.name == "avi" else None
        self._tainted = False

    def frames(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            noticed = packet is not None and self._send(packet)
            for frame in self._decode(packet, noticed=noticed):
                self._take_note(frame)
                yield frame
        self._lose(self._losses.until(None))
        # ffmpeg passes over the rest of a raw frame without a word.
        if 0 < self._raw_end < self._size():
            self._notes["the file is cut off within its last frame, frames lost: {}"] += 1

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Yields the track's packets, the last one empty (or None, where the file breaks off)."""
        others = [other for other in clock_streams(self._container) if other.index != self._stream.index]
        demuxed: Iterator[Packet[Stream]] = self._container.demux(self._stream, *others)
        packets = continuous(demuxed, self._container, self._notes)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._notes["the file is damaged or cut off and could not be read to its end"] += 1
                packet = None
            if packet is None:
                yield None
                return
            if packet.stream_index == self._stream.index:
                yield cast("Packet[VideoStream]", packet)

    def _send(self, packet: Packet[VideoStream]) -> bool:
        """Takes note of a packet before it is decoded. Returns whether its loss would be seen without an error."""
        if packet.has_sidedata("encryption_info"):
            raise InputError(f"{self._name}: expected a video that can be decoded, found an encrypted one")
        if self._container.format.name == "yuv4mpegpipe" and packet.size:
            self._raw_end = (packet.pos or 0) + len(_Y4M_FRAME) + packet.size
        if self._turns is None:
            return self._losses.sent(packet)
        if packet.dts is not None and packet.size:
            self._turns.append(packet.dts)
        return False

    def _decode(self, packet: Packet[VideoStream] | None, *, noticed: bool) -> list[VideoFrame]:
        try:
            # The packet after the last one is empty and drains the decoder; a broken file lacks it.
            return self._stream.decode(packet)
        except av.EOFError:  # drained already
            return []
        except av.DecoderNotFoundError as error:
            codec = self._stream.codec_context.name
            raise InputError(f"{self._name}: expected a video that can be decoded, found {codec}") from error
        except av.FFmpegError:
            self._tainted = True
            if not noticed:
                self._lose(1)
            if self._turns:
                self._turns.pop()
            return []

    def _take_note(self, frame: VideoFrame) -> None:
        if self._turns is not None:
            frame.pts = self._turns.popleft() if self._turns else None
        lost = self._losses.until(frame.pts) if frame.pts is not None else 0
        self._lose(lost)
        self._tainted = frame.is_corrupt or ((self._tainted or lost > 0) and not frame.key_frame)
        if frame.is_corrupt:
            self._notes["damaged frames, shown as far as they decode: {}"] += 1
        elif self._tainted:
            self._notes["frames up to the next key frame, which may show that damage: {}"] += 1
        if frame.interlaced_frame:
            self._notes["interlaced frames, deinterlaced (bwdif): {}"] += 1

    def _lose(self, count: int) -> None:
        if count:
            self._notes["damaged input, frames lost: {}"] += count
