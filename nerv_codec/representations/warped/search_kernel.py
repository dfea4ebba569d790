"""What `search` tries, compiled: blocks at whole samples, then modes and vectors on the true overlapped prediction."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.hadamard_code import error_of_both, error_of_one, sum_of_differences
from nerv_codec.representations.warped.motion import BACKWARD, BLOCK, BOTH, FORWARD, MAX_VECTOR
from nerv_codec.representations.warped.quarter_kernel import PAD
from nerv_codec.representations.warped.split_kernel import OVERLAPPED, source_of
from nerv_codec.representations.warped.tint_kernel import leads_out, seen_mode, tint_error, tint_goal

_WORTH_A_LOOK = 32
"""Bits that a block's error is worth at least, where all vectors in reach are tried: one from afar takes as many."""
_SIZES = 256
_TRIED = 128
"""Room for the vectors that are tried for a block, twice as much as there are."""
_LOG_LENGTHS = 2 * np.log2(1.0 + np.arange(_SIZES))
_LATER = 1.5
"""Bits that a block right or below pays, about, if its neighbour no longer moves as it does."""


@njit(nogil=True, cache=True, boundscheck=False)
def _difference(source, reference, top, left, down, right):
    """Sum of absolute differences of a block; both planes have borders of PAD, positions beyond are moved in."""
    height, width = source.shape
    y, x = min(max(top + down, 0), height - BLOCK), min(max(left + right, 0), width - BLOCK)
    return sum_of_differences(source, top * width + left, width, reference, y * width + x, width)


@njit(nogil=True, cache=True)
def _length(down, right):
    """Bits of a difference of vectors, about."""
    return 0.5 + _log_length(abs(down)) + _log_length(abs(right))


@njit(nogil=True, cache=True)
def _log_length(size):
    return _LOG_LENGTHS[size] if size < len(_LOG_LENGTHS) else 2 * np.log2(1.0 + size)


@njit(nogil=True, cache=True)
def coarse_sweep(source, reference, vectors, price, reach):
    """Integer vectors of blocks of 8, each with its neighbours' as candidates; if these are bad, all within reach."""
    rows, cols = vectors.shape[:2]
    for r in range(rows):
        for c in range(cols):
            top, left = PAD + r * BLOCK, PAD + c * BLOCK
            m0, m1 = vectors[r, c, 0], vectors[r, c, 1]
            if r > 0 and c > 0:
                e = min(c + 1, cols - 1)
                m0 = motion_kernel.median(vectors[r, c - 1, 0], vectors[r - 1, c, 0], vectors[r - 1, e, 0])
                m1 = motion_kernel.median(vectors[r, c - 1, 1], vectors[r - 1, c, 1], vectors[r - 1, e, 1])
            best = np.inf
            b0, b1 = np.int32(0), np.int32(0)
            for k in range(11):
                if k < 9:
                    y, x = r + k // 3 - 1, c + k % 3 - 1
                    if y < 0 or y >= rows or x < 0 or x >= cols:
                        continue
                    v0, v1 = vectors[y, x, 0], vectors[y, x, 1]
                elif k == 9:
                    v0, v1 = np.int32(0), np.int32(0)
                else:
                    v0, v1 = m0, m1
                paid = price * _length(v0 - m0, v1 - m1)
                if paid < best:
                    cost = _difference(source, reference, top, left, v0, v1) + paid
                    if cost < best:
                        best, b0, b1 = cost, v0, v1
            wide = reach if best > _WORTH_A_LOOK * price else -1
            for v0 in range(-wide, wide + 1):
                for v1 in range(-wide, wide + 1):
                    paid = price * _length(v0 - m0, v1 - m1)
                    if paid < best:
                        cost = _difference(source, reference, top, left, v0, v1) + paid
                        if cost < best:
                            best, b0, b1 = cost, np.int32(v0), np.int32(v1)
            for _ in range(4):
                c0, c1 = b0, b1
                for k in range(9):
                    v0, v1 = c0 + k // 3 - 1, c1 + k % 3 - 1
                    paid = price * _length(v0 - m0, v1 - m1)
                    if paid < best:
                        cost = _difference(source, reference, top, left, v0, v1) + paid
                        if cost < best:
                            best, b0, b1 = cost, v0, v1
                if c0 == b0 and c1 == b1:
                    break
            vectors[r, c, 0], vectors[r, c, 1] = b0, b1


