"""One GOP's `tracked` function as a decoder evaluates it: planes made when they are first read, compiled kernels."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.kernels import tracked as kernels
from nerv_codec.model.coordinates import GopGeometry
from nerv_codec.model.gop_tree import Sample
from nerv_codec.model.tracked import (
    CUBIC_DEPTH,
    FEATURES,
    MOTION_STEPS,
    UPSAMPLING,
    TrackedShape,
    features,
    motion_fields,
    motion_grids,
    synthesis,
)
from nerv_codec.workers import Workers

Array = npt.NDArray[np.float32]
NETWORK = ("w1", "b1", "w2", "b2", "w3", "b3", "skip")
"""The tensors of the network in the order in which the kernels take them."""


class Tracked:
    """See :class:`~nerv_codec.model.representation.Representation`.

    Args:
        geometry: The box.
        shape: Sizes of what follows.
        latents: (nodes, node_latents) integers, each node's coarsest grid first.
        motion: (nodes, rows, cols, 4) integers in units of 1 / MOTION_STEPS pixel.
        network: Tensors as ``shape.network_shapes()``, float32.
    """

    def __init__(
        self,
        geometry: GopGeometry,
        shape: TrackedShape,
        latents: npt.NDArray[np.int32],
        motion: npt.NDArray[np.int32],
        network: Mapping[str, Tensor],
    ) -> None:
        self.geometry = geometry
        self.shape = shape
        self._latents = latents
        self._network = {name: tensor.float() for name, tensor in network.items()}
        self._weights = tuple(np.ascontiguousarray(self._network[name].numpy()) for name in NETWORK)
        self._grids = motion_grids(shape, torch.from_numpy(motion).float() / MOTION_STEPS)
        self._mix = node_mix(shape, self._network).numpy()
        slots = 2 * (max(node.depth for node in shape.tree.nodes) + 2)
        size = (min(slots, len(shape.tree.nodes)), shape.height, shape.width)
        self._planes = np.empty((*size, FEATURES), np.float32)
        self._motion = np.empty((*size, 4), np.float32)
        self._slots: OrderedDict[int, int] = OrderedDict()

    def to(self, _: torch.device) -> Tracked:
        """Itself: the kernels run on the CPU whatever the device."""
        return self

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate: the longest chain's reads, tracks and the network."""
        reads = max(len(self.shape.tree.chain(t)) for t in range(self.shape.tree.num_frames))
        network = sum(weight.size for weight in self._weights if weight.ndim == 2)
        return network + 16 * FEATURES + (reads - 1) * (4 * FEATURES + 8)

    def render(self, times: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        """f on a lattice; see :class:`~nerv_codec.model.representation.Representation`."""
        self.geometry.normalise((times, rows, cols))
        row_axis, col_axis = rows.numpy().astype(np.float32), cols.numpy().astype(np.float32)
        out = np.empty((len(times), len(rows), len(cols), self.shape.outputs), np.float32)
        with Workers() as workers:
            for index, t in enumerate(times.tolist()):
                cubic, chain = self._prepare(t)

                def band(part: slice, out: Array = out[index], cubic=cubic, chain=chain) -> None:  # type: ignore[no-untyped-def]
                    kernels.evaluate(
                        self._planes, self._motion, cubic, *chain, row_axis[part], col_axis, self._weights, out[part]
                    )

                size = -(-len(rows) // workers.count)
                workers.map(band, [slice(start, start + size) for start in range(0, len(rows), size)])
        return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()

    @torch.no_grad()
    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see :class:`~nerv_codec.model.representation.Representation`."""
        flat = coords.reshape(-1, 3).double()
        self.geometry.normalise(flat.unbind(-1))
        out = torch.empty(len(flat), self.shape.outputs)
        for t in flat[:, 0].unique().tolist():
            chosen = flat[:, 0] == t
            self._prepare(t)
            chain = [_moved(sample, self._slots) for sample in self.shape.tree.chain(t)]
            cubic = {slot: self._is_cubic(node) for node, slot in self._slots.items()}
            z = features(
                torch.from_numpy(self._planes),
                torch.from_numpy(self._motion),
                [cubic.get(slot, False) for slot in range(len(self._planes))],
                chain,
                flat[chosen, 1:].float(),
            )
            out[chosen] = synthesis(z, self._network)
        return out.reshape(*coords.shape[:-1], -1)

    def _is_cubic(self, node: int) -> bool:
        return self.shape.tree.nodes[node].depth <= CUBIC_DEPTH

    def _prepare(self, t: float) -> tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.int64], Array, Array]]:
        """Has the planes of the chain at ``t`` in their slots; the chain with slots in place of nodes."""
        table, scales, weights = chain_arrays(self.shape, t)
        needed = {int(node) for node in table[:, [0, 2]].ravel()} - {-1}
        for node in needed & set(self._slots):
            self._slots.move_to_end(node)
        for node in sorted(needed - set(self._slots)):
            slot = len(self._slots)
            if slot == len(self._planes):
                slot = self._slots.popitem(last=False)[1]
            self._slots[node] = slot
            self._planes[slot] = build_plane(self.shape, self._latents[node].astype(np.float32), self._mix[node])
            self._motion[slot] = motion_fields(self.shape, self._grids[node : node + 1])[0].numpy()
        for column in (0, 2):
            table[:, column] = [self._slots.get(int(node), -1) for node in table[:, column]]
        cubic = np.zeros(len(self._planes), np.bool_)
        for node, slot in self._slots.items():
            cubic[slot] = self._is_cubic(node)
        return cubic, (table, scales, weights)


def _moved(sample: Sample, slots: Mapping[int, int]) -> Sample:
    return dataclasses.replace(sample, node=slots[sample.node], motion_node=slots.get(sample.motion_node, -1))


def node_mix(shape: TrackedShape, network: Mapping[str, Tensor]) -> Tensor:
    """(nodes, scales, FEATURES): gain of each node's depth and scale times the scale's mixing vector."""
    depth = torch.tensor([node.depth for node in shape.tree.nodes])
    return network["gain"][depth][:, :, None] * network["mix"]


def chain_arrays(shape: TrackedShape, t: float) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """A chain in the form that the kernels take: (K, 4) integers, scales, weights."""
    chain = shape.tree.chain(t)
    table = np.array([[s.node, s.source, s.motion_node, 2 * s.motion_parent] for s in chain], np.int64)
    return table, np.array([s.scale for s in chain], np.float32), np.array([s.weight for s in chain], np.float32)


def build_plane(shape: TrackedShape, latents: Array, mix: Array) -> Array:
    """R_n (H, W, FEATURES) of one node from its latents, coarsest grid first."""
    taps = np.array(UPSAMPLING, np.float32)
    result = grid(shape, latents, shape.scales - 1)[..., None] * mix[-1]
    for scale in reversed(range(shape.scales - 1)):
        fine = np.empty((*shape.grid_sizes[scale], FEATURES), np.float32)
        kernels.upsample_add(result, grid(shape, latents, scale), mix[scale], taps, fine)
        result = fine
    return result


def grid(shape: TrackedShape, latents: Array, scale: int) -> Array:
    """The view of one scale's grid in a node's latents."""
    rows, cols = shape.grid_sizes[scale]
    start = shape.grid_offsets[scale]
    return latents[start : start + rows * cols].reshape(rows, cols)
