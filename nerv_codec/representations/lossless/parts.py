"""A payload cut into its parts, which are not decoded: neither torch nor a compiler is needed."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.representation import GopSummary

NAME_BYTES = 8
"""Of the name of what coding begins with."""
MACS_PER_SAMPLE = 32
"""Two pictures read with 4 x 4 weights; a sample of the source needs none."""


@dataclass(frozen=True)
class PayloadParts:
    """A payload taken apart."""

    layout: SampleLayout
    start: bytes
    """The name of the states that coding begins with, NAME_BYTES bytes."""
    digest: int
    """CRC-32 of all samples."""
    motion: bytes
    """Vectors of all frames; empty in a GOP of one frame."""
    planes: tuple[bytes, ...]
    """The streams of the planes."""

    def pack(self) -> bytes:
        """The payload."""
        out = ByteWriter()
        self.layout.write(out)
        out.raw(self.start)
        out.u32(self.digest)
        for part in (self.motion, *self.planes[:-1]):
            out.varint(len(part))
            out.raw(part)
        out.raw(self.planes[-1])
        return out.getvalue()

    def part_bytes(self, payload_bytes: int) -> dict[str, int]:
        """Bytes by part, which add up to those of the payload."""
        chroma = sum(len(part) for part in self.planes[1:])
        sizes = {"motion": len(self.motion), "luma": len(self.planes[0]), "chroma": chroma}
        return {"header": payload_bytes - sum(sizes.values()), **sizes}


def split(payload: bytes, geometry: GopGeometry) -> PayloadParts:
    """Takes a payload apart. Raises BitstreamError."""
    reader = ByteReader(payload)
    layout, start, digest = SampleLayout.read(reader, geometry), reader.raw(NAME_BYTES), reader.u32()
    parts = [reader.raw(reader.varint(0, len(payload), "the size of a part")) for _ in range(geometry.num_planes)]
    return PayloadParts(layout, start, digest, parts[0], (*parts[1:], reader.rest()))


def summarise(payload: bytes, geometry: GopGeometry) -> GopSummary:
    """What a payload says without being decoded. Raises BitstreamError."""
    parts = split(payload, geometry)
    return GopSummary(parts.digest, parts.part_bytes(len(payload)), MACS_PER_SAMPLE)
