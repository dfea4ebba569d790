"""The networks of a fit as the function sees them: real numbers at first, rounded once steps have been chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.context_model import (
    DEFAULT_STEPS,
    FINEST_STEP_LOG2,
    EntropyModel,
    RateParameters,
    as_stored,
    from_stored,
    quantise_parameters,
)
from nerv_codec.entropy.latents import estimate_bits
from nerv_codec.entropy.weights import MIN_STEP_LOG2, Base, QuantizedTensor
from nerv_codec.representations.fitting.quantise import choose_steps, quantise, refine_integers
from nerv_codec.representations.tracked.fit.backend import Backend, Gradient
from nerv_codec.representations.tracked.fit.state import TrackedState
from nerv_codec.representations.tracked.fit.vector import QuantisedVector
from nerv_codec.representations.tracked.function import node_mix
from nerv_codec.representations.tracked.grid_tables import motion_maps
from nerv_codec.representations.tracked.networks import Predicted, Predictor, network_bits
from nerv_codec.representations.tracked.shape import NETWORK, TrackedShape

_UNROUNDED_BITS = 4000
"""Bits of all networks, about, before they are rounded."""
_MAX_SEARCH_SAMPLES = 1 << 18
"""Samples of luma that are enough to compare networks."""
_NETWORK_TRIALS = 0.25
"""Single integers of the rounded network that are tried at the end, for each step with all frames."""
_RATE_SYMBOLS = 1 << 26
"""Symbols that are counted to try those of an entropy model, which has no more trials than the fit has steps."""
_FEW = 32
"""Numbers in a tensor whose bits hardly count."""


@dataclass(frozen=True)
class NetworkCoding:
    """How the networks of a fit are coded."""

    predictor: Predictor
    predicted: Predicted
    frozen: bool
    """Whether they stay as predicted."""


@dataclass(frozen=True)
class _Coded:
    """Integers to be, and what codes them."""

    vector: QuantisedVector
    maps: npt.NDArray[np.int32]
    """Reference maps."""
    model: Sequence[Tensor]
    """The entropy model, as ``RateParameters``."""
    predicted: Sequence[Base]
    """What is predicted of the model's tensors, as they are stored."""

    @property
    def parameters(self) -> RateParameters:
        """The entropy model, in numpy."""
        return RateParameters(*(tensor.detach().numpy() for tensor in self.model))


