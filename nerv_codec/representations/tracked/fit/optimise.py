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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.errors import BitstreamError, Interrupted
from nerv_codec.base.psnr import psnr_db
from nerv_codec.base.threads import Workers
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.entropy.context_model import (
    DEFAULT_STEPS,
    MIN_STEP_LOG2,
    EntropyModel,
    as_stored,
    from_stored,
    quantise_parameters,
)
from nerv_codec.entropy.latents import estimate_bits
from nerv_codec.entropy.rate_cpu import RateParameters
from nerv_codec.entropy.weights import MIN_STEP_LOG2 as LOWEST_STEP_LOG2
from nerv_codec.entropy.weights import Base, QuantizedTensor
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FitState
from nerv_codec.representations.fitting.quantise import choose_steps, quantise, settle
from nerv_codec.representations.fitting.sites import distortion_weights, gop_geometry
from nerv_codec.representations.fitting.status import FitStatus, FitTarget, Report
from nerv_codec.representations.tracked.fit.backend import Backend, Gradient, make_backend
from nerv_codec.representations.tracked.fit.flow import initial_motion
from nerv_codec.representations.tracked.fit.lambda_control import RateController
from nerv_codec.representations.tracked.fit.state import (
    NETWORK_BETAS,
    PRIOR_LAMBDA,
    QuantisedVector,
    TrackedState,
    earlier_state,
    expected_prior,
    expected_shared,
    initial_state,
    make_targets,
    network_sizes,
    tracked_shape,
)
from nerv_codec.representations.tracked.networks import SHARED, Bases, Expectation, network_bits, read_shared
from nerv_codec.representations.tracked.payload import (
    TrackedGop,
    latent_table,
    motion_maps,
    motion_owners,
    motion_table,
    pack_tracked,
    reference_maps,
    spread_motion,
)
from nerv_codec.representations.tracked.render_cpu import NETWORK, Tracked, node_mix
from nerv_codec.representations.tracked.shape import TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

_CPU = torch.device("cpu")
_TEMPERATURE = (0.35, 0.08)
_NOISE = (0.25, 0.15)
_GROWTH = (4.0, 1.2, 0.4, 0.25, 0.15)
"""Steps in which the frames of depth 0, 1 .. are the youngest, as shares of the steps in which all frames move."""
_GROWTH_WEIGHT = 0.25
"""How much the distortion of frame 0 counts while it is alone: the share of it that later frames inherit, about."""
_ROUND_NETWORKS = 0.7
"""Share of the steps with all frames after which networks are rounded."""
_HARD_FRACTION = 0.1
"""Share of those steps at the end in which latents and motion are rounded and only networks move."""
_COARSE_FRACTION = 0.5
"""Share of those steps that look at every second row only."""
_MAX_REACH = 4.0
"""By how much the learning rate of latents is raised for a low rd_lambda, at the most."""
_CONTROL_STEPS = 10
_NETWORK_BITS = 4000
"""Of all networks, about, before they are rounded."""
_FLOOR = 1e-3
"""Epsilon of Adam for latents and motion, in units of the price of a bit: what changes less than that stays."""
_MAP_STEPS = 50
_PRUNE_AT = (0.05, 0.2, 0.4, 0.6, 0.8)
_YOUNG = 50
"""Before this step no latent can have left zero for good, and no grid is given up."""
_HEADER_BITS, _DIGEST_BITS = 8 * 11, 32
"""Of a payload, of coded latents."""
_LAST_WORD_BITS = 24
"""Of what a range coder writes last, about as much says nothing."""
_REPORT_STEPS = 10
_TRIAL_STEPS = 40
"""Of frame 0 alone, with the networks of another GOP and with the prior, where it has to be found which suit better."""
_NETWORK_CLIP = 0.1
_MAX_SEARCH_SAMPLES = 1 << 18
_NETWORK_TRIALS = 0.25
"""Single integers of the rounded network that are tried at the end, for each step with all frames."""
_RATE_SYMBOLS = 1 << 26
"""Symbols that are counted to try those of an entropy model, which has no more trials than the fit has steps."""
_FEW = 32
"""Numbers in a tensor whose bits hardly count."""