@njit(nogil=True, cache=True, boundscheck=False)
def _fetch(quarters, r, c, down, right, out):
    """The support of a block (16x16) from a parent."""
    height, width = quarters.shape[2:]
    y = min(max(PAD + r * 8 - 4 + (down >> 2), 0), height - 16)
    x = min(max(PAD + c * 8 - 4 + (right >> 2), 0), width - 16)
    plane = quarters[down & 3, right & 3]
    for i in range(16):
        source, line = plane[y + i], out[i]
        for j in range(16):
            line[j] = source[x + j]


@njit(nogil=True, cache=True)
def _is_shown(quarters, r, c, down, right):
    """Whether a parent shows all of a block's support."""
    y, x = r * 8 - 4 + (down >> 2), c * 8 - 4 + (right >> 2)
    return min(y, x) >= -1 and y + 16 <= quarters.shape[2] - 2 * PAD and x + 16 <= quarters.shape[3] - 2 * PAD


@njit(nogil=True, cache=True)
def _mean(quarters, r, c, v0, v1, w0, w1, one, two):
    """The mean of two supports, read from two parents with the vectors v and w, into ``one``, see `mean_of_two`."""
    rows, cols = quarters.shape[2] - 2 * PAD, quarters.shape[3] - 2 * PAD
    mean_of_two((rows, cols), r * 8 - 4, c * 8 - 4, v0, v1, w0, w1, one, two)


@njit(nogil=True, cache=True, boundscheck=False)
def mean_of_two(extent, top, left, v0, v1, w0, w1, one, two):
    """The mean of two squares into ``one``, as the decoder sees it: of one alone where the other parent shows nothing.

    Args:
        extent: Rows and columns of a parent.
        top: Row of the first sample.
        left: Column.
        v0: The vector to the first parent, down, in quarter samples.
        v1: Right.
        w0: The vector to the second parent.
        w1: Right.
        one: (n, n), what the first parent says.
        two: The second.
    """
    size = one.shape[0]
    a0, a1 = motion_kernel.shown_lines(extent[0], top, size, v0, 2)
    b0, b1 = motion_kernel.shown_lines(extent[1], left, size, v1, 2)
    c0, c1 = motion_kernel.shown_lines(extent[0], top, size, w0, 2)
    d0, d1 = motion_kernel.shown_lines(extent[1], left, size, w1, 2)
    alike = a0 == c0 and a1 == c1 and b0 == d0 and b1 == d1
    for i in range(size):
        first, second = a0 <= i < a1, c0 <= i < c1
        for j in range(size):
            x, y = np.int32(one[i, j]), np.int32(two[i, j])
            if not alike:
                shown = first and b0 <= j < b1
                if shown != (second and d0 <= j < d1):
                    x = y = x if shown else y
            one[i, j] = (x + y + 1) >> 1


