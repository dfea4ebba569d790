"""Plain data that the layers hand to each other: video geometry, colour, frames. No torch.nn here."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Plane = npt.NDArray[Any]
"""One picture plane, (rows, cols), uint8 for a bit depth of 8, else uint16."""
DEFAULT_RATE = Fraction(25)
"""Frames per second of a video that does not say how many it has."""


@dataclass(frozen=True)
class PixelFormat:
    """How a picture is laid out in planes: their number, their subsampling and their bit depth."""

    num_planes: int = 3
    """1 (gray) or 3 (Y, U, V; or G, B, R where the matrix is the identity)."""
    chroma_row_shift: int = 1
    """log2 of the vertical subsampling of planes 1 and 2: 0, 1 or 2."""
    chroma_col_shift: int = 1
    """log2 of the horizontal subsampling of planes 1 and 2: 0, 1 or 2."""
    bit_depth: int = 8
    """Bits per sample, 8..16."""

    @property
    def max_value(self) -> int:
        """The largest code value, 2**bit_depth - 1."""
        return (1 << self.bit_depth) - 1

    @property
    def unsubsampled(self) -> PixelFormat:
        """The same number of planes and bit depth with all planes at the picture's size (4:4:4)."""
        return PixelFormat(self.num_planes, 0, 0, self.bit_depth)

    def plane_size(self, plane: int, height: int, width: int) -> tuple[int, int]:
        """(rows, cols) of one plane of a ``height`` x ``width`` picture; odd sizes round up."""
        if plane == 0:
            return height, width
        return -(-height >> self.chroma_row_shift), -(-width >> self.chroma_col_shift)


@dataclass(frozen=True)
class ColorInfo:
    """What code values mean, in the code points of ITU-T H.273 (2 = unspecified)."""

    matrix: int = 2
    """matrix_coefficients: 0 identity (planes are G, B, R), 1 BT.709, 5/6 BT.601, 9 BT.2020."""
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False
    chroma_location: int = 1
    """Where chroma samples sit: 1 left, 2 centre, 3 top-left, 4 top, 5 bottom-left, 6 bottom."""


@dataclass(frozen=True)
class VideoInfo:
    """Everything about a video's lattice except its length and its frame times."""

    width: int
    height: int
    pixel_format: PixelFormat = field(default_factory=PixelFormat)
    color: ColorInfo = field(default_factory=ColorInfo)
    sample_aspect: Fraction = Fraction(1)
    """Width over height of one pixel."""
    time_base: Fraction = Fraction(1, 1000)
    """Seconds per unit of pts."""
    orientation: int = 0
    """How a player turns the stored picture: bit 0 rows and columns are exchanged, then bit 1 left and right,
    bit 2 top and bottom. The planes themselves are as stored."""


@dataclass(frozen=True)
class PlanarFrame:
    """One picture as code values, the unit in which the media layer reads and writes."""

    planes: tuple[Plane, ...]
    """``PixelFormat.num_planes`` arrays (rows, cols), uint8 or uint16."""
    pts: int
    """Presentation time in units of ``VideoInfo.time_base``."""
    duration: int = 0
    """How long the frame is shown, same unit; 0 where the source does not say."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    data: Tensor
    """RGB, (3, H, W), uint8."""
    pts_seconds: float
    """When it is shown, in seconds."""
    duration_seconds: float
    """How long it is shown, in seconds."""

    def __repr__(self) -> str:
        return (
            f"Frame(data={tuple(self.data.shape)} {self.data.dtype}, pts_seconds={self.pts_seconds:.6f}, "
            f"duration_seconds={self.duration_seconds:.6f})"
        )


@dataclass(frozen=True)
class FrameBatch:
    """Several decoded frames of one size."""

    data: Tensor
    """RGB, (N, 3, H, W), uint8."""
    pts_seconds: Tensor
    """(N,), float64."""
    duration_seconds: Tensor
    """(N,), float64."""

    def __len__(self) -> int:
        return int(self.data.shape[0])

    @overload
    def __getitem__(self, index: SupportsIndex) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> FrameBatch: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Frame | FrameBatch:
        """One frame, or the batch of a slice."""
        if isinstance(index, slice):
            return FrameBatch(self.data[index], self.pts_seconds[index], self.duration_seconds[index])
        index = operator.index(index)
        return Frame(self.data[index], float(self.pts_seconds[index]), float(self.duration_seconds[index]))

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"FrameBatch(data={tuple(self.data.shape)} {self.data.dtype}, {len(self)} frames)"


def plane_dtype(bit_depth: int) -> type[np.uint8] | type[np.uint16]:
    """The array type of a plane of ``bit_depth`` bits."""
    return np.uint8 if bit_depth <= 8 else np.uint16
