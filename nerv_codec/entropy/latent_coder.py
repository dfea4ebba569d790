"""Integer latents to range-coded words and back: context, integer network, tables and range coder in one loop.

Everything is an integer, so encoder and decoder agree on every machine. The grid table and the inputs of the network
are those of `rate_cpu`, with values at integers; weights are in units of 2**-FRACTION_BITS. What does not depend on
the two left neighbours is computed for a row at once, the rest symbol by symbol.

`encode`, `decode` and `predict` trust their arrays to satisfy `GridTable.check` and the bounds that
`context_model.EntropyModel` checks; `decode` needs nothing of its words.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.context_model import (
    CLIP,
    FRACTION_BITS,
    MAX_ACTIVATION,
    MAX_LATENT,
    MAX_LOCATION,
    NUM_INPUTS,
)
from nerv_codec.entropy.grids import ACTIVE, COARSE, COLS, CONTEXT_CLASS, OFFSET, REF0, REF1, ROWS, SHIFT
from nerv_codec.entropy.range_kernel import (
    ESCAPE,
    FULL,
    PRECISION,
    WINDOW,
    ZERO_SCALE,
    advance,
    begin,
    finish,
    put,
    put_escape,
    put_flag,
    take_escape,
    take_flag,
    words_left,
)

OK, BAD_SYMBOL, WORDS_LEFT, NO_ROOM = range(4)

_LANES = 8
_SCALES = 48
_LOCATION_SHIFT = np.int64(2 * FRACTION_BITS - 4)
_SCALE_SHIFT = np.int64(2 * FRACTION_BITS - 2)

_CLIP = np.int32(CLIP)
_NIL = np.int32(0)
_PEAK = np.int32(MAX_ACTIVATION)


@njit()
def _cut(v):
    return np.int32(min(max(v, -_CLIP), _CLIP))


@njit(nogil=True, cache=True)
def _accumulate(out, x, weights, inputs, n):
    """out += weights[k] * x[k] over the given inputs (a multiple of 4 of them), int32."""
    for t in range(0, inputs.shape[0], 4):
        k0, k1, k2, k3 = inputs[t], inputs[t + 1], inputs[t + 2], inputs[t + 3]
        a, b, c, d = weights[k0], weights[k1], weights[k2], weights[k3]
        xa, xb, xc, xd = x[k0], x[k1], x[k2], x[k3]
        for j in range(n):
            out[j] += np.int32(a * xa[j]) + np.int32(b * xb[j]) + np.int32(c * xc[j]) + np.int32(d * xd[j])


@njit(nogil=True, cache=True)
def _reference_row(values, magnitudes, y, refs, start, n, weight):
    for j in range(n):
        v = _cut(y[refs[start + j]])
        values[j + 2] += np.int32(weight * v)
        magnitudes[j + 2] += np.int32(weight * abs(v))


@njit(nogil=True, cache=True)
def _coarse_row(out, y, start, n):
    for j in range(n):
        out[j + 2] = _cut(y[start + j])


@njit(nogil=True, cache=True)
def _above_inputs(x, v1, v2, n):
    """What inputs 2..7 owe to the two rows above; 5 and 7 lack the left neighbours, 0 and 1 are left at zero."""
    for j in range(n):
        x[2, j] = v1[j + 1]
        x[3, j] = v1[j + 2]
        x[4, j] = v1[j + 3]
    for j in range(n):
        x[5, j] = abs(v1[j + 2])
        x[6, j] = abs(v1[j + 1]) + abs(v1[j + 3])
        x[7, j] = abs(v2[j + 2]) + abs(v1[j]) + abs(v1[j + 4])


@njit(nogil=True, cache=True)
def _expand(out, source, n, shift):
    for j in range(n):
        out[j] = source[j >> shift]


@njit(nogil=True, cache=True)
def _plane_inputs(x, y, grids, maps, g, i, planes, ref_values, ref_sizes):
    """Inputs 8..13 of row i. planes: 3 coarse rows and 3 rows of scratch; ref_*: 3 rows each, rolled in place."""
    rows, cols = grids[g, ROWS], grids[g, COLS]
    coarse, shift, ref0, ref1 = grids[g, COARSE], grids[g, SHIFT], grids[g, REF0], grids[g, REF1]
    if coarse >= 0 and (i & ((1 << shift) - 1)) == 0:
        at, c_rows, c_cols = grids[coarse, OFFSET], grids[coarse, ROWS], grids[coarse, COLS]
        middle = i >> shift
        for r in range(3):
            planes[r, : c_cols + 4] = _NIL
            if 0 <= middle + r - 1 < c_rows:
                _coarse_row(planes[r], y, at + (middle + r - 1) * c_cols, c_cols)
        a, b, c = planes[0], planes[1], planes[2]
        sizes, cross = planes[4], planes[5]
        for j in range(c_cols):
            sizes[j] = abs(b[j + 2])
            cross[j] = abs(a[j + 2]) + abs(c[j + 2]) + abs(b[j + 1]) + abs(b[j + 3])
        _expand(x[8], b[2:], cols, shift)
        _expand(x[9], sizes, cols, shift)
        _expand(x[10], cross, cols, shift)
    if ref0 >= 0 or ref1 >= 0:
        weight = np.int32(1 if ref0 >= 0 and ref1 >= 0 else 2)
        for r in range(2 if i > 0 else 0):
            ref_values[r, : cols + 4] = ref_values[r + 1, : cols + 4]
            ref_sizes[r, : cols + 4] = ref_sizes[r + 1, : cols + 4]
        for r in range(2 if i > 0 else 0, 3):
            ref_values[r, : cols + 4] = _NIL
            ref_sizes[r, : cols + 4] = _NIL
            row = i + r - 1
            if 0 <= row < rows:
                if ref0 >= 0:
                    _reference_row(ref_values[r], ref_sizes[r], y, maps, ref0 + row * cols, cols, weight)
                if ref1 >= 0:
                    _reference_row(ref_values[r], ref_sizes[r], y, maps, ref1 + row * cols, cols, weight)
        a, b, c, v = ref_sizes[0], ref_sizes[1], ref_sizes[2], ref_values[1]
        for j in range(cols):
            x[11, j] = v[j + 2]
            x[12, j] = b[j + 2]
            x[13, j] = a[j + 2] + c[j + 2] + b[j + 1] + b[j + 3]


@njit(nogil=True, cache=True)
def _row_bases(base, skip, x, w1, b1, w3, b2, context_class, inputs, n):
    """base (column, padded hidden) and skip (2, column): all that the network owes to known inputs."""
    hidden = w1.shape[0]
    row = min(context_class, b1.shape[0] - 1)
    line = skip[2]
    for h in range(hidden):
        bias = b1[row, h]
        for j in range(n):
            line[j] = bias
        _accumulate(line, x, w1[h], inputs, n)
        for j in range(n):
            base[j, h] = line[j]
    for out in range(2):
        bias = b2[context_class, out]
        for j in range(n):
            skip[out, j] = bias
        _accumulate(skip[out], x, w3[out], inputs, n)


@njit(nogil=True, cache=True)
def _left_tables(w1, w3, lanes):
    """(input 0 or 1, value + CLIP, lane): what the left neighbours add; the skip's two outputs in the last lanes."""
    tables = np.zeros((2, 2 * CLIP + 1, lanes + 2), np.int32)
    for k in range(2):
        size = 5 if k == 0 else 7
        for v in range(-CLIP, CLIP + 1):
            for h in range(w1.shape[0]):
                tables[k, v + CLIP, h] = w1[h, k] * v + w1[h, size] * abs(v)
            for out in range(2):
                tables[k, v + CLIP, lanes + out] = w3[out, k] * v + w3[out, size] * abs(v)
    return tables


