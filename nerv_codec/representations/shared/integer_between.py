"""`Between` in integers: made from a trained one, stored as named arrays, run alike on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.between import LARGEST, LAYERS, POWERS, REACH, Between
from nerv_codec.representations.shared.integer_context import Arrays
from nerv_codec.representations.shared.integer_convolution import Convolution, Halves, Range, blank, inside
from nerv_codec.representations.shared.integer_transform import GRAY_SAMPLE, Samples
from nerv_codec.representations.shared.quality import CENTRE, HALF_RANGE
from nerv_codec.representations.shared.vector_code import LANES

_FEATURE = 2.0**-10
_LARGEST = round(LARGEST / _FEATURE) - 1
_INPUT = 2.0**-11
"""Of samples, of which 2048 are 128 code values."""
_PRICE = round(1 / (HALF_RANGE * _INPUT))
"""What an index of lambda is in these units."""
DETAIL = 4
"""Units of a coefficient in one of a sample."""
_LARGEST_DETAIL = (1 << 15) - 1
_INPUTS, _FEATURES = Range(4096), Range(_LARGEST, signed=False)


@dataclass(frozen=True, eq=False)
class IntegerBetween:
    """Its convolutions, the last one apart."""

    layers: tuple[Convolution, ...]
    out: Convolution

    def __call__(self, samples: Samples, lambda_index: int) -> Halves:
        """Coefficients (rows + 2, cols + 2, terms) of a plane (rows, cols), 1/DETAIL of a unit of its samples.

        The first and last rows and columns are those of the samples one beyond the edges.
        """
        around = np.pad(samples, REACH + 1, mode="edge")
        everywhere = np.ones(around.shape, np.bool_)
        x = blank(everywhere.shape, LANES)
        seen = inside(x)
        seen[0], seen[1] = around - np.int16(GRAY_SAMPLE), _PRICE * (lambda_index - CENTRE)
        *plain, fourth, fifth = self.layers
        for layer in plain:
            x = layer(x, everywhere, (0, _LARGEST))
        x = fifth(fourth(x, everywhere, (0, _LARGEST)), everywhere, (0, _LARGEST), into=x)
        found = self.out.residual(x, everywhere)[1 + REACH : -2 - REACH, 1 + REACH : -2 - REACH, : len(POWERS)]
        details: Halves = np.clip(found, -_LARGEST_DETAIL, _LARGEST_DETAIL).astype(np.int16)
        return details

    @classmethod
    def quantised(cls, model: Between) -> IntegerBetween:
        """The integer form of a trained one."""
        *layers, out = (Convolution.quantised(getattr(model, name), *units, given) for name, units, given in _layers())
        return cls(tuple(layers), out)

    def floating(self) -> Between:
        """The inverse of :meth:`quantised`."""
        model = Between()
        for (name, units, _), layer in zip(_layers(), (*self.layers, self.out), strict=True):
            layer.copy_to(getattr(model, name), *units)
        return model

    def arrays(self) -> Arrays:
        """Named arrays for the weights file."""
        found: Arrays = {}
        for (name, _, _), layer in zip(_layers(), (*self.layers, self.out), strict=True):
            for part in ("weight", "shift", "bias"):
                found[f"between.{name}.{part}"] = getattr(layer, part)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> IntegerBetween:
        """The inverse of :meth:`arrays`.

        Raises:
            BitstreamError: An array is missing, or has a wrong type, shape or range.
        """
        model, layers = Between(), []
        for name, _, given in _layers():
            shape = tuple(getattr(model, name).weight.shape)
            wanted = {"weight": (np.int16, shape), "shift": (np.int8, shape[:1]), "bias": (np.int32, shape[:1])}
            found = {part: arrays.get(f"between.{name}.{part}") for part in wanted}
            for part, (dtype, size) in wanted.items():
                array = found[part]
                if array is None or array.dtype != dtype or array.shape != size:
                    raise BitstreamError(f"the shared weights lack a good between.{name}.{part}")
            layer = Convolution(**found)  # type: ignore[arg-type]
            layer.check_exact(f"between.{name}", given)
            layers.append(layer)
        return cls(tuple(layers[:-1]), layers[-1])


def _layers() -> list[tuple[str, tuple[float, float], Range]]:
    """Name, units (of inputs over outputs, of outputs) and inputs of every convolution."""
    detail = _INPUT / DETAIL
    found = [(name, (1.0, _FEATURE), _FEATURES) for name in LAYERS]
    found[0] = LAYERS[0], (_INPUT / _FEATURE, _FEATURE), _INPUTS
    return [*found, ("out", (_FEATURE / detail, detail), _FEATURES)]
