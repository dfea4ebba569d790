"""One GOP's `tracked` function as a decoder evaluates it on a GPU. Import only where Triton is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import plane_numbers
from nerv_codec.representations.tracked.chains import chain_arrays, map_kinds, nonzero_grids
from nerv_codec.representations.tracked.cuda import colour, tracks
from nerv_codec.representations.tracked.cuda.planes import Pyramid
from nerv_codec.representations.tracked.function import features, knot_tracks, node_mix, synthesis
from nerv_codec.representations.tracked.shape import FEATURES, NODE, PAD, SKIPPED, UPSAMPLING, TrackedShape

MAP_BYTES = 4 << 30
"""Memory for feature maps beyond what one moment needs."""


@dataclass(frozen=True)
class Chains:
    """The chains of several moments one behind the other, as the kernels take them; S samples, T moments."""

    chain: Tensor
    """(S, 6) int32, columns from ``shape.NODE`` on."""
    reals: Tensor
    """(S, 3) float32, columns from ``shape.SCALE`` on."""
    firsts: Tensor
    """(T + 1,) int32: where each chain begins."""

    @classmethod
    def at(cls, shape: TrackedShape, times: Sequence[float], device: torch.device) -> Chains:
        """The chains of the given moments, on a device."""
        parts = [chain_arrays(shape, t) for t in times]
        firsts = np.cumsum([0, *(len(chain) for chain, _ in parts)])
        return cls(
            torch.from_numpy(np.concatenate([chain for chain, _ in parts]).astype(np.int32)).to(device),
            torch.from_numpy(np.concatenate([reals for _, reals in parts])).to(device),
            torch.from_numpy(firsts.astype(np.int32)).to(device),
        )

    def tracks(self, grids: Tensor, shape: TrackedShape, moments: Tensor, out: Tensor | None = None) -> Tensor:
        """(S, 3, KR, KC): row, column and mass of the samples of some moments at the track knots."""
        if out is None:
            out = torch.empty(len(self.chain), 3, *shape.knots, device=grids.device)
        size = (shape.height, shape.width)
        tracks.forward(grids, self.chain, self.reals, self.firsts, moments, size, out)
        return out


def make_pyramid(shape: TrackedShape) -> Pyramid:
    """What makes feature maps of a shape from latents."""
    scales = range(shape.scales)
    grids = [[(index, shape.grid_offsets[index]) for index in shape.at_scale(scale)] for scale in scales]
    return Pyramid([shape.size_at(scale) for scale in scales], grids, UPSAMPLING)


class TrackedCuda:
    """See :class:`~nerv_codec.representations.representation.Representation`; pictures stay on the device.

    Feature maps are made when they are first read, and kept while there is room.

    Args:
        geometry: The box.
        shape: Sizes of what follows.
        latents: (nodes, node_latents) integers.
        grids: Motion as ``function.motion_grids`` makes it.
        network: Tensors as ``shape.network_shapes()``, float32.
        device: Where.
        half: Whether feature maps are kept in float16: half the memory and half the traffic.
    """

    band_samples = 1 << 23
    """Samples that a picture is evaluated in at a time."""

    def __init__(
        self,
        geometry: GopGeometry,
        shape: TrackedShape,
        latents: npt.NDArray[np.int32],
        grids: Tensor,
        network: Mapping[str, Tensor],
        device: torch.device,
        half: bool = False,
    ) -> None:
        self.geometry = geometry
        self.shape = shape
        self._latents, self._device = latents, device
        self._grids = grids.to(device)
        self._kinds = map_kinds(shape, nonzero_grids(shape, latents))
        self._network = {name: tensor.to(device) for name, tensor in network.items()}
        self._mix = node_mix(shape, network).to(device)
        self._packed = colour.pack_network(self._network, shape.hidden)
        self._pyramid = make_pyramid(shape)
        dtype = torch.float16 if half else torch.float32
        size = (shape.height + 2 * PAD, shape.width + 2 * PAD, FEATURES)
        nodes, bytes_each = len(shape.tree.nodes), size[0] * size[1] * size[2] * dtype.itemsize
        self._feature_maps = torch.zeros(
            min(nodes, max(shape.longest_chain, MAP_BYTES // bytes_each)), *size, dtype=dtype, device=device
        )
        self._slots: OrderedDict[int, int] = OrderedDict()

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate."""
        return self.shape.macs_per_sample

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice; see :class:`~nerv_codec.representations.representation.Representation`."""
        self.geometry.normalise((times, rows, cols))
        out = torch.empty(len(times), self.shape.outputs, len(rows), len(cols), device=self._device)
        axes = rows.float().to(self._device), cols.float().to(self._device)
        moments = times.tolist()
        first = 0
        while first < len(moments):
            last = self._fitting(moments, first)
            chains, kinds = self._prepare(moments[first:last])
            at = self._tracks(moments[first:last])
            colour.evaluate(
                self._feature_maps, kinds, chains.chain[:, NODE].contiguous(), chains.firsts, at, *axes,
                self._packed, self.shape.hidden, out[first:last], "tf32x3",
            )  # fmt: skip
            first = last
        return out[:, plane_numbers(planes, self.geometry)]

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see :class:`~nerv_codec.representations.representation.Representation`."""
        flat = coords.detach().reshape(-1, 3).double()
        self.geometry.normalise(flat.unbind(-1))
        out = torch.empty(len(flat), self.shape.outputs)
        for t in flat[:, 0].unique().tolist():
            chosen = flat[:, 0] == t
            self._prepare([t])
            chain = self.shape.tree.chain(t)
            inner = self._feature_maps[:, PAD:-PAD, PAD:-PAD]
            maps = {node: inner[slot].float() for node, slot in self._slots.items()}
            places = flat[chosen, 1:].float().to(self._device)
            knots = knot_tracks(self.shape, self._grids, chain)
            z = features(maps, self._kinds.tolist(), chain, knots, places)
            out[chosen] = synthesis(z, self._network).cpu()
        return out.reshape(*coords.shape[:-1], -1)

    def _nodes(self, t: float) -> set[int]:
        return {sample.node for sample in self.shape.tree.chain(t)}

    def _fitting(self, moments: Sequence[float], first: int) -> int:
        """The end of the longest run of moments whose feature maps there is room for at a time."""
        needed, last = self._nodes(moments[first]), first + 1
        while last < len(moments) and len(needed | self._nodes(moments[last])) <= len(self._feature_maps):
            needed |= self._nodes(moments[last])
            last += 1
        return last

    def _tracks(self, moments: Sequence[float]) -> Tensor:
        chains = Chains.at(self.shape, moments, self._device)
        return chains.tracks(
            self._grids, self.shape, torch.arange(len(moments), dtype=torch.int32, device=self._device)
        )

    def _prepare(self, moments: Sequence[float]) -> tuple[Chains, Tensor]:
        """Fills the slots of some moments' feature maps: their chains with slots for nodes, and how slots are read."""
        needed = set().union(*(self._nodes(t) for t in moments))
        for node in needed & set(self._slots):
            self._slots.move_to_end(node)
        fresh = []
        for node in sorted(needed - set(self._slots)):
            slot = len(self._slots)
            if slot == len(self._feature_maps):
                slot = self._slots.popitem(last=False)[1]
            self._slots[node] = slot
            if self._kinds[node] != SKIPPED:
                fresh.append(node)
        if fresh:
            order = torch.arange(len(fresh), dtype=torch.int32, device=self._device)
            slots = torch.tensor([self._slots[node] for node in fresh], dtype=torch.int32, device=self._device)
            latents = torch.from_numpy(self._latents[fresh]).to(self._device).float()
            self._pyramid.build_planes(order, latents, self._mix[fresh].contiguous(), self._feature_maps, slots)
        kinds = np.zeros(len(self._feature_maps), np.int32)
        for node, slot in self._slots.items():
            kinds[slot] = self._kinds[node]
        chains = Chains.at(self.shape, moments, self._device)
        slot_of = torch.zeros(len(self.shape.tree.nodes), dtype=torch.int32, device=self._device)
        slot_of[list(self._slots)] = torch.tensor(list(self._slots.values()), dtype=torch.int32, device=self._device)
        chains.chain[:, NODE] = slot_of[chains.chain[:, NODE].long()]
        return chains, torch.from_numpy(kinds).to(self._device)
