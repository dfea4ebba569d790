"""What a fit of the `tracked` representation moves, and where it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.entropy.context_model import from_stored, initial_parameters
from nerv_codec.representations.tracked.config import TrackedConfig
from nerv_codec.representations.tracked.fit.vector import QuantisedVector
from nerv_codec.representations.tracked.grid_tables import latent_table, motion_indices, motion_table
from nerv_codec.representations.tracked.networks import (
    MOTION_CLASSES,
    PRIOR,
    SHARED,
    Predictor,
    SharedNetworks,
    latent_classes,
)
from nerv_codec.representations.tracked.payload import TrackedGop
from nerv_codec.representations.tracked.prior import MAX_GAIN_QUARTERS, NetworkSizes
from nerv_codec.representations.tracked.shape import FEATURES, MOTION_UNITS, TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

NETWORK_BETAS = (0.9, 0.95)
"""Decay rates of Adam's moments for networks."""
PRIOR_LAMBDA = 2e-3
"""The rd_lambda whose gains the prior holds."""
FIRST_SCALE = 2.0
"""Deviation of the first layer's weights at the start."""


@dataclass
class TrackedState:
    """All that a fit moves."""

    latents: QuantisedVector
    """Latents of all nodes, in coding order."""
    motion: QuantisedVector
    """Motion of all nodes, in coding order and in steps of ``MOTION_UNITS``."""
    network: dict[str, Tensor]
    """The synthesis network, gains and mixing vectors, as ``shape.network_shapes()``."""
    latent_model: list[Tensor]
    """The latents' entropy model, as ``RateParameters``."""
    motion_model: list[Tensor]
    """The motion's entropy model, as ``RateParameters``."""


def tracked_shape(num_frames: int, info: VideoInfo, config: TrackedConfig) -> TrackedShape:
    """Sizes of a GOP's latents and networks; no pyramid is higher than it takes to come down to one sample."""
    scales = min(config.scales, max(1, int(math.log2(max(info.height, info.width)))))
    tree = GopTree(num_frames, config.span)
    return TrackedShape(tree, info.height, info.width, scales, config.hidden, info.pixel_format.num_planes)


def fit_sizes(shape: TrackedShape, config: TrackedConfig, earlier: TrackedGop | None = None) -> NetworkSizes:
    """Sizes of all networks of a fit, or of those of the earlier one that it takes up."""
    widths = config.rate_hidden, config.motion_hidden
    if earlier:
        widths = len(earlier.latent_model[0].symbols), len(earlier.motion_model[0].symbols)
    return NetworkSizes(shape.depths, shape.scales, shape.outputs, shape.hidden, *widths)


def prior_predictor(config: TrackedConfig) -> Predictor:
    """Networks as the prior has them, if it is used, with gains made larger: steps grow with the root of rd_lambda."""
    if not config.prior:
        return Predictor()
    quarters = round(2 * math.log2(max(config.rd_lambda, 1e-9) / PRIOR_LAMBDA))
    return Predictor(PRIOR, min(MAX_GAIN_QUARTERS, max(-MAX_GAIN_QUARTERS, quarters)))


def shared_predictor(shared: SharedNetworks, config: TrackedConfig) -> Predictor:
    """Networks as the header has them, with gains made larger or smaller as rd_lambda asks."""
    before, now = shared.gain_quarters, prior_predictor(config).gain_quarters
    finer = 0 if before is None or now is None else now - before
    return Predictor(SHARED, min(MAX_GAIN_QUARTERS, max(-MAX_GAIN_QUARTERS, finer)), shared)


def initial_state(
    shape: TrackedShape,
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: TrackedConfig,
    seed: int,
    generator: torch.Generator,
    motion: Sequence[Tensor],
    predictor: Predictor,
) -> TrackedState:
    """Where a fit starts: latents 0, motion as :func:`flow.initial_motion` found it, networks as predicted.

    Networks of which nothing is known begin at random: entropy models, which are the same in all GOPs of a file, by
    ``seed``, the others by ``generator``.
    """

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    def uniform(*size: int) -> Tensor:
        return 2 * torch.rand(size, generator=generator) - 1

    hidden, outputs = shape.hidden, shape.outputs
    peak = info.pixel_format.max_value
    means = [float(np.mean([frame.planes[plane].mean() for frame in frames])) / peak for plane in range(outputs)]
    network = {
        "gain": torch.full(shape.network_shapes()["gain"], config.initial_gain),
        "mix": normal(*shape.network_shapes()["mix"]) / math.sqrt(FEATURES),
        "w1": FIRST_SCALE * normal(FEATURES, hidden),
        "b1": math.pi * uniform(hidden),
        "w2": math.sqrt(6 / hidden) * uniform(hidden, hidden),
        "b2": math.pi * uniform(hidden),
        "w3": 0.02 * uniform(hidden, outputs),
        "b3": torch.tensor(means),
        "skip": normal(FEATURES, outputs) / math.sqrt(FEATURES),
    }
    sizes = fit_sizes(shape, config)
    predicted = predictor.predicted(sizes)
    for name, base in zip(network, predicted.network, strict=True):
        # The prior does not know the colour in the mean.
        if isinstance(base, np.ndarray) and (name != "b3" or predictor.source == SHARED):
            network[name] = torch.from_numpy(base.copy())
    models = []
    for width, classes, stored in (
        (sizes.latent_hidden, latent_classes(shape), predicted.latents),
        (sizes.motion_hidden, MOTION_CLASSES, predicted.motion),
    ):
        known = [part for part in stored if isinstance(part, np.ndarray)]
        parameters = from_stored(known) if known else initial_parameters(width, classes, seed=seed)
        models.append([torch.from_numpy(array.copy()).requires_grad_(True) for array in parameters])
    table = motion_table(shape)
    symbols = torch.zeros(table.size + 1)
    for index, part in zip(motion_indices(shape), motion, strict=True):
        symbols[torch.from_numpy(index)] = part / torch.tensor(MOTION_UNITS)
    return TrackedState(
        latents=QuantisedVector(np.zeros(len(shape.tree.nodes) * shape.node_latents, np.float32), latent_table(shape)),
        motion=QuantisedVector(symbols[:-1].numpy(), table),
        network={name: tensor.requires_grad_(True) for name, tensor in network.items()},
        latent_model=models[0],
        motion_model=models[1],
    )


def earlier_state(gop: TrackedGop, config: TrackedConfig) -> TrackedState:
    """Where an earlier fit ended, with the steps of its latents made as large as the rd_lambda of this one asks for."""
    names = gop.shape.network_shapes()
    network = {name: torch.from_numpy(tensor.values.copy()) for name, tensor in zip(names, gop.network, strict=True)}
    before, now = gop.predictor.gain_quarters, prior_predictor(config).gain_quarters
    finer = 1.0 if before is None or now is None else 2 ** ((before - now) / 4)
    network["gain"] = network["gain"] / finer
    models = (from_stored([tensor.values for tensor in model]) for model in (gop.latent_model, gop.motion_model))
    latent_model, motion_model = ([torch.from_numpy(a.copy()).requires_grad_(True) for a in model] for model in models)
    return TrackedState(
        latents=QuantisedVector(finer * gop.latents.ravel().astype(np.float32), latent_table(gop.shape)),
        motion=QuantisedVector(gop.motion.astype(np.float32), motion_table(gop.shape)),
        network={name: tensor.requires_grad_(True) for name, tensor in network.items()},
        latent_model=latent_model,
        motion_model=motion_model,
    )
