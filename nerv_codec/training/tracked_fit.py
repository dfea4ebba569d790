"""Fitting the `tracked` representation to one GOP on rate and distortion.

The loss is D + rd_lambda * bits per pixel. Latents pass through soft rounding and noise that harden over the fit
(Agustsson and Theis 2020, "Universally Quantized Neural Compression"; schedule after Cool-Chic); at the end everything
is rounded and only the networks move. Gradients come from compiled kernels; what joins them is written out here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerv_codec.coding.entropy_model import EntropyModel, initial_parameters, quantise_parameters
from nerv_codec.coding.latents import estimate_bits
from nerv_codec.coding.weights import QuantizedTensor
from nerv_codec.coding.weights import estimate_bits as estimate_weight_bits
from nerv_codec.config import EncoderConfig
from nerv_codec.kernels.proxy import adam, soft_round
from nerv_codec.kernels.rate_model import ACTIVE, COLS, OFFSET, ROWS, RateParameters, rate_forward_backward
from nerv_codec.metrics.psnr import psnr_db
from nerv_codec.model.coordinates import GopGeometry
from nerv_codec.model.gop_tree import GopTree
from nerv_codec.model.tracked import FEATURES, TrackedShape, motion_grids
from nerv_codec.model.tracked_function import MOTION_UNITS, NETWORK, Tracked, node_mix
from nerv_codec.rendering import View, plane_axes, plane_groups
from nerv_codec.tracked_codec import (
    MOTION_CLASSES,
    latent_classes,
    latent_table,
    motion_indices,
    motion_maps,
    motion_table,
    pack_tracked,
    reference_maps,
    spread_motion,
)
from nerv_codec.training.flow_init import initial_motion
from nerv_codec.training.quantise import choose_steps, quantise
from nerv_codec.training.result import FitStatus, Report
from nerv_codec.training.sites import distortion_weights, gop_geometry
from nerv_codec.training.tracked_engine import Targets, TrackedEngine
from nerv_codec.types import PlanarFrame, VideoInfo
from nerv_codec.workers import Workers

_TEMPERATURE = (0.35, 0.08)
_NOISE = (0.25, 0.15)
_HARD_FRACTION = 0.07
"""Share of the steps at the end in which latents and motion are rounded and only networks move."""
_COARSE_FRACTION = 0.6
"""Share of the steps that look at every second row only."""
_BETAS = (0.9, 0.99)
_MAP_STEPS = 50
_PRUNE_AT = (0.4, 0.6, 0.8)
_REPORT_STEPS = 10
_NETWORK_CLIP = 0.1
_MAX_SEARCH_SAMPLES = 1 << 18


class _Quantised:
    """Integers to be: their real values, the optimiser's moments, and which grids of them are still alive."""

    def __init__(self, values: np.ndarray, table: np.ndarray) -> None:
        self.values = np.ascontiguousarray(values, np.float32)
        self.table = table
        self.table[:, ACTIVE] = 1
        self.first, self.second = np.zeros_like(self.values), np.zeros_like(self.values)
        self.proxy, self.slopes = np.zeros_like(self.values), np.zeros_like(self.values)
        self.spans = self._spans()

    def _spans(self) -> np.ndarray:
        spans: list[list[int]] = []
        for row in self.table[self.table[:, ACTIVE] > 0]:
            start, stop = int(row[OFFSET]), int(row[OFFSET] + row[ROWS] * row[COLS])
            if spans and spans[-1][1] == start:
                spans[-1][1] = stop
            else:
                spans.append([start, stop])
        return np.array(spans, np.int64).reshape(-1, 2)

    def soften(self, temperature: float, deviation: float, seed: int) -> None:
        """Sets ``proxy`` and ``slopes``."""
        soft_round(
            self.values, self.spans, np.float32(temperature), np.float32(deviation), np.uint32(seed & 0xFFFFFFFF),
            self.proxy, self.slopes,
        )  # fmt: skip

    def round(self) -> None:
        """Makes them the integers that they are nearest to."""
        self.prune()
        np.rint(self.values, out=self.values)
        self.proxy[:] = self.values

    def prune(self) -> None:
        """Takes grids that round to zero out of the fit: they cost a flag from here on, and no time."""
        for row in self.table:
            part = slice(row[OFFSET], row[OFFSET] + row[ROWS] * row[COLS])
            if row[ACTIVE] and np.abs(self.values[part]).max() <= 0.5:
                row[ACTIVE] = 0
                self.values[part] = self.proxy[part] = self.slopes[part] = 0
        self.spans = self._spans()

    def step(self, gradient: np.ndarray, rate: float, count: int) -> None:
        """One step of Adam."""
        beta1, beta2 = _BETAS
        adam(
            self.values, gradient, self.slopes, self.first, self.second, self.spans, np.float32(rate),
            np.float32(beta1), np.float32(beta2), np.float32(1 - beta1**count), np.float32(1 - beta2**count),
        )  # fmt: skip

    @property
    def symbols(self) -> np.ndarray:
        """The nearest integers."""
        return np.rint(self.values).astype(np.int32)


