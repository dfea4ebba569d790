"""The payload of a GOP: what says how it is coded, then one stream for each part of the picture."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import PlanarFrame, Plane, VideoInfo
from nerv_codec.media.color import chroma_sites
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import GopSummary
from nerv_codec.representations.shared.canvas import Part, parts
from nerv_codec.representations.shared.quality import NUM_LAMBDAS
from nerv_codec.representations.shared.weights import DIGEST_BYTES
from nerv_codec.representations.warped.coding import MAX_DEPTHS, Ladder
from nerv_codec.representations.warped.function import Lattice, macs_per_sample
from nerv_codec.representations.warped.planes import LARGEST, UNIT, Planes, Samples
from nerv_codec.representations.warped.tree import Anchors

_PLACES = 3
_SCREENS, _MARKS, _MARK = 128, 96, 32
"""Added to the depth: where nodes may show screen content, and always, since motion is what it is (of these marks)."""
_OWN_PRICES, _ROOT, _OTHER_ORDER = 16, 64, 32
"""Added to how many offsets there are: where anchors have prices of their own, where another than frame 0 is the root,
and by an older codec in that case, whose order of nodes was another one."""
_PLAIN = 128
"""Added to it, too: where chroma is the same everywhere."""
_PLAIN_MOST, _PLAIN_ERROR = 3, 0.1
"""By how much samples of chroma may differ, of 255, from what is the same everywhere, and their mean squared error:
what another codec left of films without colour."""


@dataclass(frozen=True)
class Layout:
    """Planes of a picture, as a payload says them.

    Attributes:
        depth: Bits of a sample, 8..16.
        row_shift: log2 of the vertical subsampling of chroma, 0..2; 0 where there is none.
        col_shift: The same across.
        row_place: Where chroma sits between its luma rows, in halves: 0 at the first, 2 at the last.
        col_place: The same across.
        plain: What all samples of planes 1 and 2 are where none of them is coded, in 1 / UNIT of 0..255.
    """

    depth: int
    row_shift: int = 0
    col_shift: int = 0
    row_place: int = 0
    col_place: int = 0
    plain: tuple[int, ...] = ()

    def shapes(self, geometry: GopGeometry) -> list[tuple[int, int]]:
        """(rows, cols) of every plane."""
        half = -(-geometry.height >> self.row_shift), -(-geometry.width >> self.col_shift)
        return [(geometry.height, geometry.width)] + [half] * (geometry.num_planes - 1)

    def parts(self, geometry: GopGeometry) -> tuple[Part, ...]:
        """What is coded together."""
        return parts(self.shapes(geometry)[: 1 if self.plain else None])

    def uncoded(self, geometry: GopGeometry) -> list[Samples]:
        """The planes behind those of all parts, the same for every frame."""
        shapes = self.shapes(geometry)[1:] if self.plain else []
        return [np.full(shape, value, np.int16) for shape, value in zip(shapes, self.plain, strict=True)]

    def lattices(self, geometry: GopGeometry) -> list[Lattice]:
        """Where samples of every plane lie."""
        down, across = 1 << self.row_shift, 1 << self.col_shift
        chroma = Lattice((down - 1) * self.row_place / 2, (across - 1) * self.col_place / 2, down, across)
        return [Lattice(0.0, 0.0, 1, 1)] + [chroma] * (geometry.num_planes - 1)


def layout_of(info: VideoInfo, frames: Sequence[PlanarFrame] = ()) -> Layout:
    """The layout of a video's planes, without chroma where it is the same in all of these frames, or nearly so."""
    pixels = info.pixel_format
    if pixels.num_planes == 1:
        return Layout(pixels.bit_depth)
    shifts = pixels.chroma_row_shift, pixels.chroma_col_shift
    origins = (float(axis[0]) for axis in chroma_sites(4, 4, pixels, info.color))
    places = (round(2 * origin / max((1 << shift) - 1, 1)) for origin, shift in zip(origins, shifts, strict=True))
    row_place, col_place = places
    plain = [_plain([frame.planes[k] for frame in frames], 1 << pixels.bit_depth - 8) for k in (1, 2)] if frames else []
    found = tuple(value for value in plain if value is not None)
    return Layout(pixels.bit_depth, *shifts, row_place, col_place, found if len(found) == 2 else ())


def _plain(planes: Sequence[Plane], one: int) -> int | None:
    """What planes are nearly everywhere, in 1 / UNIT of 0..255, whose steps are ``one``; None if they hold more."""
    least, most = min(int(plane.min()) for plane in planes), max(int(plane.max()) for plane in planes)
    value = round(float(np.mean([plane.mean() for plane in planes])))
    if max(most - value, value - least) > _PLAIN_MOST * one:
        return None
    wrong = np.mean([np.square((plane.astype(np.float64) - value) / one).mean() for plane in planes])
    return value * UNIT // one if wrong <= _PLAIN_ERROR else None


