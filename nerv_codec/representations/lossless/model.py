"""What predicts a plane: its regressors, and all that adapts while planes of one kind are coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.logistic import REACH, STEPS, logistic_table
from nerv_codec.representations.lossless.bit_kernel import COUNTER_ONE, REFINE_BINS
from nerv_codec.representations.lossless.least_squares import stairs_size
from nerv_codec.representations.lossless.network_kernel import NUM_HIDDEN, NUM_OTHER_FACTS, NUM_PARTS
from nerv_codec.representations.lossless.value_kernel import (
    NUM_CONTEXTS,
    NUM_GROUPS,
    NUM_INPUTS,
    NUM_NODES,
    NUM_OPINIONS,
    NUM_SCALES,
    OF_NETWORK,
)

NUM_PREDICTIONS = 8
NUM_FEATURES = 7
NUM_SIGNS = 128
"""Patterns of which neighbours are greater than the prediction."""
NUM_BIASES = NUM_SIGNS * 12 + NUM_SCALES * 8
SCALES = np.array([0.15 * part * 2.0**octave for octave in range(NUM_SCALES // 4)
                   for part in (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)])  # fmt: skip
"""The least expected error of each class, four an octave."""
PAST = 3
"""Frames before that are looked at."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]

_CAUSAL = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-2, -1), (-1, -2), (-1, 2), (0, -3), (-3, 0),
    (-2, 2), (-2, -2),
)  # fmt: skip
_CROSS = ((0, -1), (0, 1), (-1, 0), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))

OWN, LUMA, FIRST = range(3)
"""Groups of planes: the plane itself, luma at its places, the first chroma plane."""


@dataclass(frozen=True)
class Regressors:
    """What a plane's samples are predicted from, most telling first."""

    taps: tuple[tuple[int, int, int, int], ...]
    """(group, frames back, row, column), the last two from the sample, or from where motion leads."""
    few: int
    """So many of them make the smallest model."""
    some: int
    """So many make the next one; all make the largest."""

    @property
    def array(self) -> npt.NDArray[np.int64]:
        """The taps, (N, 4)."""
        return np.array(self.taps, np.int64)


def regressors(plane: int, *, inter: bool) -> Regressors:
    """The regressors of one plane, 0..2, of a frame with or without frames before it."""

    def taken(group: int, back: int, places: tuple[tuple[int, int], ...]) -> list[tuple[int, int, int, int]]:
        return [(group, back, row, col) for row, col in places]

    here = ((0, 0),)
    back = range(1, PAST + 1) if inter else range(0)
    if plane == 0 and not inter:
        return Regressors(tuple(taken(OWN, 0, _CAUSAL)), 6, 10)
    if plane == 0:
        few = taken(OWN, 0, _CAUSAL[:2])
        for age in back:
            few += taken(OWN, age, here)
        few += taken(OWN, 1, _CROSS) + taken(OWN, 2, _CROSS)
        some = [*few, *taken(OWN, 0, _CAUSAL[2:6]), *taken(OWN, 3, _CROSS)]
        every = [*some, *taken(OWN, 1, _CORNERS), *taken(OWN, 2, _CORNERS), *taken(OWN, 0, _CAUSAL[6:12])]
        return Regressors(tuple(every), len(few), len(some))
    few = taken(OWN, 0, _CAUSAL[:2])
    for age in back:
        few += taken(OWN, age, here) + taken(LUMA, age, here)
    few += taken(LUMA, 0, here)
    if plane == 2:
        few += taken(FIRST, 0, here)
        for age in back:
            few += taken(FIRST, age, here)
    few += taken(LUMA, 0, ((0, -1), (-1, 0)))
    some = [*few, *taken(OWN, 0, _CAUSAL[2:4])]
    for age in back:
        some += taken(OWN, age, _CROSS)
    if plane == 2:
        some += taken(FIRST, 0, _CROSS)
    every = [*some, *taken(OWN, 0, _CAUSAL[4:6]), *taken(LUMA, 0, ((0, 1), (1, 0)))]
    for age in back[:2]:
        every += taken(LUMA, age, _CROSS)
    return Regressors(tuple(every), len(few), len(some))


class PlaneState(NamedTuple):
    """All that adapts while planes of one kind are coded, and a network, which does not."""

    slow_sums: Floats
    """Sums of the whole past, as stairs (`least_squares`)."""
    slow_weights: Floats
    towards: Floats
    """What the slow weights are pulled to."""
    gradient_weights: Floats
    counters: Integers
    """A probability in units of 2**-20, times 256, plus how often it was seen."""
    by_node: Floats
    by_scale: Floats
    curves: Floats
    spreads: Floats
    """Mean magnitude of each prediction's error, by expected error and by how it did nearby."""
    spreads_seen: Integers
    biases: Floats
    biases_seen: Integers
    scale_sums: Floats
    scale_weights: Floats
    first_layer: Floats
    """Of the network, a row for each fact behind one that is added."""
    second_layer: Floats
    last_layer: Floats
    record: npt.NDArray[np.float32]
    """(N, facts + 2): where training wants to know what the network is told, what was there less what was expected, and
    the unit; the first row says how many rows are filled, and that one sample of how many is kept."""


Begin = Callable[[int, bool], PlaneState]
"""The state of a plane, 0..2, in frames without or with frames before them, when a GOP begins."""


def fresh_state(plane: int, inter: bool) -> PlaneState:
    """A state that has seen nothing."""
    taps = regressors(plane, inter=inter)
    n = len(taps.taps)
    slow = np.zeros(n)
    slow[:2] = 0.25 if inter else 0.5
    slow[2] += 0.5 if inter else 0.0
    by_node = np.zeros((NUM_NODES, NUM_INPUTS))
    by_node[:, :NUM_OPINIONS] = 0.05
    by_node[:, NUM_PREDICTIONS - 1] = 0.45
    by_node[:, OF_NETWORK:NUM_OPINIONS] = 0.0
    by_node[:, NUM_OPINIONS:] = 0.02
    spreads = np.empty((NUM_PREDICTIONS, NUM_SCALES, 4))
    spreads[:] = (SCALES * 1.09)[None, :, None]
    curve = logistic_table()[[round((bin_ / 1.5 - 8.0 + REACH) * STEPS) for bin_ in range(REFINE_BINS + 1)]]
    scale_weights = np.zeros(NUM_FEATURES)
    scale_weights[1] = 1.0
    return PlaneState(
        slow_sums=np.zeros(stairs_size(n)),
        slow_weights=slow.copy(),
        towards=slow.copy(),
        gradient_weights=np.zeros(n),
        counters=np.full(NUM_NODES * NUM_CONTEXTS, COUNTER_ONE // 2 << 8, np.int32),
        by_node=by_node,
        by_scale=np.zeros((NUM_GROUPS * NUM_SCALES, NUM_INPUTS)),
        curves=np.tile(curve, (NUM_GROUPS * NUM_SCALES, 1)),
        spreads=spreads,
        spreads_seen=np.full(spreads.shape, 2, np.int32),
        biases=np.zeros(NUM_BIASES),
        biases_seen=np.zeros(NUM_BIASES, np.int32),
        scale_sums=np.zeros(stairs_size(NUM_FEATURES)),
        scale_weights=scale_weights,
        first_layer=np.zeros((n + NUM_OTHER_FACTS + 1, NUM_HIDDEN)),
        second_layer=np.zeros((NUM_HIDDEN + 1, NUM_HIDDEN)),
        last_layer=np.zeros((NUM_HIDDEN + 1, 3 * NUM_PARTS)),
        record=np.zeros((0, n + NUM_OTHER_FACTS + 2), np.float32),
    )
