"""The networks of a `tracked` GOP to bytes and back (docs/format.md, 6): what is predicted, and what differs from it.

Networks are stored once for a file, in its header. A GOP says that it has those, or keeps what differs from them,
or from the prior where it shows something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.context_model import MAX_CONTEXT_HIDDEN, parameter_shapes
from nerv_codec.entropy.weights import Base, QuantizedTensor, decode_weights, encode_weights
from nerv_codec.entropy.weights import estimate_bits as estimate_weight_bits
from nerv_codec.representations.tracked.prior import DEPTH_CLASSES, MAX_GAIN_QUARTERS, Networks, NetworkSizes, prior
from nerv_codec.representations.tracked.shape import MOTION_SCALES, TrackedShape, grids_of, network_shapes

MAX_SCALES = 10
"""Scales of a pyramid at the most."""
MAX_SYNTHESIS_HIDDEN = 64
"""Neurons of a hidden layer of the synthesis network at the most."""
MAX_DEPTHS = 16
"""Depths of a tree at the most."""
MOTION_CLASSES = 3 * MOTION_SCALES
"""Context classes of the motion: towards the first parent, the second, and blends, each on every scale."""
NOTHING, PRIOR, SHARED = range(3)
"""What the stored weights are the difference from."""
_WHAT = "what networks are expected"


@dataclass(frozen=True)
class SharedNetworks:
    """What a file's header holds for all its GOPs."""

    networks: Networks
    sizes: NetworkSizes
    gain_quarters: int | None
    """See :attr:`Predictor.gain_quarters`."""


@dataclass(frozen=True)
class Predictor:
    """Where the prediction of a GOP's networks comes from; the file holds the difference."""

    source: int = NOTHING
    """NOTHING (0), PRIOR or SHARED."""
    exponent: int = 0
    """Gains of the source are multiplied by 2**(exponent / 4)."""
    shared: SharedNetworks | None = None

    @property
    def gain_quarters(self) -> int | None:
        """By how many quarters of an octave gains were made larger than the prior's; None without one."""
        if self.source == SHARED and self.shared is not None:
            before = self.shared.gain_quarters
            return None if before is None else before + self.exponent
        return self.exponent if self.source == PRIOR else None

    def predicted(self, sizes: NetworkSizes) -> Predicted:
        """The predicted value of each weight; 0 for all of a tensor where nothing fits."""
        names, zeros = network_names(), (0.0,) * 6
        if self.source == NOTHING:
            return Predicted((0.0,) * len(names), zeros, zeros)
        known = self.shared.networks if self.shared is not None else prior()
        return Predicted(
            network=tuple(known.network(sizes, self.exponent) or (0.0,) * len(names)),
            latents=tuple(known.latents(sizes) or zeros),
            motion=tuple(known.motion(sizes) or zeros),
        )


NO_PREDICTOR = Predictor()
"""Weights are stored as they are."""


@dataclass(frozen=True)
class Predicted:
    """Predicted values of all network tensors of a GOP."""

    network: tuple[Base, ...]
    """In the order of ``shape.network_shapes()``."""
    latents: tuple[Base, ...]
    """The entropy model of the latents, as it is stored."""
    motion: tuple[Base, ...]
    """The entropy model of the motion, as it is stored."""

    @property
    def all(self) -> tuple[Base, ...]:
        """One after the other, as they stand in the payload."""
        return (*self.network, *self.latents, *self.motion)


def latent_classes(shape: TrackedShape) -> int:
    """Bias classes of the latents' entropy model."""
    return DEPTH_CLASSES * len(shape.grid_scales)


def network_names() -> tuple[str, ...]:
    """Names of the synthesis network's tensors, in the order of the file."""
    return tuple(network_shapes(1, 1, 4, 1))


def all_shapes(sizes: NetworkSizes) -> list[tuple[int, ...]]:
    """Shapes of all tensors: the synthesis network's, the latents' entropy model's, the motion's."""
    grids = len(grids_of(sizes.scales, sizes.outputs))
    return [
        *network_shapes(sizes.depths, grids, sizes.hidden, sizes.outputs).values(),
        *parameter_shapes(sizes.latent_hidden, DEPTH_CLASSES * grids),
        *parameter_shapes(sizes.motion_hidden, MOTION_CLASSES),
    ]


