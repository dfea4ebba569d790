"""Fits of one GOP for the benchmark: the compiled one and the plain one, from the same start on the same data.

All that the benchmark knows of the inside of a fit stands here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from plain_torch import TorchFit

from nerv_codec.base.psnr import psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media.reader import open_video
from nerv_codec.representations.fitting.sites import distortion_weights
from nerv_codec.representations.fitting.status import FitStatus
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.tracked.config import TrackedConfig
from nerv_codec.representations.tracked.fit import optimise as tracked_fit
from nerv_codec.representations.tracked.fit.lambda_control import RateController
from nerv_codec.representations.tracked.fit.optimise import make_backend
from nerv_codec.representations.tracked.fit.phases import Phase, Plan
from nerv_codec.representations.tracked.fit.rounding import NetworkCoding
from nerv_codec.representations.tracked.fit.state import (
    TrackedState,
    fit_sizes,
    initial_state,
    prior_predictor,
    tracked_shape,
)
from nerv_codec.representations.tracked.fit.targets import Targets, make_targets
from nerv_codec.representations.tracked.grid_tables import motion_maps
from nerv_codec.representations.tracked.references import reference_maps
from nerv_codec.representations.tracked.shape import TrackedShape

_SEED = 0


@dataclass(frozen=True)
class Problem:
    """One GOP, and how it is fitted."""

    frames: tuple[PlanarFrame, ...]
    info: VideoInfo
    config: TrackedConfig

    @property
    def shape(self) -> TrackedShape:
        return tracked_shape(len(self.frames), self.info, self.config)

    @property
    def pixels(self) -> int:
        return len(self.frames) * self.info.height * self.info.width

    @property
    def coordinates(self) -> int:
        """Evaluated in a step over all rows of all frames: luma's and chroma's sites."""
        return sum(len(group.rows) * len(group.cols) for group in self.targets()) * len(self.frames)

    def loss(self, moment: Moment) -> float:
        """D + lambda R with luma's share of D alone."""
        distortion = distortion_weights(self.info)[0] * 10 ** (-moment.psnr_db / 10)
        return distortion + self.config.rd_lambda * moment.bits / self.pixels

    def targets(self) -> list[Targets]:
        return make_targets(self.frames, self.info)

    def state(self) -> TrackedState:
        generator = torch.Generator().manual_seed(_SEED)
        motion = tracked_fit.prepare_tracked(self.config, GopTask(self.frames, self.info), lambda: False)
        predictor = prior_predictor(self.config)
        return initial_state(self.shape, self.frames, self.info, self.config, _SEED, generator, motion, predictor)


def load(path: Path, frames: int, config: TrackedConfig, size: tuple[int, int] | None = None) -> Problem:
    """The first frames of a clip, at another (width, height) if one is given."""
    with open_video(path) as reader:
        pictures, info = [frame for frame, _ in zip(reader, range(frames), strict=False)], reader.info
    if size is not None:
        info = dataclasses.replace(info, width=size[0], height=size[1])
        pictures = [resized(picture, info) for picture in pictures]
    return Problem(tuple(pictures), info, config)


def resized(picture: PlanarFrame, info: VideoInfo) -> PlanarFrame:
    """Each plane stretched to the size that it has in ``info``."""
    planes = []
    for number, plane in enumerate(picture.planes):
        rows, cols = info.pixel_format.plane_size(number, info.height, info.width)
        planes.append(cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_CUBIC))
    return dataclasses.replace(picture, planes=tuple(planes))


@dataclass(frozen=True)
class Moment:
    """Where a fit stood before a step."""

    psnr_db: float
    """Luma PSNR."""
    bits: float
    """Estimated bits of latents and motion."""


Step = Callable[[int], Moment]
"""Does step number n, over all rows of all frames."""


@contextmanager
def compiled(problem: Problem, device: torch.device) -> Iterator[Step]:
    """The fit that the encoder does, in its last phase: all frames, all rows, nothing rounded or pruned; no noise."""
    shape, config = problem.shape, problem.config
    told: list[FitStatus] = []
    patched = {"_NOISE": (0.0, 0.0), "_COARSE_FRACTION": 0.0, "_REPORT_STEPS": 1}
    before = {name: getattr(tracked_fit, name) for name in patched}
    for name, value in patched.items():
        setattr(tracked_fit, name, value)
    try:
        with Workers() as workers:
            peak = problem.info.pixel_format.max_value
            backend = make_backend(shape, problem.targets(), peak, workers, device)
            weight = distortion_weights(problem.info)[0]
            control = RateController(config.rd_lambda, None, problem.pixels)
            predictor = prior_predictor(config)
            fit = tracked_fit._Fit(
                shape,
                backend,
                problem.state(),
                config,
                problem.pixels,
                weight,
                _SEED,
                told.append,
                control,
                NetworkCoding(predictor, predictor.predicted(fit_sizes(shape, config)), frozen=False),
            )
            depth = shape.tree.nodes[-1].depth
            steps = config.steps
            phase = Phase(0, steps, depth, tuple(range(shape.tree.num_frames)))
            fit._plan = Plan((phase,), hard_from=steps, round_from=steps, prune_at=frozenset())
            for level in range(depth):
                fit._wake(level)

            def step(number: int) -> Moment:
                fit.step(number)
                return Moment(told[-1].psnr_db, told[-1].estimated_bits)

            yield step
    finally:
        for name, value in before.items():
            setattr(tracked_fit, name, value)


@contextmanager
def plain(problem: Problem, device: torch.device) -> Iterator[Step]:
    """Steps of the fit in plain torch."""
    shape, config, state = problem.shape, problem.config, problem.state()
    for vector in (state.latents, state.motion):
        vector.wake(np.ones(len(vector.table), bool))
    rates, luma_weight = config, distortion_weights(problem.info)[0]
    with Workers() as workers:
        fit = TorchFit(
            shape,
            state,
            problem.targets(),
            problem.info.pixel_format.max_value,
            lambda_per_bit=rates.rd_lambda / problem.pixels,
            maps=reference_maps(shape, state.motion.symbols),
            motion_maps=motion_maps(shape),
            rates=(rates.latent_learning_rate, rates.motion_learning_rate, rates.network_learning_rate),
            clip=tracked_fit._NETWORK_CLIP,
            device=device,
            workers=workers,
        )

        def step(number: int) -> Moment:
            done = number / config.steps
            first, last = tracked_fit._TEMPERATURE
            schedule = min(1.0, (number + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * done))
            distortion, bits = fit.step(first + (last - first) * done, schedule)
            return Moment(psnr_db(float(distortion[0]) / luma_weight, 1.0), bits)

        yield step
