"""How a function's samples lie: planes, their sizes and places, as the head of a payload has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.representations.coordinates import GopGeometry

Axes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class SampleLayout:
    """Where the samples lie that a function goes through."""

    pixel_format: PixelFormat
    chroma_location: int
    """As ``ColorInfo`` has it."""

    @classmethod
    def of(cls, info: VideoInfo) -> SampleLayout:
        """The layout of a video."""
        return cls(info.pixel_format, info.color.chroma_location)

    @classmethod
    def read(cls, reader: ByteReader, geometry: GopGeometry) -> SampleLayout:
        """The layout at the head of a payload. Raises BitstreamError."""
        layout, depth, location = reader.u8(), reader.u8(), reader.u8()
        planes, rows, cols = (3 if layout & 1 else 1), layout >> 1 & 3, layout >> 3 & 3
        if layout >> 5 or 3 in (rows, cols) or (planes == 1 and (rows or cols)) or planes != geometry.num_planes:
            raise BitstreamError(f"expected a layout of {geometry.num_planes} planes, found {layout:#04x}")
        if not (8 <= depth <= 16 and 1 <= location <= 6):
            raise BitstreamError(f"expected 8..16 bits and a chroma location of 1..6, found {depth} and {location}")
        return cls(PixelFormat(planes, rows, cols, depth), location)

    def write(self, out: ByteWriter) -> None:
        """Puts it at the head of a payload."""
        fmt = self.pixel_format
        out.u8((fmt.num_planes == 3) | fmt.chroma_row_shift << 1 | fmt.chroma_col_shift << 3)
        out.u8(fmt.bit_depth)
        out.u8(self.chroma_location)

    def shifts(self, plane: int) -> tuple[int, int]:
        """log2 of the subsampling of one plane, of rows and columns."""
        fmt = self.pixel_format
        return (fmt.chroma_row_shift, fmt.chroma_col_shift) if plane else (0, 0)

    def sites(self, plane: int, geometry: GopGeometry) -> Axes:
        """Rows and columns at which one plane has its samples, in pixels, inside the box; ascending."""
        if plane == 0:
            return np.arange(geometry.height, dtype=float), np.arange(geometry.width, dtype=float)
        from nerv_codec.media.color import chroma_sites  # brings torch, which who reads sizes only need not wait for

        color = ColorInfo(chroma_location=self.chroma_location)
        rows, cols = chroma_sites(geometry.height, geometry.width, self.pixel_format, color)
        return rows.numpy().clip(-0.5, geometry.height - 0.5), cols.numpy().clip(-0.5, geometry.width - 0.5)
