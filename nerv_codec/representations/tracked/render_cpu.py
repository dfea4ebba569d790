"""One GOP's `tracked` function on the CPU: compiled kernels, feature maps made when they are first read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import BAND_SAMPLES, plane_numbers
from nerv_codec.representations.tracked.chains import Kinds, chain_arrays, map_kinds, nonzero_grids
from nerv_codec.representations.tracked.cpu.colour import evaluate
from nerv_codec.representations.tracked.cpu.planes import build_feature_map
from nerv_codec.representations.tracked.cpu.tracks import tracks_forward
from nerv_codec.representations.tracked.function import features, knot_tracks, motion_grids, node_mix, synthesis
from nerv_codec.representations.tracked.shape import (
    FEATURES,
    MOTION_UNITS,
    NETWORK,
    NODE,
    PAD,
    SKIPPED,
    TrackedShape,
)

Array = npt.NDArray[np.float32]
Moment = tuple[Kinds, npt.NDArray[np.int64], Array]
"""How each slot is read, a chain with slots in place of nodes, and its tracks at the knots."""


class Tracked:
    """See :class:`~nerv_codec.representations.representation.Representation`.

    Args:
        geometry: The box.
        shape: Sizes of what follows.
        latents: (nodes, node_latents) integers, each node's coarsest grid first.
        motion: Of each scale, finest first: (nodes, rows, cols, KEPT) integers in units of ``MOTION_UNITS``.
        network: Tensors as ``shape.network_shapes()``, float32.

    Attributes:
        motion_grids: (nodes, rows, cols, CHANNELS), as ``function.motion_grids`` makes them.
    """

    band_samples = BAND_SAMPLES
    """Samples that a picture is evaluated in at a time."""

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
        self.network = {name: tensor.float() for name, tensor in network.items()}
        self._weights = tuple(np.ascontiguousarray(self.network[name].numpy()) for name in NETWORK)
        units = torch.tensor(MOTION_UNITS)
        self.motion_grids = motion_grids(shape, [torch.from_numpy(part).float() * units for part in motion])
        self._mix = node_mix(shape, self.network).numpy()
        self._nonzero = nonzero = nonzero_grids(shape, latents)
        self._kinds = map_kinds(shape, nonzero)
        slots = max(shape.longest_chain, 2 * (max(node.depth for node in shape.tree.nodes) + 2))
        size = (min(slots, len(shape.tree.nodes)), shape.height + 2 * PAD, shape.width + 2 * PAD)
        self._feature_maps = np.zeros((*size, FEATURES), np.float32)
        self._slots: OrderedDict[int, int] = OrderedDict()
        self._latest: tuple[float, Moment] | None = None

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate: the longest chain's reads, tracks and the network."""
        return self.shape.macs_per_sample

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice; see :class:`~nerv_codec.representations.representation.Representation`."""
        self.geometry.normalise((times, rows, cols))
        row_axis, col_axis = rows.numpy().astype(np.float32), cols.numpy().astype(np.float32)
        out = np.empty((len(times), len(rows), len(cols), self.shape.outputs), np.float32)
        with Workers() as workers:
            for index, t in enumerate(times.tolist()):
                moment = self._prepare(t, workers)

                def band(part: slice, out: Array = out[index], moment: Moment = moment) -> None:
                    evaluate(self._feature_maps, *moment, row_axis[part], col_axis, self._weights, out[part])

                size = -(-len(rows) // workers.count)
                workers.map(band, [slice(start, start + size) for start in range(0, len(rows), size)])
        return torch.from_numpy(out).permute(0, 3, 1, 2)[:, plane_numbers(planes, self.geometry)].contiguous()

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see :class:`~nerv_codec.representations.representation.Representation`."""
        flat = coords.detach().reshape(-1, 3).double()
        self.geometry.normalise(flat.unbind(-1))
        out = torch.empty(len(flat), self.shape.outputs)
        for t in flat[:, 0].unique().tolist():
            chosen = flat[:, 0] == t
            with Workers() as workers:
                self._prepare(t, workers)
            chain = self.shape.tree.chain(t)
            held = {node: torch.from_numpy(self._feature_maps[slot]) for node, slot in self._slots.items()}
            maps = {node: held_map[PAD:-PAD, PAD:-PAD] for node, held_map in held.items()}
            knots = knot_tracks(self.shape, self.motion_grids, chain)
            z = features(maps, self._kinds.tolist(), chain, knots, flat[chosen, 1:].float())
            out[chosen] = synthesis(z, self.network)
        return out.reshape(*coords.shape[:-1], -1)

    def _prepare(self, t: float, workers: Workers) -> Moment:
        """Has the feature maps of the chain at ``t`` in their slots."""
        if self._latest and self._latest[0] == t:
            return self._latest[1]
        chain, reals = chain_arrays(self.shape, t)
        tracks = np.empty((len(chain), 3, *self.shape.knots), np.float32)
        size = self.shape.height, self.shape.width
        edges = [round(self.shape.knots[0] * part / workers.count) for part in range(workers.count + 1)]
        by_node = chain.copy()

        def follow(part: int) -> None:
            first, last = edges[part], edges[part + 1]
            tracks_forward(self.motion_grids.numpy(), by_node, reals, *size, first, last, tracks)

        workers.map(follow, range(workers.count))
        needed = {int(node) for node in chain[:, NODE]}
        for node in needed & set(self._slots):
            self._slots.move_to_end(node)
        for node in sorted(needed - set(self._slots)):
            slot = len(self._slots)
            if slot == len(self._feature_maps):
                slot = self._slots.popitem(last=False)[1]
            self._slots[node] = slot
            if self._kinds[node] != SKIPPED:
                latents = self._latents[node].astype(np.float32)
                build_feature_map(self.shape, latents, self._nonzero[node], self._mix[node], self._feature_maps[slot])
        kinds = np.zeros(len(self._feature_maps), np.int64)
        for node, slot in self._slots.items():
            kinds[slot] = self._kinds[node]
        chain[:, NODE] = [self._slots[int(node)] for node in chain[:, NODE]]
        self._latest = t, (kinds, chain, tracks)
        return self._latest[1]
