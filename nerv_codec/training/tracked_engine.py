"""Distortion of the `tracked` function over a GOP and its gradient, by the compiled kernels on all threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.kernels import planes as plane_kernels
from nerv_codec.kernels import tracked as kernels
from nerv_codec.kernels import tracks as track_kernels
from nerv_codec.model.tracked import FEATURES, UPSAMPLING, TrackedShape
from nerv_codec.model.tracked_function import NETWORK, build_plane, chain_arrays, grid, plane_kinds
from nerv_codec.workers import Workers

Array = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


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


class TrackedEngine:
    """Keeps the buffers of one GOP, and computes pass after pass.

    Each thread takes a run of neighbouring frames. Nodes that frames of several threads read have a gradient
    buffer for each of them, added up in a fixed order; the others have one. So there are no races, the sums
    are reproducible, and few buffers are needed beyond one for each node.
    """

    def __init__(self, shape: TrackedShape, targets: Sequence[Targets], peak: int, workers: Workers) -> None:
        self.shape = shape
        self._targets = list(targets)
        self._peak = np.float32(peak)
        self._workers = workers
        nodes = shape.tree.nodes
        self._chains = [chain_arrays(shape, float(frame)) for frame in range(shape.tree.num_frames)]
        self._shares = [list(part) for part in np.array_split(np.arange(shape.tree.num_frames), workers.count)]
        self._users = [
            [thread for thread, part in enumerate(self._shares) if any(node in self._chains[f][0][:, 0] for f in part)]
            for node in range(len(nodes))
        ]
        self._buffers = np.tile(np.arange(len(nodes)), (workers.count, 1))
        count = len(nodes)
        for node, users in enumerate(self._users):
            for thread in users[1:]:
                self._buffers[thread, node] = count
                count += 1
        size = (shape.height + 2 * kernels.PAD, shape.width + 2 * kernels.PAD, FEATURES)
        self.planes = np.zeros((len(nodes), *size), np.float32)
        self._plane_gradients = np.zeros((count, *size), np.float32)
        self._latent_gradients = np.zeros((len(nodes), shape.node_latents), np.float32)

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
        stride: int = 1,
        phase: int = 0,
    ) -> TrackedGradient:
        """One pass over every ``stride``-th row of all frames, beginning with row ``phase``.

        Args:
            latents: (nodes, node_latents).
            present: (nodes, grids): grids that are not are zero, get no gradient and cost no time.
            motion: (nodes, rows, cols, CHANNELS) as ``motion_grids`` makes it.
            mix: (nodes, grids, FEATURES).
            network: The tensors named in ``network_shapes`` from w1 on.
            stride: Distance of the rows.
            phase: The first row, counted modulo ``stride``.
        """
        shape = self.shape
        self.build_planes(latents, present, mix)
        kinds = plane_kinds(shape, present)
        weights = tuple(np.ascontiguousarray(network[name]) for name in NETWORK)
        transposed = tuple(np.ascontiguousarray(network[name].T) for name in ("w1", "w2", "w3", "skip"))

        def clear(node: int) -> None:
            for thread in self._users[node]:
                self._plane_gradients[self._buffers[thread, node]] = 0

        def fit(thread: int) -> tuple[Array, Array, tuple[Array, ...]]:
            gradients = tuple(np.zeros((*tensor.shape, 8), np.float32) for tensor in weights)
            motion_gradient = np.zeros_like(motion)
            total = np.zeros(shape.outputs, np.float32)
            for frame in self._shares[thread]:
                chain, reals = self._chains[frame]
                tracks = np.empty((len(chain), 3, *shape.knots), np.float32)
                d_tracks = np.zeros_like(tracks)
                track_kernels.tracks_forward(motion, chain, reals, shape.height, shape.width, tracks)
                for group in self._targets:
                    first = phase % min(stride, len(group.rows))
                    rows, codes = group.rows[first::stride], group.codes[frame, first::stride]
                    share = group.weights / np.float32(len(rows) * len(group.cols) * shape.tree.num_frames)
                    kernels.fit_step(
                        self.planes, kinds, chain, tracks, rows, group.cols, weights, transposed, codes, share,
                        self._peak, self._plane_gradients, self._buffers[thread], d_tracks, gradients, total,
                    )  # fmt: skip
                track_kernels.tracks_backward(
                    motion, chain, reals, shape.height, shape.width, d_tracks, motion_gradient
                )
            return total, motion_gradient, gradients

        def back(node: int) -> Array:
            own = self._plane_gradients[self._buffers[self._users[node][0], node]]
            for thread in self._users[node][1:]:
                own += self._plane_gradients[self._buffers[thread, node]]
            plane_kernels.fold_edges(own)
            return backward_plane(shape, own, latents[node], present[node], mix[node], self._latent_gradients[node])

        alive = np.flatnonzero(present.any(1))
        self._workers.map(clear, alive)
        results = self._workers.map(fit, range(self._workers.count))
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
