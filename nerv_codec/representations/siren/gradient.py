"""Distortion of a sine network and its gradient, written out by hand.

Automatic differentiation keeps every activation of a batch in memory and is bound by that traffic. Here a
batch goes through in chunks whose activations stay in a core's cache, the matrix products run in bfloat16
where the processor has instructions for it, and each thread takes its own chunks. The plain form that this
must agree with is ``Siren.forward`` and ``Tensor.backward`` (tests/representations/siren/test_gradient.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.siren.network import siren_forward

_CPU_CHUNK = 2048
_CPU_SHARES = 8
"""Into which a batch is divided, whatever the number of threads: the same sums in the same order."""


@dataclass(frozen=True)
class Batch:
    """Sites of one step."""

    coords: Tensor
    """(N, 3), normalised."""
    targets: Tensor
    """(N, P) in [0, 1]."""
    weights: Tensor
    """(N, P): share of each squared error in the distortion; 0 where a plane has no sample."""


@dataclass(frozen=True)
class BatchGradient:
    """What one batch says."""

    distortion: Tensor
    """(P,): each plane's weighted squared error; their sum is what is minimised."""
    tensors: list[Tensor]
    """d distortion / d tensor, float32, in the order of ``tensor_shapes``."""


class SirenGradient:
    """Computes gradients batch after batch with buffers that are kept.

    Args:
        shapes: Of the network's tensors.
        device: Where.
        dtype: Of the matrix products: float32, or bfloat16 with float32 sums and sines.
        workers: Threads to share a batch among.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, ...]], *, device: torch.device, dtype: torch.dtype, workers: Workers
    ) -> None:
        self._dtype = dtype
        self._workers = workers
        # Their number, not that of the threads, decides in which order sums are taken.
        self._sums = [_Worker(shapes, device, dtype) for _ in range(_CPU_SHARES if device.type == "cpu" else 1)]
        self._chunk = _CPU_CHUNK if device.type == "cpu" else 1 << 30

    def __call__(self, tensors: Sequence[Tensor], batch: Batch) -> BatchGradient:
        """Distortion and gradient at ``tensors``. The sums run in a fixed order: same input, same bits."""
        cast = [tensor.to(self._dtype) for tensor in tensors]
        parts = self._parts(len(batch.coords))
        shares = [parts[index :: len(self._sums)] for index in range(len(self._sums))]
        distortions = self._workers.map(lambda s, share: s.run(tensors, cast, batch, share), self._sums, shares)
        sums = zip(*(worker.gradients for worker in self._sums), strict=True)
        return BatchGradient(torch.stack(distortions).sum(0), [torch.stack(parts).sum(0) for parts in sums])

    @torch.no_grad()
    def distortion(self, tensors: Sequence[Tensor], batch: Batch) -> float:
        """The distortion alone, all in float32 as the decoder computes."""

        def part(part: slice) -> Tensor:
            error = siren_forward(tensors, batch.coords[part]) - batch.targets[part]
            return (error.square() * batch.weights[part]).sum(dtype=torch.float64)

        return float(torch.stack(self._workers.map(part, self._parts(len(batch.coords)))).sum())

    def _parts(self, rows: int) -> list[slice]:
        """Chunks of about equal size, as many for each worker."""
        count = len(self._sums)
        chunks = -(-rows // (self._chunk * count)) * count
        size = -(-rows // chunks)
        return [slice(start, start + size) for start in range(0, rows, size)]


class _Worker:
    """Buffers of one share of a batch, and its sum of gradients over the chunks of that share."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], device: torch.device, dtype: torch.dtype) -> None:
        self.gradients = [torch.zeros(shape, device=device) for shape in shapes]
        self._dtype = dtype
        self._device = device
        self._layers = len(shapes) // 2
        self._width = shapes[0][1]
        self._rows = 0

    def _reserve(self, rows: int) -> None:
        if rows <= self._rows:
            return
        self._rows = rows

        def buffer(dtype: torch.dtype = self._dtype) -> Tensor:
            return torch.empty(rows, self._width, dtype=dtype, device=self._device)

        self._sines = [buffer() for _ in range(self._layers - 1)]
        self._cosines = [buffer() for _ in range(self._layers - 1)]
        self._wide, self._wide2 = buffer(torch.float32), buffer(torch.float32)
        self._narrow, self._narrow2 = buffer(), buffer()

    @torch.no_grad()
    def run(self, tensors: Sequence[Tensor], cast: Sequence[Tensor], batch: Batch, parts: Sequence[slice]) -> Tensor:
        """Adds up gradients over ``parts``; returns the distortion of each plane."""
        for gradient in self.gradients:
            gradient.zero_()
        distortion = torch.zeros(batch.targets.shape[1], device=self._device)
        for part in parts:
            coords = batch.coords[part]
            self._reserve(len(coords))
            output = self._forward(tensors, cast, coords)
            error = output - batch.targets[part]
            slope = error * batch.weights[part]
            distortion += (slope * error).sum(0)
            self._backward(cast, coords, slope.mul_(2))
        return distortion

    def _forward(self, tensors: Sequence[Tensor], cast: Sequence[Tensor], coords: Tensor) -> Tensor:
        rows = len(coords)
        # The first layer's phases reach hundreds of radians: bfloat16 cannot hold them.
        phase = torch.addmm(tensors[1], coords, tensors[0], out=self._wide[:rows])
        for layer in range(self._layers - 1):
            if layer:
                narrow = self._narrow[:rows]
                torch.addmm(cast[2 * layer + 1], self._sines[layer - 1][:rows], cast[2 * layer], out=narrow)
                phase = narrow if self._dtype == torch.float32 else self._wide[:rows].copy_(narrow)
            if self._dtype == torch.float32:
                torch.sin(phase, out=self._sines[layer][:rows])
                torch.cos(phase, out=self._cosines[layer][:rows])
            else:
                wide = self._wide2[:rows]
                self._sines[layer][:rows].copy_(torch.sin(phase, out=wide))
                self._cosines[layer][:rows].copy_(torch.cos(phase, out=wide))
        return torch.addmm(cast[-1], self._sines[-1][:rows], cast[-2]).float()

    def _backward(self, cast: Sequence[Tensor], coords: Tensor, slope: Tensor) -> None:
        rows = len(coords)
        self.gradients[-1] += slope.sum(0)
        slope = slope.to(self._dtype)
        self.gradients[-2] += self._sines[-1][:rows].T @ slope
        current, spare = self._narrow[:rows], self._narrow2[:rows]
        torch.mm(slope, cast[-2].T, out=current)
        for layer in range(self._layers - 2, -1, -1):
            current.mul_(self._cosines[layer][:rows])
            weight_gradient, bias_gradient = self.gradients[2 * layer], self.gradients[2 * layer + 1]
            if layer:
                weight_gradient += self._sines[layer - 1][:rows].T @ current
                bias_gradient += current.sum(0, dtype=torch.float32)
                torch.mm(current, cast[2 * layer].T, out=spare)
                current, spare = spare, current
            else:
                wide = self._wide[:rows].copy_(current)
                weight_gradient.addmm_(coords.T, wide)
                bias_gradient += wide.sum(0)


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies matrices in it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return torch.float32
    supported = _cpu_has_bfloat16()
    return torch.bfloat16 if supported else torch.float32


def _cpu_has_bfloat16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and capability.startswith("AVX512")
    except (AttributeError, RuntimeError):
        return False