@dataclass(frozen=True)
class Phase:
    """Steps in a row with the same frames."""

    first: int
    steps: int
    depth: int
    """Of the youngest nodes that take part."""
    frames: tuple[int, ...]


def make_phases(tree: GopTree, steps: int) -> tuple[Phase, ...]:
    """The phases of a fit: the last has ``steps`` steps and all frames."""
    phases: list[Phase] = []
    last = tree.nodes[-1].depth
    first = 0
    for depth in range(last + 1):
        frames = tuple(sorted(node.frame for node in tree.nodes if node.depth <= depth))
        count = steps if depth == last else max(1, round(steps * _GROWTH[min(depth, len(_GROWTH) - 1)]))
        phases.append(Phase(first, count, depth, frames))
        first += count
    return tuple(phases)


def prepare_tracked(
    frames: Sequence[PlanarFrame], info: VideoInfo, config: EncoderConfig, stop: Callable[[], bool] = lambda: False
) -> list[Tensor]:
    """The part of a fit that can be done ahead, beside the fit of another GOP: see :func:`initial_motion`."""
    shape = tracked_shape(len(frames), info, config)
    return initial_motion(shape, frames, info.pixel_format.bit_depth, config.tracked.rd_lambda, stop)


def fit_tracked(
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    *,
    seed: int,
    report: Report,
    checkpoint: Checkpoint | None = None,
    target: FitTarget | None = None,
    device: torch.device = _CPU,
    prepared: Sequence[Tensor] | TrackedGop | None = None,
    shared: bytes = b"",
) -> tuple[bytes, float, Tracked]:
    """Fits one GOP; see :func:`nerv_codec.encoding.fit_gop.fit_gop`.

    Args:
        prepared: What :func:`prepare_tracked` gave, if it was called before, or what an earlier fit came to.
        shared: What the header keeps for all GOPs. Networks stay as they are there if that serves the first frame
            better than learning them from the prior, their bytes included; learning goes on where a target is set or
            an earlier fit is taken up.

    Returns:
        The payload, the bits that the tables estimate for it, and the function before its networks were rounded.
    """
    shape = tracked_shape(len(frames), info, config)
    keeper = checkpoint or Checkpoint()
    if prepared is None:
        prepared = prepare_tracked(frames, info, config, keeper.stop)
    pixels = len(frames) * info.height * info.width
    control = RateController(config.tracked.rd_lambda, target, pixels)
    config = replace(config, tracked=replace(config.tracked, rd_lambda=control.rd_lambda))
    earlier = prepared if isinstance(prepared, TrackedGop) else None
    shape = earlier.shape if earlier else shape
    choices = [expected_prior(config)]
    known = read_shared(shared, shape.outputs)
    if known and replace(known.sizes, depths=shape.depths) == network_sizes(shape, config, earlier):
        choices.insert(0, expected_shared(known, config))
    learns = target is not None or earlier is not None
    with Workers() as workers, ThreadPoolExecutor(workers.count) as executor:
        targets, peak = make_targets(frames, info), info.pixel_format.max_value
        backend = make_backend(shape, targets, peak, workers, executor, device)

        def begin(expected: Expectation, report: Report) -> _Fit:
            if earlier:
                state = earlier_state(earlier, config)
            else:
                generator = torch.Generator().manual_seed(seed)
                state = initial_state(shape, frames, info, config, generator, prepared, expected)
            bases = expected.bases(network_sizes(shape, config, earlier))
            coding = _Coding(expected, bases, frozen=expected.source == SHARED and not learns)
            return _Fit(
                shape, backend, state, config, pixels, distortion_weights(info)[0], seed, report, control, coding
            )

        def watch(_: FitStatus) -> None:
            """For trials, which are short: nothing of them is kept."""
            if keeper.stop():
                raise Interrupted("interrupted; the same command goes on behind the last whole GOP")

        saved = keeper.load()
        if saved is not None:
            expected = next(one for one in choices if one.source == saved.values["expects"])
        elif learns or len(choices) == 1:
            expected = choices[0]
        else:
            expected = min(choices, key=lambda one: begin(one, watch).trial())
        fit = begin(expected, report)
        for step in range(fit.restore(saved), fit.steps):
            keeper.offer(lambda step=step: fit.saved(step))  # type: ignore[misc]
            fit.step(step)
        return fit.finish(gop_geometry(frames, info))


