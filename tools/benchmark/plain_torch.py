"""One step of a `tracked` fit in plain torch: what the compiled kernels are held to, and measured against.

The best form of it that torch has: planes and rate are batched over nodes; colour is made frame by frame, so that
intermediate values are small and their memory is used again, with a thread for each frame; planes are read by
``grid_sample``, eight times as fast as gathers. Automatic differentiation throughout. All rows, no noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.entropy.context_model import CLIP
from nerv_codec.entropy.grids import Grid, GridTable
from nerv_codec.entropy.rate_cpu import FLOOR_BITS, FLOOR_SPAN, MAX_LOG2_SCALE, MIN_LOG2_SCALE
from nerv_codec.representations.tracked.fit.state import NETWORK_BETAS, TrackedState
from nerv_codec.representations.tracked.fit.targets import Targets
from nerv_codec.representations.tracked.fit.vector import BETAS
from nerv_codec.representations.tracked.function import (
    knot_tracks,
    motion_grids,
    node_mix,
    synthesis,
    upsampling_matrix,
)
from nerv_codec.representations.tracked.grid_tables import motion_indices
from nerv_codec.representations.tracked.shape import (
    CUBIC_DEPTH,
    FEATURES,
    MOTION_UNITS,
    TRACK_ORIGIN,
    TRACK_SHIFT,
    TrackedShape,
)
from nerv_codec.representations.tracked.tree import Sample


class RateModel:
    """Bits of latents under the context model, grids of one size batched over nodes.

    Args:
        table: Their grids; those that are not active cost nothing.
        maps: All reference maps, one after the other.
        device: Where.
    """

    def __init__(self, table: GridTable, maps: np.ndarray, device: torch.device) -> None:
        groups: dict[tuple[int, ...], list[Grid]] = {}
        for grid in table:
            if grid.active:
                coarse = table[grid.coarse][1:3] if grid.coarse >= 0 else (0, 0)
                groups.setdefault((grid.rows, grid.cols, grid.shift, *coarse), []).append(grid)
        self._groups = [self._indices(key, grids, table, maps, device) for key, grids in groups.items()]

    @staticmethod
    def _indices(
        key: tuple[int, ...], grids: list[Grid], table: GridTable, maps: np.ndarray, device: torch.device
    ) -> dict[str, Tensor]:
        """Flat indices (n, rows, cols) of what the grids of one group and their contexts hold; -1: nothing."""
        height, width, shift, coarse_rows, coarse_cols = key
        count = height * width
        found = {
            "own": np.array([grid.offset for grid in grids])[:, None, None] + np.arange(count).reshape(height, width)
        }
        if coarse_rows:
            offsets = np.array([table[grid.coarse].offset for grid in grids])
            found["coarse"] = offsets[:, None, None] + np.arange(coarse_rows * coarse_cols).reshape(coarse_rows, -1)
            found["up"] = ((np.arange(height) >> shift)[:, None] * coarse_cols + (np.arange(width) >> shift)).ravel()
        refs = [
            [maps[ref : ref + count].reshape(height, width) if ref >= 0 else None for ref in side]
            for side in zip(*((grid.ref0, grid.ref1) for grid in grids), strict=True)
        ]
        present = np.array([[part is not None for part in side] for side in refs], np.float32)
        for k, side in enumerate(refs):
            if present[k].any():
                blank = np.zeros((height, width), np.int64)
                found[f"ref{k}"] = np.stack([blank if part is None else part for part in side]).astype(np.int64)
        weights = 2 * present / np.maximum(present.sum(0), 1)
        indices = {name: torch.from_numpy(np.asarray(index)).to(device) for name, index in found.items()}
        indices["weights"] = torch.from_numpy(weights.astype(np.float32)).to(device)
        indices["classes"] = torch.tensor([grid.context_class for grid in grids], device=device)
        return indices

    def __call__(self, y: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Bits of all active grids. ``parameters`` as ``RateParameters``."""
        w1, b1, w2, b2, w3 = parameters
        clipped = y.clamp(-CLIP, CLIP)
        sizes = _magnitude(clipped)
        total = y.new_zeros(())
        for group in self._groups:
            x = _inputs(clipped, sizes, group)
            classes = group["classes"]
            bias = b1[classes.clamp_max(len(b1) - 1)][:, None, None]
            out = torch.relu(x @ w1.T + bias) @ w2.T + x @ w3.T + b2[classes][:, None, None]
            total = total + _laplace_bits(y[group["own"]], out)
        return total


