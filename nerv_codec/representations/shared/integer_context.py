"""The integer context model as a whole: made from a trained one, stored as named arrays, loaded again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.context import ContextModel
from nerv_codec.representations.shared.integer_network import (
    BIAS_BITS,
    WEIGHT_BITS,
    IntegerNetwork,
    Layer,
    check_exact,
)
from nerv_codec.representations.shared.layout import (
    LEVELS,
    PRIOR_FEATURES,
    PRIOR_HIDDEN,
    Design,
    Tap,
    bands,
    context_taps,
    prior_taps,
)
from nerv_codec.representations.shared.network_kernel import Network
from nerv_codec.representations.shared.prepared import prepare
from nerv_codec.representations.shared.quality import NUM_CONDITIONS

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class IntegerContext:
    """Integer networks of all bands and priors."""

    design: Design
    bands: dict[int, tuple[IntegerNetwork, ...]]
    priors: dict[int, IntegerNetwork]

    @functools.cached_property
    def prepared(self) -> tuple[dict[int, list[Network]], dict[int, Network]]:
        """Bands and priors for the compiled loops."""
        networks = {
            level: [prepare(network, n) for n, network in enumerate(group)] for level, group in self.bands.items()
        }
        return networks, {level: prepare(network) for level, network in self.priors.items()}

    def floating(self) -> ContextModel:
        """The model in floats that is nearest to what codes, for fitting latents."""
        model = ContextModel(self.design)
        with torch.no_grad():
            for level, group in self.bands.items():
                for target, network in zip(model.bands[str(level)], group, strict=True):
                    _copy_network(target, network)
            for level, network in self.priors.items():
                target = model.priors[str(level)]
                _copy_network(target, network)
                _copy(target.second_bias, network.second_bias, BIAS_BITS)  # type: ignore[arg-type]
        return model

    @classmethod
    def quantised(cls, model: ContextModel) -> IntegerContext:
        """The integer form of a trained model."""

        def bias(values: torch.Tensor) -> npt.NDArray[np.int16]:
            found = np.rint(np.ldexp(np.atleast_2d(values.detach().double().numpy()), BIAS_BITS))
            clipped: npt.NDArray[np.int16] = np.clip(found, -32767, 32767).astype(np.int16)
            return clipped

        networks = {
            level: tuple(
                IntegerNetwork(m.taps, Layer.quantised(m.first), bias(m.bias), Layer.quantised(m.second))
                for m in model.bands[str(level)]
            )
            for level in LEVELS
        }
        priors = {
            level: IntegerNetwork(
                m.taps, Layer.quantised(m.first), bias(m.bias), Layer.quantised(m.second), bias(m.second_bias)
            )
            for level in PRIOR_HIDDEN
            for m in (model.priors[str(level)],)
        }
        return cls(model.design, networks, priors)

    def arrays(self) -> Arrays:
        """Named arrays for the weights file."""
        found: Arrays = {}
        for name, network in self._named():
            found[f"{name}.first"], found[f"{name}.first_shift"] = network.first.weight, network.first.shift
            found[f"{name}.second"], found[f"{name}.second_shift"] = network.second.weight, network.second.shift
            found[f"{name}.bias"] = network.bias
            if network.second_bias is not None:
                found[f"{name}.second_bias"] = network.second_bias
        return found

    def _named(self) -> list[tuple[str, IntegerNetwork]]:
        named = [(f"context.{level}.{i}", n) for level, group in self.bands.items() for i, n in enumerate(group)]
        return named + [(f"context.{level}.prior", network) for level, network in self.priors.items()]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], design: Design) -> IntegerContext:
        """The inverse of :meth:`arrays`.

        Raises:
            BitstreamError: An array is missing, or has a wrong type, shape or range.
        """

        def read(name: str, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
            array = arrays.get(name)
            if array is None or array.dtype != dtype or array.shape != shape:
                raise BitstreamError(f"the shared weights lack a good {name}")
            return array

        def layer(name: str, rows: int, inputs: int) -> Layer:
            weight, shift = read(name, np.int8, (rows, inputs)), read(f"{name}_shift", np.int8, (rows,))
            if shift.size and not 0 <= int(shift.min()) <= int(shift.max()) <= WEIGHT_BITS:
                raise BitstreamError(f"a step of {name} is out of range")
            return Layer(weight, shift)  # type: ignore[arg-type]

        def network(name: str, taps: tuple[Tap, ...], features: int, rows: int, lambdas: int, out: int, hidden: int):  # type: ignore[no-untyped-def]
            second_bias = read(f"{name}.second_bias", np.int16, (1, out)) if lambdas == 1 else None
            found = IntegerNetwork(
                taps,
                layer(f"{name}.first", rows, len(taps) + features),
                read(f"{name}.bias", np.int16, (lambdas, rows)),  # type: ignore[arg-type]
                layer(f"{name}.second", out, hidden),
                second_bias,  # type: ignore[arg-type]
            )
            check_exact(name, found, len(taps))
            return found

        networks, priors = {}, {}
        for level in LEVELS:
            features, hidden = PRIOR_FEATURES.get(level, 0), design.hidden[level]
            taps = [context_taps(level, index, design.predicted) for index in range(len(bands(level)))]
            networks[level] = tuple(
                network(f"context.{level}.{index}", seen, features, hidden + 2, NUM_CONDITIONS, 2, hidden)
                for index, seen in enumerate(taps)
            )
            if level in PRIOR_HIDDEN:
                units, out = PRIOR_HIDDEN[level], 4 * PRIOR_FEATURES[level // 2]
                priors[level] = network(f"context.{level}.prior", prior_taps(level), features, units, 1, out, units)
        return cls(design, networks, priors)


def _copy(target: torch.Tensor, values: npt.NDArray[np.generic], bits: int) -> None:
    target.copy_(torch.from_numpy(np.ldexp(values.astype(np.float32), -bits)).view_as(target))


def _copy_network(target: torch.nn.Module, network: IntegerNetwork) -> None:
    _copy(target.first, network.first.units, WEIGHT_BITS)
    _copy(target.second, network.second.units, WEIGHT_BITS)
    _copy(target.bias, network.bias, BIAS_BITS)
