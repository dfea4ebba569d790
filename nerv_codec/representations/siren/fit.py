"""Fitting a sine network to one GOP: float, then steps by rate-distortion cost, then with rounded weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nerv_codec.base.psnr import psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.entropy.weights import best_scale, estimate_bits
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FitState
from nerv_codec.representations.fitting.quantise import choose_steps, dequantise, initial_step, quantise, steps_for_bits
from nerv_codec.representations.fitting.sites import Sites, make_sites
from nerv_codec.representations.fitting.status import FitReporter, FitStatus, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.siren.config import SirenConfig
from nerv_codec.representations.siren.gradient import Batch, SirenGradient, best_dtype
from nerv_codec.representations.siren.muon import Muon, cosine
from nerv_codec.representations.siren.network import Siren, initial_tensors, num_parameters
from nerv_codec.representations.siren.payload import pack_siren
from nerv_codec.representations.siren.shape import tensor_shapes

_BITS_PER_WEIGHT = 7.0
"""What a weight costs after rate-distortion optimised steps: what ``target_bpp`` counts with."""
_HEAD_BITS = 16
"""Width and number of layers, before the weights."""
_STEP_SEARCH_SITES = 1 << 15
_REPORT_STEPS = 25
_OUTPUT_RATE = 0.2
"""Rate of the last layer against the others': it sees the error directly."""


def fit_siren(config: SirenConfig, task: GopTask, report: FitReporter, checkpoint: Checkpoint) -> FittedGop:
    """Fits a sine network to one GOP.

    Args:
        config: The network and the effort.
        task: The GOP. A target in bits sizes the network instead of ``config.target_bpp``, and quantiser steps are
            chosen so that the weights come close to it.
        report: Called now and then.
        checkpoint: Where the state is kept.

    Raises:
        Interrupted: The checkpoint was asked to stop.
    """
    sites, geometry = make_sites(task.frames, task.info, task.device), task.geometry
    bits = task.target.bits if task.target else None
    generator = torch.Generator().manual_seed(task.gop_seed)
    width, layers = _size(config, sites.pixels, geometry.num_planes, bits)
    omega = (config.omega_time, config.omega_space, config.omega_space)
    initial = initial_tensors(width, layers, omega=omega, mean=sites.means(), generator=generator)
    tensors = [tensor.to(task.device) for tensor in initial]
    shapes = tensor_shapes(width, layers, geometry.num_planes)
    factors = [1.0] * (len(shapes) - 2) + [_OUTPUT_RATE] * 2
    sampler = _Sampler(sites, config.batch, generator, task.device)
    quantised_steps = round(config.steps * config.quantised_fraction)
    float_steps = max(1, config.steps - quantised_steps)
    status = _Status(sites, config.steps, report)
    progress = _Progress(tensors, Muon(tensors, factors), generator, checkpoint)
    with Workers() as workers:
        gradient = SirenGradient(shapes, device=task.device, dtype=best_dtype(task.device), workers=workers)
        for step in progress.remaining(float_steps if progress.steps is None else 0):
            result = gradient(tensors, sampler.batch())
            progress.optimizer.step(result.tensors, config.learning_rate * cosine((step + 1) / float_steps))
            status.tell(step + 1, "fit", result.distortion, tensors, None)
        if progress.steps is None:
            probe = sampler.batch(_STEP_SEARCH_SITES)
            lambda_per_bit = config.rd_lambda / sites.pixels
            progress.quantise(_steps(tensors, gradient, probe, lambda_per_bit, bits), Muon(tensors, factors))
        steps = progress.steps or []
        for step in progress.remaining(quantised_steps):
            coded = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
            result = gradient(dequantise(coded, task.device), sampler.batch())
            rate = config.quantised_learning_rate * cosine((step + 1) / quantised_steps)
            progress.optimizer.step(result.tensors, rate)
            status.tell(float_steps + step + 1, "quantise", result.distortion, tensors, steps)
    float_function = Siren(geometry, progress.float_tensors).requires_grad_(False)
    coded = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
    return FittedGop(pack_siren(coded), estimate_bits(coded), float_function)


def _steps(
    tensors: Sequence[Tensor], gradient: SirenGradient, probe: Batch, lambda_per_bit: float, bits: float | None
) -> list[int]:
    """log2 of the quantiser step of each tensor: by rate-distortion cost, or so that they cost about ``bits``."""

    def distortion(values: Sequence[Tensor]) -> float:
        return float(gradient.distortion(values, probe))

    if bits is None:
        return choose_steps(tensors, distortion, lambda_per_bit)
    return steps_for_bits(tensors, distortion, lambda_per_bit, bits - _HEAD_BITS)


