"""One plane of one frame, compiled: every sample predicted, coded and learnt from.

Doubles are IEEE binary64 in the order written, one rounding an operation, so that every machine predicts the same.
Planes carry MARGIN samples around them on each side.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import load, splat, store
from nerv_codec.representations.lossless.bit_kernel import DRAW, NUM_COUNTERS
from nerv_codec.representations.lossless.least_squares import (
    accumulate,
    add_around,
    eliminate,
    learn,
    shrink,
    solve,
)
from nerv_codec.representations.lossless.model import NUM_FEATURES, NUM_PREDICTIONS, PAST, SCALES
from nerv_codec.representations.lossless.network_kernel import (
    ANSWERS_WIDTH,
    LEAST_ERROR,
    NUM_HIDDEN,
    NUM_OTHER_FACTS,
    NUM_PARTS,
    answer,
    gather_facts,
)
from nerv_codec.representations.lossless.value_kernel import (
    NUM_INPUTS,
    NUM_SCALES,
    OF_NETWORK,
    PADDED,
    code_value,
)

MARGIN = 20
"""Samples around a plane: motion leads up to 16 of them outside, and neighbours lie 3 further."""
SEGMENT = 4
"""Columns that are predicted with the same weights."""
ERROR_UNIT = 16
"""Errors are kept in sixteenths."""

_NEAR_DECAY, _NEAR_FALL = 0.65, 0.5
_WIDE_DECAY, _WIDE_FALL = 0.93, 0.8
_RIDGE, _RELATIVE_RIDGE = 4.0, 1e-4
_SLOW_DECAY, _SLOW_EVERY, _SLOW_RIDGE = 0.9997, 16, 1.0
_GRADIENT_RATE = 0.003


@njit(nogil=True, cache=True)
def _scale_class(scale):
    """0..NUM_SCALES-1, four an octave."""
    low, high = 0, NUM_SCALES - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if scale >= SCALES[middle]:
            low = middle
        else:
            high = middle - 1
    return low


@njit(nogil=True, cache=True)
def _cut(value, unit, most):
    """0..2 most: a difference in units, rounded towards zero and held within ``most``."""
    return min(max(int(value / unit), -most), most) + most


@njit(nogil=True, cache=True)
def _nearby(errors, row, row1, row2, at):
    """Errors of six coded neighbours, in eighths."""
    return (
        2.0 * errors[row, at - 1]
        + 2.0 * errors[row1, at]
        + errors[row1, at - 1]
        + errors[row1, at + 1]
        + errors[row, at - 2]
        + errors[row2, at]
    )


@njit(nogil=True, cache=True)
def _fill_margin(plane, y, width, middle):
    """What lies left and right of the known samples before row y is coded."""
    at = y + MARGIN
    if y == 0:
        for row in range(at - 3, at):
            for col in range(plane.shape[1]):
                plane[row, col] = middle
        for k in range(MARGIN):
            plane[at, k] = middle
        return
    first, last = plane[at - 1, MARGIN], plane[at - 1, MARGIN + width - 1]
    for k in range(MARGIN):
        plane[at - 1, MARGIN + width + k] = last
        plane[at, k] = first


@njit(nogil=True, cache=True)
def _local_weights(local, sums, segment, fall, n, slow, orders, weights, columns, upper, lower, z, part):
    """Solves the least squares of the segments around one, at each of the orders, into columns of weights."""
    add_around(local, sums, segment, fall)
    shrink(local, n, _RIDGE, _RELATIVE_RIDGE, slow)
    eliminate(local, n, upper, lower, z)
    for k in range(orders.shape[0]):
        solve(lower, z, orders[k], part, weights, columns[k])


@njit(nogil=True, cache=True, allocates=True)
def code_plane(
    coder, data, mode, known, drawing, planes, slots, vectors, block_shifts, taps, orders, area, state, past_errors,
    luma_errors, out_errors, peak,
):  # fmt: skip
    """Codes a plane.

    Args:
        coder, data, drawing: see `bit_kernel`. mode: what is done with the first ``known`` rows, which are in the
        plane already unless it is DECODE; all other rows are drawn.
        planes: (any, H, W) int32 with margins; slots: (group, frames back), the index of each in ``planes``;
        vectors: (PAST, rows, cols, 2), how far motion leads, for blocks of 2**block_shifts samples.
        taps, orders: see `model.Regressors`. area: (height, width). state: adapts.
        past_errors: (any, H, W) int32, smoothed errors of earlier frames, where ``planes`` has those frames;
        luma_errors: (H, W), what was not expected in the planes coded before; out_errors: (H, W), filled.
        peak: the largest value.
    """
    height, width = area
    n, inter = taps.shape[0], taps[:, 1].max() > 0
    groups = taps[:, 0].max() + 1
    (slow_sums, slow_weights, towards, gradient_weights, counters, by_node, by_scale, curves, spreads, spreads_seen,
     biases, biases_seen, scale_sums, scale_weights, first_layer, second_layer, last_layer, record) = state  # fmt: skip
    last_padded = np.zeros((NUM_HIDDEN + 1, ANSWERS_WIDTH))
    last_padded[:, : last_layer.shape[1]] = last_layer
    layers = first_layer.reshape(-1), second_layer.reshape(-1), last_padded.reshape(-1)
    facts, neighbour_errors = np.zeros(taps.shape[0] + NUM_OTHER_FACTS), np.zeros(6)
    hidden, answers, shares = (np.zeros(NUM_HIDDEN), np.zeros(NUM_HIDDEN)), np.zeros(ANSWERS_WIDTH), np.zeros(NUM_PARTS)
    model = (counters, by_node, by_scale, curves)
    own = planes[slots[0, 0]]
    flat = planes.reshape(-1)
    full_height, full_width = planes.shape[1], planes.shape[2]
    segments = (width + SEGMENT - 1) // SEGMENT
    size = slow_sums.shape[0]
    near_sums, wide_sums = np.zeros((segments + 4, size)), np.zeros((segments + 4, size))
    local, columns = np.zeros(size), n // 4 * 4 + 4
    upper, lower = np.zeros((columns, columns)), np.zeros((columns, columns))
    z, part = np.zeros(columns), np.zeros(columns)
    weights = np.zeros((n, NUM_PREDICTIONS))
    flat_weights, single = weights.reshape(-1), np.zeros((n, 1))
    pulls = np.zeros(columns)
    pulls[:n] = gradient_weights
    samples, their_weights = np.zeros((SEGMENT, columns)), np.zeros(SEGMENT)
    three, two = np.array([orders[0], orders[1], n]), np.array([n, orders[1]])
    three_columns, two_columns = np.array([0, 1, 2]), np.array([4, 5])
    base = np.zeros(3)
    offsets = np.zeros(n, np.int64)
    centres, lefts = np.zeros((3, PAST), np.int64), np.zeros(3, np.int64)
    error_places = np.zeros(PAST, np.int64)
    flat_errors = past_errors.reshape(-1)
    errors = np.zeros((NUM_PREDICTIONS, 3, width + 16))
    signed, sizes = np.zeros((3, width + 16)), np.zeros((3, width + 16))
    predictions, sums = np.zeros(NUM_PREDICTIONS), np.zeros(NUM_PREDICTIONS)
    classes = np.zeros(NUM_PREDICTIONS, np.int64)
    places_of, steepness = np.zeros(PADDED), np.zeros(PADDED)
    contexts, counter_places = np.zeros(NUM_COUNTERS, np.int64), np.zeros(NUM_COUNTERS, np.int64)
    inputs, tails = np.zeros(NUM_INPUTS), np.zeros((4, PADDED))
    features = np.zeros(NUM_FEATURES + 1)
    scale_local, scale_out = np.zeros(scale_sums.shape[0]), np.zeros((NUM_FEATURES, 1))
    scale_upper, scale_lower = np.zeros((8, 8)), np.zeros((8, 8))
    scale_z, scale_part = np.zeros(8), np.zeros(8)
    scale_towards = np.zeros(NUM_FEATURES)
    scale_towards[1] = 1.0
    most_error = 40.0 * (peak + 1) / 256
    middle = (peak + 1) >> 1
    coded = 0

    for y in range(height):
        _fill_margin(own, y, width, middle)
        row, row1, row2 = y % 3, (y + 2) % 3, (y + 1) % 3
        for segment in range(segments):
            begin, end = segment * SEGMENT, min(width, (segment + 1) * SEGMENT)
            block_row, block_col = y >> block_shifts[0], begin >> block_shifts[1]
            here = (y + MARGIN) * full_width + MARGIN
            for group in range(groups):
                lefts[group] = slots[group, 0] * full_height * full_width + here
                for back in range(PAST if inter else 0):
                    move = vectors[back, block_row, block_col, 0] * full_width + vectors[back, block_row, block_col, 1]
                    centres[group, back] = slots[group, back + 1] * full_height * full_width + here + move
                    error_places[back] = slots[0, back + 1] * full_height * full_width + here + move
            for i in range(n):
                start = lefts[taps[i, 0]] if taps[i, 1] == 0 else centres[taps[i, 0], taps[i, 1] - 1]
                offsets[i] = start + taps[i, 2] * full_width + taps[i, 3]
            _local_weights(
                local, near_sums, segment, _NEAR_FALL, n, slow_weights, three, weights, three_columns, upper, lower, z,
                part,
            )  # fmt: skip
            _local_weights(
                local, wide_sums, segment, _WIDE_FALL, n, slow_weights, two, weights, two_columns, upper, lower, z,
                part,
            )  # fmt: skip
            for i in range(n):
                weights[i, 3] = slow_weights[i]
            for k in range(end - begin, SEGMENT):
                their_weights[k] = 0.0
            for col in range(begin, end):
                x = samples[col - begin]
                yy, xx = y + MARGIN, col + MARGIN
                # Regressors, less the mean of the nearest of their group
                for group in range(groups):
                    at = lefts[group] + col
                    total, count_ = flat[at - 1] + flat[at - full_width], 2
                    for back in range(PAST if inter else 0):
                        total, count_ = total + flat[centres[group, back] + col], count_ + 1
                    base[group] = total / count_
                for i in range(n):
                    x[i] = flat[offsets[i] + col] - base[taps[i, 0]]
                # Predictions
                energy, drift = 0.0, 0.0
                low, high = splat(0.0), splat(0.0)
                for i in range(n):
                    four = splat(x[i])
                    low, high = low + load(flat_weights, 8 * i) * four, high + load(flat_weights, 8 * i + 4) * four
                    energy += x[i] * x[i]
                    drift += pulls[i] * x[i]
                store(sums, 0, low)
                store(sums, 4, high)
                mean = base[0]
                for k in range(6):
                    predictions[k] = mean + sums[k]
                basis = 0.34 * predictions[2] + 0.33 * (predictions[3] + predictions[4])
                predictions[6] = basis + drift
                # Their blend, by how they did nearby
                at = col + 8
                total, blend = 0.0, 0.0
                for k in range(NUM_PREDICTIONS - 1):
                    predictions[k] = min(max(predictions[k], 0.0), float(peak))
                    nearby = _nearby(errors[k], row, row1, row2, at)
                    sums[k] = nearby * 0.125
                    square = nearby * nearby + 4.0
                    share = 1.0 / (square * square)
                    total += share
                    blend += share * predictions[k]
                best = blend / total
                # How large an error is to be expected
                left_error, up_error = signed[row, at - 1], signed[row1, at]
                activity = _nearby(sizes, row, row1, row2, at) * 0.125
                west, north, corner, east = own[yy, xx - 1], own[yy - 1, xx], own[yy - 1, xx - 1], own[yy - 1, xx + 1]
                gradient = (abs(west - corner) + abs(north - corner) + abs(north - east)) / 3.0
                past, change, moved = 0.0, 0.0, mean
                if inter:
                    moved = float(flat[centres[0, 0] + col])
                    for back in range(PAST):
                        past += flat_errors[error_places[back] + col]
                    past /= 16.0 * ERROR_UNIT * PAST
                    change = abs(moved - flat[centres[0, 1] + col])
                spread = 0.0
                for k in range(4):
                    spread += abs(predictions[k] - best)
                features[0], features[1], features[2], features[3] = 1.0, activity, gradient, past
                features[4], features[5], features[6] = change, luma_errors[yy, xx] / ERROR_UNIT, spread
                scale = 0.0
                for i in range(NUM_FEATURES):
                    scale += scale_weights[i] * features[i]
                scale = max(scale, SCALES[0], 0.2 * activity)
                q = _scale_class(scale)
                # Bias
                signs = ((1 if west > best else 0) + (2 if north > best else 0) + (4 if corner > best else 0)
                         + (8 if east > best else 0) + (16 if moved > best else 0) + (32 if left_error > 0 else 0)
                         + (64 if up_error > 0 else 0))  # fmt: skip
                first = signs * 12 + (q >> 2)
                second = 1536 + q * 8 + ((4 if predictions[0] > best else 0) + (2 if predictions[3] > best else 0)
                                         + (1 if predictions[6] > best else 0))  # fmt: skip
                bias1 = biases[first] * (biases_seen[first] / (biases_seen[first] + 8.0))
                bias2 = biases[second] * (biases_seen[second] / (biases_seen[second] + 8.0))
                best = min(max(best + 0.5 * (bias1 + bias2), 0.0), float(peak))
                predictions[7] = best
                sums[7] = _nearby(errors[7], row, row1, row2, at) * 0.125
                # Opinions and contexts
                centre = int(best + 0.5)
                for k in range(NUM_PREDICTIONS):
                    ratio = sums[k] / (activity + 0.5)
                    classes[k] = (0 if ratio < 0.9 else 1) if ratio <= 1.15 else (2 if ratio <= 1.5 else 3)
                    places_of[k] = predictions[k] - centre
                    steepness[k] = 1.386 / spreads[k, q, classes[k]]
                places_of[8], steepness[8] = places_of[7], steepness[7] * 0.4
                places_of[9], steepness[9] = places_of[7], steepness[7] * 2.0
                neighbour_errors[0], neighbour_errors[1] = left_error, up_error
                neighbour_errors[2], neighbour_errors[3] = signed[row1, at - 1], signed[row1, at + 1]
                neighbour_errors[4], neighbour_errors[5] = signed[row, at - 2], signed[row2, at]
                unit = 1.0 / (scale + LEAST_ERROR)
                gather_facts(
                    facts, x, n, mean, predictions, sums, activity, features, neighbour_errors, unit, q, best - centre
                )
                answer(
                    facts, layers, hidden, answers, unit, places_of[7], places_of[OF_NETWORK:],
                    steepness[OF_NETWORK:], shares,
                )  # fmt: skip
                eighth = min(int((best - centre + 0.5) * 8.0), 7)
                contexts[0] = eighth * 12 + (q >> 2)
                contexts[1] = 96 + _cut(moved - best, 0.5 * scale + 0.25, 4) * 12 + (q >> 2)
                pair = _cut(west - best, scale + 0.25, 3) * 7 + _cut(north - best, scale + 0.25, 3)
                contexts[2] = 204 + pair * 6 + (q >> 3)
                third = (scale + 0.1) / 3.0
                pair = _cut(predictions[0] - best, third, 3) * 7 + _cut(predictions[3] - best, third, 3)
                contexts[3] = 498 + pair * 6 + (q >> 3)
                contexts[4] = 792 + q
                value = code_value(
                    coder, data, mode if y < known else DRAW, own[yy, xx], centre, peak, places_of, steepness, shares,
                    q, contexts, counter_places, inputs, tails, model, drawing,
                )  # fmt: skip
                own[yy, xx] = value
                if y == 0:
                    for k in range(1, 4):
                        for r in range(1, 4):
                            own[yy - r, xx + k] = value
                # Learning
                for k in range(NUM_PREDICTIONS):
                    miss = abs(value - predictions[k])
                    errors[k, row, at] = min(miss, most_error)
                    seen = spreads_seen[k, q, classes[k]]
                    spreads[k, q, classes[k]] += (miss + 0.02 - spreads[k, q, classes[k]]) / (seen + 1)
                    spreads_seen[k, q, classes[k]] = min(seen + 1, 250)
                error = value - best
                cut = min(max(error, -most_error), most_error)
                signed[row, at], sizes[row, at] = cut, abs(cut)
                out_errors[yy, xx] = int(abs(cut) * ERROR_UNIT)
                seen = biases_seen[first]
                biases[first] += (error + bias1 - biases[first]) / (seen + 1)
                biases_seen[first] = min(seen + 1, 200)
                seen = biases_seen[second]
                biases[second] += (error + bias2 - biases[second]) / (seen + 1)
                biases_seen[second] = min(seen + 1, 400)
                features[NUM_FEATURES] = abs(cut)
                accumulate(scale_sums, features, NUM_FEATURES, 1.0 / ((scale + 0.3) * (scale + 0.3)))
                coded += 1
                if record.shape[0] > 0 and coded % int(record[0, 1]) == 0 and int(record[0, 0]) + 1 < record.shape[0]:
                    record[0, 0] += 1
                    line = record[int(record[0, 0])]
                    line[: facts.shape[0]] = facts
                    line[facts.shape[0]], line[facts.shape[0] + 1] = error, unit
                if coded % 64 == 0:
                    for i in range(scale_sums.shape[0]):
                        scale_local[i] = scale_sums[i]
                        scale_sums[i] *= 0.998
                    shrink(scale_local, NUM_FEATURES, 1.0, 0.0, scale_towards)
                    eliminate(scale_local, NUM_FEATURES, scale_upper, scale_lower, scale_z)
                    solve(scale_lower, scale_z, NUM_FEATURES, scale_part, scale_out, 0)
                    for i in range(NUM_FEATURES):
                        scale_weights[i] = scale_out[i, 0]
                step = (
                    min(max(value - basis - drift, -most_error), most_error)
                    * _GRADIENT_RATE
                    / (energy + 30.0 + 4.0 * n)
                )
                four = splat(step)
                for i in range(0, n, 4):
                    store(pulls, i, load(pulls, i) + four * load(x, i))
                x[n] = value - mean
                their_weights[col - begin] = 1.0 / (0.5 + scale * scale)
            learn(
                near_sums[segment + 2], _NEAR_DECAY, wide_sums[segment + 2], _WIDE_DECAY, slow_sums, _SLOW_DECAY,
                samples, their_weights, n,
            )  # fmt: skip
            if (y * segments + segment) % _SLOW_EVERY == _SLOW_EVERY - 1:
                for i in range(size):
                    local[i] = slow_sums[i]
                shrink(local, n, _SLOW_RIDGE, 0.0, towards)
                eliminate(local, n, upper, lower, z)
                solve(lower, z, n, part, single, 0)
                for i in range(n):
                    slow_weights[i] = single[i, 0]
        for k in range(8):
            for j in range(NUM_PREDICTIONS):
                errors[j, row2, k] = errors[j, row, 8]
                errors[j, row, width + 8 + k] = errors[j, row, width + 7]
            signed[row2, k], sizes[row2, k] = signed[row, 8], sizes[row, 8]
            signed[row, width + 8 + k], sizes[row, width + 8 + k] = signed[row, width + 7], sizes[row, width + 7]
    _fill_margin(own, height, width, middle)
    gradient_weights[:] = pulls[:n]
