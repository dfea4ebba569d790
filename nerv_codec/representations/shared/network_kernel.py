"""The integer networks of bands and priors, row by row of a grid, compiled.

`planes` (bands, rows, cols) holds the symbols of a grid, cut to +-LARGEST, with MARGIN zeros around each band.
Most of them are 0, and a neighbour of 0 adds nothing: rows are searched for others, and these add to what they are
neighbours of. `features` (places, features) is what coarser grids say, int16, with `vector_code.SPARE` places behind
the last one.
`band_coder.reference_indices` says the same in numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.laplace import MAX_LOCATION
from nerv_codec.entropy.range_kernel import ZERO_SCALE
from nerv_codec.representations.shared.distribution_code import LOCATION_DROP, SCALE_DROP, SCALES, distribute
from nerv_codec.representations.shared.vector_code import (
    LANES,
    SPARE,
    accumulate,
    eight_bytes,
    lowest_byte,
    product,
    product_8,
    product_alone,
    rectify,
    tile_places,
)

MARGIN = 2
LARGEST = 127
_MAX_HIDDEN, _MAX_FEATURE = np.int32(1023), np.int32(255)
_HIDDEN_DROP, _FEATURE_DROP = np.int32(8), np.int32(9)

Ints = npt.NDArray[np.int32]
Halves = npt.NDArray[np.int16]


class Network(NamedTuple):
    """A network as the loops take it; first and second layer are bytes, and a shift to the left for each output.

    Attributes:
        taps: (taps, 3): source, rows, cols of the places that are looked at, in this order, cols from right to left.
        weights: Flat (2, taps, units): what a unit of input adds from there, if it is positive, and if it is negative.
        west: For the two places to the left in the own band, the nearest first: flat (2, 2, units), place by place.
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
    """Room for a row: sums, hidden units, outputs, and locations and scales of symbols."""

    sums: Ints
    hidden: Halves
    outputs: Ints
    locations: npt.NDArray[np.int64]
    scales: npt.NDArray[np.int64]


def room_for(cols: int, network: Network) -> Room:
    """Room for rows of so many places."""
    units, outputs, places = len(network.shift), network.second_shift.shape[1], cols + SPARE
    sums, hidden, found = np.zeros(places * units, np.int32), np.zeros(places * units, np.int16), places * outputs
    locations, scales = (np.zeros(places, np.int64)[:cols] for _ in range(2))  # vectors go on behind the last one
    return Room(sums, hidden, np.zeros(found, np.int32), locations, scales)


@njit(nogil=True, cache=True, boundscheck=False)
def first_layer(network, planes, features, i, sums):
    """Sums of the places of row i, (cols, units), without bias and shift, and without what lies to the west."""
    cols, units, count = planes.shape[2] - 2 * MARGIN, network.shift.shape[0], features.shape[1]
    if count:
        flat = features.reshape(-1)
        for first in range(0, cols, tile_places(units)):
            start = (i * cols + first) * count
            product(flat, start, count, count, network.features, 0, units, sums, first * units)
    else:
        sums[:] = 0
    taps, weights, inputs = network.taps, network.weights, network.inputs
    first, count = 0, taps.shape[0]
    while first < count and taps[first, 0] < planes.shape[0]:
        last = first + 1
        while last < count and _is_next(taps, last):
            last += 1
        row = planes[taps[first, 0], i + MARGIN + taps[first, 1]]
        for c in range(0, row.shape[0], LANES):
            word = _word(row, c)
            while word != 0:
                byte = lowest_byte(word)
                word &= ~(np.uint64(255) << np.uint64(8 * byte))
                value = np.int32(row[c + byte])
                # from tap to tap, what a place adds to moves by one to the right
                j = c + byte - MARGIN - taps[first, 2]
                begin, end = max(-j, 0), min(last - first, cols - j)
                if begin < end:
                    tap = (count if value < 0 else 0) + first + begin
                    start, size = (j + begin) * units, (end - begin) * units
                    accumulate(sums, start, size, inputs[abs(value)], weights, tap * units)
        first = last


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _is_next(taps, k):
    """Whether a tap looks at the place to the left of what the one before it looks at."""
    before = k - 1
    return taps[k, 0] == taps[before, 0] and taps[k, 1] == taps[before, 1] and taps[k, 2] == taps[before, 2] - 1


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _word(row, first):
    """Eight bytes of a row as one number, zeros behind its end."""
    if first + LANES <= row.shape[0]:
        return eight_bytes(row, first)
    word = np.uint64(0)
    for c in range(first, row.shape[0]):
        word |= np.uint64(np.uint8(row[c])) << np.uint64(8 * (c - first))
    return word


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _output(network, bias, room, j, k):
    """Output k of a band's network, which has a direct path from the first layer."""
    units, shift = network.shift.shape[0], network.shift
    direct = units - 2 + k
    below = np.int32(room.sums[j * units + direct] << shift[direct]) + bias[direct]
    return 2 * np.int64(below) + (np.int64(room.outputs[8 * j + k]) << network.second_shift[0, k])


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _distribution(network, bias, j, room):
    """From both outputs to the location in 1/16 and the scale index of a symbol."""
    sixteenths = (_output(network, bias, room, j, 0) + (1 << (LOCATION_DROP - 1))) >> LOCATION_DROP
    index = ZERO_SCALE + ((_output(network, bias, room, j, 1) + (1 << (SCALE_DROP - 1))) >> SCALE_DROP)
    room.locations[j] = min(max(sixteenths, -MAX_LOCATION), MAX_LOCATION)
    room.scales[j] = min(max(index, 0), SCALES - 1)