@dataclass
class _State:
    """All that a fit moves."""

    latents: _Quantised
    """Of all nodes, in coding order."""
    motion: _Quantised
    """Likewise, in steps of ``MOTION_UNITS``."""
    network: dict[str, Tensor]
    latent_rate: list[Tensor]
    motion_rate: list[Tensor]


def fit_tracked(
    frames: Sequence[PlanarFrame], info: VideoInfo, config: EncoderConfig, *, seed: int, report: Report
) -> tuple[bytes, float, Tracked]:
    """Fits one GOP.

    Returns:
        The payload, the bits that the tables estimate for it, and the function before its networks were rounded.
    """
    settings = config.tracked
    generator = torch.Generator().manual_seed(seed)
    tree = GopTree(len(frames))
    scales = min(settings.scales, max(1, int(math.log2(max(info.height, info.width)))))
    shape = TrackedShape(tree, info.height, info.width, scales, settings.hidden, info.pixel_format.num_planes)
    targets = _targets(frames, info)
    state = _initial(shape, frames, info, config, generator)
    pixels = len(frames) * info.height * info.width
    with Workers() as workers, ThreadPoolExecutor(workers.count) as executor:
        engine = TrackedEngine(shape, targets, info.pixel_format.max_value, workers)
        fit = _Fit(shape, engine, state, config, pixels, distortion_weights(info)[0], seed, executor, report)
        for step in range(config.training.steps):
            fit.step(step)
        return fit.finish(gop_geometry(frames, info))


