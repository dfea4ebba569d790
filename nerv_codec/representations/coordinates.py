"""Where f is evaluated: the closed box of one GOP, and lattices of coordinates inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nerv_codec.base.errors import CoordinateRangeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GopGeometry:
    """The box on which one GOP's function is fitted.

    Time runs over frames 0..num_frames-1; pixel i covers i - 1/2 .. i + 1/2, so rows run over
    -1/2 .. height - 1/2 and columns over -1/2 .. width - 1/2.
    """

    num_frames: int
    height: int
    width: int
    num_planes: int

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """((low, high) of t, of row, of col)."""
        return (0.0, self.num_frames - 1.0), (-0.5, self.height - 0.5), (-0.5, self.width - 0.5)

    def normalise(self, axes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Values of t, of row and of col, each (..., ) float64, mapped from the box to [-1, 1].

        An axis without extent (one frame) maps to 0. Normalising axis by axis lets a lattice do it before
        the axes are multiplied out, with the same result to the bit.

        Raises:
            CoordinateRangeError: A value lies outside the box.
        """
        out = []
        for name, values, (low, high) in zip(("t", "row", "col"), axes, self.bounds, strict=True):
            if values.numel() and not (values.min() >= low and values.max() <= high):
                found = f"{float(values.min()):g}..{float(values.max()):g}"
                raise CoordinateRangeError(f"expected {name} in {low:g}..{high:g}, found {found}")
            out.append(2 * (values - low) / (high - low) - 1 if high > low else values - values)
        return tuple(out)


def lattice(times: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """All combinations of three axes, (T, R, C, 3) in (t, row, col).

    Args:
        times: (T,), rows: (R,), cols: (C,); float64.
    """
    import torch  # not above: what only reads a file needs geometries, but no torch

    return torch.stack(torch.meshgrid(times, rows, cols, indexing="ij"), dim=-1)