@njit(nogil=True, cache=True, boundscheck=False)
def distributions(network, bias, room):
    """Location in 1/16 and scale index of the symbols of a row, from their sums."""
    units, cols = network.shift.shape[0], room.locations.shape[0]
    rectify(room.sums, 0, cols, units, network.shift, bias, _HIDDEN_DROP, _MAX_HIDDEN, room.hidden)
    for j in range(0, cols, SPARE):
        product_8(room.hidden, j * units, units, units, network.second, 0, room.outputs, 8 * j)
    second_shift = network.second_shift.reshape(-1)
    distribute(room.sums, units, room.outputs, cols, network.shift, bias, second_shift, room.locations, room.scales)


@njit(nogil=True, cache=True, boundscheck=False)
def look_west(network, bias, near, far, j, room):
    """Finds one of them again, with the two places to the left in the own band."""
    units, inputs = network.shift.shape[0], network.inputs
    if near != 0:
        accumulate(room.sums, j * units, units, inputs[abs(near)], network.west, units if near < 0 else 0)
    if far != 0:
        accumulate(room.sums, j * units, units, inputs[abs(far)], network.west, 3 * units if far < 0 else 2 * units)
    rectify(room.sums, j * units, 1, units, network.shift, bias, _HIDDEN_DROP, _MAX_HIDDEN, room.hidden)
    product_alone(room.hidden, j * units, units, units, network.second, 0, room.outputs, 8 * j)
    _distribution(network, bias, j, room)


@njit(nogil=True, cache=True, boundscheck=False)
def finer_features(network, bias, second_bias, planes, features, room, found, out):
    """What a finished grid tells the finer one.

    Args:
        network: Of the prior; its outputs are the features of the 2 x 2 places below one, place by place.
        bias: Of its units.
        second_bias: (blocks, outputs).
        planes: Of the grid.
        features: What the grid was told.
        room: For a row.
        found: Room for the outputs of a row, as `Room.outputs`.
        out: The same for the finer grid, filled in.
    """
    rows, cols = planes.shape[1] - 2 * MARGIN, planes.shape[2] - 2 * MARGIN
    units, (blocks, outputs), count = network.shift.shape[0], network.second_shift.shape, out.shape[1]
    for i in range(rows):
        first_layer(network, planes, features, i, room.sums)
        rectify(room.sums, 0, cols, units, network.shift, bias, _FEATURE_DROP, _MAX_FEATURE, room.hidden)
        for b in range(blocks):
            for j in range(0, cols, tile_places(outputs)):
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
