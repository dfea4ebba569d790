"""Integer networks as the compiled loops take them, and what a finished grid tells the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.integer_network import (
    BIAS_BITS,
    INPUT_TABLE,
    SUM_BITS,
    WEIGHT_BITS,
    IntegerNetwork,
    Ints,
    Layer,
)
from nerv_codec.representations.shared.network_kernel import MARGIN, Halves, Network, finer_features, room_for
from nerv_codec.representations.shared.vector_code import LANES, SPARE, paired

_WEST = ((0, -1), (0, -2))


def prepare(network: IntegerNetwork, own: int | None = None) -> Network:
    """Gathers magnitude and value of a place; a prior's outputs come place by place of the 2 x 2 below one.

    Args:
        network: Of a band or a prior.
        own: The band that is coded, of which places to the left are kept apart; None in a prior.
    """
    units = len(network.first.weight)
    wide = units + -units % LANES  # units that are added stay 0
    places = sorted({(tap.source, tap.rows, tap.cols) for tap in network.taps}, key=lambda at: (*at[:2], -at[2]))
    weights = np.zeros((len(places), 2, wide), np.int32)
    for column, tap in enumerate(network.taps):
        place, added = weights[places.index((tap.source, tap.rows, tap.cols))], network.first.weight[:, column]
        place[0, :units] += added
        place[1, :units] += -added.astype(np.int32) if tap.signed else added
    west = [places.index((own, *offset)) for offset in _WEST] if own is not None else []
    taps, others = np.array(places, np.int64), np.ones(len(places), np.bool_)
    others[west] = False
    features = np.pad(network.first.weight[:, len(network.taps) :], ((0, wide - units), (0, 0)))
    shift = np.pad(_shift(network.first), (0, wide - units))
    second, second_shift = network.second.weight, _shift(network.second)
    order = np.arange(len(second)).reshape(-1, 4).T.ravel() if own is None else np.arange(len(second))
    outputs = _outputs(len(second))
    more = -len(second) % outputs
    second = np.pad(second[order], ((0, more), (0, wide - second.shape[1])))
    return Network(
        taps[others], weights[others].swapaxes(0, 1).ravel(), weights[west].ravel(),
        paired(features.astype(np.int16), wide).ravel(), shift,
        paired(second.astype(np.int16), outputs).ravel(), np.pad(second_shift[order], (0, more)).reshape(-1, outputs),
        INPUT_TABLE,
    )  # fmt: skip


def _outputs(count: int) -> int:
    """Outputs of a block: whole places of a prior, or both of a band's and zeros."""
    return next(size for size in (24, 16, 8) if count % size == 0 or size == 8)


def _shift(layer: Layer) -> Ints:
    return WEIGHT_BITS - layer.shift.astype(np.int32)


def next_features(network: IntegerNetwork, prepared: Network, planes: npt.NDArray[np.int8], features: Halves) -> Halves:
    """What a finished grid tells the finer one.

    Args:
        network: The prior of the grid.
        prepared: The same for the compiled loops.
        planes: Symbols of the grid as in `network_kernel`.
        features: What the grid was told, as there.

    Returns:
        The same for the finer grid: whole numbers 0..MAX_FEATURE of its places, row by row.
    """
    assert network.second_bias is not None
    rows, cols = (extent - 2 * MARGIN for extent in planes.shape[1:])
    blocks, outputs = prepared.second_shift.shape
    order = network.second_bias[0].reshape(-1, 4).T
    second_bias = (order.astype(np.int32) << (SUM_BITS - BIAS_BITS)).reshape(blocks, outputs)
    bias = np.pad(network.biases(), (0, len(prepared.shift) - len(network.first.weight)))
    out, room = blank_features(2 * rows, 2 * cols, order.shape[1]), room_for(cols, prepared)
    found = np.zeros(len(room.outputs), np.int16)
    finer_features(prepared, bias, second_bias, planes, features, room, found, out)
    return out


def blank_features(rows: int, cols: int, count: int) -> Halves:
    """Features of a grid (rows, cols) that are all 0."""
    return np.zeros((rows * cols + SPARE, count), np.int16)
