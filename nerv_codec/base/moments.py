"""What a time means that came as a floating-point number: one rule for all that enters the library."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import SupportsFloat, SupportsIndex

from nerv_codec.base.errors import UsageError

_SIMPLE_DENOMINATOR = 1_000_000
"""0.1 means 1/10, not the double next to it: a ratio of numbers up to this is taken for what was meant."""


def float_error(seconds: float) -> Fraction:
    """How far a time may lie from what was meant, in seconds: two units in the last place.

    A number that a float32 can hold may have been one (torch's default); its last place counts then, which is 4 ms at
    ten hours. All others are doubles.
    """
    try:
        single = struct.unpack("f", struct.pack("f", seconds))[0] == seconds
    except OverflowError:
        single = False
    unit = math.ldexp(1.0, max(math.frexp(seconds)[1], -125) - 24) if single else math.ulp(seconds)
    return 2 * Fraction(unit)


def time_or_number(where: SupportsFloat | SupportsIndex) -> float | int:
    """A place in a video as seconds (float) or as a frame's number (int), from any number or array of one number.

    Raises:
        UsageError: It is no number, or not finite.
    """
    try:
        return operator.index(where)  # type: ignore[arg-type]  # which answers for whatever it is given
    except TypeError:
        return _finite(where)


def _finite(seconds: object) -> float:
    try:
        number = float(seconds)  # type: ignore[arg-type]  # a float or it raises, as above
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"expected a time in seconds, found {seconds!r}") from None
    if not math.isfinite(number):
        raise UsageError(f"expected a time in seconds, found {number}")
    return number


def exact_seconds(seconds: SupportsFloat, marks: Sequence[Fraction] = (), origin: Fraction = Fraction(0)) -> Fraction:
    """The exact time that a number of seconds means.

    It is the nearest mark within the number's floating-point error, else a simple ratio within that error, else the
    number as it is.

    Args:
        seconds: Any number; integers and fractions are exact already, but meet marks as well.
        marks: Exact times on the same clock that are likely to be meant, in any order: those of frames around.
        origin: What the seconds count from.

    Returns:
        Seconds on the clock of the marks, ``origin`` included.

    Raises:
        UsageError: It is no finite number.
    """
    number = seconds if isinstance(seconds, Fraction) else _finite(seconds)
    error = float_error(float(number))
    target = origin + Fraction(number)
    nearest = min(marks, key=lambda mark: abs(mark - target), default=None)
    if nearest is not None and abs(nearest - target) <= error:
        return nearest
    simple = origin + Fraction(number).limit_denominator(_SIMPLE_DENOMINATOR)
    return simple if abs(simple - target) <= error else target
