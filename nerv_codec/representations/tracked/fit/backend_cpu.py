"""Distortion of the `tracked` function over a GOP and its gradient, by the compiled kernels on all threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.entropy.context_model import RateParameters
from nerv_codec.entropy.rate_cpu import rate_forward_backward
from nerv_codec.representations.tracked.chains import chain_arrays, map_kinds
from nerv_codec.representations.tracked.cpu import colour
from nerv_codec.representations.tracked.cpu.planes import backward_feature_map, build_feature_map, fold_edges
from nerv_codec.representations.tracked.cpu.tracks import tracks_backward, tracks_forward
from nerv_codec.representations.tracked.fit.backend import Gradient, alive_grids
from nerv_codec.representations.tracked.fit.targets import Targets
from nerv_codec.representations.tracked.fit.vector import QuantisedVector
from nerv_codec.representations.tracked.function import motion_grids
from nerv_codec.representations.tracked.grid_tables import motion_indices
from nerv_codec.representations.tracked.shape import FEATURES, MOTION_UNITS, NETWORK, NODE, PAD, TrackedShape

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
PARTS = 4
"""Pieces in which a pass is computed, and so the most threads that it can use; more GOPs at once use more."""


@dataclass(frozen=True)
class TrackedGradient:
    """What one pass says."""

    distortion: Array
    """(outputs,): each output's share; their sum is what is minimised."""
    latents: Array
    """(nodes, node_latents); of grids that are not alive it holds nothing of use."""
    motion: Array
    """(nodes, rows, cols, CHANNELS), with respect to the whole motion grids."""
    mix: Array
    """(nodes, grids, FEATURES)."""
    network: dict[str, Array]


@dataclass(frozen=True)
class _Plan:
    """Who computes what of a set of frames."""

    parts: tuple[tuple[tuple[int, float, float], ...], ...]
    """The frames of each part, each with where its rows begin and end, as shares of the height."""
    users: tuple[tuple[int, ...], ...]
    """The parts that read each node."""
    buffers: npt.NDArray[np.int64]
    """(parts, nodes): where a part adds up a node's gradient."""
    count: int
    """Number of buffers."""


class TrackedEngine:
    """Keeps the buffers of one GOP, and computes pass after pass.

    The work is cut into PARTS runs of neighbouring frames and parts of frames. Nodes that several parts read have a
    gradient buffer for each of them, added up in a fixed order; the others have one. So there are no races, the sums
    do not depend on the number of threads, and few buffers are needed beyond one for each node.
    """

    def __init__(self, shape: TrackedShape, targets: Sequence[Targets], peak: int, workers: Workers) -> None:
        self.shape = shape
        self._targets = list(targets)
        self._peak = np.float32(peak)
        self._workers = workers
        self._chains = [chain_arrays(shape, float(frame)) for frame in range(shape.tree.num_frames)]
        self._plans: dict[tuple[int, ...], _Plan] = {}
        nodes = len(shape.tree.nodes)
        self._size = (shape.height + 2 * PAD, shape.width + 2 * PAD, FEATURES)
        self.feature_maps = np.zeros((nodes, *self._size), np.float32)
        self._map_gradients = np.zeros((0, *self._size), np.float32)
        self._latent_gradients = np.zeros((nodes, shape.node_latents), np.float32)

    def _plan(self, frames: tuple[int, ...]) -> _Plan:
        if frames not in self._plans:
            self._plans[frames] = self._make_plan(frames)
        plan = self._plans[frames]
        if plan.count > len(self._map_gradients):
            self._map_gradients = np.zeros((plan.count, *self._size), np.float32)
        return plan

    def _make_plan(self, frames: tuple[int, ...]) -> _Plan:
        count_parts, nodes = PARTS, len(self.feature_maps)
        parts = []
        for part in range(count_parts):
            first, last = (len(frames) * number / count_parts for number in (part, part + 1))
            own = [
                (frame, max(first - index, 0.0), min(last - index, 1.0))
                for index, frame in enumerate(frames)
                if first < index + 1 and index < last
            ]
            parts.append(tuple(own))
        read = [{int(node) for frame, _, _ in part for node in self._chains[frame][0][:, NODE]} for part in parts]
        users = tuple(tuple(part for part in range(count_parts) if node in read[part]) for node in range(nodes))
        buffers = np.tile(np.arange(nodes), (count_parts, 1))
        count = nodes
        for node, own_users in enumerate(users):
            for part in own_users[1:]:
                buffers[part, node] = count
                count += 1
        return _Plan(tuple(parts), users, buffers, count)

    def build_feature_maps(self, latents: Array, alive: Flags, mix: Array) -> None:
        """Fills ``feature_maps`` from (nodes, node_latents) latents and (nodes, grids, FEATURES) mixing vectors."""

        def build(node: int) -> None:
            build_feature_map(self.shape, latents[node], alive[node], mix[node], self.feature_maps[node])

        self._workers.map(build, np.flatnonzero(alive.any(1)))

    def gradient(
        self,
        latents: Array,
        alive: Flags,
        motion: Array,
        mix: Array,
        network: Mapping[str, Array],
        *,
        frames: Sequence[int] | None = None,
        stride: int = 1,
        phase: int = 0,
    ) -> TrackedGradient:
        """One pass over every ``stride``-th row of frames, beginning with row ``phase``.

        Args:
            latents: (nodes, node_latents).
            alive: (nodes, grids): grids that are not are zero, get no gradient and cost no time.
            motion: (nodes, rows, cols, CHANNELS) as ``motion_grids`` makes it.
            mix: (nodes, grids, FEATURES).
            network: The tensors named in ``network_shapes`` from w1 on.
            frames: Which ones, in ascending order; None is all of them.
            stride: Distance of the rows.
            phase: The first row, counted modulo ``stride``.
        """
        shape = self.shape
        chosen = tuple(range(shape.tree.num_frames)) if frames is None else tuple(frames)
        plan = self._plan(chosen)
        self.build_feature_maps(latents, alive, mix)
        kinds = map_kinds(shape, alive)
        weights = tuple(np.ascontiguousarray(network[name]) for name in NETWORK)
        transposed = tuple(np.ascontiguousarray(network[name].T) for name in ("w1", "w2", "w3", "skip"))

        def clear(node: int) -> None:
            for part in plan.users[node]:
                self._map_gradients[plan.buffers[part, node]] = 0

        def fit(part: int) -> tuple[Array, Array, tuple[Array, ...]]:
            gradients = tuple(np.zeros((*tensor.shape, 8), np.float32) for tensor in weights)
            motion_gradient = np.zeros_like(motion)
            total = np.zeros(shape.outputs, np.float32)
            for frame, first, last in plan.parts[part]:
                chain, reals = self._chains[frame]
                tracks = np.empty((len(chain), 3, *shape.knots), np.float32)
                d_tracks = np.zeros_like(tracks)
                tracks_forward(motion, chain, reals, shape.height, shape.width, 0, shape.knots[0], tracks)
                for group in self._targets:
                    begin = phase % min(stride, len(group.rows))
                    rows, codes = group.rows[begin::stride], group.codes[frame, begin::stride]
                    own = slice(round(first * len(rows)), round(last * len(rows)))
                    share = group.weights / np.float32(len(rows) * len(group.cols) * len(chosen))
                    colour.fit_step(
                        self.feature_maps, kinds, chain, tracks, rows[own], group.cols, weights, transposed, codes[own],
                        share, self._peak, self._map_gradients, plan.buffers[part], d_tracks, gradients, total,
                    )  # fmt: skip
                if len(chain) > 1:
                    tracks_backward(motion, chain, reals, shape.height, shape.width, d_tracks, motion_gradient)
            return total, motion_gradient, gradients

        def back(node: int) -> Array:
            own = self._map_gradients[plan.buffers[plan.users[node][0], node]]
            for part in plan.users[node][1:]:
                own += self._map_gradients[plan.buffers[part, node]]
            fold_edges(own)
            return backward_feature_map(shape, own, latents[node], alive[node], mix[node], self._latent_gradients[node])

        moving = [int(node) for node in np.flatnonzero(alive.any(1)) if plan.users[node]]
        self._workers.map(clear, moving)
        results = self._workers.map(fit, range(PARTS))
        mix_gradient = np.zeros_like(mix)
        for node, gradient in zip(moving, self._workers.map(back, moving), strict=True):
            mix_gradient[node] = gradient
        return TrackedGradient(
            distortion=np.sum([total for total, _, _ in results], axis=0),
            latents=self._latent_gradients,
            motion=np.sum([gradient for _, gradient, _ in results], axis=0),
            mix=mix_gradient,
            network={
                name: np.sum([gradients[index].sum(-1) for _, _, gradients in results], axis=0)
                for index, name in enumerate(NETWORK)
            },
        )


