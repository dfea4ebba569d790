"""Steps of the range coder for compiled loops: codes, bits, escapes, flags, and the two ends of a stream.

An encoder's state is (low, range), a decoder's (low, range, point), all uint64; words are uint32. An encoder starts
with (0, FULL), and with `words` too short it counts on without writing, so that its caller can begin anew with more
room. The format is that of constriction's range coder with 32-bit words, a 64-bit state and probabilities in 2**-24.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit

WINDOW = 31
"""Largest distance from its rounded location at which a symbol has a code of its own."""
ESCAPE = 2 * WINDOW + 1
"""The code of all others, after which `put_escape` says which."""
ZERO_SCALE = 16
"""Index of the scale at which escapes begin to take a larger Golomb order."""

PRECISION = np.uint64(24)
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1 << 24)
_BIT = np.uint64(1 << 23)
_MAX_PREFIX = 15
WORD = np.uint64(32)
_WORD_MASK = np.uint64(0xFFFFFFFF)
RENORM = np.uint64(1 << 32)
_Z, _UNIT = np.uint64(0), np.uint64(1)


@njit(nogil=True, cache=True)
def _carry(words, used):
    """Adds 1 to the number that the words written so far are."""
    k = min(used, np.int64(words.shape[0])) - 1
    while k >= 0:
        words[k] = np.uint32(words[k] + np.uint32(1))
        if words[k] != 0:
            break
        k -= 1


@njit(nogil=True, cache=True)
def put(state, words, used, start, count):
    """Encodes one code of probability count / 2**24; returns the number of words."""
    scale = state[1] >> PRECISION
    low = state[0] + scale * start
    if low < state[0]:
        _carry(words, used)
    state[1] = scale * count
    if state[1] < RENORM:
        if used < words.shape[0]:
            words[used] = np.uint32(low >> WORD)
        used += 1
        low = low << WORD
        state[1] = state[1] << WORD
    state[0] = low
    return used


@njit(nogil=True, cache=True)
def put_split(state, words, used, bit, split):
    """Encodes a bit that is 0 with probability split / 2**24, 0 < split < 2**24."""
    if bit:
        return put(state, words, used, split, _ONE - split)
    return put(state, words, used, _Z, split)


@njit(nogil=True, cache=True)
def put_bit(state, words, used, bit):
    """Encodes a bit of probability one half."""
    return put(state, words, used, _BIT if bit else _Z, _BIT)


@njit(nogil=True, cache=True)
def _golomb_order(index):
    return max(0, (index - ZERO_SCALE) >> 2)


@njit(nogil=True, cache=True)
def put_escape(state, words, used, distance, index):
    """A symbol `distance` from its rounded location, outside the window: sign, then exp-Golomb of what exceeds it."""
    used = put_bit(state, words, used, distance < 0)
    order = _golomb_order(index)
    excess = abs(distance) - WINDOW - 1 + (1 << order)
    prefix = 0
    while excess >> (order + prefix + 1) != 0:
        prefix += 1
    for _ in range(prefix):
        used = put_bit(state, words, used, True)
    used = put_bit(state, words, used, False)
    for k in range(order + prefix - 1, -1, -1):
        used = put_bit(state, words, used, (excess >> k) & 1 != 0)
    return used


@njit(nogil=True, cache=True)
def _flag_split(seen):
    return np.uint64(((2 * seen[0] + 1) << 24) // (2 * (seen[0] + seen[1]) + 2))


@njit(nogil=True, cache=True)
def put_flag(flag, seen, state, words, used):
    """Encodes 0 or 1 with what the counts of flags so far say of it, and counts it; returns the number of words."""
    split = _flag_split(seen)
    seen[flag] += 1
    return put_split(state, words, used, flag, split)


@njit(nogil=True, cache=True)
def finish(state, words, used):
    """Ends a stream; returns the number of words, without zeros at the end. There must be room for two more."""
    if state[0] != _Z:
        # The end is 2**64 (only a carry) if that lies in the range, else the next multiple of 2**32, which always does.
        end = (state[0] + _WORD_MASK) & ~_WORD_MASK
        if state[0] + (state[1] - _UNIT) < state[0]:
            _carry(words, used)
        else:
            words[used] = np.uint32(end >> WORD)
            used += 1
    while used > 0 and words[used - 1] == 0:
        used -= 1
    return used


@njit(nogil=True, cache=True)
def next_word(words, position):
    """A word of the stream; those that are missing are zero."""
    return np.uint64(words[position]) if position < words.shape[0] else _Z


@njit(nogil=True, cache=True, allocates=True)
def begin(words):
    """A decoder's state after the first two words; the next word's position is 2."""
    return np.array([_Z, FULL, (next_word(words, 0) << WORD) | next_word(words, 1)], np.uint64)


@njit(nogil=True, cache=True)
def advance(state, words, position, start, count):
    """Removes a decoded code; returns the position of the next word."""
    scale = state[1] >> PRECISION
    state[0] += scale * start
    state[1] = scale * count
    if state[1] < RENORM:
        state[0] = state[0] << WORD
        state[1] = state[1] << WORD
        state[2] = (state[2] << WORD) | next_word(words, position)
        position += 1
    return position


@njit(nogil=True, cache=True)
def take_split(state, words, position, split):
    """The inverse of `put_split`: (bit, position)."""
    if state[2] - state[0] >= (state[1] >> PRECISION) * split:
        return 1, advance(state, words, position, split, _ONE - split)
    return 0, advance(state, words, position, _Z, split)


@njit(nogil=True, cache=True)
def take_bit(state, words, position):
    """The inverse of `put_bit`: (bit, position)."""
    bit = state[2] - state[0] >= (state[1] >> PRECISION) * _BIT
    return bit, advance(state, words, position, _BIT if bit else _Z, _BIT)


@njit(nogil=True, cache=True)
def take_escape(state, words, position, index):
    """(distance, position); a distance of 0 says that it was too long."""
    negative, position = take_bit(state, words, position)
    order = _golomb_order(index)
    prefix = 0
    while True:
        more, position = take_bit(state, words, position)
        if not more:
            break
        prefix += 1
        if prefix > _MAX_PREFIX:
            return 0, position
    excess = 1
    for _ in range(order + prefix):
        bit, position = take_bit(state, words, position)
        excess = 2 * excess + (1 if bit else 0)
    distance = excess - (1 << order) + WINDOW + 1
    return -distance if negative else distance, position


@njit(nogil=True, cache=True)
def draw_escape(chance, index):
    """The distance that `put_escape` would write as these random bits: 1 + 16 + 22 of them at the most."""
    negative = chance & _UNIT
    chance >>= _UNIT
    order = _golomb_order(index)
    prefix = 0
    while prefix < _MAX_PREFIX and chance & _UNIT:
        prefix += 1
        chance >>= _UNIT
    chance >>= _UNIT
    above = np.int64(1) << (order + prefix)
    distance = above + (np.int64(chance) & (above - 1)) - (1 << order) + WINDOW + 1
    return -distance if negative else distance


@njit(nogil=True, cache=True)
def take_flag(seen, state, words, position):
    """The inverse of `put_flag`: (flag, position)."""
    flag, position = take_split(state, words, position, _flag_split(seen))
    seen[flag] += 1
    return flag, position


@njit(nogil=True, cache=True)
def words_left(words, position):
    """Whether a decoded stream is longer than what was read: an encoder writes a word whenever a decoder reads one,
    and at most one more, never a zero at the end."""
    count = words.shape[0]
    return position - 1 < count or (count > 0 and words[count - 1] == 0)
