"""Puts a file together from coded GOPs and what travels beside the pictures, and checks that it says what was meant."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nerv_codec.base.errors import BitstreamError, VerificationError
from nerv_codec.bitstream.container import SECTION_TOOL, pack_section, write_prologue
from nerv_codec.bitstream.headers import StreamHeader
from nerv_codec.bitstream.tool import ToolInfo, write_tool
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.companions import WrittenCompanions, digested, write_beside
from nerv_codec.encoding.gop_job import CodedGop
from nerv_codec.encoding.source import EncodeSource
from nerv_codec.media.reader import VideoReader


@dataclass(frozen=True)
class Assembled:
    """What a file was put together from."""

    gops: tuple[CodedGop, ...]
    beside: WrittenCompanions


def assemble(
    path: Path,
    coded: Iterable[tuple[CodedGop, bytes]],
    *,
    model_id: int,
    source: EncodeSource,
    reader: VideoReader,
    last_duration: Callable[[], int],
    began: float | None,
) -> Assembled:
    """Writes a whole ``.nvc``.

    Args:
        path: The file to write. Sections wait beside it in a file without a name until the header is known.
        coded: GOP after GOP, each with its section; taken one after another, as they come about.
        model_id: Which representation they are of.
        source: Where what travels beside the pictures comes from.
        reader: Reads the pictures.
        last_duration: Says, after the last GOP, how long the last frame is shown, in ticks.
        began: When the encode began, on the monotonic clock, for the section that says what made the file; None
            leaves that section out.
    """
    gops = []
    with tempfile.TemporaryFile(dir=path.parent) as sections:
        for gop, section in coded:
            gops.append(gop)
            sections.write(section)
        header = StreamHeader(
            model_id=model_id,
            info=reader.info,
            pts=tuple(pts for gop in gops for pts in gop.pts),
            last_duration=last_duration(),
            gops=tuple(gop.entry for gop in gops),
        )
        end_of_gops = sections.tell()
        beside = write_beside(sections, source, reader, header)
        if began is not None:
            tool = ToolInfo(tool_name(), round(1000 * (time.monotonic() - began)))
            sections.write(pack_section(SECTION_TOOL, write_tool(tool)))
        header = dataclasses.replace(header, other_bytes=sections.tell() - end_of_gops)
        sections.seek(0)
        with path.open("wb") as file:
            file.write(write_prologue(header))
            shutil.copyfileobj(sections, file)
            file.flush()
            os.fsync(file.fileno())
    return Assembled(tuple(gops), beside)


def verify_file(video: VideoDecoder, meant: Assembled) -> None:
    """Decodes every GOP of a written file. Raises VerificationError where anything is not what was meant."""
    for index, gop in enumerate(meant.gops):
        try:
            _, digest, _ = video.loader.unpack(index)
        except BitstreamError as error:
            raise VerificationError(f"the written file cannot be decoded: {error}") from error
        if digest != gop.digest:
            raise VerificationError(f"GOP {index} does not decode to the integers that were encoded")
    if meant.beside.digest is not None:
        found = hashlib.sha256(b"".join(one.data for one in video.companions.attachments))
        for _ in digested(video.packets(), found):
            pass
        if found.hexdigest() != meant.beside.digest:
            raise VerificationError("sound, subtitles or attachments do not come back as they were written")


def tool_name() -> str:
    """This program and its version."""
    try:
        return f"nerv-codec {metadata.version('nerv-codec')}"
    except metadata.PackageNotFoundError:
        return "nerv-codec"
