"""Fitting the `tracked` representation to one GOP on rate and distortion.

The loss is D + rd_lambda * bits per pixel. Latents pass through soft rounding and noise that harden over the fit
(Agustsson and Theis 2020, "Universally Quantized Neural Compression"; schedule after Cool-Chic).

The fit grows along the node tree. Frame 0, where most of the bits are, is fitted alone, at a thirtieth of the cost of a
GOP. Then the frames of one depth after the other join, and at last all move together. On the way the
networks are rounded, to steps chosen by their cost, and go on as rounded networks (the gradient passes straight
through); at the end latents and motion are rounded too and only networks move.

Gradients come from compiled kernels; what joins them is written out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.device import runs_triton
from nerv_codec.base.errors import Interrupted
from nerv_codec.base.psnr import psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FitState
from nerv_codec.representations.fitting.sites import distortion_weights
from nerv_codec.representations.fitting.status import FitReporter, FitStatus, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.representation import Representation
from nerv_codec.representations.tracked.config import TrackedConfig
from nerv_codec.representations.tracked.fit.backend import Backend
from nerv_codec.representations.tracked.fit.backend_cpu import CpuBackend
from nerv_codec.representations.tracked.fit.estimate import estimate_payload_bits
from nerv_codec.representations.tracked.fit.flow import initial_motion
from nerv_codec.representations.tracked.fit.lambda_control import RateController
from nerv_codec.representations.tracked.fit.phases import Phase, Plan
from nerv_codec.representations.tracked.fit.rounding import FitNetworks, NetworkCoding
from nerv_codec.representations.tracked.fit.state import (
    NETWORK_BETAS,
    PRIOR_LAMBDA,
    TrackedState,
    earlier_state,
    fit_sizes,
    initial_state,
    prior_predictor,
    shared_predictor,
    tracked_shape,
)
from nerv_codec.representations.tracked.fit.targets import Targets, make_targets
from nerv_codec.representations.tracked.grid_tables import motion_owners
from nerv_codec.representations.tracked.networks import SHARED, Predictor, read_shared
from nerv_codec.representations.tracked.payload import make_function, pack_tracked, read_tracked
from nerv_codec.representations.tracked.references import reference_maps
from nerv_codec.representations.tracked.shape import TrackedShape

_TEMPERATURE = (0.35, 0.08)
"""Temperature of soft rounding at the beginning and at the end."""
_NOISE = (0.25, 0.15)
"""Deviation of the noise of soft rounding at the beginning and at the end."""
_GROWTH_WEIGHT = 0.25
"""How much the distortion of frame 0 counts while it is alone: the share of it that later frames inherit, about."""
_COARSE_FRACTION = 0.5
"""Share of the steps with all frames that look at every second row only."""
_MAX_REACH = 4.0
"""By how much the learning rate of latents is raised for a low rd_lambda, at the most."""
_CONTROL_STEPS = 10
"""Steps between two measurements of the controller."""
_FLOOR = 1e-3
"""Epsilon of Adam for latents and motion, in units of the price of a bit: what changes less than that stays."""
_MAP_STEPS = 50
"""Steps after which the reference maps follow the motion."""
_REPORT_STEPS = 10
"""Steps between two reports."""
_TRIAL_STEPS = 40
"""Steps of frame 0 alone that show whether the networks of another GOP suit better than the prior."""
_NETWORK_CLIP = 0.1
"""The norm at which the gradient of the synthesis network is cut."""


def make_backend(
    shape: TrackedShape, targets: Sequence[Targets], peak: int, workers: Workers, device: torch.device
) -> Backend:
    """Triton kernels where they run, else compiled ones on the CPU."""
    if runs_triton(device):
        from nerv_codec.representations.tracked.fit.backend_cuda import CudaBackend  # brings Triton

        return CudaBackend(shape, targets, peak, device)
    return CpuBackend(shape, targets, peak, workers)


def prepare_tracked(config: TrackedConfig, task: GopTask, stop: Callable[[], bool]) -> tuple[Tensor, ...]:
    """The part of a fit that can be done ahead, beside the fit of another GOP: see :func:`initial_motion`.

    Raises:
        Interrupted: ``stop`` said so.
    """
    shape = tracked_shape(len(task.frames), task.info, config)
    depth = task.info.pixel_format.bit_depth
    return tuple(initial_motion(shape, task.frames, depth, config.rd_lambda, stop))


def fit_tracked(config: TrackedConfig, task: GopTask, report: FitReporter, checkpoint: Checkpoint) -> FittedGop:
    """Fits one GOP.

    Networks stay as the header keeps them (``task.shared``) if that serves the first frame better than learning them
    from the prior, their bytes included; learning goes on where a target is set or an earlier fit is taken up.

    Args:
        config: Sizes and effort.
        task: The GOP.
        report: Called now and then.
        checkpoint: Where the state is kept.

    Raises:
        Interrupted: The checkpoint was asked to stop.
        BitstreamError: What the fit shall start from is damaged.
    """
    frames, info, device = task.frames, task.info, task.device
    shape = tracked_shape(len(frames), info, config)
    earlier, motion = None, task.prepared
    if task.start_from is not None:
        before = read_shared(task.start_from.shared, shape.outputs)
        earlier = read_tracked(task.start_from.payload, task.geometry, before)
        shape = earlier.shape
    elif motion is None:
        motion = prepare_tracked(config, task, checkpoint.stop)
    pixels = len(frames) * info.height * info.width
    control = RateController(config.rd_lambda, task.target, pixels)
    config = replace(config, rd_lambda=control.rd_lambda)
    choices = [prior_predictor(config)]
    known = read_shared(task.shared, shape.outputs)
    if known and replace(known.sizes, depths=shape.depths) == fit_sizes(shape, config, earlier):
        choices.insert(0, shared_predictor(known, config))
    learns = task.target is not None or earlier is not None
    with Workers() as workers:
        targets, peak = make_targets(frames, info), info.pixel_format.max_value
        backend = make_backend(shape, targets, peak, workers, device)

        def begin(predictor: Predictor, report: FitReporter) -> _Fit:
            if earlier:
                state = earlier_state(earlier, config)
            else:
                generator = torch.Generator().manual_seed(task.gop_seed)
                state = initial_state(shape, frames, info, config, task.seed, generator, motion or (), predictor)
            predicted = predictor.predicted(fit_sizes(shape, config, earlier))
            coding = NetworkCoding(predictor, predicted, frozen=predictor.source == SHARED and not learns)
            luma_weight = distortion_weights(info)[0]
            return _Fit(shape, backend, state, config, pixels, luma_weight, task.gop_seed, report, control, coding)

        def watch(_: FitStatus) -> None:
            """For trials, which are short: nothing of them is kept."""
            if checkpoint.stop():
                raise Interrupted("interrupted; the same command goes on behind the last whole GOP")

        saved = checkpoint.load()
        if saved is not None:
            predictor = next(one for one in choices if one.source == saved.values["expects"])
        elif learns or len(choices) == 1:
            predictor = choices[0]
        else:
            predictor = min(choices, key=lambda one: begin(one, watch).trial())
        fit = begin(predictor, report)
        for step in range(fit.restore(saved), fit.steps):
            checkpoint.offer(partial(fit.saved, step))
            fit.step(step)
        return FittedGop(*fit.finish(task.geometry, device))


class _Fit:
    """The optimisation of one GOP."""

    def __init__(
        self,
        shape: TrackedShape,
        backend: Backend,
        state: TrackedState,
        config: TrackedConfig,
        pixels: int,
        luma_weight: float,
        seed: int,
        report: FitReporter,
        control: RateController,
        coding: NetworkCoding,
    ) -> None:
        state.latents, state.motion = backend.vector(state.latents), backend.vector(state.motion)
        self._shape, self._backend, self._state, self._config = shape, backend, state, config
        self._control, self._pixels = control, pixels
        self._luma_weight = luma_weight
        self._seed, self._report = seed, report
        self._plan = Plan.make(shape.tree, config.steps)
        self._coding = coding
        self._networks = FitNetworks(shape, backend, state, coding, pixels, self._plan.last.steps)
        self._mapped = np.zeros_like(state.motion.symbols)
        self._optimizer = torch.optim.Adam(self._networks.tensors, betas=NETWORK_BETAS, fused=True)
        # Where steps are finer, latents have further to go.
        reach = math.sqrt(PRIOR_LAMBDA / max(config.rd_lambda, 1e-9))
        self._latent_rate = config.latent_learning_rate * min(_MAX_REACH, max(1.0, reach))

    @property
    def steps(self) -> int:
        """Number of all steps."""
        return self._plan.steps

    @property
    def _lambda(self) -> float:
        """Weight of one bit."""
        return self._control.rd_lambda / self._pixels

    def saved(self, step: int) -> FitState:
        """All that :meth:`restore` needs to go on before ``step``."""
        tensors: dict[str, Tensor] = {"mapped": torch.from_numpy(self._mapped)}
        for name, vector in (("latents", self._state.latents), ("motion", self._state.motion)):
            tensors |= {f"{name}.{key}": torch.from_numpy(array) for key, array in vector.arrays().items()}
        for index, tensor in enumerate(self._networks.tensors):
            tensors[f"network.{index}"] = tensor.detach()
            tensors |= {f"adam.{index}.{key}": value for key, value in self._optimizer.state[tensor].items()}
        values = {
            "step": step,
            "expects": self._coding.predictor.source,
            "network_steps": self._networks.network_steps,
            "rate_steps": self._networks.rate_steps,
            "rd_lambda": self._control.rd_lambda,
            "error": self._control.error,
        }
        return FitState(tensors, values)

    def restore(self, saved: FitState | None) -> int:
        """Goes on from what :meth:`saved` gave. Returns the next step: 0 if there is nothing to go on from."""
        if saved is None:
            return 0
        self._mapped = saved.tensors["mapped"].numpy()
        self._networks.maps = reference_maps(self._shape, self._mapped)
        for name, vector in (("latents", self._state.latents), ("motion", self._state.motion)):
            vector.restore({key: saved.tensors[f"{name}.{key}"].numpy() for key in vector.arrays()})
        for index, tensor in enumerate(self._networks.tensors):
            tensor.detach().copy_(saved.tensors[f"network.{index}"])
            prefix = f"adam.{index}."
            self._optimizer.state[tensor] = {
                key.removeprefix(prefix): value for key, value in saved.tensors.items() if key.startswith(prefix)
            }
        self._networks.network_steps = list(saved.values["network_steps"])
        self._networks.rate_steps = tuple(map(list, saved.values["rate_steps"]))
        self._control.rd_lambda, self._control.error = saved.values["rd_lambda"], saved.values["error"]
        return int(saved.values["step"])

    def trial(self) -> float:
        """D + lambda R of frame 0, about, after a few steps, and of the networks that would be stored for them."""
        steps = range(min(_TRIAL_STEPS, self._plan.phases[0].steps))
        costs = [self.step(step) for step in steps]
        return sum(costs[len(costs) // 2 :]) / len(costs[len(costs) // 2 :]) + self._lambda * self._networks.bits()

    def step(self, step: int) -> float:
        """One optimiser step; returns the loss before it."""
        state, rates, hard = self._state, self._config, step >= self._plan.hard_from
        phase = self._plan.phase(step)
        final = phase is self._plan.last
        done = (step - phase.first) / phase.steps if final else 0.0
        self._prepare(step, phase, done)
        share = len(phase.frames) / self._shape.tree.num_frames
        weight = float(np.float32(_GROWTH_WEIGHT + (1 - _GROWTH_WEIGHT) * share))
        stride = 2 if final and done < _COARSE_FRACTION else 1
        self._optimizer.zero_grad(set_to_none=True)
        options = {"frames": phase.frames, "stride": stride, "phase": step, "moving": not hard}
        gradient, network = self._networks.gradient(weight, **options)
        latent_gradient, motion_gradient = gradient.latents * weight, gradient.motion * weight
        bits = self._networks.rate(0, self._lambda, latent_gradient)
        bits += self._networks.rate(1, self._lambda, motion_gradient)
        for name, tensor in state.network.items():
            tensor.grad = network[name].grad
        torch.nn.utils.clip_grad_norm_(list(state.network.values()), _NETWORK_CLIP)
        schedule = min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * done))
        self._optimizer.param_groups[0]["lr"] = rates.network_learning_rate * schedule
        if not self._coding.frozen:
            self._optimizer.step()
        if not hard:
            floor = _FLOOR * self._lambda
            state.latents.step(latent_gradient, self._latent_rate * schedule, step + 1, floor)
            state.motion.step(motion_gradient, rates.motion_learning_rate * schedule, step + 1, floor)
        steered = final or phase.depth == 0  # in between, young nodes cost more than they will
        if self._control.steers and steered and not hard and (step + 1) % _CONTROL_STEPS == 0:
            self._steer(whole=final)
        if (step + 1) % _REPORT_STEPS == 0 or step + 1 == self.steps:
            psnr = psnr_db(float(gradient.distortion[0]) / self._luma_weight, 1.0)
            self._report(FitStatus(step + 1, self.steps, "hard" if hard else "fit", psnr, bits))
        return weight * float(gradient.distortion.sum()) + self._lambda * bits

    def _prepare(self, step: int, phase: Phase, done: float) -> None:
        """What changes between steps: which grids take part, and how hard everything is rounded."""
        state, hard_from = self._state, self._plan.hard_from
        if step in self._plan.prune_at:
            state.latents.prune()
            state.motion.prune()
        if step == phase.first:
            self._wake(phase.depth)
        if step == hard_from:
            state.latents.round()
            state.motion.round()
        if step % _MAP_STEPS == 0 or step in (phase.first, hard_from):
            self._mapped = state.motion.symbols
            self._networks.maps = reference_maps(self._shape, self._mapped)
        if step < hard_from:
            temperature = _TEMPERATURE[0] + (_TEMPERATURE[1] - _TEMPERATURE[0]) * done
            deviation = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * done
            seed = (self._seed * 1000003 + step) * 2654435761
            state.latents.soften(temperature, deviation, seed)
            state.motion.soften(temperature, deviation, seed + 0x51ED270B)
        if step == self._plan.round_from and not self._coding.frozen:
            self._networks.choose_steps(self._lambda)

    def _wake(self, depth: int) -> None:
        """Lets the nodes of a depth take part."""
        nodes = [index for index, node in enumerate(self._shape.tree.nodes) if node.depth == depth]
        for vector, owners in (
            (self._state.latents, np.repeat(np.arange(len(self._shape.tree.nodes)), len(self._shape.grid_scales))),
            (self._state.motion, motion_owners(self._shape)),
        ):
            vector.wake(np.isin(owners, nodes))

    def _steer(self, whole: bool) -> None:
        """Lets the controller see what rounding everything now would come to."""
        bits = self._networks.bits()
        for number, vector in enumerate((self._state.latents, self._state.motion)):
            vector.show_rounded()
            bits += self._networks.rate(number, self._lambda, None)
        passed, _ = self._networks.gradient(1.0, stride=2, moving=False)
        psnr = psnr_db(float(passed.distortion[0]) / self._luma_weight, 1.0)
        self._control.measure(bits, psnr, whole)

    def finish(self, geometry: GopGeometry, device: torch.device) -> tuple[bytes, float, Representation]:
        """Codes what has been rounded."""
        state, shape = self._state, self._shape
        latents, motion = state.latents.symbols.reshape(-1, shape.node_latents), state.motion.symbols
        tensors = {name: tensor.detach() for name, tensor in state.network.items()}
        float_model = make_function(geometry, shape, latents, motion, tensors, device)
        networks = self._networks.refined(self._lambda)
        payload = pack_tracked(shape, latents, motion, *networks, self._coding.predictor)
        return payload, estimate_payload_bits(shape, latents, motion, *networks), float_model
