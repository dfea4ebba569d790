"""Overlapped block motion compensation of one plane, compiled; the tests hold it to a plain form.

A plane is taken apart into cells between the centres of four blocks; of those beyond the border the nearest ones take
the place. Blocks of a cell that say the same are read once, with the sum of their weights, and cells side by side all
of whose blocks say the same are read as one.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared.vector_code import LANES, lines_4, lines_8, weigh_1, weigh_4, weigh_8
from nerv_codec.representations.warped.motion import BACKWARD, FORWARD, NONE
from nerv_codec.representations.warped.motion_kernel import shown_lines
from nerv_codec.representations.warped.planes import UNIT
from nerv_codec.representations.warped.split_kernel import OVERLAPPED

TAP_BITS = 6
GRAY = 255 * UNIT // 2
"""What blocks without a prediction show."""
_TAPS = 8
"""At most."""
_UNUSED = np.int64(-1) << 62
_NO_BITS, _BITS, _ALL_BITS = np.int32(0), np.int32(TAP_BITS), np.int32(2 * TAP_BITS)


class _Parents(NamedTuple):
    """Flat planes, their size, and how they are read: taps, how many a phase, and bits of a vector below a sample."""

    first: npt.NDArray[np.int16]
    second: npt.NDArray[np.int16]
    rows: int
    cols: int
    taps: npt.NDArray[np.int32]
    count: int
    bits: int


class Room(NamedTuple):
    """Room for samples beyond the border, for lines filtered once, for what blocks say, and for what a cell shows."""

    around: npt.NDArray[np.int16]
    lines: npt.NDArray[np.int32]
    said: npt.NDArray[np.int32]
    doubted: npt.NDArray[np.int32]
    total: npt.NDArray[np.int32]
    doubts: npt.NDArray[np.int32]
    shares: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int32]


def room_for(cols: int, block: int) -> Room:
    """Room for a plane of so many blocks a row."""
    wide, cell = block * (cols + 1) + LANES, block * stride_of(block)
    lines = (block + _TAPS) * (wide + _TAPS)
    sizes = {"around": lines, "lines": lines, "said": block * wide, "doubted": block * wide}
    sizes |= {"total": cell, "doubts": cell, "shares": 4, "weights": cell}
    kinds = {"around": np.int16, "shares": np.int64}
    return Room(**{name: np.zeros(size, kinds.get(name, np.int32)) for name, size in sizes.items()})


def stride_of(block: int) -> int:
    """Of the rows of a cell: whole vectors."""
    return -(-block // LANES) * LANES


@njit(nogil=True, cache=True)
def used_vectors(vectors, modes, out):
    """Both vectors of every block, (rows, cols, 2), as one number each; one that is not used is _UNUSED."""
    for r in range(modes.shape[0]):
        for c in range(modes.shape[1]):
            mode = modes[r, c]
            for number, other in ((0, BACKWARD), (1, FORWARD)):
                used = mode != other and mode != NONE  # noqa: PLR1714 - a tuple is slow to compile
                down, right = np.int64(vectors[number, r, c, 0]), np.int64(vectors[number, r, c, 1])
                out[r, c, number] = (down << 32) | (right & 0xFFFFFFFF) if used else _UNUSED


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _weigh(source, start, pitch, step, taps, first, count, shift, height, stride, out):
    if count == 8:
        weigh_8(source, start, pitch, step, taps, first, shift, height, stride, out, stride)
    else:
        weigh_4(source, start, pitch, step, taps, first, shift, height, stride, out, stride)


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _lines(source, start, pitch, taps, first, count, height, stride, out):
    if count == 8:
        lines_8(source, start, pitch, 1, taps, first, _NO_BITS, height, stride, out, stride)
    else:
        lines_4(source, start, pitch, 1, taps, first, _NO_BITS, height, stride, out, stride)


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _filter(source, start, pitch, height, stride, across, along, taps, count, lines, out):
    """A rectangle whose taps begin at ``start``, with the phases that begin at these places of the table."""
    before = count // 2 - 1
    if across and along:
        _lines(source, start, pitch, taps, across, count, height + count - 1, stride, lines)
        _weigh(lines, 0, stride, stride, taps, along, count, _ALL_BITS, height, stride, out)
    elif across:
        _weigh(source, start + before * pitch, pitch, 1, taps, across, count, _BITS, height, stride, out)
    elif along:
        _weigh(source, start + before, pitch, pitch, taps, along, count, _BITS, height, stride, out)
    else:
        weigh_1(source, start + before * (pitch + 1), pitch, 1, taps, before, _BITS, height, stride, out, stride)


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _read(parents, plane, top, left, height, stride, vector, room, out):
    """A rectangle of a plane at a position in 1 / 2**bits samples, as flat rows of ``stride`` samples."""
    rows, cols, taps, count, around = parents.rows, parents.cols, parents.taps, parents.count, room.around
    down, right, mask = vector >> 32, np.int64(np.int32(vector)), (1 << parents.bits) - 1
    row, col = top + (down >> parents.bits) - count // 2 + 1, left + (right >> parents.bits) - count // 2 + 1
    tall, wide = height + count - 1, stride + count - 1
    across, along = (right & mask) * count, (down & mask) * count
    source, start, pitch = plane, row * cols + col, cols
    if row < 0 or col < 0 or row + tall > rows or col + wide > cols:
        source, start, pitch = around, 0, wide
        for i in range(tall):
            line = min(max(row + i, 0), rows - 1) * cols
            for j in range(wide):
                around[i * wide + j] = plane[line + min(max(col + j, 0), cols - 1)]
    _filter(source, start, pitch, height, stride, across, along, taps, count, room.lines, out)


@njit(nogil=True, cache=True, boundscheck=False)
def _show_alone(parents, top, left, height, stride, forward, backward, one, two):
    """Gives both parents' samples of a rectangle the value of the one that shows them, where the other does not."""
    rows, cols, bits = parents.rows, parents.cols, parents.bits
    a0, a1 = shown_lines(rows, top, height, forward >> 32, bits)
    b0, b1 = shown_lines(cols, left, stride, np.int64(np.int32(forward)), bits)
    c0, c1 = shown_lines(rows, top, height, backward >> 32, bits)
    d0, d1 = shown_lines(cols, left, stride, np.int64(np.int32(backward)), bits)
    if a0 == c0 and a1 == c1 and b0 == d0 and b1 == d1:
        return
    for i in range(height):
        first, second = a0 <= i < a1, c0 <= i < c1
        alike = max(b0, d0) if first and second else 0
        behind = max(min(b1, d1), alike) if first and second else 0
        for j in range(stride):
            if j < alike or j >= behind:
                n, shown = i * stride + j, first and b0 <= j < b1
                if shown != (second and d0 <= j < d1):
                    one[n] = two[n] = one[n] if shown else two[n]


