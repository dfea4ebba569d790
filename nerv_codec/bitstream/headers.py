"""The payload of the header section: geometry, colour, frame times and the GOP index (format.md, 3)."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo

MAX_SIDE = 16384
MAX_AREA = 1 << 26
MAX_FRAMES = 1 << 22
MAX_GOPS = 1 << 20
MAX_GOP_FRAMES = 1025
MIN_SECTION_BYTES = 6
MAX_SECTION_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 24
MAX_OTHER_BYTES = 1 << 62
MAX_DURATION = 1 << 48
_MAX_PTS = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class GopEntry:
    """One entry of the GOP index: how many frames a GOP covers and how long its section is."""

    num_frames: int
    """Frames of the closed interval, the shared one included, 1..MAX_GOP_FRAMES."""
    shares_first: bool
    """Whether its first frame is also the last one of the GOP before it."""
    section_bytes: int
    """Length of the whole section, with type, length and checksum."""


@dataclass(frozen=True)
class StreamHeader:
    """Everything that a decoder knows before it reads the first GOP."""

    model_id: int
    """The representation that the GOPs are in (format.md, 5)."""
    info: VideoInfo
    pts: Sequence[int]
    """Presentation time of every frame, strictly increasing, in units of ``info.time_base``."""
    last_duration: int
    """How long the last frame is shown, in units of ``info.time_base``; at least 1."""
    gops: tuple[GopEntry, ...]
    other_bytes: int = 0
    """Length of all sections behind the GOPs together."""
    rest: bytes = b""
    """What no known representation has: kept, so that the file of another one is told by its number."""

    @cached_property
    def first_frames(self) -> tuple[int, ...]:
        """The number of the frame with which each GOP begins."""
        starts, position = [], 0
        for gop in self.gops:
            start = position - gop.shares_first
            starts.append(start)
            position = start + gop.num_frames
        return tuple(starts)


def write_header(header: StreamHeader) -> bytes:
    """Returns the payload of the header section. Raises BitstreamError where a limit of the format is broken."""
    info, out = header.info, ByteWriter()
    out.u8(header.model_id)
    out.varint(info.width)
    out.varint(info.height)
    fmt = info.pixel_format
    out.u8((fmt.num_planes == 3) | fmt.chroma_row_shift << 1 | fmt.chroma_col_shift << 3)
    out.u8(fmt.bit_depth)
    color = info.color
    for code in (color.matrix, color.primaries, color.transfer):
        out.u8(code)
    out.u8(color.full_range | color.chroma_location << 1 | info.orientation << 4)
    for ratio in (info.sample_aspect, info.time_base):
        out.varint(ratio.numerator)
        out.varint(ratio.denominator)
    out.signed_varint(header.pts[0])
    out.varint(header.last_duration)
    runs = _runs(b - a for a, b in itertools.pairwise(header.pts))
    out.varint(len(runs))
    for delta, repeat in runs:
        out.varint(delta)
        out.varint(repeat)
    out.varint(len(header.gops))
    for gop in header.gops:
        out.varint(gop.num_frames << 1 | gop.shares_first)
        out.varint(gop.section_bytes)
    out.varint(header.other_bytes)
    out.raw(header.rest)
    payload = out.getvalue()
    parse_header(payload)  # whatever a decoder would refuse is never written
    return payload


def parse_header(payload: bytes) -> StreamHeader:
    """Returns what a header section says. Raises BitstreamError for anything that docs/format.md does not allow."""
    data = ByteReader(payload)
    model_id = data.u8()
    info = _parse_info(data)
    pts, last_duration = _parse_times(data)
    gops = _parse_index(data, len(pts))
    other_bytes = data.varint(0, MAX_OTHER_BYTES, "the bytes behind the GOPs")
    return StreamHeader(model_id, info, pts, last_duration, gops, other_bytes, rest=data.rest())


def _parse_times(data: ByteReader) -> tuple[Sequence[int], int]:
    """Returns the pts of every frame, 8 bytes each in memory however few describe them, and the last one's duration."""
    pts = array("q", [_checked_pts(data.signed_varint("the first pts"))])
    last_duration = data.varint(1, MAX_DURATION, "the last duration")
    for _ in range(data.varint(0, MAX_FRAMES - 1, "the number of time runs")):
        delta = data.varint(1, MAX_DURATION, "a frame's duration")
        repeat = data.varint(1, MAX_FRAMES - len(pts), "a run of frames")
        end = _checked_pts(pts[-1] + delta * repeat)
        pts.extend(range(pts[-1] + delta, end + 1, delta))
    return pts, last_duration


