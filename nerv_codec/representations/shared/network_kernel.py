"""The integer networks of bands and priors, row by row of a grid, compiled.

`planes` (bands, rows, cols) holds the symbols of a grid, cut to +-LARGEST, with MARGIN zeros around each band.
Most of them are 0, and a neighbour of 0 adds nothing: rows are searched for others, and these add to what they are
neighbours of. `features` (places, features) is what coarser grids say, int16, with SPARE places behind the last one.
`band_coder.reference_indices` says the same in numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.laplace import MAX_LOCATION
from nerv_codec.entropy.range_kernel import ZERO_SCALE
from nerv_codec.representations.shared.vector_code import (
    LANES,
    TILE,
    accumulate,
    is_blank,
    product,
    product_8,
    product_alone,
    rectify,
)

MARGIN = 2
LARGEST = 127
SPARE = TILE // 8
"""Places that tiles of products may look at, and write, beyond a row."""
_MAX_HIDDEN, _MAX_FEATURE = np.int32(1023), np.int32(255)
_HIDDEN_DROP, _FEATURE_DROP = np.int32(8), np.int32(9)
_LOCATION_DROP, _SCALE_DROP = 10, 12
_SCALES = 48

Ints = npt.NDArray[np.int32]
Halves = npt.NDArray[np.int16]


class Network(NamedTuple):
    """A network as the loops take it; first and second layer are bytes, and a shift to the left for each output.

    Attributes:
        taps: (taps, 3): source, rows, cols of the places that are looked at, in this order.
        weights: Flat (taps, 2, units): what a unit of input adds from there, if it is positive, and if it is negative.
        west: The same for the two places to the left in the own band, the nearest first.
        features: Those of the features, in pairs (`vector_code`).
        shift: (units,).
        second: Flat (blocks, units * outputs), in pairs.
        second_shift: (blocks, outputs).
        inputs: Magnitude to input.
    """

    taps: npt.NDArray[np.int64]
    weights: Ints
    west: Ints
    features: Halves
    shift: Ints
    second: Halves
    second_shift: Ints
    inputs: Ints


class Room(NamedTuple):
    """Room for a row: sums, hidden units, outputs."""

    sums: Ints
    hidden: Halves
    outputs: Ints


@njit(nogil=True, cache=True)
def room_for(cols, network):
    """Room for rows of so many places."""
    units, outputs = network.shift.shape[0], network.second_shift.shape[1]
    places = cols + SPARE
    return Room(
        np.zeros(places * units, np.int32), np.zeros(places * units, np.int16), np.zeros(places * outputs, np.int32)
    )


@njit(nogil=True, cache=True, boundscheck=False)
def first_layer(network, planes, features, i, sums):
    """Sums of the places of row i, (cols, units), without bias and shift, and without what lies to the west."""
    cols, units, count = planes.shape[2] - 2 * MARGIN, network.shift.shape[0], features.shape[1]
    if count:
        flat = features.reshape(-1)
        for first in range(0, cols, TILE // units):
            start = (i * cols + first) * count
            product(flat, start, count, count, network.features, 0, units, sums, first * units)
    else:
        sums[:] = 0
    taps, weights, inputs = network.taps, network.weights, network.inputs
    first = 0
    while first < taps.shape[0] and taps[first, 0] < planes.shape[0]:
        last = first + 1
        while last < taps.shape[0] and taps[last, 0] == taps[first, 0] and taps[last, 1] == taps[first, 1]:
            last += 1
        row = planes[taps[first, 0], i + MARGIN + taps[first, 1]]
        c = 0
        while c < row.shape[0]:
            if c % LANES == 0 and c + LANES <= row.shape[0] and is_blank(row, c):
                c += LANES
                continue
            value = np.int32(row[c])
            if value != 0:
                size, sign = inputs[abs(value)], 1 if value < 0 else 0
                for k in range(first, last):
                    j = c - MARGIN - taps[k, 2]
                    if 0 <= j < cols:
                        accumulate(sums, j * units, units, size, weights, (2 * k + sign) * units)
            c += 1
        first = last


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _output(network, bias, room, j, k):
    """Output k of a band's network, which has a direct path from the first layer."""
    units, shift = network.shift.shape[0], network.shift
    direct = units - 2 + k
    below = np.int32(room.sums[j * units + direct] << shift[direct]) + bias[direct]
    return 2 * np.int64(below) + (np.int64(room.outputs[8 * j + k]) << network.second_shift[0, k])


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _distribution(network, bias, j, room, locations, scales):
    """From both outputs to the location in 1/16 and the scale index of a symbol."""
    sixteenths = (_output(network, bias, room, j, 0) + (1 << (_LOCATION_DROP - 1))) >> _LOCATION_DROP
    index = ZERO_SCALE + ((_output(network, bias, room, j, 1) + (1 << (_SCALE_DROP - 1))) >> _SCALE_DROP)
    locations[j] = min(max(sixteenths, -MAX_LOCATION), MAX_LOCATION)
    scales[j] = min(max(index, 0), _SCALES - 1)


