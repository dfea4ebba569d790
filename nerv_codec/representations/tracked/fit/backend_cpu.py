"""Distortion of the `tracked` function over a GOP and its gradient, by the compiled kernels on all threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.threads import Workers
from nerv_codec.representations.tracked.cpu import colour as kernels
from nerv_codec.representations.tracked.cpu import planes as plane_kernels
from nerv_codec.representations.tracked.cpu import tracks as track_kernels
from nerv_codec.representations.tracked.render_cpu import NETWORK, build_plane, chain_arrays, grid, plane_kinds
from nerv_codec.representations.tracked.shape import FEATURES, UPSAMPLING, TrackedShape

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
PARTS = 4
"""Pieces in which a pass is computed, and so the most threads that it can use; more GOPs at once use more."""


@dataclass(frozen=True)
class Targets:
    """Code values of planes that have their samples at the same places, for all frames of the GOP."""

    rows: Array
    """(R,) in pixels."""
    cols: Array
    codes: npt.NDArray[np.unsignedinteger]
    """(frames, R, Q, outputs); outputs that have no sample here may hold anything, their weight is 0."""
    weights: Array
    """(outputs,): share of each output's mean squared error in the distortion."""


@dataclass(frozen=True)
class TrackedGradient:
    """What one pass says."""

    distortion: Array
    """(outputs,): each output's share; their sum is what is minimised."""
    latents: Array
    """(nodes, node_latents); of grids that are not present it holds nothing of use."""
    motion: Array
    """(nodes, rows, cols, CHANNELS), with respect to the whole motion grids."""
    mix: Array
    """(nodes, grids, FEATURES)."""
    network: dict[str, Array]


