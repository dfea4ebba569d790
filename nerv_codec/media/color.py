"""Code values to RGB: matrix, range and chroma siting (ITU-T H.273, BT.601, BT.709, BT.2020).

Where a file does not specify its matrix, BT.601 is assumed below 720 rows and BT.709 from there on, as players do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nerv_codec.base.video import ColorInfo, PixelFormat, Plane, VideoInfo

UNSPECIFIED = 2
"""The code point of a matrix that a file leaves open."""
IDENTITY = 0
"""That of planes which are G, B, R."""
_LUMA_WEIGHTS = {  # matrix_coefficients: (K_R, K_B)
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_SITES = {  # chroma location: place of a chroma sample between its first (0) and last (1) luma row, col
    1: (0.5, 0.0),  # left
    2: (0.5, 0.5),  # centre
    3: (0.0, 0.0),  # top left
    4: (0.0, 0.5),  # top
    5: (1.0, 0.0),  # bottom left
    6: (1.0, 0.5),  # bottom
}
_DEFAULT_SITE = 1


def yuv_to_rgb(planes: Sequence[Tensor], info: VideoInfo) -> Tensor:
    """Returns pictures as 8-bit RGB, with chroma interpolated linearly from where its samples sit.

    Args:
        planes: ``info.pixel_format.num_planes`` tensors (N, rows, cols) of integer code values.
        info: Size, layout and colour of the pictures.

    Returns:
        (N, 3, H, W), uint8, on the device of ``planes``.
    """
    layout = info.pixel_format
    values = [plane.to(torch.float32) / layout.max_value for plane in planes]
    if layout.num_planes == 3 and (layout.chroma_row_shift or layout.chroma_col_shift):
        rows, cols = chroma_sites(info.height, info.width, layout, info.color)
        for index in (1, 2):
            by_rows = _interpolate(values[index], rows, info.height, dim=-2)
            values[index] = _interpolate(by_rows, cols, info.width, dim=-1)
    rgb = codes_to_rgb(torch.stack(values, dim=-1), info)
    return (rgb * 255).round().to(torch.uint8).movedim(-1, 1)


def planes_to_rgb(planes: Sequence[Plane], info: VideoInfo) -> Tensor:
    """Returns one picture as 8-bit RGB: (3, H, W), uint8, on the CPU. See :func:`yuv_to_rgb`."""
    return yuv_to_rgb([torch.from_numpy(plane)[None] for plane in planes], info)[0]


def codes_to_rgb(values: Tensor, info: VideoInfo) -> Tensor:
    """Returns RGB in [0, 1] for samples that all sit at the same place.

    Args:
        values: (..., P), floating point: code values divided by ``info.pixel_format.max_value``;
            P is 1 (Y) or 3 (Y, U, V; or G, B, R where the matrix is the identity).
        info: Layout, colour and, for an unspecified matrix, height.

    Returns:
        (..., 3): R, G, B in [0, 1], with the dtype and device of ``values``.
    """
    matrix, offset = rgb_transform(info)
    with torch.autocast(values.device.type, enabled=False):
        return (values @ matrix.T.to(values) + offset.to(values)).clamp(0, 1)


def rgb_transform(info: VideoInfo) -> tuple[Tensor, Tensor]:
    """Returns the affine map from code values to RGB: ``rgb = matrix @ codes + offset``.

    Codes are divided by the largest code value; RGB is 0 for black and 1 for white; nothing is clipped (H.273, 8.3).

    Returns:
        matrix (3, P) and offset (3,), float64.
    """
    layout, color = info.pixel_format, info.color
    top = float(layout.max_value)
    unit = float(1 << (layout.bit_depth - 8))
    luma_zero, luma_span = (0.0, top) if color.full_range else (16 * unit, 219 * unit)
    if layout.num_planes == 1:
        zeros, spans, mixing = [luma_zero], [luma_span], torch.ones(3, 1, dtype=torch.float64)
    elif color.matrix == IDENTITY:
        zeros, spans = [luma_zero] * 3, [luma_span] * 3
        mixing = torch.eye(3, dtype=torch.float64)[[2, 0, 1]]
    else:
        chroma_span = top if color.full_range else 224 * unit
        zeros, spans = [luma_zero, 128 * unit, 128 * unit], [luma_span, chroma_span, chroma_span]
        mixing = ycbcr_matrix(resolved_matrix(color.matrix, info.height))
    matrix = mixing * top / torch.tensor(spans, dtype=torch.float64)
    return matrix, -matrix @ torch.tensor(zeros, dtype=torch.float64) / top


def ycbcr_matrix(matrix_coefficients: int) -> Tensor:
    """Returns the (3, 3) float64 matrix from Y in [0, 1] and Cb, Cr in [-0.5, 0.5] to R, G, B.

    Raises:
        KeyError: The code point has no luma weights (those that have are 1, 4 to 7, 9 and 10).
    """
    red, blue = _LUMA_WEIGHTS[matrix_coefficients]
    green = 1 - red - blue
    from_cb, from_cr = 2 * (1 - blue), 2 * (1 - red)
    rows = [
        [1, 0, from_cr],
        [1, -from_cb * blue / green, -from_cr * red / green],
        [1, from_cb, 0],
    ]
    return torch.tensor(rows, dtype=torch.float64)


def resolved_matrix(matrix_coefficients: int, height: int) -> int:
    """Returns the code point if it has luma weights; else 6 (BT.601) below 720 rows and 1 (BT.709) from there on."""
    if matrix_coefficients in _LUMA_WEIGHTS:
        return matrix_coefficients
    return 6 if height < 720 else 1


def chroma_sites(height: int, width: int, pixel_format: PixelFormat, color: ColorInfo) -> tuple[Tensor, Tensor]:
    """Returns where chroma samples sit, in units of luma samples, where luma sample i sits at i.

    For example 4:2:0: rows 2i + 0.5 and columns 2j (left), or 2j + 0.5 (centre).

    Returns:
        rows and cols of the chroma planes, 1-D, float64.
    """
    num_rows, num_cols = pixel_format.plane_size(1, height, width)
    row_place, col_place = _SITES.get(color.chroma_location, _SITES[_DEFAULT_SITE])
    return (
        _sites(num_rows, pixel_format.chroma_row_shift, row_place),
        _sites(num_cols, pixel_format.chroma_col_shift, col_place),
    )


def _sites(count: int, shift: int, place: float) -> Tensor:
    step = 1 << shift
    return torch.arange(count, dtype=torch.float64) * step + (step - 1) * place


def _interpolate(values: Tensor, sites: Tensor, count: int, *, dim: int) -> Tensor:
    """Returns samples at positions 0 .. count - 1 along ``dim``, interpolated linearly between evenly spaced ``sites``.

    Positions beyond the outermost site have its value.
    """
    step = float(sites[1] - sites[0]) if len(sites) > 1 else 1.0
    position = ((torch.arange(count, dtype=torch.float64) - sites[0]) / step).clamp(0, len(sites) - 1)
    lower = position.floor().long()
    weight = (position - lower).to(values)
    lower = lower.to(values.device)
    upper = (lower + 1).clamp(max=len(sites) - 1)
    if dim == -2:
        weight = weight[:, None]
    return torch.lerp(values.index_select(dim, lower), values.index_select(dim, upper), weight)
