"""What is in a ``.nvc``, as plain data for ``info`` and for reports."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from nerv_codec.bitstream.container import (
    SECTION_ATTACHMENT,
    SECTION_COMPANIONS,
    SECTION_PACKETS,
    SECTION_TOOL,
    VERSION,
)
from nerv_codec.bitstream.tool import parse_tool
from nerv_codec.decoding.gop_loader import open_container
from nerv_codec.decoding.metadata import read_companions, read_metadata, read_summary
from nerv_codec.media.stubs import describe_stub

SCHEMA_VERSION = 1
_PARTS = {SECTION_COMPANIONS: "companions", SECTION_PACKETS: "audio", SECTION_ATTACHMENT: "attachments"}


def inspect(source: str | Path) -> dict[str, Any]:
    """Header, GOPs, bytes by part and digests of a file; the checksum of every section is compared, nothing is decoded.

    The parts of ``bytes_by_part`` add up to ``file_bytes``: ``header`` (magic, header section),
    ``framing`` (types, lengths and checksums of the other sections), what the representation names
    (``weights`` ...), ``audio`` (packets of sound and subtitles), ``companions`` (what describes them, chapters,
    tags), ``attachments`` (fonts, cover art) and ``other`` sections.

    Raises:
        InputError: The file cannot be opened. BitstreamError: Any of it is damaged.
    """
    with open_container(source) as container:
        header, about = container.header, read_metadata(container)
        parts: Counter[str] = Counter(header=container.header_bytes)
        gops = []
        for index, (entry, first) in enumerate(zip(header.gops, header.first_frames, strict=True)):
            summary = read_summary(container, index)
            own = summary.part_bytes
            parts.update(own)
            parts["framing"] += entry.section_bytes - sum(own.values())
            gops.append(
                {
                    "index": index,
                    "first_frame": first,
                    "num_frames": entry.num_frames,
                    "shares_first": entry.shares_first,
                    "bytes": entry.section_bytes,
                    "bytes_by_part": own,
                    "digest": f"{summary.digest:08x}",
                }
            )
        tool = None
        for section in container.trailing_sections():
            parts["framing"] += section.section_bytes - len(section.payload)
            parts[_PARTS.get(section.kind, "other")] += len(section.payload)
            if section.kind == SECTION_TOOL:
                found = parse_tool(section.payload)
                tool = {"name": found.name, "encode_seconds": found.encode_milliseconds / 1000}
        companions = read_companions(container)
        tracks = [
            {**describe_stub(track.stub_format, track.stub), "tags": dict(track.tags)} for track in companions.tracks
        ]
    return {
        "schema_version": SCHEMA_VERSION,
        "file": str(source),
        "file_bytes": about.file_bytes,
        "format_version": VERSION,
        "model": about.model,
        "macs_per_pixel": about.macs_per_pixel,
        "rate_bpp": about.rate_bpp,
        "bitrate_bps": about.bitrate_bps,
        "video": {
            "width": about.width,
            "height": about.height,
            "num_frames": about.num_frames,
            "fps": about.average_fps,
            "begin_seconds": about.begin_seconds,
            "duration_seconds": about.end_seconds - about.begin_seconds,
            "chroma": about.chroma,
            "bit_depth": about.bit_depth,
            "sample_aspect": str(header.info.sample_aspect),
            "time_base": str(header.info.time_base),
            "color": dataclasses.asdict(header.info.color),
            "orientation": header.info.orientation,
        },
        "tracks": tracks,
        "attachments": [
            {"name": one.name, "media_type": one.media_type, "bytes": len(one.data), "is_cover": one.is_cover}
            for one in companions.attachments
        ],
        "chapters": [dataclasses.asdict(chapter) for chapter in companions.chapters],
        "tags": dict(companions.tags),
        "bytes_by_part": dict(parts),
        "gops": gops,
        "tool": tool,
    }
