"""What a ``.nvc`` says about itself: read from the header and the heads of GOPs, without torch or a compiler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from nerv_codec.base.companions import Attachment, Companions, TrackPacket
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import PixelFormat
from nerv_codec.bitstream.companions import MAX_ATTACHMENTS, parse_attachment, parse_companions, parse_packets
from nerv_codec.bitstream.container import (
    SECTION_ATTACHMENT,
    SECTION_COMPANIONS,
    SECTION_PACKETS,
    ContainerReader,
)
from nerv_codec.bitstream.headers import StreamHeader
from nerv_codec.decoding.timeline import Timeline
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import model_name, summarise_gop
from nerv_codec.representations.representation import GopSummary


@dataclass(frozen=True)
class VideoMetadata:
    """What a file says about itself."""

    width: int
    height: int
    num_frames: int
    begin_seconds: float
    end_seconds: float
    average_fps: float
    bit_depth: int
    chroma: str
    model: str
    num_gops: int
    file_bytes: int
    rate_bpp: float
    """8 * file bytes / (frames * height * width)."""
    bitrate_bps: float
    macs_per_pixel: float
    """Multiplications for one pixel at the source's lattice, chroma included."""


def read_metadata(container: ContainerReader) -> VideoMetadata:
    """Size, rate, times and cost of a file. Raises BitstreamError where the first GOP is damaged."""
    header, timeline = container.header, Timeline(container.header)
    info, fmt = header.info, header.info.pixel_format
    frames, pixels = len(header.pts), info.height * info.width
    samples = sum(
        rows * cols
        for rows, cols in {fmt.plane_size(plane, info.height, info.width) for plane in range(fmt.num_planes)}
    )
    return VideoMetadata(
        width=info.width,
        height=info.height,
        num_frames=frames,
        begin_seconds=float(timeline.begin),
        end_seconds=float(timeline.end),
        average_fps=float(timeline.average_rate),
        bit_depth=fmt.bit_depth,
        chroma=describe_chroma(fmt, info.color.matrix),
        model=model_name(header.model_id),
        num_gops=len(header.gops),
        file_bytes=container.file_bytes,
        rate_bpp=8 * container.file_bytes / (frames * pixels),
        bitrate_bps=8 * container.file_bytes / float(timeline.end - timeline.begin),
        macs_per_pixel=read_summary(container, 0).macs_per_sample * samples / pixels,
    )


def read_summary(container: ContainerReader, index: int) -> GopSummary:
    """What one GOP says before it is decoded. Raises BitstreamError."""
    header, payload = container.header, container.read_gop(index)
    try:
        return summarise_gop(header.model_id, payload, stored_geometry(header, index))
    except BitstreamError as error:
        raise type(error)(f"GOP {index}: {error}") from error


def stored_geometry(header: StreamHeader, index: int) -> GopGeometry:
    """Frames, height, width and planes of one GOP, as the header has them."""
    info = header.info
    return GopGeometry(header.gops[index].num_frames, info.height, info.width, info.pixel_format.num_planes)


def own_frames(header: StreamHeader, index: int) -> tuple[int, int]:
    """First and last frame that are shown from one GOP: a frame that two of them hold is shown from the first one."""
    entry, first = header.gops[index], header.first_frames[index]
    return first + entry.shares_first, first + entry.num_frames - 1


def read_companions(container: ContainerReader) -> Companions:
    """What travels beside the pictures, but for the packets. Raises BitstreamError."""
    found, attachments = Companions(), list[Attachment]()
    for section in container.trailing_sections():
        if section.kind == SECTION_COMPANIONS:
            found = parse_companions(section.payload)
        elif section.kind == SECTION_ATTACHMENT:
            attachments.append(parse_attachment(section.payload))
            if len(attachments) > MAX_ATTACHMENTS:
                raise BitstreamError(f"expected at most {MAX_ATTACHMENTS} attachments, found more")
    return replace(found, attachments=tuple(attachments))


def read_packets(
    container: ContainerReader, companions: Companions, begin: Fraction | None = None, end: Fraction | None = None
) -> Iterator[TrackPacket]:
    """Packets of sound and subtitles that play within [begin, end) seconds; whole ones. Raises BitstreamError."""
    tracks = companions.tracks
    for section in container.trailing_sections():
        if section.kind != SECTION_PACKETS:
            continue
        for packet in parse_packets(section.payload, len(tracks)):
            if packet.plays_within(tracks[packet.track].time_base, begin, end):
                yield packet


def describe_chroma(fmt: PixelFormat, matrix: int) -> str:
    """``4:2:0``, ``4:4:4``, ``gray``, ``rgb`` ..."""
    if fmt.num_planes == 1:
        return "gray"
    if matrix == 0:
        return "rgb"
    names = {
        (1, 1): "4:2:0",
        (0, 1): "4:2:2",
        (0, 0): "4:4:4",
        (1, 0): "4:4:0",
        (0, 2): "4:1:1",
        (2, 2): "4:1:0",
    }
    shifts = (fmt.chroma_row_shift, fmt.chroma_col_shift)
    return names.get(shifts, f"1/{1 << shifts[0]} x 1/{1 << shifts[1]}")
