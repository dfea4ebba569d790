"""What a fit of the `tracked` representation moves, where it starts, and what it aims at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.entropy.context_model import from_stored, initial_parameters
from nerv_codec.entropy.rate_cpu import ACTIVE, COLS, OFFSET, ROWS
from nerv_codec.representations.fitting.sites import distortion_weights
from nerv_codec.representations.rendering import View, plane_axes, plane_groups
from nerv_codec.representations.tracked.cpu.quantise import adam, soft_round
from nerv_codec.representations.tracked.fit.backend_cpu import Targets
from nerv_codec.representations.tracked.networks import (
    MOTION_CLASSES,
    PRIOR,
    SHARED,
    Expectation,
    SharedNetworks,
    latent_classes,
)
from nerv_codec.representations.tracked.payload import TrackedGop, latent_table, motion_indices, motion_table
from nerv_codec.representations.tracked.prior import MAX_GAIN_QUARTERS, NetworkSizes
from nerv_codec.representations.tracked.render_cpu import MOTION_UNITS
from nerv_codec.representations.tracked.shape import FEATURES, TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

BETAS = (0.8, 0.95)
"""Of Adam for latents and motion, whose fits are short; ..."""
NETWORK_BETAS = (0.9, 0.95)
"""... and for networks."""
PRIOR_LAMBDA = 2e-3
"""The rd_lambda whose gains the prior holds."""
FIRST_SCALE = 2.0
"""Deviation of the first layer's weights at the start."""


