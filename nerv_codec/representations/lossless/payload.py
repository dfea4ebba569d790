"""A GOP's planes to bytes and back (docs/format.md, section 9)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from nerv_codec.base.arriving import Arriving
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import Plane, plane_dtype
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.byte_stream import ByteStream
from nerv_codec.representations.lossless.function import LosslessFunction
from nerv_codec.representations.lossless.gop_coder import (
    Vectors,
    code_frames,
    read_motion,
    search_motion,
    write_motion,
)
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.model import Begin
from nerv_codec.representations.lossless.parts import PayloadParts, split
from nerv_codec.representations.lossless.start import Start, load_start
from nerv_codec.representations.representation import Opened


@dataclass(frozen=True)
class PackedGop:
    """A GOP as bytes, and the function that they stand for."""

    payload: bytes
    function: LosslessFunction


def samples_digest(frames: Sequence[Sequence[Plane]], digest: int = 0) -> int:
    """CRC-32 of all samples as 16-bit little-endian integers, frame after frame, plane after plane, row-major.

    ``digest`` is that of the frames before.
    """
    for frame in frames:
        for plane in frame:
            digest = zlib.crc32(plane.astype("<u2").tobytes(), digest)
    return digest


def pack_lossless(
    frames: Sequence[tuple[Plane, ...]],
    layout: SampleLayout,
    geometry: GopGeometry,
    *,
    start: Start | None = None,
    tell: Callable[[int, int], None] = lambda frames, num_bytes: None,
) -> PackedGop:
    """Codes the frames of a GOP.

    Args:
        frames: The planes of each.
        layout: How they lie.
        geometry: The GOP's box.
        start: What is known at the start; None is what the package ships.
        tell: Called after each frame with how many there are so far, and their bytes.
    """
    start = start or load_start()
    motion = list(search_motion([frame[0] for frame in frames], geometry))
    vectors = write_motion(motion, geometry)
    streams = [ByteStream() for _ in range(geometry.num_planes)]
    coded = code_frames(layout, geometry, zip(frames, motion, strict=True), streams, start.state)
    for index, _ in enumerate(coded):
        tell(index + 1, len(vectors) + sum(stream.num_bytes for stream in streams))
    parts = PayloadParts(
        layout, start.name, samples_digest(frames), vectors, tuple(stream.getvalue() for stream in streams)
    )
    fields = [one[0] for one in motion]
    return PackedGop(parts.pack(), LosslessFunction(geometry, layout, dict(enumerate(frames)), fields))


def open_lossless(payload: bytes, geometry: GopGeometry, device: torch.device) -> Opened:
    """The function of a payload, whose frames are decoded one after another as they are asked for.

    Raises BitstreamError.
    """
    parts = split(payload, geometry)
    begin, motion = load_start(parts.start).state, read_motion(parts.motion, geometry)
    frames = Arriving(_decoded(parts, geometry, motion, begin), geometry.num_frames)
    function = LosslessFunction(geometry, parts.layout, frames, [one[0] for one in motion], device)
    return Opened(function, parts.digest, parts.part_bytes(len(payload)), frames)


def _decoded(
    parts: PayloadParts, geometry: GopGeometry, motion: Sequence[Vectors], begin: Begin
) -> Iterator[tuple[int, tuple[Plane, ...]]]:
    """Numbers and planes of all frames; then all is compared. Raises BitstreamError."""
    streams = [ByteStream(part) for part in parts.planes]
    dtype, digest = plane_dtype(parts.layout.pixel_format.bit_depth), 0
    unread = ((None, vectors) for vectors in motion)
    for index, coded in enumerate(code_frames(parts.layout, geometry, unread, streams, begin)):
        frame = tuple(plane.astype(dtype) for plane in coded)
        digest = samples_digest([frame], digest)
        yield index, frame
    for plane, stream in enumerate(streams):
        stream.expect_end(f"plane {plane}")
    if digest != parts.digest:
        raise BitstreamError(f"expected samples with the digest {parts.digest:08x}, found {digest:08x}")
