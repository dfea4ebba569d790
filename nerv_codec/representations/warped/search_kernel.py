"""What `search` tries, compiled: blocks at whole samples, then modes and vectors on the true overlapped prediction."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.compensate_kernel import GRAY, TAP_BITS, ramp
from nerv_codec.representations.warped.motion import BLOCK, BOTH, FORWARD, NONE

PAD = 24
"""Samples around a plane; positions beyond are moved in, where all rows or columns look the same."""
_LATER = 1.0
"""Bits that a block right or below pays, about, if its neighbour no longer moves as it does."""


@njit(nogil=True, cache=True, boundscheck=False)
def _difference(source, reference, top, left, size, down, right):
    """Sum of absolute differences of a block; both planes have borders of PAD, positions beyond are moved in."""
    height, width = source.shape
    y, x = min(max(top + down, 0), height - size), min(max(left + right, 0), width - size)
    total = np.int32(0)
    for i in range(size):
        one, two = source[top + i], reference[y + i]
        for j in range(size):
            total += abs(np.int32(one[left + j]) - np.int32(two[x + j]))
    return total


@njit(nogil=True, cache=True)
def _length(down, right):
    """Bits of a difference of vectors, about."""
    return 0.5 + 2 * np.log2(1.0 + abs(down)) + 2 * np.log2(1.0 + abs(right))


@njit(nogil=True, cache=True)
def coarse_sweep(source, reference, vectors, price, reach):
    """Integer vectors of blocks of 8, each with its neighbours' as candidates; all within reach are tried as well."""
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
                cost = _difference(source, reference, top, left, BLOCK, v0, v1) + price * _length(v0 - m0, v1 - m1)
                if cost < best:
                    best, b0, b1 = cost, v0, v1
            for v0 in range(-reach, reach + 1):
                for v1 in range(-reach, reach + 1):
                    cost = _difference(source, reference, top, left, BLOCK, v0, v1) + price * _length(v0 - m0, v1 - m1)
                    if cost < best:
                        best, b0, b1 = cost, np.int32(v0), np.int32(v1)
            for _ in range(4):
                c0, c1 = b0, b1
                for k in range(9):
                    v0, v1 = c0 + k // 3 - 1, c1 + k % 3 - 1
                    cost = _difference(source, reference, top, left, BLOCK, v0, v1) + price * _length(v0 - m0, v1 - m1)
                    if cost < best:
                        best, b0, b1 = cost, v0, v1
                if c0 == b0 and c1 == b1:
                    break
            vectors[r, c, 0], vectors[r, c, 1] = b0, b1


@njit(nogil=True, cache=True, boundscheck=False)
def phases(plane, taps, out):
    """All 16 quarter-sample positions of a plane, as the decoder reads them: out (4, 4, rows, cols).

    The plane has three samples more before, and four behind.
    """
    height, width = out.shape[2:]
    lines = np.zeros(plane.shape, np.int32)
    total = np.zeros(width, np.int32)
    for across in range(4):
        for i in range(plane.shape[0]):
            source = plane[i]
            line = lines[i]
            for j in range(width):
                line[j] = 0
            for k in range(8):
                weight = taps[across, k]
                if weight != 0:
                    for j in range(width):
                        line[j] += weight * np.int32(source[j + k])
        for down in range(4):
            for i in range(height):
                for j in range(width):
                    total[j] = 1 << (2 * TAP_BITS - 1)
                for k in range(8):
                    weight = taps[down, k]
                    if weight != 0:
                        for j in range(width):
                            total[j] += weight * lines[i + k, j]
                for j in range(width):
                    out[down, across, i, j] = total[j] >> (2 * TAP_BITS)


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


@njit(nogil=True, cache=True, boundscheck=False)
def _error(rest, weights, quarters, r, c, down, right, other, both, limit):
    """Absolute error over a support, in 1/16, if the block is read from there (or is the mean with other).

    Gives up above a limit.
    """
    height, width = quarters.shape[2:]
    y = min(max(PAD + r * 8 - 4 + (down >> 2), 0), height - 16)
    x = min(max(PAD + c * 8 - 4 + (right >> 2), 0), width - 16)
    plane = quarters[down & 3, right & 3]
    total = np.int64(0)
    for i in range(16):
        line = np.int32(0)
        goal, weight, source = rest[i], weights[i], plane[y + i]
        if both:
            second = other[i]
            for j in range(16):
                line += abs(goal[j] - weight[j] * ((np.int32(source[x + j]) + np.int32(second[j]) + 1) >> 1)) >> 4
        else:
            for j in range(16):
                line += abs(goal[j] - weight[j] * np.int32(source[x + j])) >> 4
        total += line
        if total > limit:
            break
    return total