@njit(nogil=True, cache=True, boundscheck=False)
def _error(place, quarters, down, right, other, both, other_down, other_right, limit):
    """Error over a support, in 1/16, if the block is read from there, or is the mean with ``other``.

    It is the sum of absolute values after Hadamard transforms of 8x8 samples, which are near to what a transform codes;
    below what is quiet it counts by its square (Huber 1964), as errors do that are too small for a transform to code.
    Or it is less than that, if it is not below the limit.
    """
    r, c, rest, weights = place[:4]
    quiet, room = place[7:]
    height, width = quarters.shape[2:]
    y = min(max(PAD + r * 8 - 4 + (down >> 2), 0), height - 16)
    x = min(max(PAD + c * 8 - 4 + (right >> 2), 0), width - 16)
    start = ((4 * (down & 3) + (right & 3)) * height + y) * width + x
    # in whole numbers, and never so low that what ends early could pass for less than the limit
    large = limit + quiet / 2 if 2 * limit > quiet else np.sqrt(2 * quiet * max(limit, 0.0))
    most = np.int64(min(large, 1e15)) + 2
    if both and not (_is_shown(quarters, r, c, down, right) and _is_shown(quarters, r, c, other_down, other_right)):
        _fetch(quarters, r, c, down, right, room)
        _mean(quarters, r, c, down, right, other_down, other_right, room, other)
        found = np.float64(error_of_one(rest, weights, room, 0, 16, other, most))
    elif both:
        found = np.float64(error_of_both(rest, weights, quarters, start, width, other, most))
    else:
        found = np.float64(error_of_one(rest, weights, quarters, start, width, other, most))
    return found - quiet / 2 if found > quiet else found * found / (2 * quiet)


@njit(nogil=True, cache=True)
def ramp(index, size, first, last):
    """Weight of a block for line ``index`` of its support (twice its size); first and last blocks fill their border."""
    half = size // 2
    if index < half:
        return size if first else 2 * index + 1
    return size if last else 2 * (size - index) - 1


@njit(nogil=True, cache=True)
def _weights(r, c, rows, cols, out):
    for i in range(16):
        down = ramp(i, 16, r == 0, r == rows - 1)
        for j in range(16):
            out[i, j] = down * ramp(j, 16, c == 0, c == cols - 1)
            if (r == 0 and i < 4) or (r == rows - 1 and i >= 12) or (c == 0 and j < 4) or (c == cols - 1 and j >= 12):
                out[i, j] = 0


@njit(nogil=True, cache=True)
def _split_weights(corners, r, c, out):
    """Changes weights (16, 16) of a block's support where it lies in blocks that are split; whether there are any."""
    rows, cols = corners.shape[0] // 2, corners.shape[1] // 2
    seen = False
    for i in range(4):
        for j in range(4):
            y, x = 2 * r - 1 + i, 2 * c - 1 + j
            if 0 <= y < 2 * rows and 0 <= x < 2 * cols and corners[y, x] != OVERLAPPED:
                seen = True
                shown = source_of((rows, cols), y, x, corners[y, x] - 1)
                weight = 4 * BLOCK * BLOCK if shown[0] == r and shown[1] == c else 0
                out[4 * i : 4 * (i + 1), 4 * j : 4 * (j + 1)] = weight
    return seen


@njit(nogil=True, cache=True, boundscheck=False)
def _predict(quarters, field, modes, r, c, one, two):
    """What a block predicts now, into ``one``."""
    mode = modes[r, c]
    number = 1 if mode == BACKWARD else 0
    _fetch(quarters[number], r, c, field[number, r, c, 0], field[number, r, c, 1], one)
    if mode == BOTH:
        w0, w1 = field[1, r, c, 0], field[1, r, c, 1]
        _fetch(quarters[1], r, c, w0, w1, two)
        _mean(quarters[0], r, c, field[0, r, c, 0], field[0, r, c, 1], w0, w1, one, two)


@njit(nogil=True, cache=True)
def _size_bits(bits_of, value, base):
    zero = motion_kernel.ZERO + base
    if value == 0:
        return bits_of[zero, 0]
    bits = bits_of[zero, 1] + 1.0
    size = abs(value)
    for k in range(1, 8):
        if size == k:
            return bits + bits_of[motion_kernel.LARGER + 9 * base + k, 0]
        bits += bits_of[motion_kernel.LARGER + 9 * base + k, 1]
    return bits + 1 + 2 * np.floor(np.log2(size - 7.0))


