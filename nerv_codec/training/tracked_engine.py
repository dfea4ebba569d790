"""Distortion of the `tracked` function over a GOP and its gradient, by the compiled kernels on all threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.kernels import tracked as kernels
from nerv_codec.model.tracked import CUBIC_DEPTH, FEATURES, UPSAMPLING, TrackedShape
from nerv_codec.model.tracked_function import NETWORK, build_plane, chain_arrays, grid
from nerv_codec.workers import Workers

Array = npt.NDArray[np.float32]


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
    motion: Array
    """(nodes, H, W, 4), with respect to the dense fields."""
    mix: Array
    """(nodes, scales, FEATURES)."""
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
        self.cubic = np.array([node.depth <= CUBIC_DEPTH for node in nodes])
        self._chains = [chain_arrays(shape, float(frame)) for frame in range(shape.tree.num_frames)]
        self._shares = [list(part) for part in np.array_split(np.arange(shape.tree.num_frames), workers.count)]
        touched = [
            {int(n) for frame in part for n in self._chains[frame][0][:, [0, 2]].ravel()} - {-1}
            for part in self._shares
        ]
        self._buffers = np.tile(np.arange(len(nodes)), (workers.count, 1))
        self._extra: list[tuple[int, int]] = []
        for node in range(len(nodes)):
            users = [thread for thread, own in enumerate(touched) if node in own]
            for thread in users[1:]:
                self._buffers[thread, node] = len(nodes) + len(self._extra)
                self._extra.append((node, len(nodes) + len(self._extra)))
        size = (shape.height, shape.width)
        self.planes = np.empty((len(nodes), *size, FEATURES), np.float32)
        self._plane_gradients = np.empty((len(nodes) + len(self._extra), *size, FEATURES), np.float32)
        self._motion_gradients = np.empty((len(nodes) + len(self._extra), *size, 4), np.float32)

    def build_planes(self, latents: Array, mix: Array) -> None:
        """Fills ``planes`` from (nodes, node_latents) latents and (nodes, scales, FEATURES) mixing vectors."""

        def build(node: int) -> None:
            self.planes[node] = build_plane(self.shape, latents[node], mix[node])

        self._workers.map(build, range(len(self.planes)))

    def gradient(
        self,
        latents: Array,
        motion: Array,
        mix: Array,
        network: Mapping[str, Array],
        *,
        stride: int = 1,
        phase: int = 0,
    ) -> TrackedGradient:
        """One pass over every ``stride``-th row of all frames, beginning with row ``phase``.

        Args:
            latents: (nodes, node_latents). motion: (nodes, H, W, 4), pixels. mix: (nodes, scales, FEATURES).
            network: The tensors named in ``network_shapes`` from w1 on.
        """
        self.build_planes(latents, mix)
        nodes = len(self.planes)
        weights = tuple(np.ascontiguousarray(network[name]) for name in NETWORK)

        def fit(thread: int) -> tuple[Array, tuple[Array, ...]]:
            gradients = tuple(np.zeros_like(tensor) for tensor in weights)
            total = np.zeros(self.shape.outputs, np.float32)
            for frame in self._shares[thread]:
                for group in self._targets:
                    rows = group.rows[phase % min(stride, len(group.rows)) :: stride]
                    codes = group.codes[frame, phase % min(stride, len(group.rows)) :: stride]
                    share = group.weights / np.float32(len(rows) * len(group.cols) * self.shape.tree.num_frames)
                    kernels.fit_step(
                        self.planes, motion, self.cubic, *self._chains[frame], rows, group.cols, weights,
                        np.ascontiguousarray(codes), share, self._peak, self._plane_gradients, self._motion_gradients,
                        self._buffers[thread], gradients, total,
                    )  # fmt: skip
            return total, gradients

        def clear(buffer: int) -> None:
            self._plane_gradients[buffer] = 0
            self._motion_gradients[buffer] = 0

        self._workers.map(clear, range(len(self._plane_gradients)))
        results = self._workers.map(fit, range(self._workers.count))
        for node, extra in self._extra:
            self._plane_gradients[node] += self._plane_gradients[extra]
            self._motion_gradients[node] += self._motion_gradients[extra]
        back = self._workers.map(
            lambda node: backward_plane(self.shape, self._plane_gradients[node], latents[node], mix[node]), range(nodes)
        )
        return TrackedGradient(
            distortion=np.sum([total for total, _ in results], axis=0),
            latents=np.stack([gradient for gradient, _ in back]),
            motion=self._motion_gradients[:nodes],
            mix=np.stack([gradient for _, gradient in back]),
            network={
                name: np.sum([gradients[index] for _, gradients in results], axis=0)
                for index, name in enumerate(NETWORK)
            },
        )


def backward_plane(shape: TrackedShape, gradient: Array, latents: Array, mix: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`build_plane`: gradients of the latents and of ``mix``."""
    taps = np.array(UPSAMPLING, np.float32)
    latent_gradients, mix_gradients = np.empty_like(latents), np.zeros_like(mix)
    for scale in range(shape.scales - 1):
        coarse = np.empty((*shape.grid_sizes[scale + 1], FEATURES), np.float32)
        kernels.upsample_add_backward(
            gradient, grid(shape, latents, scale), mix[scale], taps, coarse,
            grid(shape, latent_gradients, scale), mix_gradients[scale],
        )  # fmt: skip
        gradient = coarse
    grid(shape, latent_gradients, shape.scales - 1)[:] = gradient @ mix[-1]
    mix_gradients[-1] = np.einsum("ijf,ij->f", gradient, grid(shape, latents, shape.scales - 1))
    return latent_gradients, mix_gradients