def _inputs(clipped: Tensor, sizes: Tensor, group: dict[str, Tensor]) -> Tensor:
    """(n, rows, cols, NUM_INPUTS), in the order of ``context_model.NUM_INPUTS``."""
    v, m = clipped[group["own"]], sizes[group["own"]]
    parts = [_moved(v, *at) for at in ((0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1))]
    parts.append(_moved(m, 0, -1) + _moved(m, -1, 0))
    parts.append(_moved(m, -1, -1) + _moved(m, -1, 1))
    parts.append(_moved(m, 0, -2) + _moved(m, -2, 0) + _moved(m, -1, -2) + _moved(m, -1, 2))
    zero = torch.zeros_like(v)
    if "coarse" in group:
        coarse_v, coarse_m = clipped[group["coarse"]], sizes[group["coarse"]]
        planes = (coarse_v, coarse_m, _cross(coarse_m))
        parts += [plane.flatten(1)[:, group["up"]].view_as(v) for plane in planes]
    else:
        parts += [zero] * 3
    ref_v, ref_m = zero, zero
    for k in range(2):
        if f"ref{k}" in group:
            weight = group["weights"][k][:, None, None]
            ref_v = ref_v + weight * clipped[group[f"ref{k}"]]
            ref_m = ref_m + weight * sizes[group[f"ref{k}"]]
    return torch.stack([*parts, ref_v, ref_m, _cross(ref_m)], -1)


def _laplace_bits(y: Tensor, out: Tensor) -> Tensor:
    u = (y - out[..., 0]).abs()
    a = torch.exp2(-_Inward.apply(out[..., 1]))
    inside = 1 - (torch.exp(-a * (0.5 - u).abs()) + torch.exp(-a * (0.5 + u))) / 2
    outside = a * (u - 0.5) - torch.log(-torch.expm1(-a) / 2)
    bits = torch.where(u < 0.5, -torch.log(inside.clamp_min(1e-30)), outside) / math.log(2)
    over = (bits - FLOOR_BITS).clamp_min(0)
    return (bits.clamp_max(FLOOR_BITS) + over / (1 + over / FLOOR_SPAN)).sum()