@njit(nogil=True, cache=True)
def _vector_bits(bits_of, sizes, found, count, base, v0, v1):
    bits = 0.0
    for k in range(count):
        if found[k, 0] == v0 and found[k, 1] == v1:
            return bits + bits_of[base + k, 0]
        bits += bits_of[base + k, 1]
    d0, d1 = abs(v0 - found[0, 0]), abs(v1 - found[0, 1])
    if max(d0, d1) < sizes.shape[1]:
        return bits + sizes[0, d0] + sizes[1, d1]
    return bits + _size_bits(bits_of, d0, 0) + _size_bits(bits_of, d1, 1)


@njit(nogil=True, cache=True, allocates=True)
def size_bits(bits_of):
    """Bits of differences of vectors, down and right, (2, _SIZES): a table, as most are small."""
    table = np.empty((2, _SIZES))
    for base in range(2):
        for value in range(_SIZES):
            table[base, value] = _size_bits(bits_of, value, base)
    return table


@njit(nogil=True, cache=True)
def _later_bits(field, number, r, c, v0, v1):
    """What the blocks to the right and below would pay for another vector here, about."""
    rows, cols = field.shape[1:3]
    bits = 0.0
    if c + 1 < cols and (field[number, r, c + 1, 0] != v0 or field[number, r, c + 1, 1] != v1):
        bits += _LATER
    if r + 1 < rows and (field[number, r + 1, c, 0] != v0 or field[number, r + 1, c, 1] != v1):
        bits += _LATER
    return bits


