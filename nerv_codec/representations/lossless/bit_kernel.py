"""One binary decision, compiled: logits mixed by an online logistic model, refined, coded, and learnt from.

Doubles are IEEE binary64 in the order written, one rounding an operation; everything else is an integer.
"""

from __future__ import annotations

import math

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.fours import between, entries, held, load, splat, store, total
from nerv_codec.entropy.logistic import LOGITS, REACH, STEPS, logistic_table, logit_table

LOW, HIGH, CODE, POSITION = range(4)
"""What a coder, an array of integers, holds."""
DECODE, ENCODE, LEARN, DRAW = range(4)
"""What is done with a bit: it is read; written; known, and neither; or read from chance, so that it is drawn."""
SHARPNESS, ENTROPY = range(2)
"""What drawing, an array of doubles, holds: by how much logits are multiplied, 1 for the model's own distribution; and
bits, the sum of the entropies of all decisions that were drawn."""
NUM_COUNTERS = 5
"""Counters that have a say in each decision."""
COUNTER_ONE = 1 << 20
"""A probability of 1 as counters have it, above their 8 bits of how often they were seen."""
REFINE_BINS = 24

_LOGISTIC, _LOGIT = np.append(logistic_table(), logistic_table()[-1]), logit_table()
_LAST = 2 * REACH * STEPS
_RATE = np.array([int(65536 / (seen + 1.6)) for seen in range(256)])
_SEEN_ENOUGH = 200
LEAST_CHANCE = COUNTER_ONE // 2048
"""Of a counter; the greatest one is as far from COUNTER_ONE."""
_LARGEST_LOGIT = 11.0
_MIX_RATE = 0.002
_REFINE_RATE = 0.015


@njit(nogil=True, cache=True)
def logistic(z):
    """1 / (1 + exp(-z)), linear between the entries of its table."""
    place = (z + REACH) * STEPS
    if place <= 0.0:
        return _LOGISTIC[0]
    if place >= _LAST:
        return _LOGISTIC[_LAST]
    index = int(place)
    return _LOGISTIC[index] + (place - index) * (_LOGISTIC[index + 1] - _LOGISTIC[index])


@njit(nogil=True, cache=True)
def logistics(z):
    """The same of a four."""
    return between(_LOGISTIC, held((z + splat(REACH)) * splat(STEPS), splat(0.0), splat(_LAST)))


@njit(nogil=True, cache=True)
def logits(probabilities):
    """`logit` of a four."""
    return entries(_LOGIT, held(probabilities * splat(LOGITS), splat(0.0), splat(LOGITS - 1)))


@njit(nogil=True, cache=True)
def logit(probability):
    """ln(p / (1 - p)) of the nearest of LOGITS probabilities."""
    return _LOGIT[min(max(int(probability * LOGITS), 0), LOGITS - 1)]


@njit(nogil=True, cache=True, allocates=True)
def start_coder():
    """A coder before its first decision."""
    return np.array([0, 0xFFFFFFFF, 0, 0])


@njit(nogil=True, cache=True)
def start_decoding(coder, data):
    """Takes the first four bytes; bytes behind the end are 0."""
    for _ in range(4):
        _take(coder, data)


@njit(nogil=True, cache=True)
def _take(coder, data):
    at = coder[POSITION]
    coder[CODE] = (coder[CODE] << 8 | (data[at] if at < data.shape[0] else 0)) & 0xFFFFFFFF
    coder[POSITION] = at + 1


@njit(nogil=True, cache=True)
def finish_encoding(coder, data):
    """Writes the byte that leads into the last interval; the zeros behind it need not stand there."""
    data[coder[POSITION]] = (coder[LOW] >> 24) + 1
    coder[POSITION] += 1


@njit(nogil=True, cache=True)
def code_flag(coder, data, mode, bit, chance):
    """Codes one bit that is 1 with the probability ``chance`` / 65536, 1..65535; returns it."""
    if mode == LEARN:
        return bit
    low, high = coder[LOW], coder[HIGH]
    middle = low + ((high - low) * chance >> 16)
    if mode != ENCODE:
        bit = 1 if coder[CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        if mode == ENCODE:
            data[coder[POSITION]] = high >> 24
            coder[POSITION] += 1
        else:
            _take(coder, data)
        low = low << 8 & 0xFFFFFFFF
        high = (high << 8 & 0xFFFFFFFF) | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


@njit(nogil=True, cache=True)
def count(counters, at, bit):
    """Moves a counter towards what was seen."""
    value, seen = counters[at] >> 8, counters[at] & 255
    value += (bit * COUNTER_ONE - value) * _RATE[seen] >> 16
    counters[at] = min(max(value, LEAST_CHANCE), COUNTER_ONE - LEAST_CHANCE) << 8 | min(seen + 1, _SEEN_ENOUGH)


@njit(nogil=True, cache=True)
def decide(coder, data, mode, bit, inputs, counters, places, by_node, by_scale, curve, drawing):
    """Codes one decision and learns from it; returns the bit.

    inputs: logits, the last 1 + NUM_COUNTERS of them filled in here; counters at ``places``; by_node, by_scale:
    weights, which are added; curve: REFINE_BINS + 1 probabilities, by the logit; drawing: how bits are drawn.
    """
    n = inputs.shape[0]
    first = n - NUM_COUNTERS - 1
    for k in range(NUM_COUNTERS):
        inputs[first + k] = _LOGIT[counters[places[k]] >> 16]
    inputs[n - 1] = 0.3
    four = splat(0.0)
    for k in range(0, n, 4):
        four = four + (load(by_node, k) + load(by_scale, k)) * load(inputs, k)
    mixed = min(max(total(four), -_LARGEST_LOGIT), _LARGEST_LOGIT)
    p = logistic(mixed)
    place = min(max((mixed + 8.0) * 1.5, 0.0), REFINE_BINS - 0.001)
    bin_ = int(place)
    part = place - bin_
    refined = 0.5 * p + 0.5 * (curve[bin_] * (1.0 - part) + curve[bin_ + 1] * part)
    if mode == DRAW and drawing[SHARPNESS] != 1.0:
        refined = logistic(logit(refined) * drawing[SHARPNESS])
    chance = min(max(int(refined * 65536), 1), 65535)
    if mode == DRAW:
        share = chance / 65536
        drawing[ENTROPY] -= share * math.log2(share) + (1.0 - share) * math.log2(1.0 - share)
    bit = code_flag(coder, data, mode, bit, chance)
    step = splat(_MIX_RATE * (bit - p))
    for k in range(0, n, 4):
        move = step * load(inputs, k)
        store(by_node, k, load(by_node, k) + move)
        store(by_scale, k, load(by_scale, k) + move)
    curve[bin_] += (bit - curve[bin_]) * (_REFINE_RATE * (1.0 - part))
    curve[bin_ + 1] += (bit - curve[bin_ + 1]) * (_REFINE_RATE * part)
    for k in range(NUM_COUNTERS):
        count(counters, places[k], bit)
    return bit
