"""Single signed numbers to a stream and back, with counts that adapt: those of fades and of whole pictures' motion."""

from __future__ import annotations

import numpy as np

from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter


def number_counts(largest: int) -> Counts:
    """(rows, 2): of zero, of the sign, of bits, then of the ones before them.

    Args:
        largest: 2^k - 1, what numbers may be, either sign.
    """
    return np.zeros((2 + largest.bit_length(), 2), np.int64)


def put_number(number: int, counts: Counts, out: StreamWriter) -> None:
    """Zero or not, the sign, and the magnitude in an Exp-Golomb code, which cannot say more than the largest."""
    zero, sign, low, *ones = counts
    out.flag(number != 0, zero)
    if number:
        out.flag(number < 0, sign)
        bits = abs(number).bit_length() - 1
        for k in range(min(bits + 1, len(ones))):
            out.flag(k < bits, ones[k])
        for k in reversed(range(bits)):
            out.flag(bool(abs(number) >> k & 1), low)


def take_number(counts: Counts, source: StreamReader) -> int:
    """The inverse of :func:`put_number`."""
    zero, sign, low, *ones = counts
    if not source.flag(zero):
        return 0
    negative, bits, magnitude = source.flag(sign), 0, 1
    while bits < len(ones) and source.flag(ones[bits]):
        bits += 1
    for _ in range(bits):
        magnitude = 2 * magnitude + source.flag(low)
    return -magnitude if negative else magnitude