def _checked_pts(pts: int) -> int:
    if abs(pts) > _MAX_PTS:
        raise BitstreamError(f"expected frame times within +-{_MAX_PTS}, found {pts}")
    return pts


def _parse_info(data: ByteReader) -> VideoInfo:
    width = data.varint(1, MAX_SIDE, "the width")
    height = data.varint(1, MAX_SIDE, "the height")
    if width * height > MAX_AREA:
        raise BitstreamError(f"expected at most {MAX_AREA} pixels a frame, found {width}x{height}")
    layout = data.u8()
    num_planes = 3 if layout & 1 else 1
    row_shift, col_shift = layout >> 1 & 3, layout >> 3 & 3
    if layout >> 5 or 3 in (row_shift, col_shift) or (num_planes == 1 and (row_shift or col_shift)):
        raise BitstreamError(f"unknown plane layout {layout:#04x}")
    bit_depth = data.u8()
    if not 8 <= bit_depth <= 16:
        raise BitstreamError(f"expected a bit depth of 8..16, found {bit_depth}")
    matrix, primaries, transfer, flags = data.u8(), data.u8(), data.u8(), data.u8()
    if flags >> 7 or not 1 <= flags >> 1 & 7 <= 6:
        raise BitstreamError(f"unknown colour flags {flags:#04x}")
    sample_aspect = _parse_ratio(data, "the sample aspect")
    time_base = _parse_ratio(data, "the time base")
    return VideoInfo(
        width=width,
        height=height,
        pixel_format=PixelFormat(num_planes, row_shift, col_shift, bit_depth),
        color=ColorInfo(matrix, primaries, transfer, bool(flags & 1), flags >> 1 & 7),
        sample_aspect=sample_aspect,
        time_base=time_base,
        orientation=flags >> 4,
    )


def _parse_ratio(data: ByteReader, what: str) -> Fraction:
    return Fraction(data.varint(1, 1 << 32, what), data.varint(1, 1 << 32, what))


def _parse_index(data: ByteReader, num_frames: int) -> tuple[GopEntry, ...]:
    gops: list[GopEntry] = []
    covered = 0
    for _ in range(data.varint(1, min(num_frames, MAX_GOPS), "the number of GOPs")):
        frames_and_flag = data.varint(what="a GOP's frames")
        gop = GopEntry(
            num_frames=frames_and_flag >> 1,
            shares_first=bool(frames_and_flag & 1),
            section_bytes=data.varint(MIN_SECTION_BYTES, MAX_SECTION_BYTES, "a GOP's size"),
        )
        if not 1 + gop.shares_first <= gop.num_frames <= MAX_GOP_FRAMES or (gop.shares_first and not gops):
            raise BitstreamError(f"a GOP may not hold {gop.num_frames} frames")
        covered += gop.num_frames - gop.shares_first
        gops.append(gop)
    if covered != num_frames:
        raise BitstreamError(f"expected GOPs for {num_frames} frames, found {covered}")
    return tuple(gops)


def _runs(values: Iterable[int]) -> Sequence[tuple[int, int]]:
    return [(value, sum(1 for _ in group)) for value, group in itertools.groupby(values)]
