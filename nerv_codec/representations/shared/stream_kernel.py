"""Ends and flags of a range-coded stream; the coder itself is that of `entropy.latent_coder`."""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.entropy.latent_coder import _PRECISION, _UNIT, _WORD, _WORD_MASK, _Z, _advance, _put


@njit(nogil=True, cache=True)
def put_flag(flag, seen, state, words, used):
    """Codes 0 or 1 with what the flags so far say of it; returns the number of words."""
    split = _split(seen)
    seen[flag] += 1
    if flag:
        return _put(state, words, used, split, np.uint64(1 << 24) - split)
    return _put(state, words, used, _Z, split)


@njit(nogil=True, cache=True)
def take_flag(seen, state, words, position):
    """The inverse of `put_flag`: (flag, position)."""
    split = _split(seen)
    flag = 1 if state[2] - state[0] >= (state[1] >> _PRECISION) * split else 0
    seen[flag] += 1
    if flag:
        return flag, _advance(state, words, position, split, np.uint64(1 << 24) - split)
    return flag, _advance(state, words, position, _Z, split)


@njit(nogil=True, cache=True)
def _split(seen):
    return np.uint64(((2 * seen[0] + 1) << 24) // (2 * (seen[0] + seen[1]) + 2))


@njit(nogil=True, cache=True)
def finish(state, words, used):
    """Ends a stream; returns the number of words, without zeros at the end. There must be room for two more."""
    if state[0] != _Z:
        # The end is 2**64 (only a carry) if that lies in the range, else the next multiple of 2**32, which always does.
        end = (state[0] + _WORD_MASK) & ~_WORD_MASK
        if state[0] + (state[1] - _UNIT) < state[0]:
            k = used - 1
            while k >= 0:
                words[k] = np.uint32(words[k] + np.uint32(1))
                if words[k] != 0:
                    break
                k -= 1
        else:
            words[used] = np.uint32(end >> _WORD)
            used += 1
    while used > 0 and words[used - 1] == 0:
        used -= 1
    return used
