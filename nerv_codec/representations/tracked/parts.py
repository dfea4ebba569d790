"""The payload of a `tracked` GOP cut into its parts, which are not decoded: neither torch nor a compiler is needed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from math import prod

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import GopSummary
from nerv_codec.representations.tracked.grid_tables import motion_table
from nerv_codec.representations.tracked.networks import (
    SHARED,
    Predictor,
    SharedNetworks,
    all_shapes,
    pack_shared,
    read_head,
    unpack_networks,
    write_head,
)
from nerv_codec.representations.tracked.prior import NetworkSizes
from nerv_codec.representations.tracked.shape import TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

MAX_SPAN = 1024
"""Frames between anchors at the most."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class PayloadParts:
    """A payload taken apart."""

    shape: TrackedShape
    predictor: Predictor
    sizes: NetworkSizes
    weights: bytes
    """Coded weights of all networks; empty where all are as predicted."""
    motion: bytes
    """Coded motion; empty in a GOP of one frame."""
    latents: bytes
    """Coded latents."""

    def part_bytes(self, payload_bytes: int) -> dict[str, int]:
        """Bytes by part, which add up to those of the payload."""
        sizes = {"weights": len(self.weights), "motion": len(self.motion), "latents": len(self.latents)}
        return {"header": payload_bytes - sum(sizes.values()), **sizes}

    @property
    def digest(self) -> int:
        """CRC-32 of all integers, from the digests that stand before each coded part."""
        weights = sum(prod(size) for size in all_shapes(self.sizes))
        counts = weights, motion_table(self.shape).size, len(self.shape.tree.nodes) * self.shape.node_latents
        digest = 0
        for part, count in zip((self.weights, self.motion, self.latents), counts, strict=True):
            zeros = _crc_of_zeros(0, 4 * count)
            own = ByteReader(part).u32() if part else zeros
            digest = _crc_of_zeros(digest, 4 * count) ^ own ^ zeros  # as if the part had followed: CRCs are linear
        return digest


def join_parts(parts: PayloadParts) -> bytes:
    """The payload."""
    out = ByteWriter()
    out.varint(parts.shape.tree.span)
    write_head(out, parts.predictor, parts.sizes)
    for part in (parts.weights, parts.motion):
        out.varint(len(part))
        out.raw(part)
    out.raw(parts.latents)
    return out.getvalue()


def split_payload(payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None) -> PayloadParts:
    """The inverse of :func:`join_parts`.

    Args:
        payload: What the GOP's section holds.
        geometry: The GOP's box.
        shared: What the header keeps for all GOPs.

    Raises:
        BitstreamError: A size is beyond what the format holds, or the payload ends too soon.
    """
    reader = ByteReader(payload)
    tree = GopTree(geometry.num_frames, reader.varint(1, MAX_SPAN, "the distance of anchors"))
    predictor, sizes = read_head(reader, shared, tree.nodes[-1].depth + 1, geometry.num_planes)
    weights = reader.raw(reader.varint(0, len(payload), "the weights' size"))
    motion = reader.raw(reader.varint(0, len(payload), "the motion's size"))
    shape = TrackedShape(tree, geometry.height, geometry.width, sizes.scales, sizes.hidden, geometry.num_planes)
    return PayloadParts(shape, predictor, sizes, weights, motion, reader.rest())


def summarise(payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None = None) -> GopSummary:
    """What a payload says without being decoded. Raises BitstreamError."""
    parts = split_payload(payload, geometry, shared)
    return GopSummary(parts.digest, parts.part_bytes(len(payload)), parts.shape.macs_per_sample)


def share_networks(payload: bytes, geometry: GopGeometry) -> tuple[bytes, bytes]:
    """Moves the networks of a payload that shares none into what the header keeps.

    Returns:
        What the header keeps, and the payload of the same function that refers to it.
    """
    parts = split_payload(payload, geometry, None)
    tensors = unpack_networks(parts.weights, parts.predictor, parts.sizes)
    kept = pack_shared(parts.predictor, parts.sizes, tensors)
    return kept, join_parts(replace(parts, predictor=Predictor(SHARED), weights=b""))


def _crc_of_zeros(digest: int, count: int) -> int:
    """The CRC-32 that ``digest`` becomes when ``count`` zero bytes follow."""
    piece = bytes(min(count, _PIECE_BYTES))
    for start in range(0, count, _PIECE_BYTES):
        digest = zlib.crc32(piece[: count - start], digest)
    return digest
