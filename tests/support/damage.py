"""Files that are wrong on purpose, with checksums that are right."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

from nerv_codec.bitstream.container import ContainerReader, write_prologue


def rewritten(source: Path, **fields: object) -> bytes:
    """The bytes of a ``.nvc`` with other fields in its header."""
    data = source.read_bytes()
    reader = ContainerReader(io.BytesIO(data))
    header = dataclasses.replace(reader.header, **fields)
    return write_prologue(header) + data[reader.header_bytes :]