@njit(nogil=True, cache=True)
def _weights(r, c, rows, cols, out):
    for i in range(16):
        down = ramp(i, 16, r == 0, r == rows - 1)
        for j in range(16):
            out[i, j] = down * ramp(j, 16, c == 0, c == cols - 1)
            if (r == 0 and i < 4) or (r == rows - 1 and i >= 12) or (c == 0 and j < 4) or (c == cols - 1 and j >= 12):
                out[i, j] = 0


@njit(nogil=True, cache=True, boundscheck=False)
def _predict(quarters, field, modes, r, c, one, two):
    """What a block predicts now, into ``one``."""
    mode = modes[r, c]
    if mode == NONE:
        one[:] = GRAY
        return
    number = 1 if mode == 1 else 0
    _fetch(quarters[number], r, c, field[number, r, c, 0], field[number, r, c, 1], one)
    if mode == BOTH:
        _fetch(quarters[1], r, c, field[1, r, c, 0], field[1, r, c, 1], two)
        for i in range(16):
            for j in range(16):
                one[i, j] = (np.int32(one[i, j]) + np.int32(two[i, j]) + 1) >> 1


@njit(nogil=True, cache=True)
def _surprise(models, number, bit):
    p = (models[number, 0] + models[number, 1]) / 131072.0
    p = min(max(p, 0.001), 0.999)
    return -np.log2(p) if bit == 0 else -np.log2(1 - p)


@njit(nogil=True, cache=True)
def _size_bits(models, value, base):
    zero = motion_kernel._ZERO + base
    if value == 0:
        return _surprise(models, zero, 0)
    bits = _surprise(models, zero, 1) + 1.0
    size = abs(value)
    for k in range(1, 8):
        if size == k:
            return bits + _surprise(models, motion_kernel._LARGER + 9 * base + k, 0)
        bits += _surprise(models, motion_kernel._LARGER + 9 * base + k, 1)
    return bits + 1 + 2 * np.floor(np.log2(size - 7.0))


