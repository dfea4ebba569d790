"""One GOP's `tracked` function as a decoder evaluates it: planes made when they are first read, compiled kernels."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.device import runs_triton
from nerv_codec.base.threads import Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import Representation
from nerv_codec.representations.tracked.cpu import colour as kernels
from nerv_codec.representations.tracked.cpu import planes as plane_kernels
from nerv_codec.representations.tracked.cpu import tracks as track_kernels
from nerv_codec.representations.tracked.shape import (
    BLEND_STEPS,
    CUBIC_DEPTH,
    FEATURES,
    MOTION_STEPS,
    UPSAMPLING,
    TrackedShape,
    features,
    knot_tracks,
    motion_grids,
    synthesis,
)

Array = npt.NDArray[np.float32]
Kinds = npt.NDArray[np.int64]
MOTION_UNITS = (*[1 / MOTION_STEPS] * 4, 1 / BLEND_STEPS)
"""Of the KEPT channels of a motion grid: pixels, and a share."""
NETWORK = ("w1", "b1", "w2", "b2", "w3", "b3", "skip")
"""The tensors of the network in the order in which the kernels take them."""


class Tracked:
    """See :class:`~nerv_codec.representations.representation.Representation`.

    Args:
        geometry: The box.
        shape: Sizes of what follows.
        latents: (nodes, node_latents) integers, each node's coarsest grid first.
        motion: Of each scale, finest first: (nodes, rows, cols, KEPT) integers in units of ``MOTION_UNITS``.
        network: Tensors as ``shape.network_shapes()``, float32.
    """

    def __init__(
        self,
        geometry: GopGeometry,
        shape: TrackedShape,
        latents: npt.NDArray[np.int32],
        motion: Sequence[npt.NDArray[np.int32]],
        network: Mapping[str, Tensor],
    ) -> None:
        self.geometry = geometry
        self.shape = shape
        self._latents = latents
        self._network = {name: tensor.float() for name, tensor in network.items()}
        self._weights = tuple(np.ascontiguousarray(self._network[name].numpy()) for name in NETWORK)
        units = torch.tensor(MOTION_UNITS)
        self._grids = motion_grids(shape, [torch.from_numpy(part).float() * units for part in motion])
        self._mix = node_mix(shape, self._network).numpy()
        self._present = present_grids(shape, latents)
        self._kinds = plane_kinds(shape, self._present)
        slots = max(longest_chain(shape), 2 * (max(node.depth for node in shape.tree.nodes) + 2))
        size = (min(slots, len(shape.tree.nodes)), shape.height + 2 * kernels.PAD, shape.width + 2 * kernels.PAD)
        self._planes = np.zeros((*size, FEATURES), np.float32)
        self._slots: OrderedDict[int, int] = OrderedDict()
        self._latest: tuple[float, tuple[Kinds, npt.NDArray[np.int64], Array]] | None = None

    def to(self, device: torch.device) -> Representation:
        """The function on a GPU if kernels run there; else itself, on the CPU."""
        if not runs_triton(device):
            return self
        from nerv_codec.representations.tracked.render_cuda import (
            TrackedCuda,  # brings Triton, which not every machine has
        )

        return TrackedCuda(self.geometry, self.shape, self._latents, self._grids, self._network, device)

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate: the longest chain's reads, tracks and the network."""
        return macs_per_sample(self.shape)

    def render(self, times: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
        """f on a lattice; see :class:`~nerv_codec.representations.representation.Representation`."""
        self.geometry.normalise((times, rows, cols))
        row_axis, col_axis = rows.numpy().astype(np.float32), cols.numpy().astype(np.float32)
        out = np.empty((len(times), len(rows), len(cols), self.shape.outputs), np.float32)
        with Workers() as workers:
            for index, t in enumerate(times.tolist()):
                kinds, chain, tracks = self._prepare(t, workers)

                def band(part: slice, out: Array = out[index], kinds=kinds, chain=chain, tracks=tracks) -> None:  # type: ignore[no-untyped-def]
                    kernels.evaluate(
                        self._planes, kinds, chain, tracks, row_axis[part], col_axis, self._weights, out[part]
                    )

                size = -(-len(rows) // workers.count)
                workers.map(band, [slice(start, start + size) for start in range(0, len(rows), size)])
        return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()

    @torch.no_grad()
    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see :class:`~nerv_codec.representations.representation.Representation`."""
        flat = coords.reshape(-1, 3).double()
        self.geometry.normalise(flat.unbind(-1))
        out = torch.empty(len(flat), self.shape.outputs)
        pad = kernels.PAD
        for t in flat[:, 0].unique().tolist():
            chosen = flat[:, 0] == t
            with Workers() as workers:
                self._prepare(t, workers)
            chain = self.shape.tree.chain(t)
            held = {node: torch.from_numpy(self._planes[slot]) for node, slot in self._slots.items()}
            planes = {node: plane[pad:-pad, pad:-pad] for node, plane in held.items()}
            knots = knot_tracks(self.shape, self._grids, chain)
            z = features(planes, self._kinds.tolist(), chain, knots, flat[chosen, 1:].float())
            out[chosen] = synthesis(z, self._network)
        return out.reshape(*coords.shape[:-1], -1)

    def _prepare(self, t: float, workers: Workers) -> tuple[Kinds, npt.NDArray[np.int64], Array]:
        """Has the planes of the chain at ``t`` in their slots.

        Returns:
            How each slot is read, the chain with slots in place of nodes, and the tracks at the knots.
        """
        if self._latest and self._latest[0] == t:
            return self._latest[1]
        chain, reals = chain_arrays(self.shape, t)
        tracks = np.empty((len(chain), 3, *self.shape.knots), np.float32)
        size = self.shape.height, self.shape.width
        edges = [round(self.shape.knots[0] * part / workers.count) for part in range(workers.count + 1)]

        by_node = chain.copy()

        def follow(part: int) -> None:
            first, last = edges[part], edges[part + 1]
            track_kernels.tracks_forward(self._grids.numpy(), by_node, reals, *size, first, last, tracks)

        workers.map(follow, range(workers.count))
        needed = {int(node) for node in chain[:, kernels.NODE]}
        for node in needed & set(self._slots):
            self._slots.move_to_end(node)
        for node in sorted(needed - set(self._slots)):
            slot = len(self._slots)
            if slot == len(self._planes):
                slot = self._slots.popitem(last=False)[1]
            self._slots[node] = slot
            if self._kinds[node] != kernels.SKIPPED:
                latents = self._latents[node].astype(np.float32)
                build_plane(self.shape, latents, self._present[node], self._mix[node], self._planes[slot])
        kinds = np.zeros(len(self._planes), np.int64)
        for node, slot in self._slots.items():
            kinds[slot] = self._kinds[node]
        chain[:, kernels.NODE] = [self._slots[int(node)] for node in chain[:, kernels.NODE]]
        self._latest = t, (kinds, chain, tracks)
        return self._latest[1]


def longest_chain(shape: TrackedShape) -> int:
    """The most planes that one moment reads."""
    return max(len(shape.tree.chain(half / 2)) for half in range(2 * shape.tree.num_frames - 1))


def macs_per_sample(shape: TrackedShape) -> int:
    """Multiplications to evaluate one coordinate."""
    reads = max(len(shape.tree.chain(t)) for t in range(shape.tree.num_frames))
    sizes = shape.network_shapes()
    network = sum(math.prod(sizes[name]) for name in NETWORK if len(sizes[name]) == 2)
    return network + 16 * FEATURES + (reads - 1) * (4 * FEATURES + 8)


def present_grids(shape: TrackedShape, latents: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """(nodes, grids): which grids hold anything but zeros."""
    return np.stack([[grid(shape, own, g).any() for g in range(len(shape.grid_scales))] for own in latents])


def node_mix(shape: TrackedShape, network: Mapping[str, Tensor]) -> Tensor:
    """(nodes, grids, FEATURES): gain of each node's depth and grid times the grid's mixing vector."""
    depth = torch.tensor([node.depth for node in shape.tree.nodes])
    return network["gain"][depth][:, :, None] * network["mix"]


def chain_arrays(shape: TrackedShape, t: float) -> tuple[npt.NDArray[np.int64], Array]:
    """A chain in the form that the kernels take: (K, 6) integers, (K, 3) reals."""
    chain = shape.tree.chain(t)
    table = [[s.node, s.source, s.mover, 2 * s.number, *(*s.parents, -1, -1)[:2]] for s in chain]
    return np.array(table, np.int64), np.array([[s.scale, s.mass, s.share] for s in chain], np.float32)


def plane_kinds(shape: TrackedShape, present: npt.NDArray[np.bool_]) -> Kinds:
    """How each node's plane is read, from (nodes, grids) flags of the grids that are not zero."""
    depths = np.array([node.depth for node in shape.tree.nodes])
    return np.where(present.any(1), np.where(depths <= CUBIC_DEPTH, kernels.CUBIC, kernels.LINEAR), kernels.SKIPPED)


def build_plane(shape: TrackedShape, latents: Array, present: npt.NDArray[np.bool_], mix: Array, out: Array) -> None:
    """Writes R_n (H, W, FEATURES) and its border of one node from its latents, coarsest grid first."""
    taps = np.array(UPSAMPLING, np.float32)
    first = shape.grid_scales[np.flatnonzero(present)[0]]
    rows, cols = shape.size_at(first)
    coarse = np.zeros(((rows + 1) // 2, (cols + 1) // 2, FEATURES), np.float32)
    for scale in range(first, -1, -1):
        pad = 0 if scale else kernels.PAD
        fine = np.empty((*shape.size_at(scale), FEATURES), np.float32) if scale else out
        own, *others = shape.at_scale(scale)
        plane_kernels.upsample_add(coarse, grid(shape, latents, own), present[own], mix[own], taps, fine, pad)
        for other in others:
            if present[other]:
                plane_kernels.add_latents(grid(shape, latents, other), mix[other], fine, pad)
        coarse = fine
    plane_kernels.repeat_edges(out)


def grid(shape: TrackedShape, latents: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    """The view of one grid in a node's latents."""
    rows, cols = shape.grid_sizes[index]
    start = shape.grid_offsets[index]
    return latents[start : start + rows * cols].reshape(rows, cols)
