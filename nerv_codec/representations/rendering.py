"""A GOP's function evaluated as pictures: which coordinates a picture's samples have, and their code values."""

from __future__ import annotations

import dataclasses
import functools
import numbers
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.errors import UsageError, expect
from nerv_codec.base.video import PixelFormat, Plane, VideoInfo, plane_dtype
from nerv_codec.media.color import IDENTITY, UNSPECIFIED, chroma_sites, resolved_matrix
from nerv_codec.representations.representation import Representation

MAX_PICTURE_PIXELS = 1 << 28
MAX_PICTURE_SIDE = 1 << 16


@dataclass(frozen=True)
class View:
    """A window into a picture of any size that shows the whole clip.

    The full picture has ``full_height`` x ``full_width`` pixels that tile the source's area; the window is
    ``height`` x ``width`` of them from (``top``, ``left``).
    """

    full_height: int
    full_width: int
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def whole(cls, height: int, width: int) -> View:
        """All of a ``height`` x ``width`` picture."""
        return cls(height, width, 0, 0, height, width)


def view_info(info: VideoInfo, view: View, pixel_format: PixelFormat | None = None) -> VideoInfo:
    """What ``info`` becomes for pictures of ``view``, of the source's layout or another one.

    A size of another shape changes the pixels' aspect. A matrix that the source leaves open is guessed from
    its height; pictures of another height must not be guessed anew.
    """
    stretch = Fraction(view.full_height, view.full_width) / Fraction(info.height, info.width)
    color = info.color
    elsewhere = color.matrix == UNSPECIFIED and view != View.whole(info.height, info.width)
    if color.matrix != IDENTITY and (pixel_format is not None or elsewhere):
        color = dataclasses.replace(color, matrix=resolved_matrix(color.matrix, info.height))
    return dataclasses.replace(
        info,
        width=view.width,
        height=view.height,
        pixel_format=pixel_format or info.pixel_format,
        color=color,
        sample_aspect=(info.sample_aspect * stretch).limit_denominator(1 << 16),
    )


def plane_groups(pixel_format: PixelFormat) -> tuple[tuple[int, ...], ...]:
    """Planes that have their samples at the same places: (0, 1, 2), or (0,) and (1, 2), or (0,)."""
    if pixel_format.num_planes == 1:
        return ((0,),)
    if pixel_format.chroma_row_shift == pixel_format.chroma_col_shift == 0:
        return ((0, 1, 2),)
    return (0,), (1, 2)


@functools.lru_cache(maxsize=16)
def plane_axes(out: VideoInfo, plane: int, view: View, info: VideoInfo) -> tuple[Tensor, Tensor]:
    """Rows and columns of the samples of one plane of an output picture, in pixels of the source: float64.

    Chroma samples sit where the colour information says. Some of an odd-sized picture lie outside it and are moved onto
    its edge. The same tensors are given each time.
    """
    if plane in plane_groups(out.pixel_format)[0]:
        rows = torch.arange(out.height, dtype=torch.float64)
        cols = torch.arange(out.width, dtype=torch.float64)
    else:
        rows, cols = chroma_sites(out.height, out.width, out.pixel_format, out.color)
    rows = (rows + view.top + 0.5) * (info.height / view.full_height) - 0.5
    cols = (cols + view.left + 0.5) * (info.width / view.full_width) - 0.5
    return rows.clamp(-0.5, info.height - 0.5), cols.clamp(-0.5, info.width - 0.5)


def render_planes(model: Representation, t: float, info: VideoInfo, view: View, out: VideoInfo) -> tuple[Plane, ...]:
    """One picture at time ``t``.

    Args:
        model: The function of the GOP that holds ``t``.
        t: Frames since the GOP's first, 0..num_frames-1, any real number.
        info: The source's lattice.
        view: Which pixels are wanted.
        out: ``view_info(info, view, ...)``: the layout of the planes that come back.

    Returns:
        One (rows, cols) array a plane, uint8 or uint16 code values.
    """
    times = torch.tensor([t], dtype=torch.float64)
    peak, depth = out.pixel_format.max_value, out.pixel_format.bit_depth
    planes: list[Plane] = []
    for group in plane_groups(out.pixel_format):
        rows, cols = plane_axes(out, group[0], view, info)
        kept = {plane: model.codes(t, plane, rows, cols, depth) for plane in group}
        missing = [plane for plane, codes in kept.items() if codes is None]
        pictures = np.empty((len(missing), len(rows), len(cols)), plane_dtype(depth))
        band = max(1, model.band_samples // len(cols))
        for start in range(0, len(rows) if missing else 0, band):
            values = model.render(times, rows[start : start + band], cols, missing)[0]
            pictures[:, start : start + band] = _rounded(values, peak)
        evaluated = iter(pictures)
        planes += [next(evaluated) if codes is None else codes for codes in kept.values()]
    return tuple(planes)


def _rounded(values: Tensor, peak: int) -> npt.NDArray[np.float32]:
    """Real values as code values; on a CPU by one thread, since threads of operators this small wait for each other."""
    codes: npt.NDArray[np.float32]
    if values.device.type != "cpu":
        codes = values.mul(peak).round_().clamp_(0, peak).cpu().numpy()
    else:
        codes = values.numpy() * np.float32(peak)
        np.clip(np.rint(codes, out=codes), 0, peak, out=codes)
    return codes


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """(height, width) after scaling, at least one pixel. Raises UsageError for absurd sizes."""
    expect(isinstance(scale, numbers.Real) and 0 < scale <= 1024, "a scale in (0, 1024]", scale)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    check_size(*size)
    return size


def check_size(height: int, width: int) -> None:
    """Raises UsageError for pictures that nobody can hold in memory."""
    if not (1 <= height <= MAX_PICTURE_SIDE and 1 <= width <= MAX_PICTURE_SIDE):
        raise UsageError(f"expected pictures of 1 to {MAX_PICTURE_SIDE} pixels a side, found {width}x{height}")
    if height * width > MAX_PICTURE_PIXELS:
        raise UsageError(f"expected pictures of at most {MAX_PICTURE_PIXELS} pixels, found {width}x{height}")