@dataclass(frozen=True)
class _Plan:
    """Who computes what of a set of frames."""

    parts: tuple[tuple[tuple[int, float, float], ...], ...]
    """Of each part: frames, and from where to where as shares of the height."""
    users: tuple[tuple[int, ...], ...]
    """Of each node: the parts that read it."""
    buffers: npt.NDArray[np.int64]
    """(parts, nodes): where a part adds up a node's gradient."""
    count: int
    """Buffers in all."""


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
        self._size = (shape.height + 2 * kernels.PAD, shape.width + 2 * kernels.PAD, FEATURES)
        self.planes = np.zeros((nodes, *self._size), np.float32)
        self._plane_gradients = np.zeros((0, *self._size), np.float32)
        self._latent_gradients = np.zeros((nodes, shape.node_latents), np.float32)

    def _plan(self, frames: tuple[int, ...]) -> _Plan:
        if frames not in self._plans:
            self._plans[frames] = self._make_plan(frames)
        plan = self._plans[frames]
        if plan.count > len(self._plane_gradients):
            self._plane_gradients = np.zeros((plan.count, *self._size), np.float32)
        return plan

    def _make_plan(self, frames: tuple[int, ...]) -> _Plan:
        count_parts, nodes = PARTS, len(self.planes)
        parts = []
        for part in range(count_parts):
            first, last = (len(frames) * number / count_parts for number in (part, part + 1))
            own = [
                (frame, max(first - index, 0.0), min(last - index, 1.0))
                for index, frame in enumerate(frames)
                if first < index + 1 and index < last
            ]
            parts.append(tuple(own))
        read = [{int(node) for frame, _, _ in part for node in self._chains[frame][0][:, 0]} for part in parts]
        users = tuple(tuple(part for part in range(count_parts) if node in read[part]) for node in range(nodes))
        buffers = np.tile(np.arange(nodes), (count_parts, 1))
        count = nodes
        for node, own_users in enumerate(users):
            for part in own_users[1:]:
                buffers[part, node] = count
                count += 1
        return _Plan(tuple(parts), users, buffers, count)

    def build_planes(self, latents: Array, present: Flags, mix: Array) -> None:
        """Fills ``planes`` from (nodes, node_latents) latents and (nodes, grids, FEATURES) mixing vectors."""

        def build(node: int) -> None:
            build_plane(self.shape, latents[node], present[node], mix[node], self.planes[node])

        self._workers.map(build, np.flatnonzero(present.any(1)))

    def gradient(
        self,
        latents: Array,
        present: Flags,
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
            present: (nodes, grids): grids that are not are zero, get no gradient and cost no time.
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
        self.build_planes(latents, present, mix)
        kinds = plane_kinds(shape, present)
        weights = tuple(np.ascontiguousarray(network[name]) for name in NETWORK)
        transposed = tuple(np.ascontiguousarray(network[name].T) for name in ("w1", "w2", "w3", "skip"))

        def clear(node: int) -> None:
            for part in plan.users[node]:
                self._plane_gradients[plan.buffers[part, node]] = 0

        def fit(part: int) -> tuple[Array, Array, tuple[Array, ...]]:
            gradients = tuple(np.zeros((*tensor.shape, 8), np.float32) for tensor in weights)
            motion_gradient = np.zeros_like(motion)
            total = np.zeros(shape.outputs, np.float32)
            for frame, first, last in plan.parts[part]:
                chain, reals = self._chains[frame]
                tracks = np.empty((len(chain), 3, *shape.knots), np.float32)
                d_tracks = np.zeros_like(tracks)
                track_kernels.tracks_forward(motion, chain, reals, shape.height, shape.width, 0, shape.knots[0], tracks)
                for group in self._targets:
                    begin = phase % min(stride, len(group.rows))
                    rows, codes = group.rows[begin::stride], group.codes[frame, begin::stride]
                    own = slice(round(first * len(rows)), round(last * len(rows)))
                    share = group.weights / np.float32(len(rows) * len(group.cols) * len(chosen))
                    kernels.fit_step(
                        self.planes, kinds, chain, tracks, rows[own], group.cols, weights, transposed, codes[own],
                        share, self._peak, self._plane_gradients, plan.buffers[part], d_tracks, gradients, total,
                    )  # fmt: skip
                if len(chain) > 1:
                    track_kernels.tracks_backward(
                        motion, chain, reals, shape.height, shape.width, d_tracks, motion_gradient
                    )
            return total, motion_gradient, gradients

        def back(node: int) -> Array:
            own = self._plane_gradients[plan.buffers[plan.users[node][0], node]]
            for part in plan.users[node][1:]:
                own += self._plane_gradients[plan.buffers[part, node]]
            plane_kernels.fold_edges(own)
            return backward_plane(shape, own, latents[node], present[node], mix[node], self._latent_gradients[node])

        alive = [int(node) for node in np.flatnonzero(present.any(1)) if plan.users[node]]
        self._workers.map(clear, alive)
        results = self._workers.map(fit, range(PARTS))
        mix_gradient = np.zeros_like(mix)
        for node, gradient in zip(alive, self._workers.map(back, alive), strict=True):
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


def backward_plane(
    shape: TrackedShape, gradient: Array, latents: Array, present: Flags, mix: Array, latent_gradient: Array
) -> Array:
    """Adjoint of :func:`build_plane`: writes the latents' gradient, returns that of ``mix``."""
    taps = np.array(UPSAMPLING, np.float32)
    mix_gradient = np.zeros_like(mix)
    last = shape.grid_scales[np.flatnonzero(present)[0]]
    for scale in range(last + 1):
        pad = 0 if scale else kernels.PAD
        rows, cols = shape.size_at(scale)
        coarse = np.empty(((rows + 1) // 2, (cols + 1) // 2, FEATURES), np.float32)
        own, *others = shape.at_scale(scale)
        for other in others:
            if present[other]:
                plane_kernels.add_latents_backward(
                    gradient, grid(shape, latents, other), mix[other], grid(shape, latent_gradient, other),
                    mix_gradient[other], pad,
                )  # fmt: skip
        plane_kernels.upsample_add_backward(
            gradient, grid(shape, latents, own), present[own], mix[own], taps, coarse,
            grid(shape, latent_gradient, own), mix_gradient[own], pad,
        )  # fmt: skip
        gradient = coarse
    return mix_gradient