@njit(nogil=True, cache=True)
def _vector_bits(models, found, count, base, v0, v1):
    bits = 0.0
    for k in range(count):
        if found[k, 0] == v0 and found[k, 1] == v1:
            return bits + _surprise(models, base + k, 0)
        bits += _surprise(models, base + k, 1)
    return bits + _size_bits(models, v0 - found[0, 0], 0) + _size_bits(models, v1 - found[0, 1], 1)


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
def _refine(
    quarters,
    field,
    expected,
    chosen,
    number,
    both,
    other,
    near,
    far,
    r,
    c,
    rest,
    weights,
    models,
    price,
    starts,
    found,
    reach,
    limit,
):
    """The best vector of a block towards one parent, written into the field; its cost without that of the mode."""
    rows, cols = field.shape[1:3]
    count = motion_kernel.candidates(field, expected, number, r, c, both and number == 1, near, far, found)
    around = (1 if c > 0 and chosen[number, r, c - 1] else 0) + (1 if r > 0 and chosen[number, r - 1, c] else 0)
    base = motion_kernel._CHOICE + 18 * (1 if both and number == 1 else 0) + 6 * around
    best, b0, b1 = limit, np.int64(field[number, r, c, 0]), np.int64(field[number, r, c, 1])
    total = count + 6
    for k in range(total):
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
        else:
            continue
        paid = price * (_vector_bits(models, found, count, base, v0, v1) + _later_bits(field, number, r, c, v0, v1))
        cost = _error(rest, weights, quarters[number], r, c, v0, v1, other, both, best - paid) + paid
        if cost < best:
            best, b0, b1 = cost, v0, v1
    for step in (4, 2, 1):
        if step > reach:
            continue
        for _ in range(2):
            c0, c1 = b0, b1
            for k in range(9):
                if k == 4:
                    continue
                v0, v1 = c0 + step * (k // 3 - 1), c1 + step * (k % 3 - 1)
                paid = price * (
                    _vector_bits(models, found, count, base, v0, v1) + _later_bits(field, number, r, c, v0, v1)
                )
                if paid >= best:
                    continue
                cost = _error(rest, weights, quarters[number], r, c, v0, v1, other, both, best - paid) + paid
                if cost < best:
                    best, b0, b1 = cost, v0, v1
            if b0 == c0 and b1 == c1:
                break
    field[number, r, c, 0], field[number, r, c, 1] = b0, b1
    chosen[number, r, c] = b0 != found[0, 0] or b1 != found[0, 1]
    return best


@njit(nogil=True, cache=True, boundscheck=False)
def sweep(source, quarters, field, modes, total, expected, starts, near, far, models, price, reach):
    """Every block once. ``total`` (rows, cols) holds the weighted prediction of all blocks, with borders of 4."""
    rows, cols = modes.shape
    two_parents = far > 0
    chosen = np.zeros((2, rows, cols), np.bool_)
    found = np.zeros((motion_kernel.CANDIDATES, 2), np.int64)
    one, two = np.zeros((16, 16), np.int16), np.zeros((16, 16), np.int16)
    weights, rest = np.zeros((16, 16), np.int32), np.zeros((16, 16), np.int32)
    whole, joined = np.zeros((motion_kernel.JOINS, 5), np.int64), np.zeros((rows, cols), np.bool_)
    for r in range(rows):
        for c in range(cols):
            _weights(r, c, rows, cols, weights)
            _predict(quarters, field, modes, r, c, one, two)
            for i in range(16):
                for j in range(16):
                    total[r * 8 + i, c * 8 + j] -= weights[i, j] * one[i, j]
                    y, x = r * 8 - 4 + i, c * 8 - 4 + j
                    rest[i, j] = 0
                    if weights[i, j] > 0:
                        rest[i, j] = 256 * np.int32(source[y, x]) - total[r * 8 + i, c * 8 + j]
            mode_bits = np.zeros(4)
            w = modes[r, c - 1] if c > 0 else (2 if two_parents else 0)
            n = modes[r - 1, c] if r > 0 else (2 if two_parents else 0)
            around = (1 if w == 3 else 0) + (1 if n == 3 else 0)
            mode_bits[3] = _surprise(models, around, 1)
            mode_bits[:3] = _surprise(models, around, 0)
            if two_parents:
                around = (1 if w == 2 else 0) + (1 if n == 2 else 0)
                mode_bits[2] += _surprise(models, 3 + around, 0)
                mode_bits[:2] += _surprise(models, 3 + around, 1)
                around = 1 + (1 if w == 1 else 0) + (1 if n == 1 else 0) - (1 if w == 0 else 0) - (1 if n == 0 else 0)
                mode_bits[0] += _surprise(models, 7 + around, 0)
                mode_bits[1] += _surprise(models, 7 + around, 1)
            base = motion_kernel.join_base(joined, r, c)
            own_bits = _surprise(models, base, 1)
            for k in range(4):
                mode_bits[k] += own_bits
            options = motion_kernel.joins(field, modes, expected, two_parents, r, c, whole)
            best_join, joint_cost = -1, np.inf
            bits = _surprise(models, base, 0)
            for k in range(options):
                row = whole[k]
                number = 1 if row[0] == 1 else 0
                if row[0] == 2:
                    _fetch(quarters[1], r, c, row[3], row[4], two)
                ending = 0.0 if k == options - 1 else _surprise(models, base + 1 + k, 0)
                later = 0.0
                if row[0] != 1:
                    later += _later_bits(field, 0, r, c, row[1], row[2])
                if row[0] == 1:
                    later += _later_bits(field, 1, r, c, row[3], row[4])
                paid = price * (bits + ending + later)
                v0, v1 = row[1 + 2 * number], row[2 + 2 * number]
                cost = _error(rest, weights, quarters[number], r, c, v0, v1, two, row[0] == 2, joint_cost - paid) + paid
                if cost < joint_cost:
                    best_join, joint_cost = k, cost
                if k < options - 1:
                    bits += _surprise(models, base + 1 + k, 1)
            best_mode = FORWARD
            cost = _refine(
                quarters,
                field,
                expected,
                chosen,
                0,
                False,
                two,
                near,
                far,
                r,
                c,
                rest,
                weights,
                models,
                price,
                starts,
                found,
                reach,
                np.inf,
            )
            best = cost + price * mode_bits[0]
            first = field[0, r, c].copy()
            v0, v1 = first.copy(), field[1, r, c].copy()
            if two_parents:
                cost = _refine(
                    quarters,
                    field,
                    expected,
                    chosen,
                    1,
                    False,
                    two,
                    near,
                    far,
                    r,
                    c,
                    rest,
                    weights,
                    models,
                    price,
                    starts,
                    found,
                    reach,
                    np.inf,
                )
                second = field[1, r, c].copy()
                if cost + price * mode_bits[1] < best:
                    best, best_mode = cost + price * mode_bits[1], 1
                    v1 = second.copy()
                # both: each in turn with the other as it is; parent 0 first without knowing bits of the second
                _fetch(quarters[0], r, c, first[0], first[1], two)
                cost = _refine(
                    quarters,
                    field,
                    expected,
                    chosen,
                    1,
                    True,
                    two,
                    near,
                    far,
                    r,
                    c,
                    rest,
                    weights,
                    models,
                    price,
                    starts,
                    found,
                    reach,
                    np.inf,
                )
                _fetch(quarters[1], r, c, field[1, r, c, 0], field[1, r, c, 1], two)
                b1 = field[1, r, c].copy()
                _refine(
                    quarters,
                    field,
                    expected,
                    chosen,
                    0,
                    True,
                    two,
                    near,
                    far,
                    r,
                    c,
                    rest,
                    weights,
                    models,
                    price,
                    starts,
                    found,
                    reach,
                    np.inf,
                )
                b0 = field[0, r, c].copy()
                _fetch(quarters[0], r, c, b0[0], b0[1], two)
                count = motion_kernel.candidates(field, expected, 0, r, c, False, near, far, found)
                around = (1 if c > 0 and chosen[0, r, c - 1] else 0) + (1 if r > 0 and chosen[0, r - 1, c] else 0)
                bits = _vector_bits(models, found, count, motion_kernel._CHOICE + 6 * around, b0[0], b0[1])
                cost = _refine(
                    quarters,
                    field,
                    expected,
                    chosen,
                    1,
                    True,
                    two,
                    near,
                    far,
                    r,
                    c,
                    rest,
                    weights,
                    models,
                    price,
                    starts,
                    found,
                    reach,
                    np.inf,
                )
                cost += price * (bits + mode_bits[2])
                b1 = field[1, r, c].copy()
                if cost < best:
                    best, best_mode, v0, v1 = cost, 2, b0, b1
            joined[r, c] = joint_cost <= best
            if joint_cost <= best:
                row = whole[best_join]
                best_mode = row[0]
                v0[0], v0[1], v1[0], v1[1] = row[1], row[2], row[3], row[4]
            field[0, r, c], field[1, r, c] = v0, v1
            modes[r, c] = best_mode
            for number in range(2):
                chosen[number, r, c] = False
                if not joined[r, c] and best_mode in (number, BOTH):
                    motion_kernel.candidates(
                        field, expected, number, r, c, best_mode == 2 and number == 1, near, far, found
                    )
                    chosen[number, r, c] = (
                        field[number, r, c, 0] != found[0, 0] or field[number, r, c, 1] != found[0, 1]
                    )
            if not joined[r, c]:
                motion_kernel.fill(field, expected, best_mode, r, c, near, far)
            _predict(quarters, field, modes, r, c, one, two)
            for i in range(16):
                for j in range(16):
                    total[r * 8 + i, c * 8 + j] += weights[i, j] * one[i, j]


@njit(nogil=True, cache=True)
def accumulate(quarters, field, modes, total):
    """Adds the weighted prediction of all blocks to ``total``, see :func:`sweep`."""
    rows, cols = modes.shape
    one, two = np.zeros((16, 16), np.int16), np.zeros((16, 16), np.int16)
    weights = np.zeros((16, 16), np.int32)
    for r in range(rows):
        for c in range(cols):
            _weights(r, c, rows, cols, weights)
            _predict(quarters, field, modes, r, c, one, two)
            for i in range(16):
                for j in range(16):
                    total[r * 8 + i, c * 8 + j] += weights[i, j] * one[i, j]
