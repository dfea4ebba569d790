"""The payload of the tool section: which program wrote a file, and how long that took (format.md, 7)."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError

MAX_TOOL_NAME_BYTES = 64


@dataclass(frozen=True)
class ToolInfo:
    """Which program wrote a file, and how long that took."""

    name: str
    """Program and version, at most 64 bytes of UTF-8."""
    encode_milliseconds: int
    """Wall time of the encode, in milliseconds."""


def write_tool(tool: ToolInfo) -> bytes:
    """Returns the payload of the tool section; the name is cut to 64 bytes."""
    out = ByteWriter()
    out.varint(tool.encode_milliseconds)
    out.raw(tool.name.encode()[:MAX_TOOL_NAME_BYTES])
    return out.getvalue()


def parse_tool(payload: bytes) -> ToolInfo:
    """Returns what a tool section says. Raises BitstreamError where it breaks a rule of the format."""
    data = ByteReader(payload)
    milliseconds = data.varint(0, 1 << 48, "the encoding time")
    name = data.rest()
    if len(name) > MAX_TOOL_NAME_BYTES:
        raise BitstreamError("the name of the encoder is too long")
    return ToolInfo(name.decode("utf-8", "replace"), milliseconds)
