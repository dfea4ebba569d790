"""Words of the command line to values: times, rates, sizes, crops. Each raises ArgumentTypeError."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from fractions import Fraction


def time_or_frame(text: str) -> float | int:
    """``12.5`` and ``00:00:12.5`` are seconds (float), ``f:300`` is a frame number (int)."""
    if match := re.fullmatch(r"f:(\d+)", text):
        return int(match[1])
    if match := re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text):
        hours, minutes, seconds = (float(part) if part else 0.0 for part in match.groups())
        return 3600 * hours + 60 * minutes + seconds
    raise ArgumentTypeError(f"expected seconds, HH:MM:SS or f:FRAME, found {text!r}")


def rate(text: str) -> Fraction | None:
    """``24``, ``59.94``, ``30000/1001``; ``source`` is None."""
    if text == "source":
        return None
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ArgumentTypeError(f"expected a rate as 24, 59.94 or 30000/1001, found {text!r}") from None
    if not 0 < value <= 10000:
        raise ArgumentTypeError(f"expected a rate in (0, 10000], found {text}")
    return value.limit_denominator(100000)


def size(text: str) -> tuple[int, int]:
    """``640x360`` as (width, height)."""
    if match := re.fullmatch(r"(\d+)x(\d+)", text):
        return int(match[1]), int(match[2])
    raise ArgumentTypeError(f"expected WIDTHxHEIGHT, found {text!r}")


def crop(text: str) -> tuple[int, int, int, int]:
    """``64x48+10+20`` as (width, height, left, top)."""
    if match := re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text):
        return int(match[1]), int(match[2]), int(match[3]), int(match[4])
    raise ArgumentTypeError(f"expected WIDTHxHEIGHT+LEFT+TOP, found {text!r}")


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a number, found {text!r}") from None
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def crf(text: str) -> float:
    """A quality, 0..63; lower is better."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 63:
        raise ArgumentTypeError(f"expected a crf in 0..63, found {text!r}")
    return value


def bitrate(text: str) -> float:
    """``500k``, ``1.5M``, ``800000``: bits a second."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([kMG]?)", text)
    if not match or not float(match[1]):
        raise ArgumentTypeError(f"expected bits a second as 500k or 1.5M, found {text!r}")
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]


def byte_size(text: str) -> int:
    """``300kB``, ``1MiB``, ``2000000``: bytes; kB, MB and GB are powers of 1000, KiB, MiB and GiB of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:(k|K|M|G)(i?)B?|B)?", text)
    factor = 0 if not match else (1024 if match[3] else 1000) ** " kMG".index((match[2] or " ").replace("K", "k"))
    size = round(float(match[1]) * factor) if match else 0
    if not size:
        raise ArgumentTypeError(f"expected a size as 300kB, 1MiB or a number of bytes, found {text!r}")
    return size


def crfs(text: str) -> tuple[float, ...]:
    """``20,26,32``, each once, best first."""
    return tuple(sorted({crf(part) for part in text.split(",")}))


def count(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def track(text: str) -> int:
    """The number of a track, from 0."""
    if not re.fullmatch(r"\d+", text):
        raise ArgumentTypeError(f"expected the number of a track, from 0, found {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Where chance begins: a whole number from 0."""
    if not re.fullmatch(r"\d{1,18}", text):
        raise ArgumentTypeError(f"expected a whole number from 0, found {text!r}")
    return int(text)
