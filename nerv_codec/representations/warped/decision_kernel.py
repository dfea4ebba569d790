"""Binary decisions of motion and screen content: estimates of several contexts, mixed by an online logistic model.

Mixing is that of PAQ (Mahoney 2005): every context of a decision has an adaptive probability, their logits are added
with weights that are learnt while coding. All of it is in integers, tables are correctly rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.logistic import REACH, logistic_table, logit_table
from nerv_codec.entropy.range_kernel import put_split, take_split

VIEWS, VIEW = 3, 16
"""What lies around a block is looked at in three ways, each of which sees one of 16 things."""
ONE = 1 << 16
LOGIT_UNIT = 256
_LARGEST_LOGIT = 8 * LOGIT_UNIT - 1
LOGIT = np.rint(LOGIT_UNIT * logit_table()).astype(np.int64)
"""Of probabilities (i + 1/2) / 4096."""
LOGISTIC = np.rint(ONE * logistic_table()).astype(np.int64)
"""At i / 32 - REACH."""
_STEP = LOGIT_UNIT // 32
RATE = np.array([int(ONE / (seen + 1.6)) for seen in range(201)])
"""What a probability moves by, having been asked so often."""
_FIRST_WEIGHT = 17000
_LEAST, _LEAST_ALONE = 64, 16


class Decisions(NamedTuple):
    """What is adapted while decisions are coded.

    Attributes:
        estimates: (contexts, 2): the probability of a 0 in 1 / ONE, and how often it was asked.
        weights: (kinds, 1 + VIEWS) in 1 / ONE.
        views: What the views see of the current block.
        inputs: Room for logits.
        places: Room for the numbers of contexts.
    """

    estimates: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int64]
    views: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


def start(contexts: int, kinds: int) -> Decisions:
    """Nothing is known yet. Contexts are the decisions' own ones; each kind of decision has those of the views, too."""
    estimates = np.zeros((contexts + kinds * VIEWS * VIEW, 2), np.int64)
    estimates[:, 0] = ONE // 2
    weights = np.full((kinds, 1 + VIEWS), _FIRST_WEIGHT, np.int64)
    room = [np.zeros(count, np.int64) for count in (VIEWS, 1 + VIEWS, 1 + VIEWS)]
    return Decisions(estimates, weights, *room)


@njit(nogil=True, cache=True, forceinline=True)
def _adapt(estimate, bit):
    before, seen = np.int64(estimate[0]), np.int64(estimate[1])
    estimate[0] = before + (((0 if bit else ONE - 1) - before) * RATE[seen] >> 16)
    estimate[1] = min(seen + 1, RATE.shape[0] - 1)


@njit(nogil=True, cache=True)
def mixed_bit(encoding, bit, estimates, places, weight, inputs, state, words, at):
    """Codes or reads a bit in the contexts whose numbers are `places`: (bit, position of words, P(0) in 1 / ONE).

    estimates are those of `Decisions`, weight a row of its weights; inputs is room for as many logits as places.
    """
    total = np.int64(0)
    for k in range(places.shape[0]):
        inputs[k] = LOGIT[estimates[places[k], 0] >> 4]
        total += weight[k] * inputs[k]
    place = min(max(total >> 16, -_LARGEST_LOGIT), _LARGEST_LOGIT) + REACH * LOGIT_UNIT
    low, high = LOGISTIC[place // _STEP], LOGISTIC[place // _STEP + 1]
    p = min(max(low + (high - low) * (place % _STEP) // _STEP, _LEAST), ONE - _LEAST)
    split = np.uint64(p << 8)
    if encoding:
        at = put_split(state, words, at, bit, split)
    else:
        bit, at = take_split(state, words, at, split)
    for k in range(places.shape[0]):
        weight[k] += (inputs[k] * ((0 if bit else ONE - 1) - p) + (1 << 13)) >> 14
        _adapt(estimates[places[k]], bit)
    return bit, at, p


@njit(nogil=True, cache=True, forceinline=True)
def single_bit(encoding, bit, estimate, state, words, at):
    """Codes or reads a bit in one context, of which this is the estimate; returns as `mixed_bit`."""
    p = min(max(np.int64(estimate[0]), _LEAST_ALONE), ONE - _LEAST_ALONE)
    if encoding:
        at = put_split(state, words, at, bit, np.uint64(p << 8))
    else:
        bit, at = take_split(state, words, at, np.uint64(p << 8))
    _adapt(estimate, bit)
    return bit, at, p


@njit(nogil=True, cache=True)
def code_bit(encoding, bit, context, kind, contexts, decisions, state, words, at):
    """Codes or reads a bit in a context of its own and in those of the views; returns (bit, position of words)."""
    estimates, weights, views, inputs, places = decisions
    places[0] = context
    for k in range(VIEWS):
        places[1 + k] = contexts + (kind * VIEWS + k) * VIEW + views[k]
    bit, at, _ = mixed_bit(encoding, bit, estimates, places, weights[kind], inputs, state, words, at)
    return bit, at