@njit(nogil=True, cache=True, boundscheck=False)
def distributions(network, bias, room, locations, scales):
    """Location in 1/16 and scale index of the symbols of a row, from their sums."""
    units, cols = network.shift.shape[0], locations.shape[0]
    rectify(room.sums, 0, cols, units, network.shift, bias, _HIDDEN_DROP, _MAX_HIDDEN, room.hidden)
    for j in range(0, cols, SPARE):
        product_8(room.hidden, j * units, units, units, network.second, 0, room.outputs, 8 * j)
    for j in range(cols):
        _distribution(network, bias, j, room, locations, scales)


@njit(nogil=True, cache=True, boundscheck=False)
def look_west(network, bias, near, far, j, room, locations, scales):
    """Finds one of them again, with the two places to the left in the own band."""
    units, inputs = network.shift.shape[0], network.inputs
    if near != 0:
        accumulate(room.sums, j * units, units, inputs[abs(near)], network.west, units if near < 0 else 0)
    if far != 0:
        accumulate(room.sums, j * units, units, inputs[abs(far)], network.west, 3 * units if far < 0 else 2 * units)
    rectify(room.sums, j * units, 1, units, network.shift, bias, _HIDDEN_DROP, _MAX_HIDDEN, room.hidden)
    product_alone(room.hidden, j * units, units, units, network.second, 0, room.outputs, 8 * j)
    _distribution(network, bias, j, room, locations, scales)


@njit(nogil=True, cache=True, boundscheck=False)
def finer_features(network, bias, second_bias, planes, features, out):
    """What a finished grid tells the finer one.

    Args:
        network: Of the prior; its outputs are the features of the 2 x 2 places below one, place by place.
        bias: Of its units.
        second_bias: (blocks, outputs).
        planes: Of the grid.
        features: What the grid was told.
        out: The same for the finer grid, filled in.
    """
    rows, cols = planes.shape[1] - 2 * MARGIN, planes.shape[2] - 2 * MARGIN
    units, (blocks, outputs), count = network.shift.shape[0], network.second_shift.shape, out.shape[1]
    room = room_for(cols, network)
    found = np.zeros((cols + SPARE) * outputs, np.int16)
    for i in range(rows):
        first_layer(network, planes, features, i, room.sums)
        rectify(room.sums, 0, cols, units, network.shift, bias, _FEATURE_DROP, _MAX_FEATURE, room.hidden)
        for b in range(blocks):
            for j in range(0, cols, TILE // outputs):
                product(
                    room.hidden,
                    j * units,
                    units,
                    units,
                    network.second,
                    b * units * outputs,
                    outputs,
                    room.outputs,
                    j * outputs,
                )
            rectify(
                room.outputs, 0, cols, outputs, network.second_shift[b], second_bias[b],
                _FEATURE_DROP, _MAX_FEATURE, found,
            )  # fmt: skip
            for part in range(outputs // count):
                phase = b * (outputs // count) + part
                for j in range(cols):
                    place = (2 * i + phase // 2) * 2 * cols + 2 * j + phase % 2
                    for k in range(count):
                        out[place, k] = found[j * outputs + part * count + k]
