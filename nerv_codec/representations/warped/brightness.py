"""Weighted prediction: how much brighter or darker a node is than each of its parents, in fades and flickering light.

Motion and prediction read the parent with its contrast multiplied and its luma moved (Boyce, Weighted prediction in the
H.264/MPEG AVC video coding standard, ISCAS 2004). Chroma is multiplied around neutral: a fade takes its colours along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped.compensate_kernel import GRAY
from nerv_codec.representations.warped.motion import BLOCK
from nerv_codec.representations.warped.numbers import number_counts, put_number, take_number
from nerv_codec.representations.warped.planes import LARGEST, UNIT, Planes, Samples

_BITS = 7
GAIN_UNIT = 1 << _BITS
"""The gain that changes nothing."""
OFFSET_UNIT = 4
"""Units of a sample."""
LARGEST_NUMBER = 1023
"""Of gain less GAIN_UNIT and of offset, either sign."""
_SHARE = 0.03
"""Of the squared error of block means, which must go away, ..."""
_LEAST = (UNIT / 2) ** 2
"""... and that much of it at least."""


@dataclass(frozen=True)
class Brightness:
    """Of a node against one parent.

    Attributes:
        gain: What samples are multiplied by, in 1 / GAIN_UNIT.
        offset: What is then added to luma, in OFFSET_UNIT of the units of a sample.
    """

    gain: int = GAIN_UNIT
    offset: int = 0

    def of(self, parent: Planes) -> Planes:
        """The parent as the node would show it, clipped to 0..LARGEST."""

        def plane(samples: Samples, neutral: int, offset: int) -> Samples:
            changed = (self.gain * (samples.astype(np.int32) - neutral) + GAIN_UNIT // 2) >> _BITS
            return (changed + neutral + offset).clip(0, LARGEST).astype(np.int16)

        luma = plane(parent.y, 0, OFFSET_UNIT * self.offset)
        return Planes(luma, plane(parent.u, GRAY, 0), plane(parent.v, GRAY, 0))


def changed(parents: Sequence[Planes], brightness: Sequence[Brightness]) -> Sequence[Planes]:
    """Parents as a node would show them; as they are if nothing is said of them."""
    return [one.of(parent) for one, parent in zip(brightness, parents, strict=True)] if brightness else parents


def estimated(source: Planes, parents: Sequence[Planes]) -> tuple[Brightness, ...]:
    """What brings parents close to a source: of each of them, or nothing if none is to be changed.

    It is a guess from means of blocks at equal places. The gain is the ratio of standard deviations, which motion
    hardly touches; a regression would take what has moved for a loss of contrast.
    """
    wanted = _means(source.y)
    found = tuple(_estimate(wanted, _means(parent.y)) for parent in parents)
    return found if any(one != Brightness() for one in found) else ()


def _estimate(wanted: npt.NDArray[np.float64], known: npt.NDArray[np.float64]) -> Brightness:
    spread = float(known.std())
    gain = round(GAIN_UNIT * float(wanted.std()) / spread) if spread > 0 else GAIN_UNIT
    gain = min(gain, GAIN_UNIT + LARGEST_NUMBER)
    offset = round(float(wanted.mean() - gain / GAIN_UNIT * known.mean()) / OFFSET_UNIT)
    offset = min(max(offset, -LARGEST_NUMBER), LARGEST_NUMBER)
    before = ((known - wanted) ** 2).mean()
    after = ((known * gain / GAIN_UNIT + offset * OFFSET_UNIT - wanted) ** 2).mean()
    return Brightness(gain, offset) if before - after > max(_SHARE * before, _LEAST) else Brightness()


def _means(plane: Samples) -> npt.NDArray[np.float64]:
    """Of blocks."""
    rows, cols = plane.shape
    blocks = plane.astype(np.float64).reshape(rows // BLOCK, BLOCK, cols // BLOCK, BLOCK)
    found: npt.NDArray[np.float64] = blocks.mean((1, 3))
    return found


@dataclass
class BrightnessCounts:
    """Of all flags so far.

    Attributes:
        used: Whether any parent is changed.
        gain: Of gains.
        offset: Of offsets.
    """

    used: Counts = field(default_factory=lambda: np.zeros(2, np.int64))
    gain: Counts = field(default_factory=lambda: number_counts(LARGEST_NUMBER))
    offset: Counts = field(default_factory=lambda: number_counts(LARGEST_NUMBER))


def put_brightness(brightness: Sequence[Brightness], counts: BrightnessCounts, out: StreamWriter) -> None:
    """Appends what a node says of its parents: of each of them, or nothing."""
    out.flag(bool(brightness), counts.used)
    for one in brightness:
        put_number(one.gain - GAIN_UNIT, counts.gain, out)
        put_number(one.offset, counts.offset, out)


def take_brightness(parents: int, counts: BrightnessCounts, source: StreamReader) -> tuple[Brightness, ...]:
    """The inverse of :func:`put_brightness` for a node with so many parents."""

    def one() -> Brightness:
        gain = GAIN_UNIT + take_number(counts.gain, source)
        return Brightness(gain, take_number(counts.offset, source))

    return tuple(one() for _ in range(parents)) if source.flag(counts.used) else ()
