"""Fuzzes the file around the functions: magic, sections, header, index, tracks, packets, GOP payloads.

Checksums would keep a fuzzer out, so they always match here.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from unittest import mock

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["nerv_codec.bitstream", "nerv_codec.coding", "nerv_codec.representations"]):
    from nerv_codec.bitstream import container
    from nerv_codec.bitstream.companions import parse_companions, parse_packets
    from nerv_codec.bitstream.tool import parse_tool
    from nerv_codec.errors import NervCodecError
    from nerv_codec.representations import unpack_gop

import common
import seeds

from nerv_codec.model.coordinates import GopGeometry

_MOST_GOPS = 4
"""Of one input: each is bounded on its own, and a header may name a million."""


class _NoChecksum(int):
    """Equals every number."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def test_one(data: bytes) -> None:
    with mock.patch.object(container.zlib, "crc32", lambda *_: _NoChecksum(0)), contextlib.suppress(NervCodecError):
        _read(data)


def _read(data: bytes) -> None:
    reader = container.ContainerReader(io.BytesIO(data))
    num_tracks = 0
    for section in reader.trailing_sections():
        if section.kind == container.SECTION_TOOL:
            parse_tool(section.payload)
        if section.kind == container.SECTION_COMPANIONS:
            num_tracks = len(parse_companions(section.payload).tracks)
        if section.kind == container.SECTION_PACKETS:
            for _ in parse_packets(section.payload, num_tracks):
                pass
    header = reader.header
    for index, gop in enumerate(header.gops[:_MOST_GOPS]):
        info = header.info
        geometry = GopGeometry(gop.num_frames, info.height, info.width, info.pixel_format.num_planes)
        unpack_gop(header.model_id, reader.read_gop(index), geometry)


if __name__ == "__main__":
    common.run(test_one, seeds.files())
