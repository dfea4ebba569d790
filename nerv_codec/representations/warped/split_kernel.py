"""Blocks that are split, through the range coder, in one compiled loop for both directions.

A hard edge that moves on its own blurs where blocks overlap. So each corner of a split block, 4 x 4 luma samples, shows
what one block alone says: its own or another of the four whose overlap it would show, that beside it, that above or
below it, or the one between these. All decisions are binary, with adaptive models as those of motion.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped import decision_kernel
from nerv_codec.representations.warped.decision_kernel import Decisions, code_bit
from nerv_codec.representations.warped.motion_kernel import alike

OVERLAPPED = 0
"""What a corner of a block shows that is not split; else one more than the number of what it shows: see `sources`."""
SOURCES = 4
SPLIT, NOT_OWN, NOT_SECOND, NOT_THIRD = 0, 4, 13, 16
MODELS = 17
KIND = np.array([0] * NOT_OWN + [1] * (NOT_SECOND - NOT_OWN) + [2] * (NOT_THIRD - NOT_SECOND) + [3])


def start() -> Decisions:
    """Before the first field."""
    return decision_kernel.start(MODELS, int(KIND.max()) + 1)


@njit(nogil=True, cache=True)
def source_of(shape, y, x, number):
    """The block that is source ``number`` of a corner: bit 0 is beside its own, bit 1 above or below."""
    r, c = y // 2, x // 2
    if number & 1:
        c = min(max(c + 2 * (x % 2) - 1, 0), shape[1] - 1)
    if number & 2:
        r = min(max(r + 2 * (y % 2) - 1, 0), shape[0] - 1)
    return r, c


@njit(nogil=True, cache=True)
def sources(vectors, modes, y, x, found):
    """Fills found (SOURCES,) with what a corner may show, its own block first, and none that moves as one before."""
    count = 0
    for number in range(SOURCES):
        r, c = source_of(modes.shape, y, x, number)
        new = True
        for k in range(count):
            other = source_of(modes.shape, y, x, found[k])
            if alike(vectors, modes, r, c, other[0], other[1]):
                new = False
        if new:
            found[count] = number
            count += 1
    return count


@njit(nogil=True, cache=True)
def is_edge(vectors, modes, r, c):
    """Whether a block has a neighbour that moves unlike it."""
    rows, cols = modes.shape
    for y in range(max(r - 1, 0), min(r + 2, rows)):
        for x in range(max(c - 1, 0), min(c + 2, cols)):
            if not alike(vectors, modes, r, c, y, x):
                return True
    return False


@njit(nogil=True, cache=True)
def _shows(vectors, modes, corners, y, x, r, c):
    """1 if a corner shows what moves as a block does, 2 if unlike it, 0 if there is none or it is overlapped."""
    if min(y, x) < 0 or corners[y, x] == OVERLAPPED:
        return 0
    shown = source_of(modes.shape, y, x, corners[y, x] - 1)
    return 1 if alike(vectors, modes, shown[0], shown[1], r, c) else 2


@njit(nogil=True, cache=True)
def split_model(corners, r, c):
    """The model of the decision whether a block is split."""
    split = 0
    for y, x in ((r, c - 1), (r - 1, c), (r - 1, c + 1)):
        if y >= 0 and 0 <= x < corners.shape[1] // 2 and corners[2 * y, 2 * x] != OVERLAPPED:
            split += 1
    return SPLIT + split


@njit(nogil=True, cache=True)
def corner_models(vectors, modes, corners, y, x, found, out):
    """Fills out (3,) with the models of the decisions on what a corner of a split block shows."""
    second = source_of(modes.shape, y, x, found[1])
    out[0], out[1], out[2] = NOT_OWN, NOT_SECOND, NOT_THIRD
    for left, a, b in ((3, y, x - 1), (1, y - 1, x)):
        out[0] += left * _shows(vectors, modes, corners, a, b, y // 2, x // 2)
        out[1] += 1 if _shows(vectors, modes, corners, a, b, second[0], second[1]) == 1 else 0


@njit(nogil=True, cache=True)
def _look(vectors, modes, corners, r, c, views):
    """What the views see of a block."""
    rows, cols = modes.shape
    views[:] = 0
    for k, (y, x) in enumerate(((r, c - 1), (r - 1, c), (r, c + 1), (r + 1, c))):
        if 0 <= y < rows and 0 <= x < cols and not alike(vectors, modes, r, c, y, x):
            views[0] += 1 << k
    for k, (y, x) in enumerate(((r, c - 1), (r - 1, c), (r - 1, c - 1), (r - 1, c + 1))):
        if y >= 0 and 0 <= x < cols and corners[2 * y, 2 * x] != OVERLAPPED:
            views[1] += 1 << k
    views[2] = 4 * modes[r, c]


@njit(nogil=True, cache=True, allocates=True)
def code_splits(encoding, vectors, modes, corners, models, state, words, at):
    """Writes what all corners show, or reads it into ``corners``; returns the position of words.

    Args:
        encoding: Whether to write.
        vectors: (2, rows, cols, 2) int32.
        modes: (rows, cols) uint8.
        corners: (2 rows, 2 cols) uint8: OVERLAPPED, or one more than a source.
        models: Adapted.
        state: Of the range coder.
        words: Of the stream.
        at: Position in them.
    """
    rows, cols = modes.shape
    found, numbers = np.zeros(SOURCES, np.int64), np.zeros(3, np.int64)
    views = models[2]
    for r in range(rows):
        for c in range(cols):
            if not is_edge(vectors, modes, r, c):
                continue
            _look(vectors, modes, corners, r, c, views)
            number = split_model(corners, r, c)
            split = 1 if encoding and corners[2 * r, 2 * c] != OVERLAPPED else 0
            split, at = code_bit(encoding, split, number, KIND[number], MODELS, models, state, words, at)
            if split == 0:
                continue
            for q in range(4):
                y, x = 2 * r + q // 2, 2 * c + q % 2
                count = sources(vectors, modes, y, x, found)
                pick = 0
                if count > 1:
                    corner_models(vectors, modes, corners, y, x, found, numbers)
                    views[2] = 4 * q + count - 1
                    wanted = corners[y, x] - 1
                    while pick < count - 1:
                        bit = 1 if encoding and found[pick] != wanted else 0
                        number = numbers[pick]
                        bit, at = code_bit(encoding, bit, number, KIND[number], MODELS, models, state, words, at)
                        if bit == 0:
                            break
                        pick += 1
                corners[y, x] = found[pick] + 1
    return at
