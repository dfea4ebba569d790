"""Small networks in integers: what encoder and decoder run alike on every machine.

Units: inputs 1/16, weights 2**-9, sums 2**-13, hidden units 2**-5, prior units and features 1/16. Sums of the first
layer and of priors stay below 2**24, so that float32 matrix products are exact in any order; loaders check it
(`check_exact`). Weights are bytes times a power of two per row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.context import SATURATION, TABLE_UNIT
from nerv_codec.representations.shared.layout import Tap
from nerv_codec.representations.shared.quality import CENTRE, mixed

INPUT_BITS, WEIGHT_BITS, BIAS_BITS = 4, 9, 10
SUM_BITS = INPUT_BITS + WEIGHT_BITS
HIDDEN_BITS, MAX_HIDDEN = 5, 1023
MAX_FEATURE = 255
"""Features and units of the prior model, in 1/16."""
EXACT = 1 << 24
INPUT_TABLE = np.array(SATURATION, np.int32) * np.int32((1 << INPUT_BITS) // TABLE_UNIT)
"""Magnitude to input."""

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Layer:
    """A matrix as bytes: row r is ``weight[r] * 2**-shift[r]``, shift 0..9."""

    weight: npt.NDArray[np.int8]
    shift: npt.NDArray[np.int8]

    @classmethod
    def quantised(cls, matrix: torch.Tensor) -> Layer:
        """The nearest bytes; rows use the finest step that holds their largest weight."""
        values = matrix.detach().double().numpy()
        largest = np.abs(values).max(1)
        shift = np.clip(np.floor(np.log2(127.49 / np.maximum(largest, 1e-9))), 0, WEIGHT_BITS).astype(np.int8)
        weight = np.clip(np.rint(np.ldexp(values, shift[:, None].astype(np.int32))), -127, 127)
        return cls(weight.astype(np.int8), shift)

    @property
    def units(self) -> Ints:
        """All weights in units of 2**-WEIGHT_BITS."""
        return self.weight.astype(np.int32) << (WEIGHT_BITS - self.shift.astype(np.int32))[:, None]


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Two layers of one band or of one prior; biases int16 in units of 2**-BIAS_BITS.

    ``bias`` is (NUM_CONDITIONS, rows), see :func:`quality.conditions`, or (1, rows). Bands have no second bias.
    """

    taps: tuple[Tap, ...]
    first: Layer
    bias: npt.NDArray[np.int16]
    second: Layer
    second_bias: npt.NDArray[np.int16] | None = None

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - networks stay as long as the process
    def biases(self, lambda_index: int = CENTRE, parents: int = 0) -> Ints:
        """The first bias at a lambda and for a number of parents, in units of sums."""
        scaled = self.bias.astype(np.int64) << (SUM_BITS - BIAS_BITS)
        total = scaled[0] if len(scaled) == 1 else mixed(scaled, lambda_index, parents)
        biases: Ints = total.astype(np.int32)
        return biases


def check_exact(name: str, network: IntegerNetwork, taps: int) -> None:
    """Sums that leave the exact range could differ between machines."""
    first = np.abs(network.first.units).astype(np.int64)
    largest = first[:, :taps].sum(1) * int(INPUT_TABLE[-1]) + first[:, taps:].sum(1) * MAX_FEATURE
    largest += np.abs(network.bias.astype(np.int64)).sum(0) * (4 << (SUM_BITS - BIAS_BITS))
    second = np.abs(network.second.units).astype(np.int64).sum(1) * MAX_FEATURE
    if largest.max() >= EXACT or (network.second_bias is not None and second.max() >= EXACT // 2):
        raise BitstreamError(f"the weights of {name} are too large for exact sums")
