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
from nerv_codec.kernels.rate_model import ACTIVE, COLS, OFFSET, ROWS, RateParameters, rate_forward_backward
from nerv_codec.metrics.psnr import psnr_db
from nerv_codec.model.gop_tree import GopTree
from nerv_codec.model.tracked import (
    FEATURES,
    MOTION_STEPS,
    TrackedShape,
    motion_fields,
    motion_grids,
)
from nerv_codec.model.tracked_function import NETWORK, Tracked, node_mix
from nerv_codec.rendering import View, plane_axes, plane_groups
from nerv_codec.tracked_codec import (
    latent_classes,
    latent_table,
    motion_table,
    pack_motion,
    pack_tracked,
    reference_maps,
    unpack_motion,
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
_MAP_STEPS = 50
_PRUNE_AT = (0.4, 0.6, 0.8)
_REPORT_STEPS = 10
_NETWORK_CLIP = 0.1
_MAX_SEARCH_SAMPLES = 1 << 18


@dataclass
class _State:
    """All that a fit moves: leaves of the gradient."""

    latents: Tensor
    """(nodes, node_latents)."""
    motion: Tensor
    """(nodes, rows, cols, 4), in steps of 1 / MOTION_STEPS pixel."""
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
        fit = _Fit(shape, engine, state, config, pixels, distortion_weights(info)[0], generator, executor, report)
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
        generator: torch.Generator,
        executor: ThreadPoolExecutor,
        report: Report,
    ) -> None:
        self._shape, self._engine, self._state, self._config = shape, engine, state, config
        self._lambda = config.tracked.rd_lambda / pixels
        self._luma_weight = luma_weight
        self._generator, self._executor, self._report = generator, executor, report
        self._steps = config.training.steps
        self._hard_from = self._steps - round(self._steps * _HARD_FRACTION)
        self._latent_table, self._motion_table = latent_table(shape), motion_table(shape)
        self._latent_table[:, ACTIVE] = 1
        self._motion_table[:, ACTIVE] = 1
        self._mask = torch.ones_like(state.latents)
        self._maps = np.zeros(0, np.int32)
        rates = config.tracked
        networks = [*state.network.values(), *state.latent_rate, *state.motion_rate]
        groups = [
            {"params": [state.latents], "lr": rates.latent_learning_rate},
            {"params": [state.motion], "lr": rates.motion_learning_rate},
            {"params": networks, "lr": rates.network_learning_rate},
        ]
        self._rates = [float(group["lr"]) for group in groups]  # type: ignore[arg-type]
        self._optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)

    def step(self, step: int) -> None:
        """One optimiser step."""
        state, hard = self._state, step >= self._hard_from
        done = step / self._steps
        if step in {round(share * self._steps) for share in _PRUNE_AT}:
            self._prune()
        if step == self._hard_from:
            with torch.no_grad():
                state.latents.copy_((state.latents * self._mask).round())
                state.motion.round_()
        if step % _MAP_STEPS == 0 or step == self._hard_from:
            self._maps = reference_maps(self._shape, state.motion.detach().round().int().numpy())
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * done))
        latents, latent_slope = self._proxy(state.latents.detach(), done, hard)
        latents, latent_slope = latents * self._mask, latent_slope * self._mask
        moved, motion_slope = self._proxy(state.motion.detach(), done, hard)
        moved.requires_grad_(True)
        fields = motion_fields(self._shape, motion_grids(self._shape, moved / MOTION_STEPS))
        mix = node_mix(self._shape, state.network)
        stride = 2 if done < _COARSE_FRACTION else 1
        gradient = self._engine.gradient(
            latents.numpy(),
            fields.detach().numpy(),
            mix.detach().numpy(),
            {name: state.network[name].detach().numpy() for name in NETWORK},
            stride=stride,
            phase=step,
        )
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward((fields, mix), (torch.from_numpy(gradient.motion), torch.from_numpy(gradient.mix)))
        bits = self._rate(latents, moved, gradient.latents)
        for name in NETWORK:
            state.network[name].grad = torch.from_numpy(gradient.network[name])
        torch.nn.utils.clip_grad_norm_(list(state.network.values()), _NETWORK_CLIP)
        if hard:
            state.latents.grad = state.motion.grad = None
        else:
            state.latents.grad = torch.from_numpy(gradient.latents) * latent_slope
            assert moved.grad is not None
            state.motion.grad = moved.grad * motion_slope
        self._optimizer.step()
        if (step + 1) % _REPORT_STEPS == 0 or step + 1 == self._steps:
            psnr = psnr_db(float(gradient.distortion[0]) / self._luma_weight, 1.0)
            self._report(FitStatus(step + 1, self._steps, "hard" if hard else "fit", psnr, bits))

    def finish(self, geometry: object) -> tuple[bytes, float, Tracked]:
        """Rounds what is not rounded yet and codes it."""
        state, shape = self._state, self._shape
        latents = (state.latents.detach() * self._mask).round().to(torch.int32)
        motion = state.motion.detach().round().to(torch.int32)
        names = list(state.network)
        tensors = [state.network[name].detach() for name in names]
        float_model = Tracked(geometry, shape, latents.numpy(), motion.numpy(), dict(zip(names, tensors, strict=True)))  # type: ignore[arg-type]
        fields = motion_fields(shape, motion_grids(shape, motion.float() / MOTION_STEPS)).numpy()
        samples = shape.tree.num_frames * shape.height * shape.width
        stride = max(1, samples // _MAX_SEARCH_SAMPLES)

        def distortion(values: Sequence[Tensor]) -> float:
            network = dict(zip(names, values, strict=True))
            mix = node_mix(shape, network).numpy()
            arrays = {name: network[name].numpy() for name in NETWORK}
            result = self._engine.gradient(latents.float().numpy(), fields, mix, arrays, stride=stride)
            return float(result.distortion.sum())

        steps = choose_steps(tensors, distortion, self._lambda)
        network = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
        latent_model = quantise_parameters(_parameters(state.latent_rate))
        motion_model = quantise_parameters(_parameters(state.motion_rate))
        payload = pack_tracked(shape, latents.numpy(), motion.numpy(), network, latent_model, motion_model)
        bits = estimate_payload_bits(shape, latents.numpy(), motion.numpy(), network, latent_model, motion_model)
        return payload, bits, float_model

    def _proxy(self, values: Tensor, done: float, hard: bool) -> tuple[Tensor, Tensor]:
        """Values as if quantised, and the slope with which they follow the true ones."""
        if hard:
            return values.round(), torch.ones_like(values)
        temperature = _TEMPERATURE[0] + (_TEMPERATURE[1] - _TEMPERATURE[0]) * done
        deviation = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * done
        first, first_slope = _soft_round(values, temperature)
        noise = torch.randn(values.shape, generator=self._generator) * deviation
        second, second_slope = _soft_round(first + noise, temperature)
        return second, first_slope * second_slope

    def _rate(self, latents: Tensor, moved: Tensor, latent_gradient: np.ndarray) -> float:
        """Adds lambda times the rate's gradients; returns the bits of latents and motion."""
        state = self._state
        rate = rate_forward_backward(
            latents.reshape(-1).numpy(),
            self._latent_table,
            self._maps,
            _parameters(state.latent_rate),
            executor=self._executor,
        )
        latent_gradient += self._lambda * rate.latents.reshape(latent_gradient.shape)
        for tensor, part in zip(state.latent_rate, rate.parameters, strict=True):
            tensor.grad = torch.from_numpy(np.asarray(part, np.float32) * np.float32(self._lambda))
        bits = float(rate.bits.sum())
        if len(self._motion_table):
            flat = pack_motion(self._shape, moved.detach().numpy())
            rate = rate_forward_backward(
                flat, self._motion_table, np.zeros(0, np.int32), _parameters(state.motion_rate), executor=self._executor
            )
            assert moved.grad is not None
            moved.grad += self._lambda * torch.from_numpy(unpack_motion(self._shape, rate.latents))
            for tensor, part in zip(state.motion_rate, rate.parameters, strict=True):
                tensor.grad = torch.from_numpy(np.asarray(part, np.float32) * np.float32(self._lambda))
            bits += float(rate.bits.sum())
        return bits

    def _prune(self) -> None:
        """Takes grids that round to zero out of the fit: they cost a flag from here on, and no time."""
        rounded = (self._state.latents.detach() * self._mask).round().reshape(-1)
        mask = self._mask.reshape(-1)
        for row in self._latent_table:
            part = slice(row[OFFSET], row[OFFSET] + row[ROWS] * row[COLS])
            if row[ACTIVE] and not rounded[part].any():
                row[ACTIVE] = 0
                mask[part] = 0


def _soft_round(x: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Rounding that becomes hard as the temperature falls, and its derivative."""
    middle = x.floor() + 0.5
    scale = 2 * math.tanh(0.5 / temperature)
    bent = torch.tanh((x - middle) / temperature)
    return middle + bent / scale, (1 - bent * bent) / (scale * temperature)


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
        bits += estimate_bits(pack_motion(shape, motion), motion_table(shape), np.zeros(0, np.int32), model).sum()
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
        "gain": torch.full((shape.depths, shape.scales), config.tracked.initial_gain),
        "mix": normal(shape.scales, FEATURES) / math.sqrt(FEATURES),
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
        for width, classes in ((config.tracked.rate_hidden, latent_classes(shape)), (config.tracked.motion_hidden, 4))
    ]
    motion = initial_motion(shape, frames, info.pixel_format.bit_depth) * MOTION_STEPS
    return _State(
        latents=torch.zeros(len(shape.tree.nodes), shape.node_latents, requires_grad=True),
        motion=motion.requires_grad_(True),
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
