"""The tool section: what wrote a file, and in what time. A decoder may skip it (docs/format.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError

MAX_TOOL_NAME_BYTES = 64


@dataclass(frozen=True)
class ToolInfo:
    """Provenance of a file."""

    name: str
    """Program and version, at most 64 bytes of UTF-8."""
    encode_milliseconds: int
    """Wall time of the encode."""


def write_tool(tool: ToolInfo) -> bytes:
    """The payload of the tool section."""
    out = ByteWriter()
    out.varint(tool.encode_milliseconds)
    out.raw(tool.name.encode()[:MAX_TOOL_NAME_BYTES])
    return out.getvalue()


def parse_tool(payload: bytes) -> ToolInfo:
    """Reads a tool section. Raises BitstreamError."""
    data = ByteReader(payload)
    milliseconds = data.varint(0, 1 << 48, "the encoding time")
    name = data.rest()
    if len(name) > MAX_TOOL_NAME_BYTES:
        raise BitstreamError("the name of the encoder is too long")
    return ToolInfo(name.decode("utf-8", "replace"), milliseconds)
