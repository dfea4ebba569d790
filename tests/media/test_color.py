from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from av.video.reformatter import Interpolation

from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.media import layout as layouts
from nerv_codec.media.color import (
    chroma_sites,
    codes_to_rgb,
    resolved_matrix,
    rgb_transform,
    ycbcr_matrix,
    yuv_to_rgb,
)

FULL_444 = PixelFormat(3, 0, 0, 8)


def tensors(planes):
    return [torch.from_numpy(plane)[None] for plane in planes]


@pytest.mark.parametrize("layout", [(0, 0), (0, 1), (1, 1)], ids=["444", "422", "420"])
@pytest.mark.parametrize(("matrix", "name"), [(1, "ITU709"), (5, "ITU601"), (6, "SMPTE170M"), (9, "BT2020")], ids=str)
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_agrees_with_ffmpeg(layout, matrix, name, full_range, bit_depth):
    """All codes of the range (swscale wraps around at others); subsampled chroma is flat: filters differ by right."""
    color = ColorInfo(matrix=matrix, full_range=full_range)
    info = VideoInfo(64, 48, PixelFormat(3, *layout, bit_depth), color)
    rng = np.random.default_rng(matrix)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    unit = 1 << (bit_depth - 8)
    tops = [info.pixel_format.max_value] * 3 if full_range else [235 * unit, 240 * unit, 240 * unit]
    for _ in range(20 if any(layout) else 1):
        planes = tuple(
            rng.integers(0 if full_range else 16 * unit, top + 1, info.pixel_format.plane_size(index, 48, 64)).astype(
                dtype
            )
            for index, top in enumerate(tops)
        )
        if any(layout):
            for plane in planes[1:]:
                plane[:] = plane[0, 0]
        converted = layouts.planes_frame(planes, info.pixel_format, color).reformat(
            format="gbrp",
            src_colorspace=name,
            src_color_range=2 if full_range else 1,
            dst_color_range=2,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        )
        green, blue, red = layouts.frame_planes(converted, FULL_444)
        rgb = yuv_to_rgb(tensors(planes), info)[0].numpy()
        assert np.abs(rgb.astype(int) - np.stack([red, green, blue])).max() <= 1


@pytest.mark.parametrize("bit_depth", [8, 10, 12, 16])
def test_white_black_and_primaries(bit_depth):
    unit = 1 << (bit_depth - 8)
    info = VideoInfo(4, 4, PixelFormat(3, 0, 0, bit_depth), ColorInfo(matrix=1))
    codes = torch.tensor([[16, 128, 128], [235, 128, 128], [63, 102, 240]], dtype=torch.float64) * unit
    rgb = codes_to_rgb(codes / info.pixel_format.max_value, info)
    wanted = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=torch.float64)
    assert torch.allclose(rgb, wanted, atol=6e-3)
    assert torch.allclose(rgb[:2], wanted[:2], atol=1e-12)


def test_matrices_invert_the_luma_weights():
    for code, red, blue in [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)]:
        forward = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
        assert torch.allclose(forward @ ycbcr_matrix(code), torch.tensor([1.0, 0, 0], dtype=torch.float64))


def test_unspecified_matrix_follows_the_height():
    assert [resolved_matrix(2, height) for height in (576, 719, 720, 1080)] == [6, 6, 1, 1]
    assert resolved_matrix(9, 100) == 9


def test_identity_planes_are_green_blue_red():
    info = VideoInfo(2, 1, FULL_444, ColorInfo(matrix=0, full_range=True))
    planes = [torch.tensor([[[10, 20]]]), torch.tensor([[[30, 40]]]), torch.tensor([[[50, 60]]])]
    assert yuv_to_rgb(planes, info)[0, :, 0].tolist() == [[50, 60], [10, 20], [30, 40]]


def test_gray():
    info = VideoInfo(3, 1, PixelFormat(1, 0, 0, 8), ColorInfo(full_range=False))
    rgb = yuv_to_rgb([torch.tensor([[[16, 0, 235]]], dtype=torch.uint8)], info)
    assert rgb.shape == (1, 3, 1, 3)
    assert rgb[0, :, 0].tolist() == [[0, 0, 255]] * 3


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("cols", [0, 1, 2])
@pytest.mark.parametrize("location", range(1, 7))
def test_a_chroma_ramp_is_put_back_where_it_was(rows, cols, location):
    """Chroma that is linear in position is interpolated exactly wherever its samples sit."""
    layout = PixelFormat(3, rows, cols, 16)
    info = VideoInfo(37, 21, layout, ColorInfo(matrix=1, full_range=True, chroma_location=location))
    site_rows, site_cols = chroma_sites(21, 37, layout, info.color)

    def ramp(at_rows, at_cols):
        return 32768 + 200 * at_rows[:, None] + 100 * at_cols[None]

    luma = torch.full((21, 37), 30000.0, dtype=torch.float64)
    sub = ramp(site_rows, site_cols)
    got = yuv_to_rgb([luma[None], sub[None], sub[None]], info)[0]
    full = ramp(torch.arange(21, dtype=torch.float64), torch.arange(37, dtype=torch.float64))
    wanted = yuv_to_rgb([luma[None], full[None], full[None]], replace(info, pixel_format=PixelFormat(3, 0, 0, 16)))
    inside = (slice(None), slice(3, -4), slice(3, -4))  # beyond the outermost sites it is constant
    assert (got.int() - wanted[0].int())[inside].abs().max() <= 1


def test_chroma_sites():
    layout = PixelFormat(3, 1, 1, 8)
    rows, cols = chroma_sites(5, 6, layout, ColorInfo(chroma_location=1))
    assert rows.tolist() == [0.5, 2.5, 4.5]
    assert cols.tolist() == [0, 2, 4]
    assert chroma_sites(5, 6, layout, ColorInfo(chroma_location=2))[1].tolist() == [0.5, 2.5, 4.5]
    assert chroma_sites(4, 8, PixelFormat(3, 2, 2), ColorInfo(chroma_location=2))[1].tolist() == [1.5, 5.5]
    assert chroma_sites(3, 3, FULL_444, ColorInfo())[0].tolist() == [0, 1, 2]


def test_differentiable_in_the_codes():
    info = VideoInfo(8, 8, FULL_444, ColorInfo(matrix=1))
    values = torch.full((5, 3), 0.5, requires_grad=True)
    codes_to_rgb(values, info).sum().backward()
    matrix, _ = rgb_transform(info)
    assert torch.allclose(values.grad[0].double(), matrix.sum(0), atol=1e-5)
