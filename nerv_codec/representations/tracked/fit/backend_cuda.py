"""A fit of the `tracked` representation on a GPU. Import only where Triton is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.entropy import rate_cuda
from nerv_codec.entropy.context_model import RateParameters
from nerv_codec.representations.tracked.chains import map_kinds
from nerv_codec.representations.tracked.cuda import colour, quantise, tracks
from nerv_codec.representations.tracked.fit.backend import Gradient, alive_grids
from nerv_codec.representations.tracked.fit.targets import Targets
from nerv_codec.representations.tracked.fit.vector import BETAS, QuantisedVector
from nerv_codec.representations.tracked.function import motion_grids, refinement_matrix
from nerv_codec.representations.tracked.grid_tables import motion_indices
from nerv_codec.representations.tracked.render_cuda import Chains, make_pyramid
from nerv_codec.representations.tracked.shape import (
    CHANNELS,
    FEATURES,
    KEPT,
    MOTION_UNITS,
    NETWORK,
    NODE,
    PAD,
    TrackedShape,
)

PRECISION = "tf32"
"""Precision of products while fitting: what it loses is far below what is fitted."""


class DeviceVector(QuantisedVector):
    """Integers to be, on a device.

    Args:
        coded: Where they start.
        device: Where they are.
    """

    values: Tensor
    first: Tensor
    second: Tensor
    proxy: Tensor
    slopes: Tensor

    def __init__(self, coded: QuantisedVector, device: torch.device) -> None:
        self.table, self._device = coded.table, device
        self.values, self.first, self.second, self.proxy, self.slopes = (
            torch.from_numpy(array).to(device)
            for array in (coded.values, coded.first, coded.second, coded.proxy, coded.slopes)
        )
        self._maps: npt.NDArray[np.int32] | None = None
        self.spans = self._spans()

    def _spans(self) -> npt.NDArray[np.int64]:
        spans = super()._spans()
        self._blocks = quantise.make_blocks(spans, self._device)
        self._rate_blocks = rate_cuda.make_blocks(self.table, self._device)
        self._device_table = torch.from_numpy(self.table.array.astype(np.int32)).to(self._device)
        return spans

    def soften(self, temperature: float, deviation: float, seed: int) -> None:
        quantise.soft_round(self.values, self._blocks, temperature, deviation, seed, self.proxy, self.slopes)

    def round(self) -> None:
        self.prune()
        self.values.round_()
        self.proxy.copy_(self.values)

    def show_rounded(self) -> None:
        self.proxy.copy_(self.values.round())

    def prune(self) -> None:
        alive = [(index, grid.part) for index, grid in enumerate(self.table) if grid.active]
        if alive:
            largest = torch.stack([self.values[part].abs().amax() for _, part in alive]).tolist()
            for (index, part), most in zip(alive, largest, strict=True):
                if most <= 0.5:
                    self.table.active[index] = 0
                    for tensor in (self.values, self.proxy, self.slopes):
                        tensor[part] = 0
        self.spans = self._spans()

    def step(self, gradient: Tensor, rate: float, count: int, floor: float) -> None:
        quantise.adam(
            self.values, gradient, self.slopes, self.first, self.second, self._blocks, rate, BETAS, count, floor
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        tensors = {"values": self.values, "first": self.first, "second": self.second}
        active = np.ascontiguousarray(self.table.active)
        return {**{name: tensor.cpu().numpy() for name, tensor in tensors.items()}, "active": active}

    @property
    def symbols(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.values.round().int().cpu().numpy())

    def rate(
        self, maps: npt.NDArray[np.int32], parameters: RateParameters, factor: float, out: Tensor
    ) -> tuple[float, list[npt.NDArray[np.float32]]]:
        """See ``Backend.rate``."""
        if self._maps is not maps:
            self._maps, self._device_maps = maps, torch.from_numpy(maps).to(self._device)
        return rate_cuda.rate(
            self.proxy, self._rate_blocks, self._device_table, self._device_maps, parameters, factor, out
        )


class Motion:
    """``motion_grids`` of a flat vector of symbols, and its adjoint, as few products.

    The prediction of motion from that of the parents is linear and the same at all places, so it is one matrix.
    """

    def __init__(self, shape: TrackedShape, device: torch.device) -> None:
        self._indices = [torch.from_numpy(index).to(device) for index in motion_indices(shape)]
        self._units = torch.tensor(MOTION_UNITS, device=device)
        pairs = zip(shape.motion_sizes[1:], shape.motion_sizes, strict=False)
        self._refine = [
            tuple(refinement_matrix(coarse, fine).to(device) for coarse, fine in zip(*sizes, strict=True))
            for sizes in pairs
        ]
        self._predict = _prediction(shape).to(device)
        self._leaves: list[Tensor] = []
        self._grids = torch.empty(0)

    def forward(self, symbols: Tensor) -> Tensor:
        """(nodes, rows, cols, CHANNELS)."""
        padded = torch.cat((symbols, symbols.new_zeros(1)))
        self._leaves = [(padded[index] * self._units).requires_grad_(True) for index in self._indices]
        with torch.enable_grad():
            whole = self._leaves[-1]
            for (rows, cols), finer in zip(reversed(self._refine), reversed(self._leaves[:-1]), strict=True):
                whole = torch.einsum("ir,nrcf,jc->nijf", rows, whole, cols) + finer
            pairs = whole[..., :4].unflatten(-1, (2, 2))
            moved = torch.einsum("nrmq,mijqk->nijrk", self._predict, pairs).flatten(-2)
            grids = torch.cat((moved, whole[..., 4:]), -1)
            self._grids = torch.nn.functional.pad(grids, (0, CHANNELS - KEPT))
        return self._grids.detach()

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient of the symbols, from that of the grids."""
        parts = torch.autograd.grad(self._grids, self._leaves, gradient)
        last = int(self._indices[0].max())
        flat = gradient.new_zeros(max(last, *(int(index.max()) for index in self._indices)) + 1)
        for index, part in zip(self._indices, parts, strict=True):
            flat[index] = part * self._units
        return flat


