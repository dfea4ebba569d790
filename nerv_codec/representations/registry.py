"""The registry of representations: GOP payload bytes to a function, and back (docs/format.md, section 5).

A new representation adds a module in ``model/``, a pair of functions here and a fit in ``training/``;
encoder, decoder, container and CLI stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.entropy.weights import QuantizedTensor, decode_weights, encode_weights, symbol_digest
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import Representation
from nerv_codec.representations.siren.network import Siren, tensor_shapes

MODEL_IDS = {"siren": 1, "tracked": 2}
MODEL_NAMES = {number: name for name, number in MODEL_IDS.items()}
MAX_SIREN_WIDTH = 1024
MAX_SIREN_LAYERS = 16
MAX_TRACKED_PIXELS = 1 << 29
"""Of all frames of a GOP: a `tracked` decoder allocates in proportion to them before it has read a latent."""


def pack_siren(tensors: Sequence[QuantizedTensor]) -> bytes:
    """The GOP payload of a sine network, given its tensors in the order of ``tensor_shapes``."""
    out = ByteWriter()
    out.varint(tensors[0].symbols.shape[1])
    out.u8(len(tensors) // 2 - 2)
    out.raw(encode_weights(tensors))
    return out.getvalue()


def _unpack_siren(payload: bytes, geometry: GopGeometry, _: bytes) -> tuple[Representation, int, dict[str, int]]:
    reader = ByteReader(payload)
    width = reader.varint(1, MAX_SIREN_WIDTH, "the network's width")
    hidden_layers = reader.u8()
    if not 1 <= hidden_layers <= MAX_SIREN_LAYERS:
        raise BitstreamError(f"expected 1..{MAX_SIREN_LAYERS} hidden layers, found {hidden_layers}")
    head_bytes = reader.position
    shapes = tensor_shapes(width, hidden_layers, geometry.num_planes)
    tensors = decode_weights(reader.rest(), shapes)
    model = Siren(geometry, [torch.from_numpy(tensor.values) for tensor in tensors])
    parts = {"header": head_bytes, "weights": len(payload) - head_bytes}
    return model.requires_grad_(False), symbol_digest(tensors), parts


def check_gop(model_id: int, geometry: GopGeometry) -> None:
    """Raises BitstreamError for a GOP that is too large for its representation."""
    pixels = geometry.num_frames * geometry.height * geometry.width
    if model_id == MODEL_IDS["tracked"] and pixels > MAX_TRACKED_PIXELS:
        found = f"{pixels}: {geometry.num_frames} frames of {geometry.width}x{geometry.height}"
        raise BitstreamError(f"expected GOPs of at most {MAX_TRACKED_PIXELS} pixels, found {found}")


def _unpack_tracked(payload: bytes, geometry: GopGeometry, shared: bytes) -> tuple[Representation, int, dict[str, int]]:
    from nerv_codec.representations.tracked.networks import read_shared
    from nerv_codec.representations.tracked.payload import (
        unpack_tracked,  # brings numba, which others need not wait for
    )

    return unpack_tracked(payload, geometry, read_shared(shared, geometry.num_planes))


_UNPACK: dict[int, Callable[[bytes, GopGeometry, bytes], tuple[Representation, int, dict[str, int]]]] = {
    MODEL_IDS["siren"]: _unpack_siren,
    MODEL_IDS["tracked"]: _unpack_tracked,
}


def unpack_gop(
    model_id: int, payload: bytes, geometry: GopGeometry, shared: bytes = b""
) -> tuple[Representation, int, dict[str, int]]:
    """The function that a GOP payload describes, on the CPU.

    Args:
        model_id: The representation.
        payload: Of the GOP's section.
        geometry: The GOP's box.
        shared: What the header keeps for all GOPs.

    Returns:
        The function, the digest (CRC-32) of its integers, and the payload's bytes by part.

    Raises:
        BitstreamError: The payload is damaged. UnsupportedVersionError: The representation is unknown.
    """
    if model_id not in _UNPACK:
        raise UnsupportedVersionError(f"unknown representation {model_id}; known: {MODEL_NAMES}")
    check_gop(model_id, geometry)
    return _UNPACK[model_id](payload, geometry, shared)


def shares(config: EncoderConfig) -> bool:
    """Whether later GOPs depend on what the first one puts into the header."""
    return config.model == "tracked" and config.tracked.share


def share(payload: bytes, geometry: GopGeometry) -> tuple[bytes, bytes]:
    """What of a file's first GOP is kept in the header for all of them, and the payload that goes with it.

    Of representations whose GOPs share something; see :func:`shares`.
    """
    from nerv_codec.representations.tracked.payload import share_networks

    return share_networks(payload, geometry)
