"""HDR metadata for a Matroska track.

PyAV has no field to set it, but it copies it from the track of another file. This module makes such a file: the
shortest beginning of a Matroska file (RFC 9559) whose one FFV1 track has the elements.
"""

from __future__ import annotations

import io
import struct

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from nerv_codec.base.companions import LightLevel, MasteringDisplay

_EBML, _DOC_TYPE, _SEGMENT, _TRACKS, _TRACK, _CLUSTER = 0x1A45DFA3, 0x4282, 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675
_TRACK_NUMBER, _TRACK_UID, _TRACK_TYPE, _CODEC_ID, _VIDEO, _WIDTH, _HEIGHT = 0xD7, 0x73C5, 0x83, 0x86, 0xE0, 0xB0, 0xBA
_COLOUR, _MAX_CLL, _MAX_FALL, _MASTERING = 0x55B0, 0x55BC, 0x55BD, 0x55D0
_FIRST_CHROMATICITY, _MAX_LUMINANCE, _MIN_LUMINANCE = 0x55D1, 0x55D9, 0x55DA
_CHROMATICITY_UNIT, _LUMINANCE_UNIT = 50_000, 10_000
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def add_hdr_stream(
    container: OutputContainer, mastering: MasteringDisplay | None, light: LightLevel | None
) -> VideoStream:
    """Adds an FFV1 track with this metadata to a Matroska file and returns it, with everything else about it unset."""
    with av.open(io.BytesIO(hdr_template(mastering, light)), "r", format="matroska") as template:
        added: VideoStream = container.add_stream_from_template(template.streams.video[0], opaque=False)
    return added


def hdr_template(mastering: MasteringDisplay | None, light: LightLevel | None) -> bytes:
    """Returns the beginning of a Matroska file whose one track has this metadata; what is unknown is left out."""
    colour = b""
    if light is not None:
        colour += _number(_MAX_CLL, light.max_content) + _number(_MAX_FALL, light.max_frame_average)
    if mastering is not None:
        values = b""
        if all(mastering.chromaticity):
            for offset, value in enumerate(mastering.chromaticity):
                values += _real(_FIRST_CHROMATICITY + offset, value / _CHROMATICITY_UNIT)
        low, high = mastering.luminance
        if high > low:
            values += _real(_MAX_LUMINANCE, high / _LUMINANCE_UNIT) + _real(_MIN_LUMINANCE, low / _LUMINANCE_UNIT)
        colour += _element(_MASTERING, values)
    video = _number(_WIDTH, 1) + _number(_HEIGHT, 1) + _element(_COLOUR, colour)
    track = _number(_TRACK_NUMBER, 1) + _number(_TRACK_UID, 1) + _number(_TRACK_TYPE, 1)
    track += _element(_CODEC_ID, b"V_FFV1") + _element(_VIDEO, video)
    head = _element(_EBML, _element(_DOC_TYPE, b"matroska"))
    segment = _id(_SEGMENT) + _UNKNOWN_SIZE + _element(_TRACKS, _element(_TRACK, track))
    return head + segment + _id(_CLUSTER) + _UNKNOWN_SIZE


def _element(number: int, data: bytes) -> bytes:
    return _id(number) + (0x10000000 | len(data)).to_bytes(4, "big") + data


def _number(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(8, "big"))


def _real(number: int, value: float) -> bytes:
    return _element(number, struct.pack(">d", value))


def _id(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