class CpuBackend:
    """Compiled kernels on all threads."""

    def __init__(self, shape: TrackedShape, targets: Sequence[Targets], peak: int, workers: Workers) -> None:
        self._shape, self._workers = shape, workers
        self._engine = TrackedEngine(shape, targets, peak, workers)
        self._indices = [torch.from_numpy(index) for index in motion_indices(shape)]

    def vector(self, coded: QuantisedVector) -> QuantisedVector:
        return coded

    def gradient(
        self,
        latents: QuantisedVector,
        motion: QuantisedVector,
        network: Mapping[str, Tensor],
        mix: Tensor,
        *,
        frames: Sequence[int] | None = None,
        stride: int = 1,
        phase: int = 0,
        moving: bool = True,
    ) -> Gradient:
        moved = torch.from_numpy(motion.proxy).requires_grad_(moving)
        padded = torch.cat((moved, moved.new_zeros(1)))
        units = torch.tensor(MOTION_UNITS)
        grids = motion_grids(self._shape, [padded[index] * units for index in self._indices])
        found = self._engine.gradient(
            latents.proxy.reshape(-1, self._shape.node_latents),
            alive_grids(self._shape, latents),
            grids.detach().numpy(),
            mix.detach().numpy(),
            {name: network[name].detach().numpy() for name in NETWORK},
            frames=frames,
            stride=stride,
            phase=phase,
        )
        if moving:
            grids.backward(torch.from_numpy(found.motion))
        motion_gradient = np.zeros_like(motion.values) if moved.grad is None else moved.grad.numpy()
        return Gradient(found.distortion, found.latents.reshape(-1), motion_gradient, found.mix, found.network)

    def rate(
        self, coded: QuantisedVector, maps: npt.NDArray[np.int32], parameters: RateParameters, factor: float, out: Any
    ) -> tuple[float, Sequence[Array]]:
        rate = rate_forward_backward(coded.proxy, coded.table, maps, parameters, run=self._workers.map)
        if out is not None:
            out += np.float32(factor) * rate.latents
        return float(rate.bits.sum()), [np.float32(factor) * np.asarray(part, np.float32) for part in rate.parameters]