class FitNetworks:
    """The networks of one GOP's fit, and what pictures and bits say of them.

    Args:
        shape: Sizes.
        backend: What computes passes over pictures and bits.
        state: What the fit moves.
        coding: How networks are coded.
        pixels: Number of pixels of the GOP.
        steps: Steps in which all frames move: more of them are worth more trials at the end.

    Attributes:
        maps: Reference maps of the latents, kept up to date by the fit.
        network_steps: log2 of the step of each tensor of the synthesis network; empty before they are chosen.
        rate_steps: Those of the latents' and of the motion's entropy model; empty before they are chosen.
    """

    def __init__(
        self,
        shape: TrackedShape,
        backend: Backend,
        state: TrackedState,
        coding: NetworkCoding,
        pixels: int,
        steps: int,
    ) -> None:
        self._shape, self._backend, self._state, self._coding = shape, backend, state, coding
        self._steps = steps
        self._stride = max(1, pixels // _MAX_SEARCH_SAMPLES)
        self.maps, self._motion_maps = np.zeros(0, np.int32), motion_maps(shape)
        # Networks that stay as predicted are rounded from the beginning, whatever the steps are.
        self.network_steps: list[int] = [0] * len(state.network) if coding.frozen else []
        self.rate_steps: tuple[list[int], ...] = (list(DEFAULT_STEPS),) * 2 if coding.frozen else ()

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors that an optimiser moves."""
        return [*self._state.network.values(), *self._state.latent_model, *self._state.motion_model]

    def choose_steps(self, weight: float) -> None:
        """Chooses the steps of all tensors by rate-distortion cost, where the fit stands now.

        Args:
            weight: Of one bit against the distortion.
        """
        tensors = [tensor.detach() for tensor in self._state.network.values()]
        steps = choose_steps(tensors, self._distortion, weight, self._coding.predicted.network)
        # Rounded weights go on moving: where a finer step costs next to nothing, it leaves them room.
        pairs = zip(tensors, steps, strict=True)
        self.network_steps = [max(step - 2, MIN_STEP_LOG2) if t.numel() <= _FEW else step for t, step in pairs]
        self.rate_steps = tuple(self._choose_rate_steps(number, weight) for number in range(2))

    def seen(self) -> dict[str, Tensor]:
        """Leaves with the values that the function has: those of the state, rounded in the later part of a fit."""
        tensors = {name: tensor.detach() for name, tensor in self._state.network.items()}
        if self.network_steps:
            rounded = self._rounded_network()
            tensors = {name: torch.from_numpy(part.values) for name, part in zip(tensors, rounded, strict=True)}
        return {name: tensor.clone().requires_grad_(True) for name, tensor in tensors.items()}

    def bits(self) -> float:
        """What all networks would take now."""
        if not self.network_steps:
            return _UNROUNDED_BITS
        return network_bits([*self._rounded_network(), *self._rounded_rate(0), *self._rounded_rate(1)])

    def gradient(self, weight: float, **options: Any) -> tuple[Gradient, dict[str, Tensor]]:
        """One pass over pictures, and the network that it saw, with ``weight`` times its gradient.

        Args:
            weight: Factor of the networks' gradients.
            options: Which frames and rows: see ``Backend.gradient``.
        """
        network = self.seen()
        mix = node_mix(self._shape, network)
        gradient = self._backend.gradient(self._state.latents, self._state.motion, network, mix, **options)
        mix.backward(torch.from_numpy(np.float32(weight) * gradient.mix))
        for name in NETWORK:
            network[name].grad = torch.from_numpy(np.float32(weight) * gradient.network[name])
        return gradient, network

    def rate(self, number: int, weight: float, gradient: Any) -> float:
        """Bits of the latents (0) or of the motion (1).

        Adds ``weight`` times their gradient to ``gradient``, unless that is None, and gives the tensors of the entropy
        model theirs.
        """
        coded = self._coded[number]
        if not len(coded.vector.table):
            return 0.0
        parameters = coded.parameters
        if self.rate_steps:
            parameters = EntropyModel.from_tensors(self._rounded_rate(number)).parameters()
        bits, parts = self._backend.rate(coded.vector, coded.maps, parameters, weight, gradient)
        for tensor, part in zip(coded.model, parts, strict=True):
            tensor.grad = torch.from_numpy(part)
        return bits

    def refined(self, weight: float) -> tuple[list[QuantizedTensor], list[QuantizedTensor], list[QuantizedTensor]]:
        """The rounded networks after single integers of them have been tried: synthesis, latents' model, motion's.

        Args:
            weight: Of one bit against the distortion.
        """
        if self._coding.frozen or not weight:
            return self._rounded_network(), self._rounded_rate(0), self._rounded_rate(1)
        return self._refined_network(weight), self._refined_rate(0, weight), self._refined_rate(1, weight)

    @property
    def _coded(self) -> tuple[_Coded, _Coded]:
        """The latents and the motion."""
        state, predicted = self._state, self._coding.predicted
        return (
            _Coded(state.latents, self.maps, state.latent_model, predicted.latents),
            _Coded(state.motion, self._motion_maps, state.motion_model, predicted.motion),
        )

    def _rounded_network(self) -> list[QuantizedTensor]:
        tensors = [tensor.detach() for tensor in self._state.network.values()]
        parts = zip(tensors, self.network_steps, self._coding.predicted.network, strict=True)
        return [quantise(tensor, step, base) for tensor, step, base in parts]

    def _rounded_rate(self, number: int) -> list[QuantizedTensor]:
        coded = self._coded[number]
        return quantise_parameters(coded.parameters, self.rate_steps[number], coded.predicted)

    def _choose_rate_steps(self, number: int, weight: float) -> list[int]:
        """Steps of the tensors of an entropy model, whose mistakes cost bits."""
        coded = self._coded[number]
        if not len(coded.vector.table):
            return list(DEFAULT_STEPS)

        def cost(values: Sequence[Tensor]) -> float:
            parameters = from_stored([value.numpy() for value in values])
            return weight * self._backend.rate(coded.vector, coded.maps, parameters, 0.0, None)[0]

        tensors = [torch.from_numpy(np.float32(part)) for part in as_stored(coded.parameters)]
        return choose_steps(tensors, cost, weight, coded.predicted, (FINEST_STEP_LOG2, 0))

    def _distortion(self, values: Sequence[Tensor]) -> float:
        """Distortion of a network, with everything else as it stands."""
        network = dict(zip(self._state.network, values, strict=True))
        mix = node_mix(self._shape, network)
        state = self._state
        found = self._backend.gradient(state.latents, state.motion, network, mix, stride=self._stride, moving=False)
        return float(found.distortion.sum())

    def _refined_network(self, weight: float) -> list[QuantizedTensor]:
        _, network = self.gradient(1 / weight, stride=self._stride, moving=False)
        slopes = [tensor.grad.numpy() for tensor in network.values() if tensor.grad is not None]

        def cost(tensors: Sequence[QuantizedTensor]) -> float:
            return self._distortion([torch.from_numpy(tensor.values) for tensor in tensors]) / weight

        return refine_integers(self._rounded_network(), slopes, cost, round(_NETWORK_TRIALS * self._steps))

    def _refined_rate(self, number: int, weight: float) -> list[QuantizedTensor]:
        rounded, coded = self._rounded_rate(number), self._coded[number]
        if not len(coded.vector.table):
            return rounded
        self.rate(number, weight, None)
        w1, b1, w2, b2, w3 = (tensor.grad.numpy() / weight for tensor in coded.model if tensor.grad is not None)
        symbols = coded.vector.symbols

        def cost(tensors: Sequence[QuantizedTensor]) -> float:
            try:
                model = EntropyModel.from_tensors(tensors)
            except BitstreamError:  # a weight would be too large
                return math.inf
            return float(estimate_bits(symbols, coded.vector.table, coded.maps, model).sum())

        trials = min(self._steps, _RATE_SYMBOLS // len(symbols))
        return refine_integers(rounded, [w1, b1, w2, b2[:, 0], b2[:, 1], w3], cost, trials)
