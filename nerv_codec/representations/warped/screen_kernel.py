"""Samples of screen content, one after another: guesses of what follows, then the value itself.

What is drawn repeats: the same few values, in the same surroundings. So a sample is first said to be, or not, what
followed its surroundings at last, and only then, rarely, said bit by bit. Every decision is mixed from what several
surroundings let expect of it, as the models of images in PAQ do (Mahoney 2005); they are found by hashes, without a
look at whose place it is.
"""

from __future__ import annotations

import numpy as np

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.warped.decision_kernel import LOGIT, ONE, mixed_bit, single_bit

CONTEXTS = 6
"""Surroundings of a sample, from none to many."""
REMEMBERED = 4
"""Those of them that tell what followed last: the last ones."""
PLACE_BITS = 18
GUESSES = 3
"""Different ones that are asked for at most."""
KINDS = GUESSES + 8
FLAT = 300
"""The decision that all stays as it is, behind those for guesses and bits."""
BITS = -np.log2((np.arange(len(LOGIT)) + 0.5) / len(LOGIT))
"""Of a decision, by its probability in 1/4096."""


@njit(nogil=True, cache=True, forceinline=True)
def _hash(before, value):
    mixed = ((before + value + 1) * 0x9E3779B1) & 0xFFFFFFFF
    return mixed ^ (mixed >> 15)


@njit(nogil=True, cache=True, forceinline=True)
def _place(surroundings, decision):
    return (((surroundings + decision) * 0x85EBCA6B) & 0xFFFFFFFF) >> (32 - PLACE_BITS)


@njit(nogil=True, cache=True, forceinline=True)
def _look(x, known, guide, r, c, plane, hashes):
    """Fills in the hashes of what surrounds a sample; returns what is left, above, and whether all is alike."""
    cols = x.shape[1]
    n = np.int64(x[r - 1, c]) if r > 0 else np.int64(known[r, c])
    w = np.int64(x[r, c - 1]) if c > 0 else n
    nw = np.int64(x[r - 1, c - 1]) if r > 0 and c > 0 else n
    ne = np.int64(x[r - 1, c + 1]) if r > 0 and c + 1 < cols else n
    ww = np.int64(x[r, c - 2]) if c > 1 else w
    nn = np.int64(x[r - 2, c]) if r > 1 else n
    hashes[0] = _hash(np.int64(0), plane)
    hashes[1] = _hash(hashes[0], w)
    hashes[2] = _hash(hashes[1], n)
    corner = _hash(hashes[2], nw)
    hashes[3] = _hash(corner, ne)
    hashes[4] = _hash(corner, 256 + np.int64(guide[r, c]))
    hashes[5] = _hash(_hash(hashes[3], ww), nn)
    return w, n, w == n and w == nw and w == ne and w == ww and w == nn


@njit(nogil=True, cache=True, forceinline=True)
def _decide(encoding, bit, decision, first, weight, hashes, estimates, places, inputs, state, words, at):
    """Codes or reads a decision in all surroundings, of which the first stands for none: (bit, at, its bits)."""
    places[0] = _place(first, decision)
    for k in range(1, CONTEXTS):
        places[k] = (k << PLACE_BITS) + _place(hashes[k], decision)
    bit, at, p = mixed_bit(encoding, bit, estimates, places, weight, inputs, state, words, at)
    return bit, at, BITS[(ONE - p if bit else p) >> 4]


@njit(nogil=True, cache=True, forceinline=True)
def _guessed(encoding, value, guesses, tried, count, weights, hashes, estimates, places, inputs, state, words, at):
    """Asks for guesses, one after another; returns (the value, -1 if it is none of them, at, bits)."""
    bits = 0.0
    for guess in guesses:
        new = guess >= 0
        for k in range(count):
            new = new and tried[k] != guess
        if new:
            agreeing = 0
            for k in range(guesses.shape[0]):
                agreeing |= (1 << k) if guesses[k] == guess else 0
            first = _hash(hashes[0], 512 + agreeing)
            other, at, taken = _decide(
                encoding, 0 if guess == value else 1, count, first, weights[count], hashes, estimates, places, inputs,
                state, words, at,
            )  # fmt: skip
            bits += taken
            if other == 0:
                return guess, at, bits
            tried[count] = guess
            count += 1
            if count == GUESSES:
                break
    return -1, at, bits


@njit(nogil=True, cache=True, forceinline=True)
def _spelt(encoding, value, weights, hashes, estimates, places, inputs, state, words, at):
    """A value bit by bit, the highest first; returns (the value, at, bits)."""
    node, bits = np.int64(1), 0.0
    for k in range(8):
        bit, at, taken = _decide(
            encoding, (value >> (7 - k)) & 1, GUESSES + node, hashes[0], weights[GUESSES + k], hashes, estimates,
            places, inputs, state, words, at,
        )  # fmt: skip
        bits += taken
        node = 2 * node + bit
    return node - 256, at, bits


@njit(nogil=True, cache=True, allocates=True)
def code_plane(encoding, x, known, guide, flags, side, plane, predicted, models, costs, state, words, at):
    """Writes or reads the samples of a plane in squares whose flag is set; returns the position of words.

    Args:
        encoding: Whether to write.
        x: (rows, cols) uint8, the samples; outside of the squares, what is known of them.
        known: Alike, what is expected of all samples.
        guide: Alike, what else goes with them.
        flags: Of squares.
        side: Of a square.
        plane: 0, 1, 2.
        predicted: Whether what is expected comes from parents, and is a guess.
        models: `screen.Room`.
        costs: (rows, cols) of squares: bits are added here.
        state: Of the range coder.
        words: Of the stream.
        at: Position in them.
    """
    estimates, weights, last = models
    own = weights[KINDS * plane : KINDS * (plane + 1)]
    hashes, places, inputs = np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS, np.int64), np.zeros(CONTEXTS, np.int64)
    guesses, tried = np.zeros(REMEMBERED + 3, np.int64), np.zeros(GUESSES, np.int64)
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            if not flags[r // side, c // side]:
                continue
            w, n, flat = _look(x, known, guide, r, c, plane, hashes)
            count, bits = 0, 0.0
            if flat and not (predicted and known[r, c] != w):
                estimate = estimates[((CONTEXTS - 1) << PLACE_BITS) + _place(hashes[-1], FLAT)]
                bit, at, p = single_bit(encoding, 0 if x[r, c] == w else 1, estimate, state, words, at)
                bits = BITS[(ONE - p if bit else p) >> 4]
                if bit == 0:
                    x[r, c] = w
                    costs[r // side, c // side] += bits
                    continue
                tried[0], count = w, 1
            guesses[-2], guesses[-1] = w, n
            guesses[0] = known[r, c] if predicted else -1
            for k in range(REMEMBERED):
                guesses[1 + k] = last[k, _place(hashes[-1 - k], 0)]
            value, at, more = _guessed(
                encoding,
                np.int64(x[r, c]),
                guesses,
                tried,
                count,
                own,
                hashes,
                estimates,
                places,
                inputs,
                state,
                words,
                at,
            )
            bits += more
            if value < 0:
                value, at, more = _spelt(
                    encoding, np.int64(x[r, c]), own, hashes, estimates, places, inputs, state, words, at
                )
                bits += more
            x[r, c] = value
            for k in range(REMEMBERED):
                last[k, _place(hashes[-1 - k], 0)] = value
            costs[r // side, c // side] += bits
    return at
