"""The plain coordinate network: sine activations all the way (Sitzmann et al. 2020, "Implicit Neural
Representations with Periodic Activation Functions").

A layer is ``sin(x W + b)``. The paper writes ``sin(w0 (x W + b))``; here w0 is part of W and b, so that a
decoder needs no further constants. The last layer is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nerv_codec.base.threads import Workers
from nerv_codec.base.video import Plane
from nerv_codec.representations.coordinates import GopGeometry, lattice
from nerv_codec.representations.representation import BAND_SAMPLES, plane_numbers
from nerv_codec.representations.siren.shape import tensor_shapes

CHUNK = 4096
"""Coordinates evaluated at once. Every chunk is padded to this size, so that a coordinate meets the same
matrix kernels, and so gets the same value, whatever else is asked for."""


class Siren(nn.Module):
    """A sine network on the box of one GOP.

    Args:
        geometry: The box, and the number of outputs.
        tensors: ``tensor_shapes(...)`` float32 arrays: weight, bias, weight, bias, ...
    """

    band_samples = BAND_SAMPLES

    def __init__(self, geometry: GopGeometry, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.geometry = geometry
        self.tensors = nn.ParameterList(tensors)

    @property
    def width(self) -> int:
        """Neurons a layer."""
        return int(self.tensors[0].shape[1])

    @property
    def hidden_layers(self) -> int:
        """Sine layers after the first."""
        return len(self.tensors) // 2 - 2

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate."""
        return sum(weight.numel() for weight in self.tensors[::2])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3) normalised coordinates to (N, num_planes)."""
        return siren_forward(list(self.tensors), x)

    def codes(self, t: float, plane: int, rows: Tensor, cols: Tensor, depth: int) -> Plane | None:
        """None: see ``Representation``."""
        return None

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice; see :class:`~nerv_codec.representations.representation.Representation`."""
        axes = self.geometry.normalise((times, rows, cols))
        values = self._evaluate(lattice(*axes).reshape(-1, 3))
        values = values.reshape(len(times), len(rows), len(cols), -1).permute(0, 3, 1, 2)
        return values[:, plane_numbers(planes, self.geometry)].contiguous()

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see :class:`~nerv_codec.representations.representation.Representation`."""
        axes = self.geometry.normalise(coords.reshape(-1, 3).double().unbind(-1))
        return self._evaluate(torch.stack(axes, dim=-1)).reshape(*coords.shape[:-1], -1)

    @torch.no_grad()
    def _evaluate(self, x: Tensor) -> Tensor:
        """(N, 3) normalised coordinates to (N, num_planes) float32 on the CPU, chunk by chunk."""
        device = self.tensors[0].device
        tensors = [tensor.detach() for tensor in self.tensors]
        # An array, since a tensor made under torch.inference_mode may not be written to from other threads.
        out = np.empty((len(x), self.geometry.num_planes), np.float32)

        def evaluate(start: int) -> None:
            part = x[start : start + CHUNK].float()
            chunk = torch.nn.functional.pad(part, (0, 0, 0, CHUNK - len(part))).to(device)
            with torch.autocast(device.type, enabled=False):
                out[start : start + len(part)] = siren_forward(tensors, chunk)[: len(part)].cpu().numpy()

        with Workers() as workers:
            workers.map(torch.no_grad()(evaluate), range(0, len(x), CHUNK))
        return torch.from_numpy(out)


def siren_forward(tensors: Sequence[Tensor], x: Tensor) -> Tensor:
    """(N, 3) normalised coordinates to (N, num_planes), given weight, bias, weight, bias, ..."""
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        x = torch.sin(torch.addmm(bias, x, weight))
    return torch.addmm(tensors[-1], x, tensors[-2])


def num_parameters(width: int, hidden_layers: int, num_planes: int) -> int:
    """Weights and biases of a network of this size."""
    return sum(math.prod(shape) for shape in tensor_shapes(width, hidden_layers, num_planes))


def initial_tensors(
    width: int,
    hidden_layers: int,
    *,
    omega: tuple[float, float, float],
    mean: Tensor,
    generator: torch.Generator,
) -> list[Tensor]:
    """Random tensors after section 3.2 of the paper: every layer's sines are arcsine distributed.

    Args:
        width: Neurons a layer.
        hidden_layers: Sine layers after the first.
        omega: w0 of the first layer for t, row and col: its weights are U(-w0/3, w0/3).
        mean: (num_planes,) what the network gives before it has learnt anything.
        generator: Source of randomness, on the CPU.
    """

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(shape, generator=generator) - 1

    tensors = [uniform(3, width) * torch.tensor(omega)[:, None] / 3, uniform(width) * math.pi]
    for _ in range(hidden_layers):
        tensors += [uniform(width, width) * math.sqrt(6 / width), uniform(width) * math.pi]
    # The paper divides the weights of all layers after the first by w0; for the last, linear one it stays.
    return [*tensors, uniform(width, len(mean)) * math.sqrt(6 / width) / 30, mean.clone()]