class _Inward(torch.autograd.Function):
    """A clamp whose derivative leads back inside."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return torch.where((x < MIN_LOG2_SCALE) & (grad > 0) | (x > MAX_LOG2_SCALE) & (grad < 0), 0, grad)


def _magnitude(v: Tensor) -> Tensor:
    u = v.abs()
    return torch.where(u > 1, u, u * u * (2 - u))


def _moved(plane: Tensor, down: int, right: int) -> Tensor:
    """plane[:, i + down, j + right], 0 outside."""
    rows, cols = plane.shape[1:]
    padded = torch.nn.functional.pad(plane, (2, 2, 2, 2))
    return padded[:, 2 + down : 2 + down + rows, 2 + right : 2 + right + cols]


def _cross(plane: Tensor) -> Tensor:
    return _moved(plane, -1, 0) + _moved(plane, 1, 0) + _moved(plane, 0, -1) + _moved(plane, 0, 1)


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """Twice, as while fitting, without noise."""
    for _ in range(2):
        middle = x.detach().floor() + 0.5
        x = middle + torch.tanh((x - middle) / temperature) * (0.5 / math.tanh(0.5 / temperature))
    return x


class Distortion:
    """Weighted squared error of the frames of a GOP, forward and backward, frame by frame.

    Args:
        shape: Sizes. targets, peak: What to come to.
        device: Where.
        workers: Threads, each of which takes whole frames: ``grid_sample`` uses one thread for one picture.
    """

    def __init__(
        self, shape: TrackedShape, targets: Sequence[Targets], peak: int, device: torch.device, workers: Workers
    ) -> None:
        self._shape, self._workers = shape, workers
        self._chains = [shape.tree.chain(float(frame)) for frame in range(shape.tree.num_frames)]
        self._sides = [shape.size_at(scale) for scale in range(shape.scales)]
        self._up = [
            tuple(upsampling_matrix(coarse, fine).to(device) for coarse, fine in zip(*pair, strict=True))
            for pair in zip(self._sides[1:], self._sides, strict=False)
        ]
        self._groups = []
        for group in targets:
            places = torch.cartesian_prod(torch.from_numpy(group.rows), torch.from_numpy(group.cols)).to(device)
            # Places of the track knots are the same in every frame.
            where = _grid((places - TRACK_ORIGIN).T / (1 << TRACK_SHIFT), shape.knots)
            codes = torch.from_numpy(group.codes.astype(np.float32) / peak).to(device)
            share = group.weights / (len(places) * shape.tree.num_frames)
            self._groups.append((where, codes.flatten(1, 2), torch.from_numpy(share).to(device)))
        self._units = torch.tensor(MOTION_UNITS, device=device)
        self._motion = [torch.from_numpy(index).to(device) for index in motion_indices(shape)]

    def backward(self, latents: Tensor, moved: Tensor, network: dict[str, Tensor]) -> Tensor:
        """Adds the gradients; returns each output's distortion. ``latents``, ``moved``: flat, as if quantised."""
        shape = self._shape
        planes = self._planes(latents.view(-1, shape.node_latents), node_mix(shape, network))
        padded = torch.cat((moved, moved.new_zeros(1)))
        grids = motion_grids(shape, [padded[index] * self._units for index in self._motion])
        # Cut here: the frames add up their gradients in leaves, and what lies before is gone through once.
        leaves = [plane.detach().requires_grad_(True) for plane in planes]
        grid_leaf = grids.detach().requires_grad_(True)

        def one(frame: int) -> Tensor:
            knots = knot_tracks(shape, grid_leaf, self._chains[frame])
            knot_leaf = knots.detach().requires_grad_(True)
            total = latents.new_zeros(shape.outputs)
            for where, codes, share in self._groups:
                z = self._features(leaves, self._chains[frame], knot_leaf, where)
                parts = ((synthesis(z.T, network) - codes[frame]).square() * share).sum(0)
                parts.sum().backward()
                total += parts.detach()
            if knots.requires_grad and knot_leaf.grad is not None:
                knots.backward(knot_leaf.grad)
            return total

        total = torch.stack(self._workers.map(one, range(len(self._chains)))).sum(0)
        torch.autograd.backward(planes, [leaf.grad for leaf in leaves])
        if grids.requires_grad and grid_leaf.grad is not None:
            grids.backward(grid_leaf.grad)
        return total

    def _planes(self, latents: Tensor, mix: Tensor) -> list[Tensor]:
        """(1, FEATURES, H, W) of each node, all nodes at once."""
        shape = self._shape
        result = latents.new_zeros(len(latents), FEATURES, *self._sides[-1])
        for scale in reversed(range(shape.scales)):
            if scale < shape.scales - 1:
                up_rows, up_cols = self._up[scale]
                result = up_rows @ result @ up_cols.T
            for index in shape.at_scale(scale):
                start, size = shape.grid_offsets[index], shape.grid_sizes[index]
                grid = latents[:, start : start + size[0] * size[1]].view(-1, 1, *size)
                result = torch.addcmul(result, grid, mix[:, index, :, None, None])
        return list(result.split(1))

    def _features(self, planes: Sequence[Tensor], chain: Sequence[Sample], knots: Tensor, where: Tensor) -> Tensor:
        """(FEATURES, N)."""
        size = (self._shape.height, self._shape.width)
        tracks = _sampled(knots.permute(0, 3, 1, 2).flatten(0, 1)[None], where).view(len(chain), 3, -1)
        z = tracks.new_zeros(FEATURES, tracks.shape[-1])
        for k, sample in enumerate(chain):
            if self._shape.tree.nodes[sample.node].depth <= CUBIC_DEPTH:
                read = _sampled_cubic(planes[sample.node], tracks[k, :2], size)
            else:
                read = _sampled(planes[sample.node], _grid(tracks[k, :2], size))
            z = torch.addcmul(z, tracks[k, 2:], read)
        return z


def _grid(places: Tensor, size: tuple[int, int]) -> Tensor:
    """(2, N) of (row, col) as ``grid_sample`` takes it: (1, 1, N, 2)."""
    rows, cols = (places[axis] * (2 / max(1, size[axis] - 1)) - 1 for axis in range(2))
    return torch.stack((cols, rows), -1)[None, None]