def write_head(out: ByteWriter, predictor: Predictor, sizes: NetworkSizes) -> None:
    """Writes the predictor, and the sizes where that does not say them."""
    out.varint(predictor.source)
    if predictor.source != NOTHING:
        out.signed_varint(predictor.exponent)
    if predictor.source != SHARED:
        for number in (sizes.scales, sizes.hidden, sizes.latent_hidden, sizes.motion_hidden):
            out.varint(number)


def read_head(
    reader: ByteReader, shared: SharedNetworks | None, depths: int, outputs: int
) -> tuple[Predictor, NetworkSizes]:
    """The inverse of :func:`write_head`. Raises BitstreamError."""
    source = reader.varint(0, PRIOR if shared is None else SHARED, _WHAT)
    exponent = 0 if source == NOTHING else reader.signed_varint("the gains' exponent")
    if abs(exponent) > MAX_GAIN_QUARTERS:
        raise BitstreamError(f"expected gains within 2**+-{MAX_GAIN_QUARTERS // 4}, found 2**({exponent} / 4)")
    if source == SHARED and shared is not None:
        return Predictor(source, exponent, shared), replace(shared.sizes, depths=depths)
    scales = reader.varint(1, MAX_SCALES, "the number of scales")
    hidden = reader.varint(4, MAX_SYNTHESIS_HIDDEN, "the network's width")
    if hidden % 4:  # the kernels take four neurons at a time
        raise BitstreamError(f"expected a network whose width is a multiple of 4, found {hidden}")
    widths = [reader.varint(1, MAX_CONTEXT_HIDDEN, "the entropy model's width") for _ in range(2)]
    return Predictor(source, exponent), NetworkSizes(depths, scales, outputs, hidden, *widths)


def pack_networks(tensors: Sequence[QuantizedTensor]) -> bytes:
    """Networks as coded weights: what differs from their predictor; nothing where nothing does."""
    return encode_weights(tensors) if any(tensor.symbols.any() for tensor in tensors) else b""


def network_bits(tensors: Sequence[QuantizedTensor]) -> float:
    """What :func:`pack_networks` will write, by the tables."""
    return estimate_weight_bits(tensors) if any(tensor.symbols.any() for tensor in tensors) else 0.0


def unpack_networks(data: bytes, predictor: Predictor, sizes: NetworkSizes) -> list[QuantizedTensor]:
    """The inverse of :func:`pack_networks`. Raises BitstreamError."""
    shapes, predicted = all_shapes(sizes), predictor.predicted(sizes)
    if data:
        tensors = decode_weights(data, shapes)
    else:
        tensors = [QuantizedTensor(np.zeros(shape, np.int32), 0) for shape in shapes]
    return [replace(tensor, base=base) for tensor, base in zip(tensors, predicted.all, strict=True)]


def pack_shared(predictor: Predictor, sizes: NetworkSizes, tensors: Sequence[QuantizedTensor]) -> bytes:
    """What the header keeps for all GOPs.

    Args:
        predictor: What predicts these networks: NOTHING or PRIOR.
        sizes: Their sizes; GOPs may have more or fewer depths.
        tensors: All of them, in the order of :func:`all_shapes`.
    """
    out = ByteWriter()
    out.varint(sizes.depths)
    write_head(out, predictor, sizes)
    out.raw(pack_networks(tensors))
    return out.getvalue()


def read_shared(data: bytes, outputs: int) -> SharedNetworks | None:
    """The inverse of :func:`pack_shared`; None where a file keeps nothing in common. Raises BitstreamError."""
    if not data:
        return None
    reader = ByteReader(data)
    depths = reader.varint(1, MAX_DEPTHS, "the depths of shared networks")
    predictor, sizes = read_head(reader, None, depths, outputs)
    tensors = unpack_networks(reader.rest(), predictor, sizes)
    names = network_names()
    models = [f"{model}.{index}" for model in ("latents", "motion") for index in range(6)]
    found = {name: tensor.values for name, tensor in zip((*names, *models), tensors, strict=True)}
    return SharedNetworks(Networks(found, grids_of(sizes.scales, outputs)), sizes, predictor.gain_quarters)