@njit(nogil=True, cache=True, boundscheck=False)
def _say(parents, top, left, height, stride, forward, backward, room):
    """What blocks with these vectors say of a rectangle, and what they doubt, which is filled in only where they do."""
    said, doubted = room.said, room.doubted
    if forward != _UNUSED:
        _read(parents, parents.first, top, left, height, stride, forward, room, said)
        if backward != _UNUSED:
            _read(parents, parents.second, top, left, height, stride, backward, room, doubted)
            _show_alone(parents, top, left, height, stride, forward, backward, said, doubted)
            for n in range(height * stride):
                one, two = said[n], doubted[n]
                said[n], doubted[n] = np.int32(one + two + 1) >> 1, np.int32(one - two) >> 1
    elif backward != _UNUSED:
        _read(parents, parents.second, top, left, height, stride, backward, room, said)
    else:
        said[: height * stride] = GRAY


@njit(nogil=True, cache=True)
def _doubts(forward, backward):
    return forward != _UNUSED and backward != _UNUSED  # noqa: PLR1714 - a tuple is slow to compile


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _put(values, top, left, height, width, stride, out):
    """Flat rows into a plane, as far as they lie in it."""
    first, last = max(left, 0), min(left + width, out.shape[1])
    for i in range(max(top, 0), min(top + height, out.shape[0])):
        start = (i - top) * stride - left
        row, line = out[i, first:last], values[start + first : start + last]
        for j in range(last - first):
            row[j] = np.int16(line[j])


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _around(rows, cols, r, c, k):
    """Which block is one of the four around a cell."""
    return min(max(r - 1 + k // 2, 0), rows - 1) * cols + min(max(c - 1 + k % 2, 0), cols - 1)


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _alike(used, one, two):
    """Whether two blocks say the same; used is flat."""
    return used[2 * one] == used[2 * two] and used[2 * one + 1] == used[2 * two + 1]


@njit(nogil=True, cache=True, boundscheck=False)
def _is_calm(used, rows, cols, r, c):
    """Whether all blocks around a cell say the same."""
    one = _around(rows, cols, r, c, 0)
    return (
        _alike(used, one, _around(rows, cols, r, c, 1))
        and _alike(used, one, _around(rows, cols, r, c, 2))
        and _alike(used, one, _around(rows, cols, r, c, 3))
    )


@functools.cache
def ramps(block: int) -> npt.NDArray[np.int32]:
    """Weights of a cell as flat rows, (16, block * stride): of all sets of the four blocks around it."""
    found = np.zeros((16, block, stride_of(block)), np.int32)
    there = 2 * np.arange(block) + 1
    ways = 2 * block - there, there
    for members in range(16):
        for k in range(4):
            if members >> k & 1:
                found[members, :, :block] += np.outer(ways[k // 2], ways[k % 2])
    return found.reshape(16, -1)


@njit(nogil=True, cache=True, boundscheck=False)
def _shares(corners, r, c, out):
    """What the corners that meet in a cell show, (4,), see `split_kernel`; whether any of their blocks is split."""
    split = False
    for q in range(4):
        y, x = 2 * r - 1 + q // 2, 2 * c - 1 + q % 2
        inside = 0 <= y < corners.shape[0] and 0 <= x < corners.shape[1]
        out[q] = corners[y, x] if inside else OVERLAPPED
        split |= out[q] != OVERLAPPED
    return split


@njit(nogil=True, cache=True, boundscheck=False)
def _split_weights(ramps, members, shares, block, stride, out):
    """Weights of some of the blocks around a cell where corners of it show one block alone."""
    half = block // 2
    for n in range(out.shape[0]):
        out[n] = ramps[members, n]
    for q in range(4):
        if shares[q] != OVERLAPPED:
            weight = np.int32(4 * block * block if members >> (q ^ (shares[q] - 1)) & 1 else 0)
            for i in range(half):
                start = (q // 2 * half + i) * stride + q % 2 * half
                out[start : start + half] = weight


@njit(nogil=True, cache=True, boundscheck=False, forceinline=True)
def _add_weighed(total, values, weights):
    """Adds what some of the blocks around a cell say."""
    for n in range(total.shape[0]):
        total[n] += np.int32(weights[n] * values[n])


@njit(nogil=True, cache=True, boundscheck=False)
def compensate_plane(first, second, used, corners, block, taps, bits, ramps, room, prediction, doubt):
    """Prediction and doubt of one plane, from its parents, all int16.

    Args:
        first: The first parent.
        second: The second one.
        used: Its motion, see `used_vectors`.
        corners: What corners of blocks show, see `split_kernel`.
        block: Samples a side of a block.
        taps: (phases, 4 or 8), int32.
        bits: Of a vector below a sample.
        ramps: Weights of a cell.
        room: Room.
        prediction: (rows, cols), filled in.
        doubt: The same; must be zero before.
    """
    rows, cols = used.shape[:2]
    narrow = -(-block // LANES) * LANES
    parents = _Parents(
        first.reshape(-1),
        second.reshape(-1),
        first.shape[0],
        first.shape[1],
        taps.reshape(-1),
        taps.shape[1],
        np.int64(bits),
    )
    total, doubts, shares = room.total, room.doubts, room.shares
    half, scale = np.int32(2 * block * block), np.int32(0)
    while (1 << scale) < 4 * block * block:
        scale += 1
    blocks = used.reshape(-1)
    for r in range(rows + 1):
        top = r * block - block // 2
        c = 0
        while c <= cols:
            left, cells, doubted = c * block - block // 2, 1, False
            if _is_calm(blocks, rows, cols, r, c):
                while c + cells <= cols and _is_calm(blocks, rows, cols, r, c + cells):
                    cells += 1  # as this one: they share a block
                one, size = _around(rows, cols, r, c, 0), cells * block
                stride = -(-size // LANES) * LANES
                forward, backward = blocks[2 * one], blocks[2 * one + 1]
                _say(parents, top, left, block, stride, forward, backward, room)
                _put(room.said, top, left, block, size, stride, prediction)
                if _doubts(forward, backward):
                    _put(room.doubted, top, left, block, size, stride, doubt)
            else:
                total[:], doubts[:] = half, half
                split = _shares(corners, r, c, shares)
                for k in range(4):
                    one, alike = _around(rows, cols, r, c, k), 0
                    for m in range(4):
                        if _alike(blocks, one, _around(rows, cols, r, c, m)):
                            alike |= 1 << m
                    if alike & ((1 << k) - 1) == 0:
                        forward, backward = blocks[2 * one], blocks[2 * one + 1]
                        _say(parents, top, left, block, narrow, forward, backward, room)
                        weights = ramps[alike]
                        if split:
                            _split_weights(ramps, alike, shares, block, narrow, room.weights)
                            weights = room.weights
                        _add_weighed(total, room.said, weights)
                        if _doubts(forward, backward):
                            _add_weighed(doubts, room.doubted, weights)
                            doubted = True
                for n in range(block * narrow):
                    total[n] >>= scale
                    doubts[n] >>= scale
                _put(total, top, left, block, block, narrow, prediction)
                if doubted:
                    _put(doubts, top, left, block, block, narrow, doubt)
            c += cells