def _sampled(image: Tensor, grid: Tensor) -> Tensor:
    """(1, F, H, W) between its samples: (F, N); the edge is repeated."""
    found = torch.nn.functional.grid_sample(image, grid, "bilinear", "border", align_corners=True)
    return found[0].flatten(1)


def _sampled_cubic(image: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """With Catmull-Rom weights: of four taps the middle two are one linear read, so nine reads for sixteen."""
    base = places.detach().floor()
    f = places - base
    outer = (-0.5 * f + f**2 - 0.5 * f**3, 0.5 * (f**3 - f**2))
    second = 0.5 * f + 2 * f**2 - 1.5 * f**3
    inner = 1 - outer[0] - outer[1]
    weights = (outer[0], inner, outer[1])
    steps = (base - 1, base + second / inner, base + 2)
    at = [torch.stack((steps[i][0], steps[j][1])) for i in range(3) for j in range(3)]
    weight = torch.stack([weights[i][0] * weights[j][1] for i in range(3) for j in range(3)])
    found = _sampled(image, _grid(torch.cat(at, 1), size)).view(image.shape[1], 9, -1)
    return (found * weight).sum(1)


class TorchFit:
    """A fit with all frames, step by step, from the state that a compiled fit starts from.

    Args:
        shape: Sizes.
        state: Where to start; it is copied.
        targets, peak: What to fit.
        lambda_per_bit: rd_lambda over the pixels of the GOP.
        maps, motion_maps: The references of the rate model; they stay as they are.
        rates: Learning rates of latents, motion and networks.
        clip: Of the norm of the network's gradient.
        device: Where.
        workers: Threads.
    """

    def __init__(
        self,
        shape: TrackedShape,
        state: TrackedState,
        targets: Sequence[Targets],
        peak: int,
        *,
        lambda_per_bit: float,
        maps: np.ndarray,
        motion_maps: np.ndarray,
        rates: tuple[float, float, float],
        clip: float,
        device: torch.device,
        workers: Workers,
    ) -> None:
        def leaf(values: Tensor) -> Tensor:
            return values.detach().clone().to(device).requires_grad_(True)

        self._lambda, self._rates, self._clip = lambda_per_bit, rates, clip
        self._distortion = Distortion(shape, targets, peak, device, workers)
        self._latents, self._motion = (leaf(torch.from_numpy(v.values)) for v in (state.latents, state.motion))
        self._network = {name: leaf(tensor) for name, tensor in state.network.items()}
        self._models = [[leaf(tensor) for tensor in rate] for rate in (state.latent_model, state.motion_model)]
        self._bits = [RateModel(state.latents.table, maps, device), RateModel(state.motion.table, motion_maps, device)]
        networks = [*self._network.values(), *self._models[0], *self._models[1]]
        groups = [{"params": [self._latents]}, {"params": [self._motion]}]
        self._integers = torch.optim.Adam(groups, betas=BETAS, eps=1e-12, fused=True)
        self._networks = torch.optim.Adam(networks, betas=NETWORK_BETAS, fused=True)

    def step(self, temperature: float, schedule: float) -> tuple[Tensor, float]:
        """One step; ``schedule`` scales the learning rates. Returns each output's distortion, and bits, before it."""
        for optimizer in (self._integers, self._networks):
            optimizer.zero_grad(set_to_none=True)
        proxies = [soft_round(values, temperature) for values in (self._latents, self._motion)]
        leaves = [proxy.detach().requires_grad_(True) for proxy in proxies]
        distortion = self._distortion.backward(leaves[0], leaves[1], self._network)
        bits = 0.0
        for model, leaf, parameters in zip(self._bits, leaves, self._models, strict=True):
            rate = model(leaf, parameters)
            if rate.requires_grad:
                (self._lambda * rate).backward()
            bits += float(rate.detach())
        torch.autograd.backward(proxies, [leaf.grad for leaf in leaves])
        torch.nn.utils.clip_grad_norm_(list(self._network.values()), self._clip)
        for group, rate in zip((*self._integers.param_groups, *self._networks.param_groups), self._rates, strict=True):
            group["lr"] = rate * schedule
        self._integers.step()
        self._networks.step()
        return distortion, bits