@njit(nogil=True, cache=True, boundscheck=False)
def _indices(base, skip, j, left, w2, w, ww, lanes):
    """Location in 1/16 and scale index of the symbol in column j, given its left neighbours."""
    a, b, first = left[0, w + CLIP], left[1, ww + CLIP], base[j]
    mu = np.int64(skip[0, j] + a[lanes] + b[lanes]) << np.int64(FRACTION_BITS)
    scale = np.int64(skip[1, j] + a[lanes + 1] + b[lanes + 1]) << np.int64(FRACTION_BITS)
    for block in range(0, lanes, _LANES):
        for h in range(_LANES):
            v = np.int32(first[block + h] + a[block + h] + b[block + h])
            v = min(max(v, _NIL), _PEAK)
            mu += np.int64(v) * np.int64(w2[0, block + h])
            scale += np.int64(v) * np.int64(w2[1, block + h])
    location = (mu + (1 << (_LOCATION_SHIFT - 1))) >> _LOCATION_SHIFT
    index = ZERO_SCALE + ((scale + (1 << (_SCALE_SHIFT - 1))) >> _SCALE_SHIFT)
    return min(max(location, -MAX_LOCATION), MAX_LOCATION), min(max(index, 0), _SCALES - 1)


@njit(nogil=True, cache=True)
def _buffers(grids, w1, w2):
    """Room for the longest row, and the tables of the left neighbours."""
    cols = np.int64(1)
    for g in range(grids.shape[0]):
        cols = max(cols, grids[g, COLS])
    lanes = (w1.shape[0] + _LANES - 1) // _LANES * _LANES
    padded = np.zeros((2, lanes), np.int32)
    padded[:, : w1.shape[0]] = w2
    x = np.zeros((NUM_INPUTS, cols), np.int32)
    base = np.zeros((cols, lanes), np.int32)
    skip = np.zeros((3, cols), np.int32)
    planes = np.zeros((6, cols + 4), np.int32)
    refs = np.zeros((2, 3, cols + 4), np.int32)
    own = np.zeros((3, cols + 4), np.int32)
    return lanes, padded, x, base, skip, planes, refs, own


