"""What computes a fit of the `tracked` representation: everything that grows with the pixels.

Networks have some thousand numbers; they and their optimiser stay on the CPU whatever the backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nerv_codec.entropy.context_model import RateParameters
from nerv_codec.representations.tracked.fit.vector import QuantisedVector
from nerv_codec.representations.tracked.shape import TrackedShape

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gradient:
    """What one pass over pictures says; gradients of vectors are in the backend's own form, array or tensor."""

    distortion: Array
    """(outputs,): each output's share; their sum is what is minimised."""
    latents: Any
    """Shaped as the latents; for grids that do not take part it holds nothing of use."""
    motion: Any
    """Shaped as the motion."""
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
            latents: Latents of all nodes, in coding order.
            motion: Motion of all nodes, in coding order.
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


def alive_grids(shape: TrackedShape, latents: QuantisedVector) -> npt.NDArray[np.bool_]:
    """(nodes, grids): which latent grids take part in the fit."""
    return latents.table.active.reshape(len(shape.tree.nodes), -1) > 0