class _Coding(NamedTuple):
    """How networks are coded."""

    expected: Expectation
    bases: Bases
    frozen: bool
    """They stay as expected."""


class _Rate(NamedTuple):
    """Integers to be, and what codes them."""

    vector: QuantisedVector
    maps: np.ndarray
    network: Sequence[Tensor]
    """As ``RateParameters``."""
    bases: Sequence[Base]
    """As they are stored."""


class _Fit:
    """The optimisation of one GOP."""

    def __init__(
        self,
        shape: TrackedShape,
        backend: Backend,
        state: TrackedState,
        config: EncoderConfig,
        pixels: int,
        luma_weight: float,
        seed: int,
        report: Report,
        control: RateController,
        coding: _Coding,
    ) -> None:
        state.latents, state.motion = backend.vector(state.latents), backend.vector(state.motion)
        self._shape, self._backend, self._state, self._config = shape, backend, state, config
        self._control, self._pixels = control, pixels
        self._luma_weight = luma_weight
        self._seed, self._report = seed, report
        self._phases = make_phases(shape.tree, config.tracked.steps)
        self.steps = self._phases[-1].first + self._phases[-1].steps
        # The last step at least is hard, for what is coded has to be rounded.
        self._hard_from = self.steps - max(1, round(self._phases[-1].steps * _HARD_FRACTION))
        self._round_from = min(self._hard_from, self._at(_ROUND_NETWORKS))
        shares = {self._at(share) for share in _PRUNE_AT}
        self._prune_at = {step for step in shares | {phase.first for phase in self._phases[1:]} if step >= _YOUNG}
        self._expected, self._bases, self._frozen = coding
        # Networks that stay as expected are rounded from the beginning, whatever the steps are.
        self._network_steps = [0] * len(state.network) if self._frozen else []
        self._rate_steps: tuple[list[int], ...] = (list(DEFAULT_STEPS),) * 2 if self._frozen else ()
        self._maps, self._motion_maps = np.zeros(0, np.int32), motion_maps(shape)
        self._mapped = np.zeros_like(state.motion.symbols)
        self._networks = [*state.network.values(), *state.latent_rate, *state.motion_rate]
        self._optimizer = torch.optim.Adam(self._networks, betas=NETWORK_BETAS, fused=True)
        # Where steps are finer, latents have further to go.
        reach = math.sqrt(PRIOR_LAMBDA / max(config.tracked.rd_lambda, 1e-9))
        self._latent_rate = config.tracked.latent_learning_rate * min(_MAX_REACH, max(1.0, reach))

    @property
    def _lambda(self) -> float:
        """Weight of one bit."""
        return self._control.rd_lambda / self._pixels

    def saved(self, step: int) -> FitState:
        """All that :meth:`restore` needs to go on before ``step``."""
        tensors: dict[str, Tensor] = {"mapped": torch.from_numpy(self._mapped)}
        for name, vector in (("latents", self._state.latents), ("motion", self._state.motion)):
            tensors |= {f"{name}.{key}": torch.from_numpy(array) for key, array in vector.arrays().items()}
        for index, tensor in enumerate(self._networks):
            tensors[f"network.{index}"] = tensor.detach()
            tensors |= {f"adam.{index}.{key}": value for key, value in self._optimizer.state[tensor].items()}
        values = {
            "step": step,
            "expects": self._expected.source,
            "network_steps": self._network_steps,
            "rate_steps": self._rate_steps,
            "rd_lambda": self._control.rd_lambda,
            "error": self._control.error,
        }
        return FitState(tensors, values)

    def restore(self, saved: FitState | None) -> int:
        """Goes on from what :meth:`saved` gave. Returns the next step: 0 if there is nothing to go on from."""
        if saved is None:
            return 0
        self._mapped = saved.tensors["mapped"].numpy()
        self._maps = reference_maps(self._shape, self._mapped)
        for name, vector in (("latents", self._state.latents), ("motion", self._state.motion)):
            vector.restore({key: saved.tensors[f"{name}.{key}"].numpy() for key in vector.arrays()})
        for index, tensor in enumerate(self._networks):
            tensor.detach().copy_(saved.tensors[f"network.{index}"])
            prefix = f"adam.{index}."
            self._optimizer.state[tensor] = {
                key.removeprefix(prefix): value for key, value in saved.tensors.items() if key.startswith(prefix)
            }
        self._network_steps = list(saved.values["network_steps"])
        self._rate_steps = tuple(map(list, saved.values["rate_steps"]))
        self._control.rd_lambda, self._control.error = saved.values["rd_lambda"], saved.values["error"]
        return int(saved.values["step"])

    def _at(self, share: float) -> int:
        """The step at which this share of the last phase is over."""
        return self._phases[-1].first + round(share * self._phases[-1].steps)

    def trial(self) -> float:
        """D + lambda R of frame 0, about, after a few steps, and of the networks that would be stored for them."""
        steps = range(min(_TRIAL_STEPS, self._phases[0].steps))
        costs = [self.step(step) for step in steps]
        return sum(costs[len(costs) // 2 :]) / len(costs[len(costs) // 2 :]) + self._lambda * self._network_bits()

    def _network_bits(self) -> float:
        return network_bits(self._coded_network()) if self._network_steps else _NETWORK_BITS

    def step(self, step: int) -> float:
        """One optimiser step; returns the loss before it."""
        state, rates, hard = self._state, self._config.tracked, step >= self._hard_from
        phase = next(phase for phase in reversed(self._phases) if step >= phase.first)
        final = phase is self._phases[-1]
        done = (step - phase.first) / phase.steps if final else 0.0
        self._prepare(step, phase, done)
        share = len(phase.frames) / self._shape.tree.num_frames
        weight = np.float32(_GROWTH_WEIGHT + (1 - _GROWTH_WEIGHT) * share)
        stride = 2 if final and done < _COARSE_FRACTION else 1
        self._optimizer.zero_grad(set_to_none=True)
        gradient, network = self._pass(weight, frames=phase.frames, stride=stride, phase=step, moving=not hard)
        latent_gradient, motion_gradient = gradient.latents * float(weight), gradient.motion * float(weight)
        bits = self._rate(0, latent_gradient) + self._rate(1, motion_gradient)
        for name, tensor in state.network.items():
            tensor.grad = network[name].grad
        torch.nn.utils.clip_grad_norm_(list(state.network.values()), _NETWORK_CLIP)
        schedule = min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * done))
        self._optimizer.param_groups[0]["lr"] = rates.network_learning_rate * schedule
        if not self._frozen:
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
        return float(weight) * float(gradient.distortion.sum()) + self._lambda * bits

    def _pass(self, weight: float | np.floating[Any], **options: Any) -> tuple[Gradient, dict[str, Tensor]]:
        """One pass over pictures, and the network that it saw, with ``weight`` times its gradient."""
        network = self._seen_network()
        mix = node_mix(self._shape, network)
        gradient = self._backend.gradient(self._state.latents, self._state.motion, network, mix, **options)
        mix.backward(torch.from_numpy(weight * gradient.mix))
        for name in NETWORK:
            network[name].grad = torch.from_numpy(weight * gradient.network[name])
        return gradient, network

    def _prepare(self, step: int, phase: Phase, done: float) -> None:
        """What changes between steps: which grids take part, and how hard everything is rounded."""
        state, hard = self._state, step >= self._hard_from
        if step in self._prune_at:
            state.latents.prune()
            state.motion.prune()
        if step == phase.first:
            self._wake(phase.depth)
        if step == self._hard_from:
            state.latents.round()
            state.motion.round()
        if step % _MAP_STEPS == 0 or step in (phase.first, self._hard_from):
            self._mapped = state.motion.symbols
            self._maps = reference_maps(self._shape, self._mapped)
        if not hard:
            temperature = _TEMPERATURE[0] + (_TEMPERATURE[1] - _TEMPERATURE[0]) * done
            deviation = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * done
            seed = (self._seed * 1000003 + step) * 2654435761
            state.latents.soften(temperature, deviation, seed)
            state.motion.soften(temperature, deviation, seed + 0x51ED270B)
        if step == self._round_from and not self._frozen:
            self._network_steps = self._choose_steps()
            self._rate_steps = tuple(self._choose_rate_steps(one) for one in self._rates)

    def _steer(self, whole: bool) -> None:
        """Lets the controller see what rounding everything now would come to."""
        state = self._state
        bits = self._network_bits()
        for number, vector in enumerate((state.latents, state.motion)):
            vector.show_rounded()
            bits += self._rate(number, None)
        network = self._seen_network()
        mix = node_mix(self._shape, network)
        passed = self._backend.gradient(state.latents, state.motion, network, mix, stride=2, moving=False)
        psnr = psnr_db(float(passed.distortion[0]) / self._luma_weight, 1.0)
        self._control.measure(bits, psnr, whole)

    def _coded_network(self) -> list[QuantizedTensor]:
        return [*self._rounded_network(), *self._rounded_rate(0), *self._rounded_rate(1)]

    def _rounded_network(self) -> list[QuantizedTensor]:
        tensors = [tensor.detach() for tensor in self._state.network.values()]
        parts = zip(tensors, self._network_steps, self._bases.network, strict=True)
        return [quantise(tensor, step, base) for tensor, step, base in parts]

    def _rounded_rate(self, number: int) -> list[QuantizedTensor]:
        coded = self._rates[number]
        parameters = RateParameters(*(tensor.detach().numpy() for tensor in coded.network))
        return quantise_parameters(parameters, self._rate_steps[number], coded.bases)

    @property
    def _rates(self) -> tuple[_Rate, _Rate]:
        """Of the latents and of the motion."""
        state, expected = self._state, self._bases
        return (
            _Rate(state.latents, self._maps, state.latent_rate, expected.latents),
            _Rate(state.motion, self._motion_maps, state.motion_rate, expected.motion),
        )

    def _wake(self, depth: int) -> None:
        """Lets the nodes of a depth take part."""
        nodes = [index for index, node in enumerate(self._shape.tree.nodes) if node.depth == depth]
        for vector, owners in (
            (self._state.latents, np.repeat(np.arange(len(self._shape.tree.nodes)), len(self._shape.grid_scales))),
            (self._state.motion, motion_owners(self._shape)),
        ):
            vector.wake(np.isin(owners, nodes))

    def _seen_network(self) -> dict[str, Tensor]:
        """Leaves with the values that the function has: those of the state, rounded in the later part of a fit."""
        tensors = {name: tensor.detach() for name, tensor in self._state.network.items()}
        if self._network_steps:
            rounded = self._rounded_network()
            tensors = {name: torch.from_numpy(part.values) for name, part in zip(tensors, rounded, strict=True)}
        return {name: tensor.clone().requires_grad_(True) for name, tensor in tensors.items()}

    def _choose_steps(self) -> list[int]:
        """Steps of the network's tensors by rate-distortion cost, where the fit stands now."""
        tensors = [tensor.detach() for tensor in self._state.network.values()]
        steps = choose_steps(tensors, self._distortion, self._lambda, self._bases.network)
        # Rounded weights go on moving: where a finer step costs next to nothing, it leaves them room.
        pairs = zip(tensors, steps, strict=True)
        return [max(step - 2, LOWEST_STEP_LOG2) if tensor.numel() <= _FEW else step for tensor, step in pairs]

    @property
    def _search_stride(self) -> int:
        """Distance of the rows that are enough to compare networks."""
        return max(1, self._pixels // _MAX_SEARCH_SAMPLES)

    def _distortion(self, values: Sequence[Tensor]) -> float:
        """Of a network, with everything else as it stands."""
        network = dict(zip(self._state.network, values, strict=True))
        mix = node_mix(self._shape, network)
        state, stride = self._state, self._search_stride
        found = self._backend.gradient(state.latents, state.motion, network, mix, stride=stride, moving=False)
        return float(found.distortion.sum())

    def _settled_network(self) -> list[QuantizedTensor]:
        """The rounded network after single integers of it have been tried."""
        rounded, weight = self._rounded_network(), self._lambda
        if self._frozen or not weight:
            return rounded
        _, network = self._pass(1 / weight, stride=self._search_stride, moving=False)
        slopes = [tensor.grad.numpy() for tensor in network.values() if tensor.grad is not None]
        trials = round(_NETWORK_TRIALS * self._phases[-1].steps)

        def cost(tensors: Sequence[QuantizedTensor]) -> float:
            return self._distortion([torch.from_numpy(tensor.values) for tensor in tensors]) / weight

        return settle(rounded, slopes, cost, trials)

    def _settled_rate(self, number: int) -> list[QuantizedTensor]:
        """Likewise the rounded entropy model of the latents, or of the motion."""
        rounded, coded = self._rounded_rate(number), self._rates[number]
        if self._frozen or not self._lambda or not len(coded.vector.table):
            return rounded
        self._rate(number, None)
        w1, b1, w2, b2, w3 = (tensor.grad.numpy() / self._lambda for tensor in coded.network if tensor.grad is not None)
        symbols = coded.vector.symbols

        def cost(tensors: Sequence[QuantizedTensor]) -> float:
            try:
                model = EntropyModel.from_tensors(tensors)
            except BitstreamError:  # a weight would be too large
                return math.inf
            return float(estimate_bits(symbols, coded.vector.table, coded.maps, model).sum())

        trials = min(self._phases[-1].steps, _RATE_SYMBOLS // len(symbols))
        return settle(rounded, [w1, b1, w2, b2[:, 0], b2[:, 1], w3], cost, trials)

    def _choose_rate_steps(self, coded: _Rate) -> list[int]:
        """Likewise for an entropy model, whose mistakes cost bits."""
        if not len(coded.vector.table):
            return list(DEFAULT_STEPS)

        def cost(values: Sequence[Tensor]) -> float:
            parameters = from_stored([value.numpy() for value in values])
            return self._lambda * self._backend.rate(coded.vector, coded.maps, parameters, 0.0, None)[0]

        stored = as_stored(RateParameters(*(tensor.detach().numpy() for tensor in coded.network)))
        tensors = [torch.from_numpy(np.float32(part)) for part in stored]
        return choose_steps(tensors, cost, self._lambda, coded.bases, (MIN_STEP_LOG2, 0))

    def _rate(self, number: int, gradient: Any) -> float:
        """Adds lambda times the gradients of one of the rates; returns the bits."""
        coded = self._rates[number]
        if not len(coded.vector.table):
            return 0.0
        parameters = RateParameters(*(tensor.detach().numpy() for tensor in coded.network))
        if self._rate_steps:
            parameters = EntropyModel.from_tensors(self._rounded_rate(number)).parameters()
        bits, parts = self._backend.rate(coded.vector, coded.maps, parameters, self._lambda, gradient)
        for tensor, part in zip(coded.network, parts, strict=True):
            tensor.grad = torch.from_numpy(part)
        return bits

    def finish(self, geometry: GopGeometry) -> tuple[bytes, float, Tracked]:
        """Codes what has been rounded."""
        state, shape = self._state, self._shape
        latents, motion = state.latents.symbols.reshape(-1, shape.node_latents), state.motion.symbols
        tensors = {name: tensor.detach() for name, tensor in state.network.items()}
        float_model = Tracked(geometry, shape, latents, spread_motion(shape, motion), tensors)
        network, models = self._settled_network(), (self._settled_rate(0), self._settled_rate(1))
        payload = pack_tracked(shape, latents, motion, network, *models, self._expected)
        return payload, estimate_payload_bits(shape, latents, motion, network, *models), float_model


def estimate_payload_bits(
    shape: TrackedShape,
    latents: np.ndarray,
    motion: np.ndarray,
    network: Sequence[QuantizedTensor],
    latent_model: Sequence[QuantizedTensor],
    motion_model: Sequence[QuantizedTensor],
) -> float:
    """Bits of the payload by the integer tables, with the fixed bytes around them."""
    bits = network_bits([*network, *latent_model, *motion_model]) + _LAST_WORD_BITS + _HEADER_BITS
    coded = [(latents.ravel(), latent_table(shape), reference_maps(shape, motion), latent_model)]
    if len(shape.tree.nodes) > 1:
        coded.append((motion, motion_table(shape), motion_maps(shape), motion_model))
    for symbols, table, maps, tensors in coded:
        bits += float(estimate_bits(symbols, table, maps, EntropyModel.from_tensors(tensors)).sum())
        bits += _DIGEST_BITS + _LAST_WORD_BITS * bool(symbols.any())
    return bits
