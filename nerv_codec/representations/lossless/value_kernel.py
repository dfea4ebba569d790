"""One sample given what is expected of it, compiled: a value becomes decisions, each with many opinions."""

from __future__ import annotations

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import load, splat, store
from nerv_codec.representations.lossless.bit_kernel import NUM_COUNTERS, decide, logistics, logits
from nerv_codec.representations.lossless.network_kernel import NUM_PARTS

OF_NETWORK = 10
"""The first opinion of the network's; before it are those of 8 predictions, and the last one narrower and wider."""
NUM_LOGISTIC = OF_NETWORK + NUM_PARTS
NUM_OPINIONS = NUM_LOGISTIC + 1
"""Distributions that have a say: the last one is the network's parts by their shares."""
PADDED = 16
"""Opinions in fours."""
NUM_INPUTS = NUM_OPINIONS + NUM_COUNTERS + 1
NUM_SCALES = 48
NUM_BUCKETS = 9
NUM_NODES = 2 + 6 * NUM_BUCKETS
NUM_GROUPS = 3 + 2 * NUM_BUCKETS
NUM_CONTEXTS = 8 * 12 + 9 * 12 + 49 * 6 * 2 + NUM_SCALES
"""Counters of a node."""

_SURE = 1e-7


@njit(nogil=True, cache=True)
def _beyond(out, distance, sign, offsets, steepness, shares):
    """P(the value is at least so far from the centre, on one side) in every opinion."""
    sign, least = splat(sign), splat(distance - 0.5)
    for k in range(0, PADDED, 4):
        store(out, k, logistics((sign * load(offsets, k) - least) * load(steepness, k)))
    total = 0.0
    for k in range(NUM_PARTS):
        total += shares[k] * out[OF_NETWORK + k]
    out[NUM_LOGISTIC] = total


@njit(nogil=True, cache=True)
def _split(inputs, k, part, whole):
    """Four opinions of what part of the whole it is."""
    store(inputs, k, logits((part + splat(_SURE)) / (whole + splat(2.0 * _SURE))))


@njit(nogil=True, cache=True)
def code_value(
    coder, data, mode, value, centre, peak, offsets, steepness, shares, q, contexts, places, inputs, tails, model,
    drawing,
):  # fmt: skip
    """Codes a sample; returns it.

    value: used unless it is decoded. centre: the nearest whole number to the best prediction, 0..peak.
    offsets, steepness: the opinions' locations, counted from the centre, and reciprocal scales; shares: of the
    network's parts. q: class of the expected error. contexts: of the counters, 0..NUM_CONTEXTS-1. places, inputs,
    tails: scratch. model: counters, by_node, by_scale, curves.
    """
    counters, by_node, by_scale, curves = model
    up, down, far = tails[0], tails[1], tails[2]
    _beyond(up, 1, 1.0, offsets, steepness, shares)
    _beyond(down, 1, -1.0, offsets, steepness, shares)
    for k in range(0, PADDED, 4):
        _split(inputs, k, splat(1.0) - load(up, k) - load(down, k), splat(1.0))
    node = 0
    for k in range(NUM_COUNTERS):
        places[k] = node * NUM_CONTEXTS + contexts[k]
    row = node * NUM_SCALES + q
    bit = 1 if value == centre else 0
    if decide(coder, data, mode, bit, inputs, counters, places, by_node[0], by_scale[row], curves[row], drawing):
        return centre

    above = 1 if value > centre else 0
    if centre == 0:
        above = 1
    elif centre == peak:
        above = 0
    else:
        for k in range(0, PADDED, 4):
            _split(inputs, k, load(up, k), load(up, k) + load(down, k))
        for k in range(NUM_COUNTERS):
            places[k] = NUM_CONTEXTS + contexts[k]
        row = NUM_SCALES + q
        above = decide(
            coder, data, mode, above, inputs, counters, places, by_node[1], by_scale[row], curves[row], drawing
        )
    sign = 1 if above else -1
    limit = peak - centre if above else centre
    error = (value - centre) * sign
    near = up if above else down
    low, high, bucket, inside = 1, 1, 0, False
    # Buckets 1, 2, 3..4, 5..8, ... of distances; then halves of the bucket, the farther one first.
    while True:
        if inside:
            if low == high:
                return centre + sign * low
            middle = (low + high) >> 1
            start, node = middle + 1, 2 + (3 if high - low > 1 else 5) * NUM_BUCKETS
        else:
            high = 1 << bucket
            if high >= limit:
                high, inside = limit, True
                for k in range(NUM_OPINIONS):
                    far[k] = 0.0
                continue
            start, node = high + 1, 2 + NUM_BUCKETS
        new = tails[3]
        _beyond(new, start, float(sign), offsets, steepness, shares)
        if inside:
            for k in range(0, PADDED, 4):
                _split(inputs, k, load(new, k) - load(far, k), load(near, k) - load(far, k))
        else:
            for k in range(0, PADDED, 4):
                _split(inputs, k, load(near, k) - load(new, k), load(near, k))
        kind = min(bucket, NUM_BUCKETS - 1)
        node += kind - (NUM_BUCKETS if above else 0)
        for k in range(NUM_COUNTERS):
            places[k] = node * NUM_CONTEXTS + contexts[k]
        group = min(node, NUM_GROUPS - 1)
        row = group * NUM_SCALES + q
        bit = (1 if error >= start else 0) if inside else (1 if error <= high else 0)
        bit = decide(
            coder, data, mode, bit, inputs, counters, places, by_node[node], by_scale[row], curves[row], drawing
        )
        if inside:
            if bit:
                low = start
                for k in range(NUM_OPINIONS):
                    near[k] = new[k]
            else:
                high = middle
                for k in range(NUM_OPINIONS):
                    far[k] = new[k]
        elif bit:
            inside = True
            for k in range(NUM_OPINIONS):
                far[k] = new[k]
        else:
            low = start
            bucket += 1
            for k in range(NUM_OPINIONS):
                near[k] = new[k]