class _Fit:
    """The optimisation of one GOP."""

    def __init__(
        self,
        shape: TrackedShape,
        engine: TrackedEngine,
        state: _State,
        config: EncoderConfig,
        pixels: int,
        luma_weight: float,
        seed: int,
        executor: ThreadPoolExecutor,
        report: Report,
    ) -> None:
        self._shape, self._engine, self._state, self._config = shape, engine, state, config
        self._lambda = config.tracked.rd_lambda / pixels
        self._luma_weight = luma_weight
        self._seed, self._executor, self._report = seed, executor, report
        self._steps = config.training.steps
        self._hard_from = self._steps - round(self._steps * _HARD_FRACTION)
        self._maps, self._motion_maps = np.zeros(0, np.int32), motion_maps(shape)
        self._indices = [torch.from_numpy(index) for index in motion_indices(shape)]
        networks = [*state.network.values(), *state.latent_rate, *state.motion_rate]
        self._optimizer = torch.optim.Adam(networks, betas=_BETAS, fused=True)

    def step(self, step: int) -> None:
        """One optimiser step."""
        state, rates, hard = self._state, self._config.tracked, step >= self._hard_from
        done = step / self._steps
        if step in {round(share * self._steps) for share in _PRUNE_AT}:
            state.latents.prune()
            state.motion.prune()
        if step == self._hard_from:
            state.latents.round()
            state.motion.round()
        if step % _MAP_STEPS == 0 or step == self._hard_from:
            self._maps = reference_maps(self._shape, state.motion.symbols)
        if not hard:
            temperature = _TEMPERATURE[0] + (_TEMPERATURE[1] - _TEMPERATURE[0]) * done
            deviation = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * done
            seed = (self._seed * 1000003 + step) * 2654435761
            state.latents.soften(temperature, deviation, seed)
            state.motion.soften(temperature, deviation, seed + 0x51ED270B)
        schedule = min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * done))
        latents = state.latents.proxy.reshape(-1, self._shape.node_latents)
        moved = torch.from_numpy(state.motion.proxy).requires_grad_(not hard)
        grids = self._motion_grids(moved)
        mix = node_mix(self._shape, state.network)
        gradient = self._engine.gradient(
            latents,
            self._present(),
            grids.detach().numpy(),
            mix.detach().numpy(),
            {name: state.network[name].detach().numpy() for name in NETWORK},
            stride=2 if done < _COARSE_FRACTION else 1,
            phase=step,
        )
        self._optimizer.zero_grad(set_to_none=True)
        mix.backward(torch.from_numpy(gradient.mix))
        latent_gradient, motion_gradient = gradient.latents.reshape(-1), np.zeros_like(state.motion.values)
        if not hard and moved.numel():
            grids.backward(torch.from_numpy(gradient.motion))
            assert moved.grad is not None
            motion_gradient = moved.grad.numpy()
        bits = self._rate(state.latents, self._maps, state.latent_rate, latent_gradient)
        if len(state.motion.table):
            bits += self._rate(state.motion, self._motion_maps, state.motion_rate, motion_gradient)
        for name in NETWORK:
            state.network[name].grad = torch.from_numpy(gradient.network[name])
        torch.nn.utils.clip_grad_norm_(list(state.network.values()), _NETWORK_CLIP)
        self._optimizer.param_groups[0]["lr"] = rates.network_learning_rate * schedule
        self._optimizer.step()
        if not hard:
            state.latents.step(latent_gradient, rates.latent_learning_rate * schedule, step + 1)
            state.motion.step(motion_gradient, rates.motion_learning_rate * schedule, step + 1)
        if (step + 1) % _REPORT_STEPS == 0 or step + 1 == self._steps:
            psnr = psnr_db(float(gradient.distortion[0]) / self._luma_weight, 1.0)
            self._report(FitStatus(step + 1, self._steps, "hard" if hard else "fit", psnr, bits))

    def _motion_grids(self, moved: Tensor) -> Tensor:
        padded = torch.cat((moved, moved.new_zeros(1)))
        units = torch.tensor(MOTION_UNITS)
        return motion_grids(self._shape, [padded[index] * units for index in self._indices])

    def _present(self) -> np.ndarray:
        """(nodes, grids): which latent grids are alive."""
        return self._state.latents.table[:, ACTIVE].reshape(len(self._shape.tree.nodes), -1) > 0

    def finish(self, geometry: GopGeometry) -> tuple[bytes, float, Tracked]:
        """Rounds what is not rounded yet and codes it."""
        state, shape = self._state, self._shape
        latents, motion = state.latents.symbols.reshape(-1, shape.node_latents), state.motion.symbols
        names = list(state.network)
        tensors = [state.network[name].detach() for name in names]
        float_model = Tracked(geometry, shape, latents, spread_motion(shape, motion), dict(zip(names, tensors, strict=True)))
        grids = self._motion_grids(torch.from_numpy(motion).float()).numpy()
        samples = shape.tree.num_frames * shape.height * shape.width
        stride = max(1, samples // _MAX_SEARCH_SAMPLES)

        def distortion(values: Sequence[Tensor]) -> float:
            network = dict(zip(names, values, strict=True))
            mix = node_mix(shape, network).numpy()
            arrays = {name: network[name].numpy() for name in NETWORK}
            result = self._engine.gradient(latents.astype(np.float32), self._present(), grids, mix, arrays, stride=stride)
            return float(result.distortion.sum())

        steps = choose_steps(tensors, distortion, self._lambda)
        network = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
        latent_model = quantise_parameters(_parameters(state.latent_rate))
        motion_model = quantise_parameters(_parameters(state.motion_rate))
        payload = pack_tracked(shape, latents, motion, network, latent_model, motion_model)
        bits = estimate_payload_bits(shape, latents, motion, network, latent_model, motion_model)
        return payload, bits, float_model

    def _rate(
        self, coded: _Quantised, maps: np.ndarray, network: Sequence[Tensor], gradient: np.ndarray
    ) -> float:
        """Adds lambda times the rate's gradients; returns the bits."""
        rate = rate_forward_backward(coded.proxy, coded.table, maps, _parameters(network), executor=self._executor)
        gradient += np.float32(self._lambda) * rate.latents
        for tensor, part in zip(network, rate.parameters, strict=True):
            tensor.grad = torch.from_numpy(np.asarray(part, np.float32) * np.float32(self._lambda))
        return float(rate.bits.sum())


def _parameters(tensors: Sequence[Tensor]) -> RateParameters:
    return RateParameters(*(tensor.detach().numpy() for tensor in tensors))


def estimate_payload_bits(
    shape: TrackedShape,
    latents: np.ndarray,
    motion: np.ndarray,
    network: Sequence[QuantizedTensor],
    latent_model: Sequence[QuantizedTensor],
    motion_model: Sequence[QuantizedTensor],
) -> float:
    """Bits of the payload by the integer tables, with the fixed bytes around them."""
    bits = estimate_weight_bits([*network, *latent_model, *motion_model])
    maps = reference_maps(shape, motion)
    model = EntropyModel.from_tensors(latent_model)
    bits += estimate_bits(latents.ravel(), latent_table(shape), maps, model).sum()
    if len(shape.tree.nodes) > 1:
        model = EntropyModel.from_tensors(motion_model)
        bits += estimate_bits(motion, motion_table(shape), motion_maps(shape), model).sum()
    return float(bits) + 8 * 16


def _initial(
    shape: TrackedShape,
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    generator: torch.Generator,
) -> _State:
    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    def uniform(*size: int) -> Tensor:
        return 2 * torch.rand(size, generator=generator) - 1

    hidden, outputs = shape.hidden, shape.outputs
    peak = info.pixel_format.max_value
    means = [float(np.mean([frame.planes[plane].mean() for frame in frames])) / peak for plane in range(outputs)]
    network = {
        "gain": torch.full(shape.network_shapes()["gain"], config.tracked.initial_gain),
        "mix": normal(*shape.network_shapes()["mix"]) / math.sqrt(FEATURES),
        "w1": 2 * normal(FEATURES, hidden),
        "b1": math.pi * uniform(hidden),
        "w2": math.sqrt(6 / hidden) * uniform(hidden, hidden),
        "b2": math.pi * uniform(hidden),
        "w3": 0.02 * uniform(hidden, outputs),
        "b3": torch.tensor(means),
        "skip": normal(FEATURES, outputs) / math.sqrt(FEATURES),
    }
    rates = [
        [torch.from_numpy(array).requires_grad_(True) for array in initial_parameters(width, classes, seed=config.seed)]
        for width, classes in ((config.tracked.rate_hidden, latent_classes(shape)), (config.tracked.motion_hidden, MOTION_CLASSES))
    ]
    kept = initial_motion(shape, frames, info.pixel_format.bit_depth)
    table = motion_table(shape)
    motion = torch.zeros(int((table[:, ROWS] * table[:, COLS]).sum()) + 1)
    for index, part in zip(motion_indices(shape), kept, strict=True):
        motion[torch.from_numpy(index)] = part / torch.tensor(MOTION_UNITS)
    return _State(
        latents=_Quantised(np.zeros(len(shape.tree.nodes) * shape.node_latents, np.float32), latent_table(shape)),
        motion=_Quantised(motion[:-1].numpy(), table),
        network={name: tensor.requires_grad_(True) for name, tensor in network.items()},
        latent_rate=rates[0],
        motion_rate=rates[1],
    )


def _targets(frames: Sequence[PlanarFrame], info: VideoInfo) -> list[Targets]:
    view = View.whole(info.height, info.width)
    shares = distortion_weights(info)
    targets = []
    for planes in plane_groups(info.pixel_format):
        rows, cols = plane_axes(info, planes[0], view, info)
        first = frames[0].planes[planes[0]]
        codes = np.zeros((len(frames), *first.shape, info.pixel_format.num_planes), first.dtype)
        weights = np.zeros(info.pixel_format.num_planes, np.float32)
        for plane in planes:
            codes[..., plane] = [frame.planes[plane] for frame in frames]
            weights[plane] = shares[plane]
        targets.append(Targets(rows.numpy().astype(np.float32), cols.numpy().astype(np.float32), codes, weights))
    return targets
