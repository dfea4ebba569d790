"""What computes a fit of the `tracked` representation: everything that grows with the pixels.

Networks have some thousand numbers; they and their optimiser stay on the CPU whatever the backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.device import runs_triton
from nerv_codec.base.threads import Workers
from nerv_codec.entropy.rate_cpu import ACTIVE, RateParameters, rate_forward_backward
from nerv_codec.representations.tracked.fit.backend_cpu import Targets, TrackedEngine
from nerv_codec.representations.tracked.fit.state import QuantisedVector
from nerv_codec.representations.tracked.payload import motion_indices
from nerv_codec.representations.tracked.render_cpu import MOTION_UNITS, NETWORK
from nerv_codec.representations.tracked.shape import TrackedShape, motion_grids

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gradient:
    """What one pass over pictures says; of vectors in the backend's own form, array or tensor."""

    distortion: Array
    """(outputs,): each output's share; their sum is what is minimised."""
    latents: Any
    """As the latents; of grids that do not take part it holds nothing of use."""
    motion: Any
    """As the motion."""
    mix: Array
    """(nodes, grids, FEATURES)."""
    network: dict[str, Array]


class Backend(Protocol):
    """Where and how a fit computes."""

    def vector(self, coded: QuantisedVector) -> QuantisedVector:
        """The vector in the backend's own form: what it lets one do is the same."""
        ...

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
        """Distortion of the vectors' proxies, and its gradient.

        Args:
            latents: Of all nodes, in coding order.
            motion: Likewise.
            network: Tensors as ``shape.network_shapes()``.
            mix: (nodes, grids, FEATURES).
            frames: Which ones, in ascending order; None is all of them.
            stride: Distance of the rows used.
            phase: The first row, counted modulo ``stride``.
            moving: Whether the gradient of the motion is wanted.
        """
        ...

    def rate(
        self, coded: QuantisedVector, maps: npt.NDArray[np.int32], parameters: RateParameters, factor: float, out: Any
    ) -> tuple[float, Sequence[Array]]:
        """Bits of the vector's proxy; adds ``factor`` times their gradient to ``out`` unless that is None.

        Returns:
            The bits, and ``factor`` times the gradient of each parameter.
        """
        ...


def make_backend(
    shape: TrackedShape,
    targets: Sequence[Targets],
    peak: int,
    workers: Workers,
    executor: Executor,
    device: torch.device,
) -> Backend:
    """Triton kernels where they run, else compiled ones on the CPU."""
    if runs_triton(device):
        from nerv_codec.representations.tracked.fit.backend_cuda import (
            CudaBackend,  # brings Triton, which not every machine has
        )

        return CudaBackend(shape, targets, peak, device)
    return CpuBackend(shape, targets, peak, workers, executor)


def present_grids(shape: TrackedShape, latents: QuantisedVector) -> npt.NDArray[np.bool_]:
    """(nodes, grids): which latent grids are alive."""
    return latents.table[:, ACTIVE].reshape(len(shape.tree.nodes), -1) > 0


class CpuBackend:
    """Compiled kernels on all threads."""

    def __init__(
        self, shape: TrackedShape, targets: Sequence[Targets], peak: int, workers: Workers, executor: Executor
    ) -> None:
        self._shape, self._executor = shape, executor
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
            present_grids(self._shape, latents),
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
        rate = rate_forward_backward(coded.proxy, coded.table, maps, parameters, executor=self._executor)
        if out is not None:
            out += np.float32(factor) * rate.latents
        return float(rate.bits.sum()), [np.float32(factor) * np.asarray(part, np.float32) for part in rate.parameters]
