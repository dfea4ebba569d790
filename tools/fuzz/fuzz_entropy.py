"""Fuzzes what decodes a GOP's payload: network sizes, tensor headers, tables, escapes and the range coder."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["nerv_codec.coding", "nerv_codec.representations", "nerv_codec.bitstream"]):
    from nerv_codec.coding import weights
    from nerv_codec.errors import NervCodecError
    from nerv_codec.representations import MODEL_NAMES, unpack_gop

import common
import seeds

from nerv_codec.model.coordinates import GopGeometry


def test_one(data: bytes) -> None:
    """The first byte chooses the representation, the second the planes; the digest need not match."""
    if len(data) < 2:
        return
    model_ids = sorted(MODEL_NAMES)
    geometry = GopGeometry(9, 24, 40, 1 if data[1] & 1 else 3)
    with contextlib.suppress(NervCodecError):
        unpack_gop(model_ids[data[0] % len(model_ids)], data[2:], geometry)


if __name__ == "__main__":
    assert weights
    common.run(test_one, seeds.payloads())
