"""What every representation of a GOP can do; encoder, decoder, container and CLI know no more than this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nerv_codec.base.arriving import Arriving
from nerv_codec.base.video import Plane
from nerv_codec.representations.coordinates import GopGeometry

if TYPE_CHECKING:
    from torch import Tensor

BAND_SAMPLES = 1 << 18
"""Samples that a function on a CPU is evaluated in at a time, as a rule."""


@dataclass(frozen=True)
class GopSummary:
    """What a GOP's payload says before it is decoded."""

    digest: int
    """CRC-32 of its integers."""
    part_bytes: dict[str, int]
    """Bytes by part; they add up to the payload's."""
    macs_per_sample: int
    """Multiplications to evaluate one coordinate."""


def plane_numbers(planes: Sequence[int] | None, geometry: GopGeometry) -> Sequence[int]:
    """What ``Representation.render`` is asked for: all planes if it is None."""
    return range(geometry.num_planes) if planes is None else planes


class Representation(Protocol):
    """A function f(t, row, col; W) on the box of one GOP.

    It is pointwise: the value at one coordinate does not depend on which others are asked for.
    """

    geometry: GopGeometry

    @property
    def band_samples(self) -> int:
        """Samples that a picture is best evaluated in at a time: bounds memory whatever the picture's size."""
        ...

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate."""
        ...

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice.

        Args:
            times: (T,) in frames of this GOP, rows: (R,), cols: (C,) in pixels; float64, any real numbers
                inside ``geometry.bounds``.
            planes: Which planes are wanted, in this order; None is all.

        Returns:
            (T, planes, R, C) float32, code values divided by the largest one; not clipped. On any device.

        Raises:
            CoordinateRangeError: A coordinate lies outside the box.
        """
        ...

    def codes(self, t: float, plane: int, rows: Tensor, cols: Tensor, depth: int) -> Plane | None:
        """f on a lattice where it is kept as code values: the same as of ``render``, rounded, without its floats.

        Args:
            t: In frames of this GOP.
            plane: Which.
            rows: (R,), cols: (C,), as for ``render``.
            depth: Bits of a code value.

        Returns:
            (R, C), not to be written to; None where f has to be evaluated.
        """
        ...

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points: (..., 3) of (t, row, col) to (..., num_planes) float32. Raises as ``render``."""
        ...


@dataclass(frozen=True)
class Opened:
    """A GOP of which no more is decoded than what its function is asked for needs.

    Attributes:
        function: f; its methods raise BitstreamError where they come upon damage.
        digest: CRC-32 of its integers, as the file has it.
        part_bytes: Bytes of the payload by part, complete when all is decoded.
        frames: What is decoded frame by frame; None if all of it is there at once.
    """

    function: Representation
    digest: int
    part_bytes: dict[str, int]
    frames: Arriving[Any] | None = None

    def rest(self, until: Callable[[], bool] = lambda: False) -> None:
        """Decodes what is left, and compares it with the digest.

        Args:
            until: Asked after each frame whether to stop there.

        Raises:
            BitstreamError: The payload is damaged.
        """
        if self.frames is not None:
            self.frames.rest(until)