def _prediction(shape: TrackedShape) -> Tensor:
    """(nodes, 2, nodes, 2): what the motion of each node towards each parent takes from what each node keeps."""
    nodes = len(shape.tree.nodes)
    probes = torch.zeros(nodes, 2 * nodes, 1, KEPT)
    for node in range(nodes):
        for number in range(2):
            probes[node, 2 * node + number, 0, 2 * number] = 1
    answers = motion_grids(shape, [probes])[:, :, 0, 0:4:2]
    return answers.unflatten(1, (nodes, 2)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Group:
    """Targets on the device."""

    axes: tuple[Tensor, Tensor]
    """Rows and columns, on the CPU."""
    rows: Tensor
    cols: Tensor
    codes: Tensor
    weights: Tensor


class CudaBackend:
    """Triton kernels; buffers stay on the device. See ``backend.Backend``."""

    def __init__(
        self,
        shape: TrackedShape,
        targets: Sequence[Targets],
        peak: int,
        device: torch.device,
        precision: str = PRECISION,
    ) -> None:
        self._shape, self._peak, self._device, self._precision = shape, peak, device, precision
        self._chains = Chains.at(shape, [float(frame) for frame in range(shape.tree.num_frames)], device)
        self._nodes = self._chains.chain[:, NODE].contiguous()
        self._firsts, self._read = self._chains.firsts.tolist(), self._nodes.tolist()
        self._motion = Motion(shape, device)
        self._pyramid = make_pyramid(shape)
        self._groups = [
            _Group(
                (torch.from_numpy(group.rows), torch.from_numpy(group.cols)),
                torch.from_numpy(group.rows).to(device),
                torch.from_numpy(group.cols).to(device),
                torch.from_numpy(group.codes if group.codes.dtype == np.uint8 else group.codes.astype(np.int32)).to(
                    device
                ),
                torch.from_numpy(group.weights).to(device),
            )
            for group in targets
        ]
        nodes = len(shape.tree.nodes)
        size = (nodes, shape.height + 2 * PAD, shape.width + 2 * PAD, FEATURES)
        self._feature_maps, self._map_gradients = (torch.zeros(size, device=device) for _ in range(2))
        self._tracks, self._d_tracks = (torch.zeros(len(self._nodes), 3, *shape.knots, device=device) for _ in range(2))
        self._latent_gradients = torch.zeros(nodes, shape.node_latents, device=device)
        self._sums = torch.zeros(colour.SLOTS, colour.network_size(shape.hidden) + colour.LANES, device=device)

    def vector(self, coded: QuantisedVector) -> QuantisedVector:
        return DeviceVector(coded, self._device)

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
        shape = self._shape
        chosen = tuple(range(shape.tree.num_frames)) if frames is None else tuple(frames)
        read = {node for frame in chosen for node in self._read[self._firsts[frame] : self._firsts[frame + 1]]}
        present = alive_grids(shape, latents)
        alive = self._integers([int(node) for node in np.flatnonzero(present.any(1)) if node in read])
        moments, kinds = self._integers(chosen), self._integers(map_kinds(shape, present))
        held = (mix.detach() * torch.from_numpy(present)[..., None]).to(self._device)
        assert isinstance(latents, DeviceVector)
        symbols = latents.proxy.view(-1, shape.node_latents)
        packed = colour.pack_network({name: network[name] for name in NETWORK}, shape.hidden).to(self._device)
        if len(alive):
            self._pyramid.build_planes(alive, symbols, held, self._feature_maps, alive)
        grids = self._motion.forward(motion.proxy)
        self._chains.tracks(grids, shape, moments, self._tracks)
        for buffer in (self._map_gradients, self._d_tracks, self._sums):
            buffer.zero_()
        for group in self._groups:
            self._fit(group, kinds, packed, moments, len(chosen), stride, phase)
        motion_gradient = torch.zeros_like(motion.values)
        if moving and len(motion.values):
            grid_gradients = torch.zeros_like(grids)
            tracks.backward(
                grids, self._chains.chain, self._chains.reals, self._chains.firsts, moments,
                (shape.height, shape.width), self._tracks, self._d_tracks, grid_gradients,
            )  # fmt: skip
            motion_gradient = self._motion.backward(grid_gradients)[: len(motion.values)]
        mix_gradient = torch.zeros_like(held)
        if len(alive):
            mix_gradient = self._pyramid.backward(alive, self._map_gradients, symbols, held, self._latent_gradients)
        sums = self._sums.double().sum(0).float().cpu()
        shapes = {name: shape.network_shapes()[name] for name in NETWORK}
        return Gradient(
            distortion=sums[-colour.LANES :][: shape.outputs].numpy(),
            latents=self._latent_gradients.view(-1),
            motion=motion_gradient,
            mix=mix_gradient.cpu().numpy() * present[..., None],
            network={
                name: np.ascontiguousarray(part.numpy())
                for name, part in colour.unpack_network(sums, shapes, shape.hidden).items()
            },
        )

    def _integers(self, values: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.int32)).to(self._device)

    def _fit(
        self, group: _Group, kinds: Tensor, packed: Tensor, frames: Tensor, count: int, stride: int, phase: int
    ) -> None:
        begin = phase % min(stride, len(group.rows))
        used = group.axes[0][begin::stride]
        knots = self._shape.knots
        windows = (
            colour.knot_window(used, knots[0]),
            colour.knot_window(group.axes[1], knots[1]),
        )
        colour.fit(
            self._feature_maps, kinds, self._nodes, self._chains.firsts, self._tracks,
            group.rows, begin, stride, group.cols, packed, self._shape.hidden,
            frames, group.codes, self._peak, group.weights / (len(used) * len(group.cols) * count), windows,
            self._map_gradients, self._d_tracks, self._sums, self._precision,
        )  # fmt: skip

    def rate(
        self, coded: QuantisedVector, maps: npt.NDArray[np.int32], parameters: RateParameters, factor: float,
        out: Tensor | None,
    ) -> tuple[float, Sequence[npt.NDArray[np.float32]]]:  # fmt: skip
        assert isinstance(coded, DeviceVector)
        return coded.rate(maps, parameters, factor, torch.zeros_like(coded.values) if out is None else out)
