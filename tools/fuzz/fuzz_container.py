"""Fuzzes the file around the functions: magic, sections, header, index, tracks, packets, GOP payloads."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

import common

with atheris.instrument_imports(include=["nerv_codec"], exclude=common.KERNELS):
    from nerv_codec.base.errors import NervCodecError
    from nerv_codec.bitstream import container
    from nerv_codec.bitstream.companions import parse_attachment, parse_companions, parse_packets
    from nerv_codec.bitstream.tool import parse_tool
    from nerv_codec.representations.registry import unpack_gop
    from nerv_codec.representations.warped import decode as warped_codec

import seeds

from nerv_codec.representations.coordinates import GopGeometry

_MOST_GOPS = 4
"""Of one input: each is bounded on its own, and a header may name a million."""
_MOST_SAMPLES = 1 << 18
"""Of one GOP: a header of a few bytes may rightly name hours of pictures, and `warped` keeps planes of them all."""


def test_one(data: bytes) -> None:
    """Reads all that is in a file, but evaluates nothing."""
    with contextlib.suppress(NervCodecError):
        _read(data)


def _read(data: bytes) -> None:
    reader = container.ContainerReader(io.BytesIO(data))
    num_tracks = 0
    for section in reader.trailing_sections():
        if section.kind == container.SECTION_TOOL:
            parse_tool(section.payload)
        if section.kind == container.SECTION_COMPANIONS:
            num_tracks = len(parse_companions(section.payload).tracks)
        if section.kind == container.SECTION_ATTACHMENT:
            parse_attachment(section.payload)
        if section.kind == container.SECTION_PACKETS:
            for _ in parse_packets(section.payload, num_tracks):
                pass
    header = reader.header
    info = header.info
    for index, gop in enumerate(header.gops[:_MOST_GOPS]):
        geometry = GopGeometry(gop.num_frames, info.height, info.width, info.pixel_format.num_planes)
        payload = reader.read_gop(index)
        if gop.num_frames * info.height * info.width <= _MOST_SAMPLES:
            unpack_gop(header.model_id, payload, geometry)


if __name__ == "__main__":
    assert warped_codec  # imported early, to be instrumented
    common.run(test_one, seeds.files())
