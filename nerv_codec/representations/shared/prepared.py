"""Integer networks as the compiled loops take them, and what a finished grid tells the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared import band_kernel
from nerv_codec.representations.shared.integer_network import (
    BIAS_BITS,
    INPUT_BITS,
    INPUT_TABLE,
    MAX_FEATURE,
    SUM_BITS,
    IntegerNetwork,
    Ints,
)

_BLOCK = 8


@dataclass(frozen=True)
class Prepared:
    """A network as the compiled loops take it.

    Attributes:
        taps: (positions, 3) of source, rows, cols: every place that any tap looks at.
        weights: Flat (positions, 2, units): what a unit of input adds from there, if positive, and if negative.
        features: (features, units), float32.
        second: (2, units) with zeros for the outputs' direct path, or (4 features, units) of a prior.
    """

    taps: Ints
    weights: Ints
    features: npt.NDArray[np.float32]
    second: Ints

    @classmethod
    def of(cls, network: IntegerNetwork) -> Prepared:
        """Gathers magnitude and value of a place."""
        places = sorted({(tap.source, tap.rows, tap.cols) for tap in network.taps})
        units, second = network.first.units, network.second.units
        if network.second_bias is not None:  # the loops take whole blocks; units of a prior that are added stay 0
            units = np.pad(units, ((0, -len(units) % _BLOCK), (0, 0)))
        weights = np.zeros((len(places), 2, len(units)), np.int32)
        for column, tap in enumerate(network.taps):
            place = weights[places.index((tap.source, tap.rows, tap.cols))]
            place[0] += units[:, column]
            place[1] += -units[:, column] if tap.signed else units[:, column]
        features = np.ascontiguousarray(units[:, len(network.taps) :].T, np.float32)
        second = np.pad(second, ((0, 0), (0, len(units) - second.shape[1])))
        return cls(np.array(places, np.int64), weights.ravel(), features, second)

    def offsets(self, planes: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """The taps as distances in flat planes; those into planes that are not there are left out, they come last."""
        taps = self.taps[self.taps[:, 0] < len(planes)]
        found: npt.NDArray[np.int64] = taps @ np.array([planes[0].size, planes.shape[2], 1])
        return found

    def known_sums(self, bias: Ints, features: npt.NDArray[np.float32] | None, count: int) -> npt.NDArray[np.float32]:
        """What bias and features (count, features) add to the first layer of ``count`` places, (count, units)."""
        row = np.zeros(self.second.shape[1], np.float32)
        row[: len(bias)] = bias
        if features is None:
            return np.tile(row, (count, 1))
        found: npt.NDArray[np.float32] = features @ self.features
        found += row
        return found


def next_features(
    network: IntegerNetwork,
    prepared: Prepared,
    planes: npt.NDArray[np.int8],
    features: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.float32]:
    """What a finished grid tells the finer one.

    Args:
        network: The prior of the grid.
        prepared: The same for the compiled loops.
        planes: Symbols of the grid as in `band_kernel`.
        features: What the grid was told, (rows * cols, features).

    Returns:
        Whole numbers 0..MAX_FEATURE, (4 * rows * cols, features).
    """
    assert network.second_bias is not None
    rows, cols = (extent - 2 * band_kernel.MARGIN for extent in planes.shape[1:])
    sums = prepared.known_sums(network.biases(), features, rows * cols).astype(np.int32)
    band_kernel.add_neighbours(sums, planes, prepared.offsets(planes), prepared.weights, INPUT_TABLE)
    out = (_units(sums) @ prepared.second.T.astype(np.float32)).astype(np.int32)
    out += network.second_bias[0].astype(np.int32) << (SUM_BITS - BIAS_BITS)
    blocks = _units(out).reshape(rows, cols, -1, 2, 2)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 2)).reshape(4 * rows * cols, -1)


def _units(sums: Ints) -> npt.NDArray[np.float32]:
    """Sums through the rectifier, rounded to 1/16."""
    drop = SUM_BITS - INPUT_BITS
    units: npt.NDArray[np.float32] = np.clip((sums + (1 << (drop - 1))) >> drop, 0, MAX_FEATURE).astype(np.float32)
    return units