@njit(nogil=True, cache=True)
def _known_inputs(has_coarse, has_ref):
    """The inputs that a row can know beforehand, padded to a multiple of 4 with input 0, which is zero there."""
    found = np.zeros(12, np.int64)
    found[:6] = np.arange(2, 8)
    n = 6
    if has_coarse:
        found[n : n + 3] = np.arange(8, 11)
        n += 3
    if has_ref:
        found[n : n + 3] = np.arange(11, 14)
        n += 3
    return found[: (n + 3) // 4 * 4]


@njit(nogil=True, cache=True)
def _begin_row(y, grids, maps, g, i, inputs, w1, b1, b2, w3, x, base, skip, planes, refs, own):
    """Makes `base` and `skip` of row i of a grid; returns where the row begins in y, and its cleared row of `own`."""
    cols = grids[g, COLS]
    row, above, above_that = own[i % 3], own[(i + 2) % 3], own[(i + 1) % 3]
    _above_inputs(x, above, above_that, cols)
    _plane_inputs(x, y, grids, maps, g, i, planes, refs[0], refs[1])
    _row_bases(base, skip, x, w1, b1, w3, b2, grids[g, CONTEXT_CLASS], inputs, cols)
    row[: cols + 4] = _NIL
    return grids[g, OFFSET] + i * cols, row


@njit(nogil=True, cache=True)
def predict(y, grids, maps, w1, b1, w2, b2, w3, locations, scales):
    """Location (1/16) and scale index of every symbol of an active grid."""
    lanes, padded, x, base, skip, planes, refs, own = _buffers(grids, w1, w2)
    left = _left_tables(w1, w3, lanes)
    for g in range(grids.shape[0]):
        if grids[g, ACTIVE] == 0:
            continue
        rows, cols = grids[g, ROWS], grids[g, COLS]
        inputs = _known_inputs(grids[g, COARSE] >= 0, grids[g, REF0] >= 0 or grids[g, REF1] >= 0)
        own[:, : cols + 4] = _NIL
        for i in range(rows):
            at, v0 = _begin_row(y, grids, maps, g, i, inputs, w1, b1, b2, w3, x, base, skip, planes, refs, own)
            for j in range(cols):
                locations[at + j], scales[at + j] = _indices(base, skip, j, left, padded, v0[j + 1], v0[j], lanes)
                v0[j + 2] = _cut(y[at + j])


@njit(nogil=True, cache=True)
def encode(y, grids, maps, w1, b1, w2, b2, w3, cumulative, words):
    """Returns (status, number of words): NO_ROOM asks for a longer `words`."""
    lanes, padded, x, base, skip, planes, refs, own = _buffers(grids, w1, w2)
    left = _left_tables(w1, w3, lanes)
    seen = np.zeros((b2.shape[0], 2), np.int64)
    state = np.array([np.uint64(0), FULL], np.uint64)
    used = np.int64(0)
    for g in range(grids.shape[0]):
        context_class, active = grids[g, CONTEXT_CLASS], grids[g, ACTIVE]
        used = put_flag(active, seen[context_class], state, words, used)
        if active == 0:
            continue
        rows, cols = grids[g, ROWS], grids[g, COLS]
        inputs = _known_inputs(grids[g, COARSE] >= 0, grids[g, REF0] >= 0 or grids[g, REF1] >= 0)
        own[:, : cols + 4] = _NIL
        for i in range(rows):
            at, v0 = _begin_row(y, grids, maps, g, i, inputs, w1, b1, b2, w3, x, base, skip, planes, refs, own)
            for j in range(cols):
                location, index = _indices(base, skip, j, left, padded, v0[j + 1], v0[j], lanes)
                symbol = np.int64(y[at + j])
                if abs(symbol) > MAX_LATENT:
                    return BAD_SYMBOL, np.int64(0)
                rounded = (location + 8) >> 4
                distance = symbol - rounded
                code = distance + WINDOW if abs(distance) <= WINDOW else ESCAPE
                table = cumulative[index, location - 16 * rounded + 8]
                start = np.uint64(table[code])
                used = put(state, words, used, start, np.uint64(table[code + 1]) - start)
                if code == ESCAPE:
                    used = put_escape(state, words, used, distance, index)
                v0[j + 2] = _cut(symbol)
        if used + 2 > words.shape[0]:
            return NO_ROOM, np.int64(0)
    if used + 2 > words.shape[0]:
        return NO_ROOM, np.int64(0)
    return OK, finish(state, words, used)


@njit(nogil=True, cache=True)
def decode(words, grids, maps, w1, b1, w2, b2, w3, cumulative, y):
    """Fills y and the ACTIVE column of grids; returns a status. Words that are missing are zero."""
    lanes, padded, x, base, skip, planes, refs, own = _buffers(grids, w1, w2)
    left = _left_tables(w1, w3, lanes)
    seen = np.zeros((b2.shape[0], 2), np.int64)
    state = begin(words)
    position = np.int64(2)
    for g in range(grids.shape[0]):
        context_class = grids[g, CONTEXT_CLASS]
        rows, cols = grids[g, ROWS], grids[g, COLS]
        active, position = take_flag(seen[context_class], state, words, position)
        grids[g, ACTIVE] = active
        if active == 0:
            y[grids[g, OFFSET] : grids[g, OFFSET] + rows * cols] = _NIL
            continue
        inputs = _known_inputs(grids[g, COARSE] >= 0, grids[g, REF0] >= 0 or grids[g, REF1] >= 0)
        own[:, : cols + 4] = _NIL
        for i in range(rows):
            at, v0 = _begin_row(y, grids, maps, g, i, inputs, w1, b1, b2, w3, x, base, skip, planes, refs, own)
            for j in range(cols):
                location, index = _indices(base, skip, j, left, padded, v0[j + 1], v0[j], lanes)
                rounded = (location + 8) >> 4
                table = cumulative[index, location - 16 * rounded + 8]
                scale = state[1] >> PRECISION
                point = state[2] - state[0]
                code = WINDOW  # the likely codes are around it
                if point >= scale * np.uint64(table[code + 1]):
                    code += 1
                    while code < ESCAPE and point >= scale * np.uint64(table[code + 1]):
                        code += 1
                else:
                    while code > 0 and point < scale * np.uint64(table[code]):
                        code -= 1
                start = np.uint64(table[code])
                position = advance(state, words, position, start, np.uint64(table[code + 1]) - start)
                distance = np.int64(code - WINDOW)
                if code == ESCAPE:
                    distance, position = take_escape(state, words, position, index)
                    if distance == 0:
                        return BAD_SYMBOL
                symbol = rounded + distance
                if abs(symbol) > MAX_LATENT:
                    return BAD_SYMBOL
                y[at + j] = np.int32(symbol)
                v0[j + 2] = _cut(symbol)
    return WORDS_LEFT if words_left(words, position) else OK
