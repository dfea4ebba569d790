"""Fuzzes what decodes a GOP's payload and evaluates it: sizes, tables, escapes, context model, range coder, kernels."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris
import torch

sys.path.insert(0, str(Path(__file__).parent))

import common

with atheris.instrument_imports(include=["nerv_codec"], exclude=common.KERNELS):
    from nerv_codec.base.errors import NervCodecError
    from nerv_codec.representations.lossless import payload as lossless_codec
    from nerv_codec.representations.registry import MODELS, unpack_gop
    from nerv_codec.representations.siren import payload as siren_codec
    from nerv_codec.representations.warped import decode as warped_codec

import seeds

from nerv_codec.representations.coordinates import GopGeometry

_SIZES = ((8, 16), (24, 40), (1, 1), (17, 3))


def test_one(data: bytes) -> None:
    """The first byte chooses the representation, the second planes (1 bit), frames (3 bits) and size (2 bits)."""
    if len(data) < 2:
        return
    model_ids = sorted(model.model_id for model in MODELS.values())
    choice = data[1]
    geometry = GopGeometry(1 + (choice >> 1 & 7), *_SIZES[choice >> 4 & 3], 1 if choice & 1 else 3)
    with contextlib.suppress(NervCodecError):
        model, _, _ = unpack_gop(model_ids[data[0] % len(model_ids)], data[2:], geometry)
        middle = [torch.tensor([(low + high) / 2, high]).double() for low, high in geometry.bounds]
        model.render(*middle)


if __name__ == "__main__":
    assert lossless_codec and siren_codec and warped_codec  # imported early, to be instrumented
    common.run(test_one, seeds.payloads())
