"""One field of motion through the range coder, in one compiled loop for both directions.

A block moves as one of its neighbours (left, above, above to the right) or as earlier motion lets expect, mode and all;
or else it has a mode and vectors of its own. Such a vector is one of a few candidates (the median of its neighbours;
straight on from the first vector of the block; what is expected; the left and the upper neighbour), or the median plus
a difference. All decisions are binary, with adaptive models that mix a quick and a slow estimate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.range_kernel import put_bit, take_bit
from nerv_codec.representations.warped import decision_kernel
from nerv_codec.representations.warped.decision_kernel import Decisions, code_bit
from nerv_codec.representations.warped.motion import BACKWARD, BOTH, FORWARD, MAX_VECTOR, NONE

MODELS = 182
_MODE, _CHOICE, ZERO, LARGER, _SIGN, _JOIN = 0, 12, 48, 52, 88, 92
_UNARY = 8
_MAX_BITS = 15
CANDIDATES = 5
BEYOND = 6
"""How far outside of a parent a place counts as shown, in units of vectors: a sample and a half of luma."""
JOINS = 4


def _kind(model: int) -> int:
    """What a model decides, whatever it knows of the neighbours."""
    if model < _CHOICE:
        return int(model >= 3) + int(model >= 6)
    if model < ZERO:
        return 3 + (model - _CHOICE) % 6 + 6 * ((model - _CHOICE) // 18)
    if model < LARGER:
        return 15
    if model < _SIGN:
        return 16 + min((model - LARGER) % 9, 4)
    return 21 if model < _JOIN else 22 + (model - _JOIN) % 6


KIND = np.array([_kind(model) for model in range(MODELS)])


class Room(NamedTuple):
    """Where blocks did not take the first candidate, and where they joined another; room for candidates and joins."""

    chosen: npt.NDArray[np.bool_]
    joined: npt.NDArray[np.bool_]
    found: npt.NDArray[np.int64]
    whole: npt.NDArray[np.int64]


def room_for(rows: int, cols: int) -> Room:
    """Room for a field of so many blocks."""
    candidates, joins = np.zeros((CANDIDATES, 2), np.int64), np.zeros((JOINS, 5), np.int64)
    return Room(np.zeros((2, rows, cols), np.bool_), np.zeros((rows, cols), np.bool_), candidates, joins)


def start() -> Decisions:
    """Before the first field."""
    return decision_kernel.start(MODELS, int(KIND.max()) + 1)


@njit(nogil=True, cache=True)
def _bit(encoding, bit, model, decisions, state, words, at):
    return code_bit(encoding, bit, model, KIND[model], MODELS, decisions, state, words, at)


@njit(nogil=True, cache=True)
def alike(vectors, modes, r, c, y, x):
    """Whether two blocks exist and move alike."""
    cols = modes.shape[1]
    if min(r, c, y, x) < 0 or max(c, x) >= cols or modes[r, c] != modes[y, x]:
        return 0
    for number in range(2):
        for k in range(2):
            if vectors[number, r, c, k] != vectors[number, y, x, k]:
                return 0
    return 1


@njit(nogil=True, cache=True)
def _as_expected(vectors, expected, r, c, y, x):
    """Whether a neighbour exists and its first vector is the one that is expected at (r, c)."""
    if y < 0 or x < 0:
        return 0
    return 1 if vectors[0, y, x, 0] == expected[0, r, c, 0] and vectors[0, y, x, 1] == expected[0, r, c, 1] else 0


@njit(nogil=True, cache=True)
def _roughness(expected, r, c):
    """By how much what is expected differs from block to block: 0..3."""
    rows, cols = expected.shape[1:3]
    most = 0
    for y, x in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
        if 0 <= y < rows and 0 <= x < cols:
            for k in range(2):
                most = max(most, abs(expected[0, r, c, k] - expected[0, y, x, k]))
    return (1 if most > 0 else 0) + (1 if most > 1 else 0) + (1 if most > 4 else 0)


@njit(nogil=True, cache=True)
def _look(vectors, modes, expected, joined, usual, r, c, views):
    """What the views see of a block."""
    views[0] = (
        alike(vectors, modes, r, c - 1, r - 1, c)
        + 2 * alike(vectors, modes, r - 1, c, r - 1, c + 1)
        + 4 * _as_expected(vectors, expected, r, c, r, c - 1)
        + 8 * _as_expected(vectors, expected, r, c, r - 1, c)
    )
    corner = 1 if r > 0 and c > 0 and joined[r - 1, c - 1] else 0
    right = 1 if r > 0 and c + 1 < modes.shape[1] and joined[r - 1, c + 1] else 0
    views[1] = 4 * _roughness(expected, r, c) + 2 * right + corner
    views[2] = 4 * (modes[r, c - 1] if c > 0 else usual) + (modes[r - 1, c] if r > 0 else usual)


@njit(nogil=True, cache=True)
def _difference(encoding, value, base, models, state, words, at):
    """A signed number: zero, sign, then unary up to _UNARY and an Exp-Golomb rest."""
    bit, at = _bit(encoding, 1 if value != 0 else 0, ZERO + base, models, state, words, at)
    if bit == 0:
        return 0, at
    sign, at = _bit(encoding, 1 if value < 0 else 0, _SIGN + base, models, state, words, at)
    size, rest = 1, abs(value)
    while size < _UNARY:
        bit, at = _bit(encoding, 1 if rest > size else 0, LARGER + 9 * base + size, models, state, words, at)
        if bit == 0:
            break
        size += 1
    if size == _UNARY:
        over = rest - _UNARY + 1  # 1 and more
        bits = 0
        while bits < _MAX_BITS:
            more = 1 if over >> (bits + 1) > 0 else 0
            bit, at = _bit(encoding, more, LARGER + 9 * base, models, state, words, at)
            if bit == 0:
                break
            bits += 1
        number = 1
        for k in range(bits - 1, -1, -1):
            if encoding:
                bit = (over >> k) & 1
                at = put_bit(state, words, at, bit)
            else:
                bit, at = take_bit(state, words, at)
            number = number << 1 | bit
        size = number + _UNARY - 1
    return (-size if sign else size), at


@njit(nogil=True, cache=True)
def median(a, b, c):
    """The middle of three."""
    return max(min(a, b), min(max(a, b), c))


@njit(nogil=True, cache=True)
def straight_on(value, own, other):
    """`motion.straight` for one number."""
    return (2 * np.int64(value) * -own + other) // (2 * other)


@njit(nogil=True, cache=True)
def candidates(vectors, expected, number, r, c, second, near, far, found):
    """Fills found (CANDIDATES, 2); returns how many differ. The first one is the median of the neighbours.

    second: the block has a vector towards parent 0 already, and this one may go straight on.
    """
    cols = vectors.shape[2]
    own = vectors[number]
    for k in range(2):
        e = expected[number, r, c, k]
        w = own[r, c - 1, k] if c > 0 else e
        n = own[r - 1, c, k] if r > 0 else e
        d = own[r - 1, c + 1, k] if r > 0 and c + 1 < cols else (own[r - 1, c, k] if r > 0 else e)
        if c == 0 and r > 0:
            w = n
        if r == 0 and c > 0:
            n = d = w
        found[0, k] = median(w, n, d)
        found[1, k] = e
        if second:
            found[1, k] = straight_on(vectors[0, r, c, k], far, near)
        found[2, k] = e
        found[3, k] = w
        found[4, k] = n
    count = 1
    for k in range(1, CANDIDATES):
        new = True
        for m in range(count):
            if found[m, 0] == found[k, 0] and found[m, 1] == found[k, 1]:
                new = False
        if new:
            found[count, 0], found[count, 1] = found[k, 0], found[k, 1]
            count += 1
    return count


@njit(nogil=True, cache=True)
def choice_base(chosen, number, second, r, c):
    """The first model of the choice among candidates; chosen: where neighbours did not take the first one."""
    around = (1 if c > 0 and chosen[number, r, c - 1] else 0) + (1 if r > 0 and chosen[number, r - 1, c] else 0)
    return _CHOICE + 18 * (1 if second else 0) + 6 * around


@njit(nogil=True, cache=True)
def _vector(encoding, vectors, expected, number, second, r, c, near, far, chosen, models, state, words, at, found):
    """A vector; second: the block has one towards parent 0 already."""
    count = candidates(vectors, expected, number, r, c, second, near, far, found)
    base = choice_base(chosen, number, second, r, c)
    pick = count
    if encoding:
        for k in range(count):
            if vectors[number, r, c, 0] == found[k, 0] and vectors[number, r, c, 1] == found[k, 1]:
                pick = k
                break
    k = 0
    while k < count:
        bit, at = _bit(encoding, 1 if pick != k else 0, base + k, models, state, words, at)
        if bit == 0:
            break
        k += 1
    chosen[number, r, c] = k > 0
    if k < count:
        vectors[number, r, c, 0], vectors[number, r, c, 1] = found[k, 0], found[k, 1]
        return at
    for m in range(2):
        value = vectors[number, r, c, m] - found[0, m]
        value, at = _difference(encoding, value, m, models, state, words, at)
        vectors[number, r, c, m] = found[0, m] + value
    return at


@njit(nogil=True, cache=True)
def mode_models(modes, two, r, c):
    """The models of the decisions on a mode: whether it is NONE, whether it is not BOTH, and which one alone."""
    usual = BOTH if two else FORWARD
    w = modes[r, c - 1] if c > 0 else usual
    n = modes[r - 1, c] if r > 0 else usual
    none = (1 if w == NONE else 0) + (1 if n == NONE else 0)
    both = (1 if w == BOTH else 0) + (1 if n == BOTH else 0)
    back = (1 if w == BACKWARD else 0) + (1 if n == BACKWARD else 0)
    back -= (1 if w == FORWARD else 0) + (1 if n == FORWARD else 0)
    return _MODE + none, _MODE + 3 + both, _MODE + 8 + back


@njit(nogil=True, cache=True)
def _mode(encoding, mode, two, numbers, models, state, words, at):
    bit, at = _bit(encoding, 1 if mode == NONE else 0, numbers[0], models, state, words, at)
    if bit:
        return NONE, at
    if not two:
        return FORWARD, at
    bit, at = _bit(encoding, 1 if mode != BOTH else 0, numbers[1], models, state, words, at)
    if bit == 0:
        return BOTH, at
    bit, at = _bit(encoding, 1 if mode == BACKWARD else 0, numbers[2], models, state, words, at)
    return (BACKWARD if bit else FORWARD), at


@njit(nogil=True, cache=True)
def joins(vectors, modes, expected, two, r, c, found):
    """Fills found (JOINS, 5) with modes and vectors that a block may take over whole; returns how many differ."""
    cols = modes.shape[1]
    count = 0
    for k in range(JOINS):
        if k == 3:
            mode = BOTH if two else FORWARD
            a, b, d, e = expected[0, r, c, 0], expected[0, r, c, 1], expected[1, r, c, 0], expected[1, r, c, 1]
        else:
            y, x = (r, c - 1) if k == 0 else ((r - 1, c) if k == 1 else (r - 1, c + 1))
            if y < 0 or x < 0 or x >= cols:
                continue
            mode = modes[y, x]
            if mode == NONE:
                continue
            a, b, d, e = vectors[0, y, x, 0], vectors[0, y, x, 1], vectors[1, y, x, 0], vectors[1, y, x, 1]
        row = found[count]
        row[0], row[1], row[2], row[3], row[4] = mode, a, b, d, e
        new = True
        for m in range(count):
            other = found[m]
            if other[0] == mode and other[1] == a and other[2] == b and other[3] == d and other[4] == e:
                new = False
        if new:
            count += 1
    return count


@njit(nogil=True, cache=True)
def join_base(joined, r, c, count):
    """The models of the choice among joins."""
    around = (1 if c == 0 or joined[r, c - 1] else 0) + (1 if r == 0 or joined[r - 1, c] else 0)
    return _JOIN + 6 * (5 * around + count)


@njit(nogil=True, cache=True)
def code_field(encoding, vectors, modes, expected, near, far, models, room, state, words, at):
    """Writes a field, or reads it into vectors and modes; returns the position of words, -1: vectors out of range.

    Args:
        encoding: Whether to write.
        vectors: (2, rows, cols, 2) int32.
        modes: (rows, cols) uint8.
        expected: As the vectors.
        near: Frames to parent 0.
        far: Frames to parent 1, 0 if there is none.
        models: Adapted.
        room: Room.
        state: Of the range coder.
        words: Of the stream.
        at: Position in them.
    """
    rows, cols = modes.shape
    chosen, joined, found, whole = room
    usual = BOTH if far != 0 else FORWARD
    two = far != 0
    for r in range(rows):
        for c in range(cols):
            count = joins(vectors, modes, expected, two, r, c, whole)
            base = join_base(joined, r, c, count)
            _look(vectors, modes, expected, joined, usual, r, c, models[2])
            pick = count
            if encoding:
                for k in range(count):
                    row = whole[k]
                    same = row[0] == modes[r, c] and row[1] == vectors[0, r, c, 0] and row[2] == vectors[0, r, c, 1]
                    if same and row[3] == vectors[1, r, c, 0] and row[4] == vectors[1, r, c, 1]:
                        pick = k
                        break
            # the first decision is whether to join at all, the others which one
            bit, at = _bit(encoding, 1 if pick == count else 0, base, models, state, words, at)
            joined[r, c] = bit == 0
            if bit == 0:
                k = 0
                while k < count - 1:
                    bit, at = _bit(encoding, 1 if pick != k else 0, base + 1 + k, models, state, words, at)
                    if bit == 0:
                        break
                    k += 1
                row = whole[k]
                modes[r, c] = row[0]
                for number in range(2):
                    vectors[number, r, c, 0], vectors[number, r, c, 1] = row[1 + 2 * number], row[2 + 2 * number]
                continue
            numbers = mode_models(modes, two, r, c)
            mode, at = _mode(encoding, modes[r, c], two, numbers, models, state, words, at)
            modes[r, c] = mode
            for number in range(2):
                if mode in (number, BOTH):
                    second = mode == BOTH and number == 1
                    at = _vector(
                        encoding, vectors, expected, number, second, r, c, near, far, chosen, models, state, words, at,
                        found,
                    )  # fmt: skip
            fill(vectors, expected, mode, r, c, near, far)
    for number in range(2):
        for r in range(rows):
            for c in range(cols):
                if max(abs(vectors[number, r, c, 0]), abs(vectors[number, r, c, 1])) > MAX_VECTOR:
                    return np.int64(-1)
    return at


@njit(nogil=True, cache=True)
def shown_lines(extent, first, count, vector, bits):
    """Which of so many lines from a first one on a parent of this extent shows: from and up to which.

    The vector has so many bits below a line; a line is not shown if its place lies further outside than BEYOND. Of two
    parents one that does not show a sample is left out there, so that blocks move as their neighbours where a border
    hides them in one parent (bi-prediction beyond the boundary, as the ECM of JVET drops it).
    """
    before, behind = (BEYOND + vector) >> bits, (BEYOND - vector) >> bits
    return min(max(-before - first, 0), count), max(min(extent + behind - first, count), 0)


@njit(nogil=True, cache=True)
def fill(vectors, expected, mode, r, c, near, far):
    """Gives the vectors that a mode does not use the values that everybody can know."""
    for k in range(2):
        if mode == NONE:
            vectors[0, r, c, k] = expected[0, r, c, k]
            vectors[1, r, c, k] = expected[1, r, c, k]
        elif mode == FORWARD:
            vectors[1, r, c, k] = straight_on(vectors[0, r, c, k], far, near) if far != 0 else 0
        elif mode == BACKWARD:
            vectors[0, r, c, k] = straight_on(vectors[1, r, c, k], near, far)
