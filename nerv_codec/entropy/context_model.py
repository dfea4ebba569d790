"""The context model of integer latents: a small network from neighbours to a Laplace distribution, in integers.

The float form (`RateParameters`, fitted with `rate_cpu` or `rate_cuda`) and this one share inputs and layout:
out = w2 relu(w1 x + b1) + w3 x + b2[class], out = (location, log2-scale). Here all weights are multiples of
2**-FRACTION_BITS, location is rounded to 1/16 and log2-scale to 1/4, which together name an integer table of
`laplace`. The bounds below rule out overflow of the int32 and int64 sums.

This module is the definition, in numpy; `latent_coder` compiles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.grids import GridTable
from nerv_codec.entropy.laplace import NUM_SCALES
from nerv_codec.entropy.weights import Base, QuantizedTensor

NUM_INPUTS = 14
"""W, WW, NW, N, NE | |W|+|N|, |NW|+|NE|, |WW|+|NN|+|NNWW|+|NNEE| | C, |C|, cross of |C| | R, |R|, cross of |R|.

NNWW and NNEE stand for (-1, -2) and (-1, 2). R is the sum of both parents, or twice the only one; a cross is the sum of
the four neighbours. While a model is fitted |v| is a smooth magnitude, equal to the absolute value at all integers.
"""
CLIP = 31
"""Neighbours count as at most this far from zero."""
FRACTION_BITS = 12
"""Weights are integers in units of 2**-FRACTION_BITS."""
MAX_ACTIVATION = (1 << 24) - 1
"""Hidden activations are cut here, in units of 2**-FRACTION_BITS."""
MAX_LOCATION = 127 * 16
"""Locations lie within +-MAX_LOCATION, in 1/16."""
MAX_LATENT = 32767
"""No latent may be further from zero."""
MAX_CONTEXT_HIDDEN = 32
"""Neurons of the network at the most."""
MAX_WEIGHT = 64
"""Weights and biases lie within +-64; a sum of inputs is below 2**10, so 12 fractional bits fit in an int32."""
FINEST_STEP_LOG2 = -FRACTION_BITS
"""log2 of the smallest step of a tensor."""
DEFAULT_HIDDEN = 8
TYPICAL_LOG2_SCALE = -1.5
"""Scale biases are stored relative to it."""
DEFAULT_STEPS = (-5, -6, -6, -5, -3, -6)
"""log2 of the steps of the six tensors of `parameter_shapes`."""

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]


class RateParameters(NamedTuple):
    """The network in float32: out = w2 relu(w1 x + b1[k]) + w3 x + b2[class], out = (location, log2-scale)."""

    w1: FloatArray
    """(hidden, NUM_INPUTS)"""
    b1: FloatArray
    """(1 or classes, hidden)"""
    w2: FloatArray
    """(2, hidden)"""
    b2: FloatArray
    """(classes, 2)"""
    w3: FloatArray
    """(2, NUM_INPUTS)"""


def parameter_shapes(hidden: int, classes: int) -> list[tuple[int, ...]]:
    """Shapes as stored: w1, b1, w2, location bias per class, scale bias per class (less TYPICAL_LOG2_SCALE), w3."""
    return [(hidden, NUM_INPUTS), (1, hidden), (2, hidden), (classes,), (classes,), (2, NUM_INPUTS)]


def initial_parameters(hidden: int, classes: int, seed: int = 0) -> RateParameters:
    """Where a fit starts: location 0, scale 1/2, small random weights."""
    rng = np.random.default_rng(seed)
    w1 = rng.normal(0, NUM_INPUTS**-0.5, (hidden, NUM_INPUTS)).astype(np.float32)
    w2 = rng.normal(0, 0.1 * hidden**-0.5, (2, hidden)).astype(np.float32)
    b1, b2, w3 = (np.zeros(shape, np.float32) for shape in ((1, hidden), (classes, 2), (2, NUM_INPUTS)))
    b2[:, 1] = -1
    return RateParameters(w1, b1, w2, b2, w3)


def as_stored(parameters: RateParameters) -> list[npt.NDArray[np.float64]]:
    """The six tensors of :func:`parameter_shapes`."""
    w1, b1, w2, b2, w3 = (np.asarray(values, np.float64) for values in parameters)
    return [w1, b1, w2, b2[:, 0], b2[:, 1] - TYPICAL_LOG2_SCALE, w3]


def from_stored(tensors: Sequence[npt.NDArray[Any]]) -> RateParameters:
    """The inverse of :func:`as_stored`."""
    w1, b1, w2, location, scale, w3 = (np.asarray(values, np.float32) for values in tensors)
    return RateParameters(w1, b1, w2, np.stack([location, scale + np.float32(TYPICAL_LOG2_SCALE)], -1), w3)


def quantise_parameters(
    parameters: RateParameters,
    steps: Sequence[int] = DEFAULT_STEPS,
    bases: Sequence[Base] = (0.0,) * 6,
) -> list[QuantizedTensor]:
    """Rounds to a base and multiples of 2**step, for each stored tensor, within the bounds of the integer form."""
    tensors = []
    for values, step, base in zip(as_stored(parameters), steps, bases, strict=True):
        if not FINEST_STEP_LOG2 <= step <= 0:
            raise ValueError(f"Expected a step of 2**{FINEST_STEP_LOG2}..1, got 2**{step}.")
        low, high = (np.trunc(np.ldexp(bound - base, -step)) for bound in (-MAX_WEIGHT, MAX_WEIGHT))
        symbols = np.clip(np.rint(np.ldexp(values - base, -step)), low, high).astype(np.int32)
        tensors.append(QuantizedTensor(symbols, step, base))
    return tensors


@dataclass(frozen=True)
class EntropyModel:
    """Integer weights in units of 2**-FRACTION_BITS, shaped as in `RateParameters`; so are all bases."""

    w1: IntArray
    b1: IntArray
    w2: IntArray
    b2: IntArray
    w3: IntArray

    @classmethod
    def from_tensors(cls, tensors: Sequence[QuantizedTensor]) -> EntropyModel:
        """The integer form of quantised weights.

        Raises:
            BitstreamError: Shapes do not belong together, or a step or a weight breaks the bounds.
        """
        shapes = [tensor.symbols.shape for tensor in tensors]
        hidden, classes = (tensors[0].symbols.shape[0], tensors[3].symbols.size) if len(tensors) == 6 else (0, 0)
        if not 1 <= hidden <= MAX_CONTEXT_HIDDEN or classes < 1 or shapes != parameter_shapes(hidden, classes):
            raise BitstreamError("the tensors of the entropy model do not fit each other")
        scaled = []
        for tensor in tensors:
            shift = FRACTION_BITS + tensor.step_log2
            if not 0 <= shift <= FRACTION_BITS:
                raise BitstreamError(f"an entropy model cannot have steps of 2**{tensor.step_log2}")
            base = np.rint(np.ldexp(np.float64(tensor.base), FRACTION_BITS)).astype(np.int64)
            weights = (tensor.symbols.astype(np.int64) << shift) + base
            if np.abs(weights).max(initial=0) > MAX_WEIGHT << FRACTION_BITS:
                raise BitstreamError(f"a weight of the entropy model is beyond {MAX_WEIGHT}")
            scaled.append(np.ascontiguousarray(weights, np.int32))
        w1, b1, w2, location, scale, w3 = scaled
        typical = np.int32(TYPICAL_LOG2_SCALE * 2**FRACTION_BITS)
        return cls(w1, b1, w2, np.ascontiguousarray(np.stack([location, scale + typical], -1)), w3)

    @property
    def arrays(self) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
        """w1, b1, w2, b2, w3, as the kernels take them."""
        return self.w1, self.b1, self.w2, self.b2, self.w3

    @property
    def classes(self) -> int:
        """How many bias classes there are."""
        return len(self.b2)

    def parameters(self) -> RateParameters:
        """The same network in float32, exactly."""
        return RateParameters(*(np.ldexp(array.astype(np.float32), -FRACTION_BITS) for array in self.arrays))


def predict_reference(
    symbols: IntArray, table: GridTable, maps: IntArray, model: EntropyModel
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Location (1/16) and scale index of every latent of the active grids: the rule that `latent_coder` follows.

    Args:
        symbols: All latents.
        table: Where their grids are.
        maps: All reference maps, one after the other.
        model: The network.

    Returns:
        Two arrays shaped as ``symbols``; 0 in grids that are not active.
    """
    values = np.clip(symbols.astype(np.int64), -CLIP, CLIP)
    locations = np.zeros(symbols.size, np.int64)
    scales = np.zeros(symbols.size, np.int64)
    w1, b1, w2, b2, w3 = (array.astype(np.int64) for array in model.arrays)
    for grid in table:
        if not grid.active:
            continue
        rows, cols = grid.rows, grid.cols
        own = values[grid.part].reshape(rows, cols)
        size = np.abs(own)
        inputs = [_moved(own, *at) for at in ((0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1))]
        inputs.append(_moved(size, 0, -1) + _moved(size, -1, 0))
        inputs.append(_moved(size, -1, -1) + _moved(size, -1, 1))
        inputs.append(np.sum([_moved(size, *at) for at in ((0, -2), (-2, 0), (-1, -2), (-1, 2))], axis=0))
        if grid.coarse >= 0:
            coarse = table[grid.coarse]
            plane = values[coarse.part].reshape(coarse.rows, coarse.cols)
            where = np.ix_(np.arange(rows) >> grid.shift, np.arange(cols) >> grid.shift)
            inputs += [plane[where], np.abs(plane)[where], _cross(np.abs(plane))[where]]
        else:
            inputs += [np.zeros_like(own)] * 3
        refs = [ref for ref in (grid.ref0, grid.ref1) if ref >= 0]
        found = [values[maps[ref : ref + grid.size]].reshape(rows, cols) for ref in refs]
        weight = 2 if len(found) == 1 else 1
        moved = weight * np.sum([*found, np.zeros_like(own)], axis=0)
        moved_size = weight * np.sum([*map(np.abs, found), np.zeros_like(own)], axis=0)
        inputs += [moved, moved_size, _cross(moved_size)]
        x = np.stack(inputs).reshape(NUM_INPUTS, -1)
        hidden = np.clip(w1 @ x + b1[min(grid.context_class, len(b1) - 1)][:, None], 0, MAX_ACTIVATION)
        out = w2 @ hidden + ((w3 @ x + b2[grid.context_class][:, None]) << FRACTION_BITS)
        location_shift, scale_shift = 2 * FRACTION_BITS - 4, 2 * FRACTION_BITS - 2
        location = (out[0] + (1 << (location_shift - 1))) >> location_shift
        scale = 16 + ((out[1] + (1 << (scale_shift - 1))) >> scale_shift)
        locations[grid.part] = np.clip(location, -MAX_LOCATION, MAX_LOCATION)
        scales[grid.part] = np.clip(scale, 0, NUM_SCALES - 1)
    return locations, scales


def _moved(plane: npt.NDArray[Any], down: int, right: int) -> npt.NDArray[Any]:
    """plane[i + down, j + right], 0 outside."""
    rows, cols = plane.shape
    padded: npt.NDArray[Any] = np.pad(plane, 2)
    return padded[2 + down : 2 + down + rows, 2 + right : 2 + right + cols]


def _cross(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    total: npt.NDArray[Any] = _moved(plane, -1, 0) + _moved(plane, 1, 0) + _moved(plane, 0, -1) + _moved(plane, 0, 1)
    return total
