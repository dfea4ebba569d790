"""A `tracked` GOP to bytes and back (docs/format.md, section 6): its grids, their order, and what each refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.entropy.context_model import EntropyModel
from nerv_codec.entropy.latents import decode_latents, encode_latents, latent_digest
from nerv_codec.entropy.rate_cpu import COLS, ROWS
from nerv_codec.entropy.weights import QuantizedTensor
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.tracked.cpu.references import follow
from nerv_codec.representations.tracked.cpu.tracks import MOTION_SHIFT
from nerv_codec.representations.tracked.networks import (
    SHARED,
    UNEXPECTED,
    Expectation,
    SharedNetworks,
    pack_networks,
    pack_shared,
    read_head,
    unpack_networks,
    write_head,
)
from nerv_codec.representations.tracked.prior import DEPTH_CLASSES, NetworkSizes
from nerv_codec.representations.tracked.render_cpu import Tracked
from nerv_codec.representations.tracked.shape import KEPT, MOTION_SCALES, MOTION_STEPS, TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

UNIT_LOG2 = 8
"""log2 of the parts of a pixel in which motion is reckoned with integers."""
MAX_SPAN = 1024

Integers = npt.NDArray[np.int32]
Table = npt.NDArray[np.int64]


def latent_table(shape: TrackedShape) -> Table:
    """The grids of all nodes in coding order, as ``kernels.rate_model`` describes them; none marked active."""
    rows: list[list[int]] = []
    position = 0
    for node in shape.tree.nodes:
        first = len(rows)
        for index, (height, width) in enumerate(shape.grid_sizes):
            coarser = shape.grid_coarser[index]
            coarse = first + coarser if coarser >= 0 else -1
            # The reference maps lie in the order of the latents, one array after the other for each parent.
            refs = [position + parent * shape.node_latents * len(shape.tree.nodes) for parent in range(2)]
            refs = [refs[parent] if parent < len(node.parents) else -1 for parent in range(2)]
            if not node.parents and index in siblings(shape):
                refs[0] = position
            klass = min(node.depth, DEPTH_CLASSES - 1) * len(shape.grid_sizes) + index
            rows.append([position, height, width, coarse, 1, *refs, klass, 0])
            position += height * width
    return np.array(rows, np.int64)


def motion_table(shape: TrackedShape) -> Table:
    """The motion grids in coding order: of every node the coarsest scale first, channel by channel.

    A grid sees the coarser one of its channel, and, as a reference, the same direction towards the first parent.
    """
    rows: list[list[int]] = []
    start = 0
    for node in range(len(shape.tree.nodes)):
        channels = shape.channels(node)
        for scale in reversed(range(MOTION_SCALES)):
            height, width = shape.motion_sizes[scale]
            for channel in channels:
                coarse = -1 if scale == MOTION_SCALES - 1 else len(rows) - len(channels)
                ref = start if channel in (2, 3) else -1
                klass = channel // 2 * MOTION_SCALES + scale
                rows.append([start, height, width, coarse, 1, ref, -1, klass, 0])
                start += height * width
    return np.array(rows, np.int64).reshape(-1, 9)


def motion_owners(shape: TrackedShape) -> Table:
    """The node of each grid of ``motion_table``."""
    counts = [MOTION_SCALES * len(shape.channels(node)) for node in range(len(shape.tree.nodes))]
    return np.repeat(np.arange(len(counts)), counts)


def motion_maps(shape: TrackedShape) -> Integers:
    """For every motion symbol what the reference of its grid holds at the same place: see ``motion_table``."""
    maps = []
    for start, height, width, _, _, ref, *_ in motion_table(shape).tolist():
        before = 2 * height * width if ref >= 0 else start
        maps.append(np.arange(start - before, start - before + height * width))
    return np.concatenate([np.zeros(0, np.int64), *maps]).astype(np.int32)


def motion_indices(shape: TrackedShape) -> list[Table]:
    """Of each scale (nodes, rows, cols, KEPT): where its symbols stand in the order of ``motion_table``.

    Channels that a node does not have point behind the last symbol, where a zero is expected.
    """
    table = motion_table(shape)
    total = int((table[:, ROWS] * table[:, COLS]).sum())
    indices = [np.full((len(shape.tree.nodes), *size, KEPT), total, np.int64) for size in shape.motion_sizes]
    number = 0
    for node in range(len(shape.tree.nodes)):
        for scale in reversed(range(MOTION_SCALES)):
            for channel in shape.channels(node):
                start, height, width = table[number, :3].tolist()
                indices[scale][node, :, :, channel] = np.arange(start, start + height * width).reshape(height, width)
                number += 1
    return indices


def spread_motion(shape: TrackedShape, symbols: Integers) -> list[Integers]:
    """Motion symbols in coding order as grids of each scale, finest first: (nodes, rows, cols, KEPT)."""
    padded = np.append(symbols, np.int32(0))
    return [padded[index] for index in motion_indices(shape)]


def _refined(coarse: Table, size: tuple[int, int]) -> Table:
    """Control points (nodes, rows, cols, 4) at half the distance, in integers: ``model.tracked.refinement_matrix``."""
    for axis, count in ((1, size[0]), (2, size[1])):
        last = coarse.shape[axis] - 1
        at = np.arange(count)
        before, here, after = (np.take(coarse, np.clip((at >> 1) + step, 0, last), axis) for step in (-1, 0, 1))
        even = (at % 2 == 0).reshape([-1 if a == axis else 1 for a in range(4)])
        coarse = np.where(even, (before + 6 * here + after) >> 3, (here + after) >> 1)
    return coarse


def whole_motion(shape: TrackedShape, symbols: Integers) -> Table:
    """``model.tracked.motion_grids`` in integers: (nodes, rows, cols, 4) in units of 1 / 256 pixel, rounded down."""
    nodes = shape.tree.nodes
    kept = [
        part[..., :4].astype(np.int64) * ((1 << UNIT_LOG2) // MOTION_STEPS) for part in spread_motion(shape, symbols)
    ]
    whole = kept[-1]
    for finer, size in zip(reversed(kept[:-1]), reversed(shape.motion_sizes[:-1]), strict=True):
        whole = _refined(whole, size) + finer
    for index, node in enumerate(nodes):
        if len(node.parents) == 2:
            left, right = node.parents
            young, old = max(left, right), min(left, right)
            number = nodes[young].parents.index(old)
            between = whole[young][..., 2 * number : 2 * number + 2]
            across = between if young == left else -between
            length = nodes[right].frame - nodes[left].frame
            before, after = node.frame - nodes[left].frame, nodes[right].frame - node.frame
            whole[index][..., 0:2] += (-before * across) // length
            whole[index][..., 2:4] += (after * across) // length
        elif node.parents and nodes[node.parents[0]].parents:
            pace = shape.tree.pace(index)
            whole[index][..., :2] += whole[node.parents[0]][..., :2] * pace.numerator // pace.denominator
    return whole


def reference_maps(shape: TrackedShape, symbols: Integers) -> Integers:
    """For every latent the flat index of the parents' latent that motion leads to: integers throughout.

    Motion is :func:`whole_motion`, read at the nearest motion sample. The second pyramid of frame 0, which has no
    parents, refers to the first one at the same place.

    Args:
        shape: Sizes.
        symbols: All motion symbols in coding order.

    Returns:
        (2 * nodes * node_latents,): first parents, then second parents; 0 where there is none.
    """
    nodes = shape.tree.nodes
    whole = whole_motion(shape, symbols)
    maps = np.zeros((2, len(nodes), shape.node_latents), np.int32)
    for index, other in siblings(shape).items():
        size = shape.grid_sizes[index][0] * shape.grid_sizes[index][1]
        start, before = shape.grid_offsets[index], shape.grid_offsets[other]
        maps[0, 0, start : start + size] = np.arange(before, before + size)
    for index, node in enumerate(nodes):
        for number, parent in enumerate(node.parents):
            for (height, width), start, scale in zip(
                shape.grid_sizes, shape.grid_offsets, shape.grid_scales, strict=True
            ):
                follow(
                    whole[index], 2 * number, MOTION_SHIFT, UNIT_LOG2, scale, parent * shape.node_latents + start,
                    height, width, maps[number, index, start : start + height * width],
                )  # fmt: skip
    return maps.ravel()


def siblings(shape: TrackedShape) -> dict[int, int]:
    """For each grid of the second pyramid that of the first at the same scale."""
    pairs = (shape.at_scale(scale) for scale in range(shape.scales))
    return {pair[1]: pair[0] for pair in pairs if len(pair) > 1}


def pack_tracked(
    shape: TrackedShape,
    latents: Integers,
    motion: Integers,
    network: Sequence[QuantizedTensor],
    latent_model: Sequence[QuantizedTensor],
    motion_model: Sequence[QuantizedTensor],
    expectation: Expectation = UNEXPECTED,
) -> bytes:
    """The GOP payload.

    Args:
        latents: (nodes, node_latents).
        motion: All motion symbols in the order of ``motion_table``.
        network: In the order of ``shape.network_shapes()``.
        latent_model: The tensors of the entropy model of the latents; motion_model: of the motion.
        expectation: What the tensors' bases were made with.
    """
    coded_motion = b""
    if len(shape.tree.nodes) > 1:
        model = EntropyModel.from_tensors(motion_model)
        coded_motion = encode_latents(motion, motion_table(shape), motion_maps(shape), model)
    model = EntropyModel.from_tensors(latent_model)
    coded_latents = encode_latents(latents.ravel(), latent_table(shape), reference_maps(shape, motion), model)
    sizes = network_sizes(shape, latent_model, motion_model)
    weights = pack_networks([*network, *latent_model, *motion_model])
    return _join(shape.tree.span, expectation, sizes, weights, coded_motion, coded_latents)


def network_sizes(
    shape: TrackedShape, latent_model: Sequence[QuantizedTensor], motion_model: Sequence[QuantizedTensor]
) -> NetworkSizes:
    """Of all networks of a GOP."""
    widths = latent_model[0].symbols.shape[0], motion_model[0].symbols.shape[0]
    return NetworkSizes(shape.depths, shape.scales, shape.outputs, shape.hidden, *widths)


def _join(
    span: int, expectation: Expectation, sizes: NetworkSizes, weights: bytes, motion: bytes, latents: bytes
) -> bytes:
    out = ByteWriter()
    out.varint(span)
    write_head(out, expectation, sizes)
    for part in (weights, motion):
        out.varint(len(part))
        out.raw(part)
    out.raw(latents)
    return out.getvalue()


@dataclass(frozen=True)
class _Parts:
    """A payload taken apart."""

    shape: TrackedShape
    expectation: Expectation
    sizes: NetworkSizes
    weights: bytes
    motion: bytes
    latents: bytes


def _split(payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None) -> _Parts:
    """The inverse of :func:`_join`."""
    reader = ByteReader(payload)
    tree = GopTree(geometry.num_frames, reader.varint(1, MAX_SPAN, "the distance of anchors"))
    expectation, sizes = read_head(reader, shared, tree.nodes[-1].depth + 1, geometry.num_planes)
    weights = reader.raw(reader.varint(0, len(payload), "the weights' size"))
    motion = reader.raw(reader.varint(0, len(payload), "the motion's size"))
    shape = TrackedShape(tree, geometry.height, geometry.width, sizes.scales, sizes.hidden, geometry.num_planes)
    return _Parts(shape, expectation, sizes, weights, motion, reader.rest())


@dataclass(frozen=True)
class TrackedGop:
    """All that the payload of a GOP says."""

    shape: TrackedShape
    latents: Integers
    """(nodes, node_latents)."""
    motion: Integers
    """In the order of ``motion_table``."""
    network: tuple[QuantizedTensor, ...]
    """In the order of ``shape.network_shapes()``."""
    latent_model: tuple[QuantizedTensor, ...]
    motion_model: tuple[QuantizedTensor, ...]
    expectation: Expectation
    part_bytes: dict[str, int]

    @property
    def tensors(self) -> tuple[QuantizedTensor, ...]:
        """Of all networks, in the order of the payload."""
        return (*self.network, *self.latent_model, *self.motion_model)

    @property
    def digest(self) -> int:
        """Of all integers."""
        symbols = (tensor.symbols.ravel() for tensor in self.tensors)
        return latent_digest(np.concatenate([*symbols, self.motion, self.latents.ravel()]))


def read_tracked(payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None = None) -> TrackedGop:
    """The inverse of :func:`pack_tracked`; ``shared`` is what the header keeps. Raises BitstreamError."""
    parts = _split(payload, geometry, shared)
    shape = parts.shape
    tensors = unpack_networks(parts.weights, parts.expectation, parts.sizes)
    count = len(shape.network_shapes())
    network, latent_model, motion_model = tensors[:count], tensors[count : count + 6], tensors[count + 6 :]
    latent_entropy, motion_entropy = EntropyModel.from_tensors(latent_model), EntropyModel.from_tensors(motion_model)
    motion = np.zeros(0, np.int32)
    if len(shape.tree.nodes) > 1:
        motion, _ = decode_latents(parts.motion, motion_table(shape), motion_maps(shape), motion_entropy)
    latents, _ = decode_latents(parts.latents, latent_table(shape), reference_maps(shape, motion), latent_entropy)
    sizes = {"weights": len(parts.weights), "motion": len(parts.motion), "latents": len(parts.latents)}
    return TrackedGop(
        shape=shape,
        latents=latents.reshape(len(shape.tree.nodes), -1),
        motion=motion,
        network=tuple(network),
        latent_model=tuple(latent_model),
        motion_model=tuple(motion_model),
        expectation=parts.expectation,
        part_bytes={"header": len(payload) - sum(sizes.values()), **sizes},
    )


def share_networks(payload: bytes, geometry: GopGeometry) -> tuple[bytes, bytes]:
    """Moves the networks of a payload that shares none into what the header keeps.

    Returns:
        What the header keeps, and the payload of the same function that refers to it.
    """
    parts = _split(payload, geometry, None)
    tensors = unpack_networks(parts.weights, parts.expectation, parts.sizes)
    kept = pack_shared(parts.expectation, parts.sizes, tensors)
    return kept, _join(parts.shape.tree.span, Expectation(SHARED), parts.sizes, b"", parts.motion, parts.latents)


def unpack_tracked(
    payload: bytes, geometry: GopGeometry, shared: SharedNetworks | None = None
) -> tuple[Tracked, int, dict[str, int]]:
    """The function, the digest of its integers, and the payload's bytes by part. Raises BitstreamError."""
    gop = read_tracked(payload, geometry, shared)
    names = gop.shape.network_shapes()
    network = {name: torch.from_numpy(tensor.values) for name, tensor in zip(names, gop.network, strict=True)}
    model = Tracked(geometry, gop.shape, gop.latents, spread_motion(gop.shape, gop.motion), network)
    return model, gop.digest, gop.part_bytes