@dataclass(frozen=True)
class Head:
    """What says how a GOP is coded.

    Attributes:
        networks: Digest of the shared networks.
        layout: Planes.
        ladder: Prices.
        anchors: Which frames they are, and which of them is the root.
        screens: Whether nodes may show screen content.
    """

    networks: bytes
    layout: Layout
    ladder: Ladder
    anchors: Anchors
    screens: bool = False

    def pack(self) -> bytes:
        """The bytes."""
        out, layout = ByteWriter(), self.layout
        out.raw(self.networks)
        out.u8(layout.depth + _SCREENS * self.screens + _MARK)
        sites = (layout.row_shift, layout.col_shift, layout.row_place, layout.col_place)
        frames, root = self.anchors.frames, self.anchors.frames.index(self.anchors.root)
        own = [self.ladder.own.get(frame, 0) for frame in frames]
        marks = _OWN_PRICES * any(own) + _ROOT * (root > 0) + _PLAIN * bool(layout.plain)
        for value in (*sites, self.ladder.lambda_index, len(self.ladder.offsets) + marks):
            out.u8(value)
        for offset in self.ladder.offsets:
            out.i8(offset)
        for distance, times in itertools.groupby(b - a for a, b in itertools.pairwise(frames)):
            out.varint(distance)
            out.varint(sum(1 for _ in times))
        if root:
            out.varint(root)
        for price in own if any(own) else ():
            out.i8(price)
        for value in layout.plain:
            out.varint(value)
        return out.getvalue()

    def checksum(self, planes: Iterable[Planes]) -> int:
        """CRC-32 of the head and of all decoded planes, part by part in coding order."""
        return functools.reduce(checksum_with, planes, zlib.crc32(self.pack()))


def checksum_with(crc: int, planes: Planes) -> int:
    """A CRC-32 that goes on with the planes of a node."""
    for plane in (planes.y, planes.u, planes.v):
        crc = zlib.crc32(np.ascontiguousarray(plane, "<i2").data, crc)
    return crc


@dataclass(frozen=True)
class Payload:
    """A payload taken apart: its head, the checksum of what it decodes to, and a stream for each part."""

    head: Head
    checksum: int
    streams: tuple[bytes, ...]

    def pack(self) -> bytes:
        """The bytes."""
        out = ByteWriter()
        out.raw(self.head.pack())
        out.u32(self.checksum)
        for stream in self.streams[:-1]:
            out.varint(len(stream))
        for stream in self.streams:
            out.raw(stream)
        return out.getvalue()


def split(data: bytes, geometry: GopGeometry) -> Payload:
    """The inverse of :meth:`Payload.pack`.

    Raises:
        BitstreamError: A value is out of range, or the data ends too soon.
    """
    reader = ByteReader(data)
    networks = reader.raw(DIGEST_BYTES)
    depth, row_shift, col_shift, row_place, col_place, index, count = (reader.u8() for _ in range(7))
    screens, depth = divmod(depth, _SCREENS)
    with_own, with_root, with_plain = (count & mark for mark in (_OWN_PRICES, _ROOT, _PLAIN))
    count &= ~(_OWN_PRICES | _ROOT | _PLAIN)
    mark, depth = depth & _MARKS, depth & ~_MARKS
    if mark != _MARK or count & _OTHER_ORDER:
        raise BitstreamError("the GOP was made by an older codec, whose motion this one cannot read")
    good = 8 <= depth <= 16 and max(row_shift, col_shift) <= 2 and max(row_place, col_place) < _PLACES
    good = good and not (with_plain and geometry.num_planes == 1)
    if not good or index >= NUM_LAMBDAS or not 1 <= count <= MAX_DEPTHS:
        raise BitstreamError("the head of the GOP is damaged")
    offsets = tuple(reader.i8() for _ in range(count))
    anchors, last, before = [0], geometry.num_frames - 1, 0
    while anchors[-1] < last:
        left = last - anchors[-1]
        distance = reader.varint(1, left, "the distance of anchors")
        if distance == before:
            raise BitstreamError("anchors at one distance are said twice")
        before = distance
        times = reader.varint(1, left // distance, "a number of anchors")
        anchors += [anchors[-1] + (number + 1) * distance for number in range(times)]
    root = reader.varint(1, len(anchors) - 1, "the root's number") if with_root else 0
    own = {frame: reader.i8() for frame in anchors} if with_own else {}
    if with_own and not any(own.values()):
        raise BitstreamError("the prices of anchors are said and are none")
    plain = tuple(reader.varint(0, LARGEST, "plain chroma") for _ in range(2 if with_plain else 0))
    ladder, checksum = Ladder(index, offsets, own), reader.u32()
    layout = Layout(depth, row_shift, col_shift, row_place, col_place, plain)
    sizes = [reader.varint(0, len(data), "a stream's size") for _ in layout.parts(geometry)[1:]]
    streams = tuple(reader.raw(size) for size in sizes)
    head = Head(networks, layout, ladder, Anchors(tuple(anchors), anchors[root]), screens > 0)
    return Payload(head, checksum, (*streams, reader.rest()))


def summarise(data: bytes, geometry: GopGeometry) -> GopSummary:
    """What a payload says without being decoded. Raises BitstreamError."""
    payload = split(data, geometry)
    sizes = {"streams": sum(len(stream) for stream in payload.streams)}
    macs = macs_per_sample(geometry.num_frames, len(payload.head.anchors.frames))
    return GopSummary(payload.checksum, {"header": len(data) - sizes["streams"], **sizes}, macs)
