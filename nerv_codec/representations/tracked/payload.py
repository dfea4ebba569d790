"""A `tracked` GOP to bytes and back (docs/format.md, section 6), and the function that the bytes describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.device import runs_triton
from nerv_codec.entropy.context_model import EntropyModel
from nerv_codec.entropy.latents import decode_latents, encode_latents, latent_digest
from nerv_codec.entropy.weights import QuantizedTensor
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import Representation
from nerv_codec.representations.tracked.grid_tables import latent_table, motion_maps, motion_table, spread_motion
from nerv_codec.representations.tracked.networks import (
    NO_PREDICTOR,
    Predictor,
    SharedNetworks,
    pack_networks,
    unpack_networks,
)
from nerv_codec.representations.tracked.parts import PayloadParts, join_parts, split_payload
from nerv_codec.representations.tracked.prior import NetworkSizes
from nerv_codec.representations.tracked.references import reference_maps
from nerv_codec.representations.tracked.render_cpu import Tracked
from nerv_codec.representations.tracked.shape import TrackedShape

Symbols = npt.NDArray[np.int32]
_CPU = torch.device("cpu")


def pack_tracked(
    shape: TrackedShape,
    latents: Symbols,
    motion: Symbols,
    network: Sequence[QuantizedTensor],
    latent_model: Sequence[QuantizedTensor],
    motion_model: Sequence[QuantizedTensor],
    predictor: Predictor = NO_PREDICTOR,
) -> bytes:
    """The GOP payload.

    Args:
        latents: (nodes, node_latents).
        motion: All motion symbols in the order of ``motion_table``.
        network: In the order of ``shape.network_shapes()``.
        latent_model: The tensors of the latents' entropy model.
        motion_model: The tensors of the motion's entropy model.
        predictor: What the tensors were predicted from.
    """
    coded_motion = b""
    if len(shape.tree.nodes) > 1:
        model = EntropyModel.from_tensors(motion_model)
        coded_motion = encode_latents(motion, motion_table(shape), motion_maps(shape), model)
    model = EntropyModel.from_tensors(latent_model)
    coded_latents = encode_latents(latents.ravel(), latent_table(shape), reference_maps(shape, motion), model)
    sizes = coded_sizes(shape, latent_model, motion_model)
    weights = pack_networks([*network, *latent_model, *motion_model])
    return join_parts(PayloadParts(shape, predictor, sizes, weights, coded_motion, coded_latents))


def coded_sizes(
    shape: TrackedShape, latent_model: Sequence[QuantizedTensor], motion_model: Sequence[QuantizedTensor]
) -> NetworkSizes:
    """Sizes of all networks of a GOP, given its entropy models."""
    widths = latent_model[0].symbols.shape[0], motion_model[0].symbols.shape[0]
    return NetworkSizes(shape.depths, shape.scales, shape.outputs, shape.hidden, *widths)


@dataclass(frozen=True)
class TrackedGop:
    """All that the payload of a GOP says."""

    shape: TrackedShape
    latents: Symbols
    """(nodes, node_latents)."""
    motion: Symbols
    """All motion symbols, in the order of ``motion_table``."""
    network: tuple[QuantizedTensor, ...]
    """In the order of ``shape.network_shapes()``."""
    latent_model: tuple[QuantizedTensor, ...]
    motion_model: tuple[QuantizedTensor, ...]
    predictor: Predictor
    part_bytes: dict[str, int]

    @property
    def tensors(self) -> tuple[QuantizedTensor, ...]:
        """All network tensors, in the order of the payload."""
        return (*self.network, *self.latent_model, *self.motion_model)

    @property
    def digest(self) -> int:
        """CRC-32 of all integers: networks, motion, latents."""
        symbols = (tensor.symbols.ravel() for tensor in self.tensors)
        return latent_digest(np.concatenate([*symbols, self.motion, self.latents.ravel()]))


def read_tracked(payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None = None) -> TrackedGop:
    """The inverse of :func:`pack_tracked`; ``shared`` is what the header keeps. Raises BitstreamError."""
    parts = split_payload(payload, geometry, shared)
    shape = parts.shape
    tensors = unpack_networks(parts.weights, parts.predictor, parts.sizes)
    count = len(shape.network_shapes())
    network, latent_model, motion_model = tensors[:count], tensors[count : count + 6], tensors[count + 6 :]
    latent_entropy, motion_entropy = EntropyModel.from_tensors(latent_model), EntropyModel.from_tensors(motion_model)
    motion = np.zeros(0, np.int32)
    if len(shape.tree.nodes) > 1:
        motion = decode_latents(parts.motion, motion_table(shape), motion_maps(shape), motion_entropy)
    latents = decode_latents(parts.latents, latent_table(shape), reference_maps(shape, motion), latent_entropy)
    return TrackedGop(
        shape=shape,
        latents=latents.reshape(len(shape.tree.nodes), -1),
        motion=motion,
        network=tuple(network),
        latent_model=tuple(latent_model),
        motion_model=tuple(motion_model),
        predictor=parts.predictor,
        part_bytes=parts.part_bytes(len(payload)),
    )


def make_function(
    geometry: GopGeometry,
    shape: TrackedShape,
    latents: Symbols,
    motion: Symbols,
    network: Mapping[str, Tensor],
    device: torch.device = _CPU,
) -> Representation:
    """The function of latents, motion and network, by the kernels that run on a device: Triton's, or those of the CPU.

    Args:
        geometry: The box.
        shape: Sizes of what follows.
        latents: (nodes, node_latents) integers.
        motion: All motion symbols in the order of ``motion_table``.
        network: Tensors as ``shape.network_shapes()``.
        device: Where it is to be evaluated.
    """
    function = Tracked(geometry, shape, latents, spread_motion(shape, motion), network)
    if not runs_triton(device):
        return function
    from nerv_codec.representations.tracked.render_cuda import TrackedCuda  # brings Triton, which is not everywhere

    return TrackedCuda(geometry, shape, latents, function.motion_grids, function.network, device)


def unpack_tracked(
    payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None = None, device: torch.device = _CPU
) -> tuple[Representation, int, dict[str, int]]:
    """The function, the digest of its integers, and the payload's bytes by part. Raises BitstreamError."""
    gop = read_tracked(payload, geometry, shared)
    names = gop.shape.network_shapes()
    network = {name: torch.from_numpy(tensor.values) for name, tensor in zip(names, gop.network, strict=True)}
    return make_function(geometry, gop.shape, gop.latents, gop.motion, network, device), gop.digest, gop.part_bytes
