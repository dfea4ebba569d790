"""A sine network to bytes and back (docs/format.md, section 5); what the bytes say is read without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.weights import QuantizedTensor, decode_weights, encode_weights, symbol_digest
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import GopSummary, Opened
from nerv_codec.representations.siren.shape import tensor_shapes

if TYPE_CHECKING:
    import torch

MAX_WIDTH = 1024
"""Neurons of a layer at the most."""
MAX_LAYERS = 16
"""Sine layers after the first at the most."""


def pack_siren(tensors: Sequence[QuantizedTensor]) -> bytes:
    """The GOP payload of a sine network, given its tensors in the order of ``tensor_shapes``."""
    out = ByteWriter()
    out.varint(tensors[0].symbols.shape[1])
    out.u8(len(tensors) // 2 - 2)
    out.raw(encode_weights(tensors))
    return out.getvalue()


def summarise(payload: bytes, geometry: GopGeometry) -> GopSummary:
    """What a payload says without being decoded. Raises BitstreamError."""
    shapes, coded = _split(payload, geometry)
    parts = {"header": len(payload) - len(coded), "weights": len(coded)}
    return GopSummary(ByteReader(coded).u32(), parts, sum(math.prod(shape) for shape in shapes[::2]))


def open_siren(payload: bytes, geometry: GopGeometry, device: torch.device) -> Opened:
    """The function of a payload on a device. Raises BitstreamError."""
    import torch

    from nerv_codec.representations.siren.network import Siren

    shapes, coded = _split(payload, geometry)
    tensors = decode_weights(coded, shapes)
    model = Siren(geometry, [torch.from_numpy(tensor.values) for tensor in tensors])
    parts = {"header": len(payload) - len(coded), "weights": len(coded)}
    return Opened(model.requires_grad_(False).to(device), symbol_digest(tensors), parts)


def _split(payload: bytes, geometry: GopGeometry) -> tuple[list[tuple[int, ...]], bytes]:
    """The shapes of the network's tensors, and its coded weights."""
    reader = ByteReader(payload)
    width = reader.varint(1, MAX_WIDTH, "the network's width")
    hidden_layers = reader.u8()
    if not 1 <= hidden_layers <= MAX_LAYERS:
        raise BitstreamError(f"expected 1..{MAX_LAYERS} hidden layers, found {hidden_layers}")
    return tensor_shapes(width, hidden_layers, geometry.num_planes), reader.rest()