@njit(nogil=True, cache=True, boundscheck=False)
def _refine(quarters, field, chosen, number, both, other, found, place, terms):
    """The best vector of a block towards one parent, written into the field; its cost without that of the mode.

    both: the prediction is the mean with ``other``. place: row, column, what the block's support lacks, its weights,
    room for what was tried; chroma of the pictures, and what it should be if the prediction is a mean; what is quiet;
    room for a support.
    terms: what is expected, where the vectors of both parents start, frames to both, bits of decisions
    (model, bit) and of differences of vectors, price of a bit, reach, limit of the vectors that are tried, below
    which error a block is quiet.
    """
    r, c, tried, tints, mean = place[0], place[1], place[4], place[5], place[6]
    expected, starts, near, far, bits_of, sizes, price, reach, farthest, _ = terms
    rows, cols = field.shape[1:3]
    second = both and number == 1
    count = motion_kernel.candidates(field, expected, number, r, c, second, near, far, found)
    base = motion_kernel.choice_base(chosen, number, second, r, c)
    best, b0, b1 = np.inf, np.int64(field[number, r, c, 0]), np.int64(field[number, r, c, 1])
    other_down, other_right = field[1 - number, r, c, 0], field[1 - number, r, c, 1]
    hidden = both and leads_out((rows, cols), r, c, other_down, other_right)
    turns = tried[_TRIED, 0] + 1
    tried[_TRIED, 0] = turns
    for k in range(count + 5 + 6 * 8):
        if k < count:
            v0, v1 = found[k, 0], found[k, 1]
        elif k == count:
            v0, v1 = np.int64(field[number, r, c, 0]), np.int64(field[number, r, c, 1])
        elif k == count + 1:
            v0, v1 = np.int64(starts[number, r, c, 0]), np.int64(starts[number, r, c, 1])
        elif k == count + 2 and r + 1 < rows:
            v0, v1 = np.int64(field[number, r + 1, c, 0]), np.int64(field[number, r + 1, c, 1])
        elif k == count + 3 and c + 1 < cols:
            v0, v1 = np.int64(field[number, r, c + 1, 0]), np.int64(field[number, r, c + 1, 1])
        elif k == count + 4:
            v0, v1 = np.int64(0), np.int64(0)
        elif k >= count + 5:
            # twice each around the best at distances 4, 2 and 1
            turn, side = (k - count - 5) // 8, (k - count - 5) % 8
            step = 4 >> (turn // 2)
            if side == 0:
                c0, c1 = b0, b1
            if step > reach:
                continue
            side += side >= 4
            v0, v1 = c0 + step * (side // 3 - 1), c1 + step * (side % 3 - 1)
        else:
            continue
        if max(abs(v0), abs(v1)) > farthest:
            continue
        # a table without order; the row behind it says which entries are of this call
        name = (v0 << 32) ^ (v1 & 0xFFFFFFFF)
        slot = (v0 * 29 + v1) & (_TRIED - 1)
        while tried[slot, 1] == turns and tried[slot, 0] != name:
            slot = (slot + 1) & (_TRIED - 1)
        if tried[slot, 1] == turns:
            continue
        tried[slot, 0], tried[slot, 1] = name, turns
        paid = price * (
            _vector_bits(bits_of, sizes, found, count, base, v0, v1) + _later_bits(field, number, r, c, v0, v1)
        )
        if paid < best:
            out = both and leads_out((rows, cols), r, c, v0, v1)
            if out and not hidden:
                paid += tint_error(tints, r, c, 1 - number, other_down, other_right, mean, False)
            else:
                paid += tint_error(tints, r, c, number, v0, v1, mean, both and out == hidden)
        if paid < best:
            cost = _error(place, quarters[number], v0, v1, other, both, other_down, other_right, best - paid) + paid
            if cost < best:
                best, b0, b1 = cost, v0, v1
    field[number, r, c, 0], field[number, r, c, 1] = b0, b1
    return best


@njit(nogil=True, cache=True)
def _mode_bits(modes, two_parents, bits_of, base, r, c, out):
    """Bits of not joining a neighbour and of each mode, out (3,)."""
    none, both, back = motion_kernel.mode_models(modes, two_parents, r, c)
    for mode in range(3):
        out[mode] = bits_of[base, 1] + bits_of[none, 0]
    if two_parents:
        out[FORWARD] += bits_of[both, 1] + bits_of[back, 0]
        out[BACKWARD] += bits_of[both, 1] + bits_of[back, 1]
        out[BOTH] += bits_of[both, 0]


@njit(nogil=True, cache=True, boundscheck=False)
def _best_join(quarters, field, base, options, two, whole, place, terms):
    """The best of the ``options`` joins in ``whole``: its number, and its cost."""
    r, c, tints, mean = place[0], place[1], place[5], place[6]
    bits_of, _, price = terms[4:7]
    best, least = -1, np.inf
    bits = bits_of[base, 0]
    for k in range(options):
        row = whole[k]
        both, number = row[0] == BOTH, 1 if row[0] == BACKWARD else 0
        v0, v1 = row[1 + 2 * number], row[2 + 2 * number]
        if both:
            _fetch(quarters[1], r, c, row[3], row[4], two)
            tint_goal(tints, r, c, 1, row[3], row[4], mean)
        ending = 0.0 if k == options - 1 else bits_of[base + 1 + k, 0]
        paid = price * (bits + ending + _later_bits(field, number, r, c, v0, v1))
        if max(abs(row[1]), abs(row[2]), abs(row[3]), abs(row[4])) <= MAX_VECTOR:
            seen = seen_mode(field.shape[1:3], row[0], r, c, row[1], row[2], row[3], row[4])
            alone = 1 if seen == BACKWARD else 0
            paid += tint_error(tints, r, c, alone, row[1 + 2 * alone], row[2 + 2 * alone], mean, seen == BOTH)
            cost = _error(place, quarters[number], v0, v1, two, both, row[3], row[4], least - paid) + paid
            if cost < least:
                best, least = k, cost
        if k < options - 1:
            bits += bits_of[base + 1 + k, 1]
    return best, least


@njit(nogil=True, cache=True, boundscheck=False)
def _best_both(quarters, field, chosen, two, found, place, terms):
    """Vectors to both parents, each in turn with the other as it is, from those in the field on; what they cost."""
    r, c, tints, mean = place[0], place[1], place[5], place[6]
    expected, _, near, far, bits_of, sizes, price, _, _, _ = terms
    _fetch(quarters[0], r, c, field[0, r, c, 0], field[0, r, c, 1], two)
    tint_goal(tints, r, c, 0, field[0, r, c, 0], field[0, r, c, 1], mean)
    _refine(quarters, field, chosen, 1, True, two, found, place, terms)
    _fetch(quarters[1], r, c, field[1, r, c, 0], field[1, r, c, 1], two)
    tint_goal(tints, r, c, 1, field[1, r, c, 0], field[1, r, c, 1], mean)
    _refine(quarters, field, chosen, 0, True, two, found, place, terms)
    v0, v1 = field[0, r, c]
    _fetch(quarters[0], r, c, v0, v1, two)
    tint_goal(tints, r, c, 0, v0, v1, mean)
    count = motion_kernel.candidates(field, expected, 0, r, c, False, near, far, found)
    bits = _vector_bits(bits_of, sizes, found, count, motion_kernel.choice_base(chosen, 0, False, r, c), v0, v1)
    return price * bits + _refine(quarters, field, chosen, 1, True, two, found, place, terms)


@njit(nogil=True, cache=True, boundscheck=False)
def _settle(field, modes, chosen, joined, mode, found, r, c, expected, near, far):
    """What the coder will know of a block: its mode, vectors that it does not use, where it did not take the usual."""
    modes[r, c] = mode
    for number in range(2):
        chosen[number, r, c] = False
        if not joined and mode in (number, BOTH):
            motion_kernel.candidates(field, expected, number, r, c, mode == BOTH and number == 1, near, far, found)
            chosen[number, r, c] = field[number, r, c, 0] != found[0, 0] or field[number, r, c, 1] != found[0, 1]
    if not joined:
        motion_kernel.fill(field, expected, mode, r, c, near, far)


@njit(nogil=True, cache=True, boundscheck=False, allocates=True)
def sweep(source, quarters, tints, field, modes, total, corners, terms, memory, number, first, last):
    """Every block of some rows once, unless nothing has changed since it was tried.

    Args:
        source: Luma (rows, cols) of the picture.
        quarters: (parents, 4, 4, rows, cols) from `quarter_kernel.phases`.
        tints: Chroma, see `tint_kernel`.
        field: Vectors (2, rows, cols, 2), moved.
        modes: (rows, cols), changed.
        total: The weighted prediction of all blocks, with borders of 4 samples.
        corners: What corners of blocks show, see `split_kernel`.
        terms: See :func:`_refine`.
        memory: What sweeps tell each other of blocks, changed: which took another vector (2, rows, cols) and which
            joined, see `motion_kernel`; in which sweep they changed.
        number: Of the sweep. Later ones do not reach further.
        first: Row.
        last: Row behind the last.
    """
    rows, cols = modes.shape
    expected, _, near, far, bits_of, _, price, _, _, quiet = terms
    two_parents = far != 0
    chosen, joined, changed = memory
    found, whole = np.zeros((motion_kernel.CANDIDATES, 2), np.int64), np.zeros((motion_kernel.JOINS, 5), np.int64)
    one, two = np.zeros((16, 16), np.int16), np.zeros((16, 16), np.int16)
    weights, rest, room = np.zeros((16, 16), np.int32), np.zeros((16, 16), np.int32), np.zeros((16, 16), np.int16)
    tried, mean = np.zeros((_TRIED + 1, 2), np.int64), np.zeros((4, 8), np.int16)
    mode_bits = np.zeros(3)
    before, vectors = np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32)
    kind = -1
    for r in range(first, last):
        for c in range(cols):
            if number > 0 and _settled(changed, number, r, c):
                continue
            place = (r, c, rest, weights, tried, tints, mean, quiet, room)
            this = 8 * (r == 0) + 4 * (r == rows - 1) + 2 * (c == 0) + (c == cols - 1)
            if this != kind:
                kind = this
                _weights(r, c, rows, cols, weights)
            if _split_weights(corners, r, c, weights):
                kind = -1
            before[:], mode_before = field[:, r, c], modes[r, c]
            _predict(quarters, field, modes, r, c, one, two)
            _add(total, one, weights, r, c, -1)
            _lacking(source, total, weights, r, c, rest)
            options = motion_kernel.joins(field, modes, expected, two_parents, r, c, whole)
            base = motion_kernel.join_base(joined, r, c, options)
            _mode_bits(modes, two_parents, bits_of, base, r, c, mode_bits)
            join, join_cost = _best_join(quarters, field, base, options, two, whole, place, terms)
            mode = FORWARD
            best = _refine(quarters, field, chosen, 0, False, two, found, place, terms) + price * mode_bits[FORWARD]
            vectors[:] = field[:, r, c]
            if two_parents:
                cost = _refine(quarters, field, chosen, 1, False, two, found, place, terms)
                cost += price * mode_bits[BACKWARD]
                if cost < best:
                    best, mode = cost, BACKWARD
                    vectors[1] = field[1, r, c]
                cost = _best_both(quarters, field, chosen, two, found, place, terms) + price * mode_bits[BOTH]
                if cost < best:
                    best, mode = cost, BOTH
                    vectors[:] = field[:, r, c]
            joined[r, c] = join_cost <= best
            if joined[r, c]:
                mode = whole[join, 0]
                for k in range(4):
                    vectors[k // 2, k % 2] = whole[join, 1 + k]
            field[:, r, c] = vectors
            _settle(field, modes, chosen, joined[r, c], mode, found, r, c, expected, near, far)
            if mode != mode_before or (field[:, r, c] != before).any():
                changed[r, c] = number
            _predict(quarters, field, modes, r, c, one, two)
            _add(total, one, weights, r, c, 1)


@njit(nogil=True, cache=True, boundscheck=False)
def _settled(changed, number, r, c):
    """Whether neither a block nor a neighbour has changed since the sweep before came to it."""
    rows, cols = changed.shape
    for y in range(max(r - 1, 0), min(r + 2, rows)):
        for x in range(max(c - 1, 0), min(c + 2, cols)):
            if changed[y, x] >= number - (y > r or (y == r and x >= c)):
                return False
    return True


@njit(nogil=True, cache=True, boundscheck=False)
def _lacking(source, total, weights, r, c, rest):
    """What all other blocks leave of a block's support."""
    rows, cols = total.shape[0] // 8 - 1, total.shape[1] // 8 - 1
    if 0 < r < rows - 1 and 0 < c < cols - 1:
        for i in range(16):
            for j in range(16):
                rest[i, j] = 256 * np.int32(source[r * 8 - 4 + i, c * 8 - 4 + j]) - total[r * 8 + i, c * 8 + j]
        return
    for i in range(16):
        for j in range(16):
            rest[i, j] = 0
            if weights[i, j] > 0:
                y, x = r * 8 - 4 + i, c * 8 - 4 + j
                rest[i, j] = 256 * np.int32(source[y, x]) - total[r * 8 + i, c * 8 + j]


@njit(nogil=True, cache=True)
def _add(total, block, weights, r, c, sign):
    for i in range(16):
        for j in range(16):
            total[r * 8 + i, c * 8 + j] += sign * weights[i, j] * block[i, j]


@njit(nogil=True, cache=True, allocates=True)
def accumulate(quarters, field, modes, total):
    """Adds the weighted prediction of all blocks to ``total``, see :func:`sweep`."""
    rows, cols = modes.shape
    one, two = np.zeros((16, 16), np.int16), np.zeros((16, 16), np.int16)
    weights = np.zeros((16, 16), np.int32)
    for r in range(rows):
        for c in range(cols):
            _weights(r, c, rows, cols, weights)
            _predict(quarters, field, modes, r, c, one, two)
            _add(total, one, weights, r, c, 1)