class _Progress:
    """How far a fit is; it begins where its checkpoint ends."""

    def __init__(
        self, tensors: list[Tensor], optimizer: Muon, generator: torch.Generator, checkpoint: Checkpoint
    ) -> None:
        self.optimizer = optimizer
        self.steps: list[int] | None = None
        """log2 of the quantiser steps; None while the fit is in its float phase."""
        self.float_tensors = tensors
        """The weights before they were quantised."""
        self._tensors = tensors
        self._generator = generator
        self._checkpoint = checkpoint
        self._step = 0
        if saved := checkpoint.load():
            self._restore(saved)

    def remaining(self, count: int) -> Iterator[int]:
        """The steps of this phase that are left to do, of ``count``."""
        while self._step < count:
            self._checkpoint.offer(self._state)
            yield self._step
            self._step += 1

    def quantise(self, steps: list[int], optimizer: Muon) -> None:
        """Begins the second phase."""
        self.steps, self.optimizer, self._step = steps, optimizer, 0
        self.float_tensors = [tensor.clone() for tensor in self._tensors]

    def _state(self) -> FitState:
        tensors = {f"weight.{index}": tensor for index, tensor in enumerate(self._tensors)}
        if self.steps is not None:
            tensors |= {f"float.{index}": tensor for index, tensor in enumerate(self.float_tensors)}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        tensors["generator"] = self._generator.get_state()
        return FitState(tensors, {"step": self._step, "steps": self.steps})

    def _restore(self, saved: FitState) -> None:
        for index, tensor in enumerate(self._tensors):
            tensor.copy_(saved.tensors[f"weight.{index}"])
        self.steps, self._step = saved.values["steps"], saved.values["step"]
        if self.steps is not None:
            device = self._tensors[0].device
            self.float_tensors = [saved.tensors[f"float.{i}"].to(device) for i in range(len(self._tensors))]
        prefix = "optimizer."
        own = {name.removeprefix(prefix): t for name, t in saved.tensors.items() if name.startswith(prefix)}
        self.optimizer.restore(own)
        self._generator.set_state(saved.tensors["generator"])


class _Sampler:
    """Draws the sites of each step: stratified along the raster, so that every batch sees the whole GOP."""

    def __init__(self, sites: Sites, size: int, generator: torch.Generator, device: torch.device) -> None:
        self._sites = sites
        self._size = size
        self._generator = generator
        self._device = device

    def batch(self, size: int | None = None) -> Batch:
        """About ``size`` sites; every group of planes has its share by its number of samples."""
        size = size or self._size
        total = sum(len(group) for group in self._sites.groups)
        coords, targets, weights = [], [], []
        planes = sum(len(group.planes) for group in self._sites.groups)
        for group in self._sites.groups:
            count = max(1, min(len(group), round(size * len(group) / total)))
            jitter = torch.rand(count, generator=self._generator, dtype=torch.float64)
            indices = ((torch.arange(count) + jitter) * (len(group) / count)).long().clamp_max(len(group) - 1)
            places, values = group.batch(indices.to(self._device), self._sites.peak)
            own = torch.zeros(count, planes, device=self._device)
            own[:, list(group.planes)] = values
            share = torch.zeros(planes, device=self._device)
            share[list(group.planes)] = group.weights / count
            coords.append(places)
            targets.append(own)
            weights.append(share.expand(count, planes))
        return Batch(torch.cat(coords), torch.cat(targets), torch.cat(weights))


class _Status:
    """Averages the distortion of recent steps, and reports now and then."""

    def __init__(self, sites: Sites, steps: int, report: FitReporter) -> None:
        self._weight = float(sites.groups[0].weights[0])
        self._steps = steps
        self._report = report
        self._recent: list[Tensor] = []

    def tell(
        self, step: int, stage: str, distortion: Tensor, tensors: list[Tensor], step_log2: list[int] | None
    ) -> None:
        self._recent.append(distortion[0])
        if step % _REPORT_STEPS and step != self._steps:
            return
        mse = float(torch.stack(self._recent).mean()) / self._weight
        self._recent.clear()
        sizes = step_log2 or [initial_step(tensor) for tensor in tensors]
        bits = sum(best_scale(quantise(t, log2).symbols)[1] for t, log2 in zip(tensors, sizes, strict=True))
        self._report(FitStatus(step, self._steps, stage, psnr_db(mse, 1.0), bits))


def _size(config: SirenConfig, pixels: int, num_planes: int, bits: float | None = None) -> tuple[int, int]:
    """(width, hidden layers): as configured, or the widest network whose weights fit ``bits``, or ``target_bpp``."""
    if config.width and bits is None:
        return config.width, config.hidden_layers
    budget = (config.target_bpp * pixels if bits is None else bits) / _BITS_PER_WEIGHT
    step = 8 if bits is None else 1  # multiples of 8 are quicker, but too far apart to land on a size
    width = step
    while width + step <= 1024 and num_parameters(width + step, config.hidden_layers, num_planes) <= budget:
        width += step
    return width, config.hidden_layers
