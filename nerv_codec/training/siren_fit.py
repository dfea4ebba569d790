"""Fitting a sine network to one GOP: float, then steps by rate-distortion cost, then with rounded weights."""

from __future__ import annotations

import torch
from torch import Tensor

from nerv_codec.coding.weights import best_scale, estimate_bits
from nerv_codec.config import EncoderConfig, SirenConfig
from nerv_codec.metrics.psnr import psnr_db
from nerv_codec.model.coordinates import GopGeometry
from nerv_codec.model.siren import Siren, initial_tensors, num_parameters, tensor_shapes
from nerv_codec.representations import pack_siren
from nerv_codec.training.optimizer import Muon, cosine
from nerv_codec.training.quantise import choose_steps, dequantise, initial_step, quantise
from nerv_codec.training.result import FitStatus, Report
from nerv_codec.training.siren_gradient import Batch, SirenGradient, best_dtype
from nerv_codec.training.sites import Sites
from nerv_codec.workers import Workers

_BITS_PER_WEIGHT = 7.0
"""What a weight costs after rate-distortion optimised steps: what ``target_bpp`` counts with."""
_STEP_SEARCH_SITES = 1 << 15
_REPORT_STEPS = 25
_OUTPUT_RATE = 0.2
"""Rate of the last layer against the others': it sees the error directly."""


def fit_siren(
    sites: Sites,
    geometry: GopGeometry,
    config: EncoderConfig,
    *,
    device: torch.device,
    seed: int,
    report: Report,
) -> tuple[bytes, float, Siren]:
    """Fits one GOP.

    Returns:
        The payload, the bits that the tables estimate for it, and the float network before it was quantised.
    """
    training = config.training
    generator = torch.Generator().manual_seed(seed)
    width, layers = _size(config.siren, sites.pixels, geometry.num_planes)
    omega = (config.siren.omega_time, config.siren.omega_space, config.siren.omega_space)
    tensors = [
        tensor.to(device)
        for tensor in initial_tensors(width, layers, omega=omega, mean=sites.means(), generator=generator)
    ]
    shapes = tensor_shapes(width, layers, geometry.num_planes)
    factors = [1.0] * (len(shapes) - 2) + [_OUTPUT_RATE] * 2
    sampler = _Sampler(sites, training.batch, generator, device)
    quantised_steps = round(training.steps * training.quantised_fraction)
    float_steps = max(1, training.steps - quantised_steps)
    status = _Status(sites, training.steps, report)
    with Workers() as workers:
        gradient = SirenGradient(shapes, device=device, dtype=best_dtype(device), workers=workers)
        optimizer = Muon(tensors, factors)
        for step in range(float_steps):
            result = gradient(tensors, sampler.batch())
            optimizer.step(result.tensors, training.learning_rate * cosine((step + 1) / float_steps))
            status.tell(step + 1, "fit", result.distortion, tensors, None)
        float_model = Siren(geometry, [tensor.clone() for tensor in tensors]).requires_grad_(False)
        probe = sampler.batch(_STEP_SEARCH_SITES)
        steps = choose_steps(
            tensors, lambda values: gradient.distortion(values, probe), training.rd_lambda / sites.pixels
        )
        optimizer = Muon(tensors, factors)
        for step in range(quantised_steps):
            coded = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
            result = gradient(dequantise(coded, device), sampler.batch())
            rate = training.quantised_learning_rate * cosine((step + 1) / quantised_steps)
            optimizer.step(result.tensors, rate)
            status.tell(float_steps + step + 1, "quantise", result.distortion, tensors, steps)
    coded = [quantise(tensor, log2) for tensor, log2 in zip(tensors, steps, strict=True)]
    return pack_siren(coded), estimate_bits(coded), float_model


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
    """Averages the distortion of recent steps and reports now and then."""

    def __init__(self, sites: Sites, steps: int, report: Report) -> None:
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


def _size(config: SirenConfig, pixels: int, num_planes: int) -> tuple[int, int]:
    """(width, hidden layers): as configured, or the widest network whose weights fit ``target_bpp``."""
    if config.width:
        return config.width, config.hidden_layers
    budget = config.target_bpp * pixels / _BITS_PER_WEIGHT
    width = 8
    while width < 1024 and num_parameters(width + 8, config.hidden_layers, num_planes) <= budget:
        width += 8
    return width, config.hidden_layers