class QuantisedVector:
    """Integers to be: their real values, the optimiser's moments, and which grids of them are still alive."""

    def __init__(self, values: np.ndarray, table: np.ndarray) -> None:
        self.values = np.ascontiguousarray(values, np.float32)
        self.table = table
        self.table[:, ACTIVE] = 0
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

    def wake(self, rows: np.ndarray) -> None:
        """Lets the grids of the given rows of the table take part from now on."""
        self.table[rows, ACTIVE] = 1
        self.spans = self._spans()

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

    def show_rounded(self) -> None:
        """Lets ``proxy`` be the nearest integers, until it is set anew."""
        np.rint(self.values, out=self.proxy)

    @staticmethod
    def part(row: np.ndarray) -> slice:
        """Where the grid of a row of the table stands."""
        return slice(row[OFFSET], row[OFFSET] + row[ROWS] * row[COLS])

    def prune(self) -> None:
        """Takes grids that round to zero out of the fit: they cost a flag from here on, and no time."""
        for row in self.table:
            part = self.part(row)
            if row[ACTIVE] and np.abs(self.values[part]).max() <= 0.5:
                row[ACTIVE] = 0
                self.values[part] = self.proxy[part] = self.slopes[part] = 0
        self.spans = self._spans()

    def step(self, gradient: np.ndarray, rate: float, count: int, floor: float) -> None:
        """One step of Adam."""
        beta1, beta2 = BETAS
        adam(
            self.values, gradient, self.slopes, self.first, self.second, self.spans, np.float32(rate),
            np.float32(beta1), np.float32(beta2), np.float32(1 - beta1**count), np.float32(1 - beta2**count),
            np.float32(floor),
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """What :meth:`restore` takes: the arrays themselves, not copies."""
        active = np.ascontiguousarray(self.table[:, ACTIVE])
        return {"values": self.values, "first": self.first, "second": self.second, "active": active}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what :meth:`arrays` gave."""
        self.values[:], self.first[:], self.second[:] = arrays["values"], arrays["first"], arrays["second"]
        self.table[:, ACTIVE] = arrays["active"]
        self.spans = self._spans()
        for first, last in self.spans:
            self.proxy[first:last] = self.values[first:last]

    @property
    def symbols(self) -> np.ndarray:
        """The nearest integers."""
        return np.rint(self.values).astype(np.int32)


@dataclass
class TrackedState:
    """All that a fit moves."""

    latents: QuantisedVector
    """Of all nodes, in coding order."""
    motion: QuantisedVector
    """Likewise, in steps of ``MOTION_UNITS``."""
    network: dict[str, Tensor]
    latent_rate: list[Tensor]
    motion_rate: list[Tensor]


def tracked_shape(num_frames: int, info: VideoInfo, config: EncoderConfig) -> TrackedShape:
    """Sizes of a GOP's latents and networks; no pyramid is higher than it takes to come down to one sample."""
    settings = config.tracked
    scales = min(settings.scales, max(1, int(math.log2(max(info.height, info.width)))))
    tree = GopTree(num_frames, settings.span)
    return TrackedShape(tree, info.height, info.width, scales, settings.hidden, info.pixel_format.num_planes)


def network_sizes(shape: TrackedShape, config: EncoderConfig, earlier: TrackedGop | None = None) -> NetworkSizes:
    """Of all networks of a fit, or of the one that it takes up."""
    widths = config.tracked.rate_hidden, config.tracked.motion_hidden
    if earlier:
        widths = len(earlier.latent_model[0].symbols), len(earlier.motion_model[0].symbols)
    return NetworkSizes(shape.depths, shape.scales, shape.outputs, shape.hidden, *widths)


def expected_prior(config: EncoderConfig) -> Expectation:
    """Networks as the prior has them, if it is used, with gains made larger: steps grow with the root of rd_lambda."""
    if not config.tracked.prior:
        return Expectation()
    quarters = round(2 * math.log2(max(config.tracked.rd_lambda, 1e-9) / PRIOR_LAMBDA))
    return Expectation(PRIOR, min(MAX_GAIN_QUARTERS, max(-MAX_GAIN_QUARTERS, quarters)))


def expected_shared(shared: SharedNetworks, config: EncoderConfig) -> Expectation:
    """Networks as the header has them, likewise."""
    before, now = shared.gain_quarters, expected_prior(config).gain_quarters
    finer = 0 if before is None or now is None else now - before
    return Expectation(SHARED, min(MAX_GAIN_QUARTERS, max(-MAX_GAIN_QUARTERS, finer)), shared)


def initial_state(
    shape: TrackedShape,
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    generator: torch.Generator,
    motion: Sequence[Tensor],
    expected: Expectation,
) -> TrackedState:
    """Where a fit starts: latents 0, motion as :func:`flow_init.initial_motion` found it, networks as expected.

    Those of which nothing is known begin at random.
    """

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
        "w1": FIRST_SCALE * normal(FEATURES, hidden),
        "b1": math.pi * uniform(hidden),
        "w2": math.sqrt(6 / hidden) * uniform(hidden, hidden),
        "b2": math.pi * uniform(hidden),
        "w3": 0.02 * uniform(hidden, outputs),
        "b3": torch.tensor(means),
        "skip": normal(FEATURES, outputs) / math.sqrt(FEATURES),
    }
    sizes = network_sizes(shape, config)
    bases = expected.bases(sizes)
    for name, base in zip(network, bases.network, strict=True):
        # The prior does not know the colour in the mean.
        if isinstance(base, np.ndarray) and (name != "b3" or expected.source == SHARED):
            network[name] = torch.from_numpy(base.copy())
    rates = []
    for width, classes, base in (
        (sizes.latent_hidden, latent_classes(shape), bases.latents),
        (sizes.motion_hidden, MOTION_CLASSES, bases.motion),
    ):
        known = [part for part in base if isinstance(part, np.ndarray)]
        parameters = from_stored(known) if known else initial_parameters(width, classes, seed=config.seed)
        rates.append([torch.from_numpy(array.copy()).requires_grad_(True) for array in parameters])
    table = motion_table(shape)
    symbols = torch.zeros(int((table[:, ROWS] * table[:, COLS]).sum()) + 1)
    for index, part in zip(motion_indices(shape), motion, strict=True):
        symbols[torch.from_numpy(index)] = part / torch.tensor(MOTION_UNITS)
    return TrackedState(
        latents=QuantisedVector(np.zeros(len(shape.tree.nodes) * shape.node_latents, np.float32), latent_table(shape)),
        motion=QuantisedVector(symbols[:-1].numpy(), table),
        network={name: tensor.requires_grad_(True) for name, tensor in network.items()},
        latent_rate=rates[0],
        motion_rate=rates[1],
    )


def earlier_state(gop: TrackedGop, config: EncoderConfig) -> TrackedState:
    """Where an earlier fit ended, with the steps of its latents made as large as the rd_lambda of this one asks for."""
    names = gop.shape.network_shapes()
    network = {name: torch.from_numpy(tensor.values.copy()) for name, tensor in zip(names, gop.network, strict=True)}
    before, now = gop.expectation.gain_quarters, expected_prior(config).gain_quarters
    finer = 1.0 if before is None or now is None else 2 ** ((before - now) / 4)
    network["gain"] = network["gain"] / finer
    models = (from_stored([tensor.values for tensor in model]) for model in (gop.latent_model, gop.motion_model))
    latent_rate, motion_rate = ([torch.from_numpy(a.copy()).requires_grad_(True) for a in model] for model in models)
    return TrackedState(
        latents=QuantisedVector(finer * gop.latents.ravel().astype(np.float32), latent_table(gop.shape)),
        motion=QuantisedVector(gop.motion.astype(np.float32), motion_table(gop.shape)),
        network={name: tensor.requires_grad_(True) for name, tensor in network.items()},
        latent_rate=latent_rate,
        motion_rate=motion_rate,
    )


def make_targets(frames: Sequence[PlanarFrame], info: VideoInfo) -> list[Targets]:
    """The code values of a GOP, planes with common sample places together."""
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
