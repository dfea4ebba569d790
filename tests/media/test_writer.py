from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer

TIMES = [0, 40, 90, 200, 233]
GBR = PixelFormat(3, 0, 0, 8)
YUV = [(1, 1, 8), (0, 1, 8), (0, 0, 8), (1, 0, 8), (0, 2, 8), (2, 2, 8), (1, 1, 10), (0, 1, 12), (0, 0, 9)]
CASES = [
    *((PixelFormat(3, *shape), 1) for shape in [*YUV, (1, 1, 16)]),
    *((PixelFormat(3, 0, 0, depth), 0) for depth in (8, 10, 16)),
    *((PixelFormat(1, 0, 0, depth), 2) for depth in (8, 10, 16)),
]
"""Layouts with a matrix that goes with them."""


def written(path, format, info, frames, rate=None):
    with open_writer(path, format, info, frame_rate=rate) as writer:
        for frame in frames:
            writer.write(frame)
    with open_video(path) as reader:
        return reader.info, list(reader)


def equal(left: list[PlanarFrame], right: list[PlanarFrame]) -> bool:
    return len(left) == len(right) and all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for one, other in zip(left, right, strict=True)
        for a, b in zip(one.planes, other.planes, strict=True)
    )


@pytest.mark.parametrize("format", ["mp4", "mkv"])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("siting", [1, 2, 3, 4])
def test_siting_comes_back(tmp_path, make_info, make_frames, format, depth, siting):
    info = make_info(PixelFormat(3, 1, 1, depth), chroma_location=siting)
    read_info, _ = written(tmp_path / f"x.{format}", format, info, make_frames(info, TIMES))
    assert read_info.color.chroma_location == siting


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("size", [(38, 22), (39, 23)])
def test_mkv_gives_back_every_code_value(tmp_path, make_info, make_frames, case, size):
    (layout, matrix), (width, height) = case, size
    full_range = matrix == 0 or layout.num_planes == 1
    info = make_info(layout, width, height, matrix=matrix, primaries=9, transfer=16, full_range=full_range)
    frames = make_frames(info, TIMES)
    read_info, read = written(tmp_path / "x.mkv", "mkv", info, frames)
    assert read_info == replace(info, sample_aspect=Fraction(1))  # PyAV cannot set it on a Matroska track
    assert equal(read, frames)
    assert [frame.pts for frame in read] == TIMES


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("full_range", [False, True])
def test_y4m_gives_back_what_it_can_name(tmp_path, make_info, make_frames, case, full_range):
    layout, matrix = case
    info = make_info(layout, 39, 23, matrix=matrix, full_range=full_range)
    frames = make_frames(info, TIMES)
    read_info, read = written(tmp_path / "x.y4m", "y4m", info, frames, Fraction(24000, 1001))
    assert len(read) == len(TIMES)
    assert (read_info.width, read_info.height, read_info.sample_aspect) == (39, 23, info.sample_aspect)
    assert read_info.time_base == Fraction(1001, 24000)
    assert read_info.pixel_format.bit_depth == layout.bit_depth
    if matrix != 0 and (layout.chroma_row_shift, layout.chroma_col_shift) not in ((1, 0), (2, 2)):
        assert read_info.pixel_format == layout
        assert read_info.color.full_range == full_range
        assert equal(read, frames)


@pytest.mark.parametrize("siting", [1, 2, 3])
def test_y4m_stream_names_the_siting(make_info, make_frames, siting):
    stream = io.BytesIO()
    info = make_info(PixelFormat(), chroma_location=siting)
    with open_writer(stream, "y4m", info, frame_rate=Fraction(25)) as writer:
        for frame in make_frames(info, TIMES):
            writer.write(frame)
    stream.seek(0)
    with open_video(stream, format="yuv4mpegpipe") as reader:
        assert reader.info.color.chroma_location == siting
        assert equal(list(reader), make_frames(info, TIMES))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("size", [(38, 22), (39, 23)])
def test_mp4_keeps_size_times_and_tags(tmp_path, make_info, make_frames, case, size):
    (layout, matrix), (width, height) = case, size
    times = [1001 * number for number in (0, 1, 2, 4, 8)]
    info = make_info(layout, width, height, matrix=matrix, primaries=9, transfer=16)
    info = replace(info, time_base=Fraction(1, 30000))
    read_info, read = written(tmp_path / "x.mp4", "mp4", info, make_frames(info, times))
    assert read_info.time_base == info.time_base
    assert [frame.pts for frame in read] == times
    assert (read_info.width, read_info.height, read_info.sample_aspect) == (width, height, Fraction(4, 3))
    wanted = replace(info.color, matrix=matrix or 1)
    assert read_info.color == wanted
    held = read_info.pixel_format
    assert held.bit_depth == (8 if layout.bit_depth == 8 else 10)
    if width % 2 == 0 and layout.num_planes == 3 and layout.bit_depth in (8, 10):
        assert held.chroma_row_shift <= layout.chroma_row_shift
        assert held.chroma_col_shift <= layout.chroma_col_shift


def test_mp4_is_near_lossless_through_the_rgb_conversion(tmp_path, make_info):
    rows, cols = np.mgrid[0:48, 0:64]
    planes = tuple((part % 256).astype(np.uint8) for part in (rows * 4, cols * 3, 200 - rows - cols))
    info = VideoInfo(64, 48, GBR, ColorInfo(matrix=0, full_range=True))
    _, read = written(tmp_path / "x.mp4", "mp4", info, [PlanarFrame(planes, 0)])
    green, blue, red = (plane / 255 for plane in planes)
    luma = 16 + 219 * (0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert np.abs(read[0].planes[0] - luma).mean() < 2


def test_mp4_first_and_negative_times(tmp_path, make_info, make_frames):
    info = make_info(PixelFormat())
    for times, wanted in (([500, 540, 580], [0, 40, 80]), ([-80, -40, 0], [0, 40, 80])):
        _, read = written(tmp_path / "x.mp4", "mp4", info, make_frames(info, times))
        assert [frame.pts for frame in read] == wanted


def test_png(tmp_path, make_info, make_frames):
    info = make_info(PixelFormat(3, 0, 0, 10), 39, 23, matrix=0, full_range=True)
    frames = make_frames(info, TIMES[:2])
    with open_writer(tmp_path / "pictures", "png", info) as writer:
        for frame in frames:
            writer.write(frame)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["000000.png", "000001.png"]
    with av.open(str(tmp_path / "pictures/000001.png")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    green, blue, red = (plane / 1023 * 255 for plane in frames[1].planes)
    assert np.abs(picture - np.stack([red, green, blue], -1)).max() <= 0.51


def test_md5_and_null(make_info, make_frames):
    info = make_info(PixelFormat(3, 1, 1, 10))
    frames = make_frames(info, TIMES)
    stream = io.BytesIO()
    for format in ("md5", "null"):
        with open_writer(stream, format, info) as writer:
            for frame in frames:
                writer.write(frame)
    samples = b"".join(plane.astype("<u2").tobytes() for frame in frames for plane in frame.planes)
    assert stream.getvalue().decode() == hashlib.md5(samples).hexdigest() + "\n"


def test_aborted_md5_leaves_no_digest(tmp_path, make_info):
    with pytest.raises(RuntimeError), open_writer(tmp_path / "x.md5", "md5", make_info(PixelFormat())):
        raise RuntimeError
    assert (tmp_path / "x.md5").read_bytes() == b""


@pytest.mark.parametrize("format", ["mp4", "mkv", "y4m", "md5"])
def test_unwritable_target_is_an_os_error(tmp_path, make_info, format):
    with pytest.raises(OSError):
        open_writer(tmp_path / "nowhere/x", format, make_info(PixelFormat()))


@pytest.mark.parametrize("format", ["mp4", "mkv", "y4m", "png"])
def test_no_frame_at_all(tmp_path, make_info, format):
    open_writer(tmp_path / "x", format, make_info(PixelFormat())).close()


def test_layout_without_a_name(tmp_path, make_info):
    with pytest.raises(UsageError, match="layout"):
        open_writer(tmp_path / "x.mkv", "mkv", make_info(PixelFormat(3, 1, 1, 11)))


def test_mkv_says_that_the_shape_of_pixels_is_lost(tmp_path, make_info):
    with open_writer(tmp_path / "x.mkv", "mkv", make_info(PixelFormat())) as writer:
        assert writer.notes == ["mkv: the shape of pixels, 4/3, is left out; mp4 and y4m hold it"]


def test_y4m_has_rgb_as_readers_assume_it(tmp_path, make_info):
    info = make_info(GBR, 64, 48, matrix=0, full_range=True)
    red = PlanarFrame(tuple(np.full((48, 64), level, np.uint8) for level in (0, 0, 255)), 0, 1)
    with open_writer(tmp_path / "x.y4m", "y4m", info) as writer:
        writer.write(red)
    with open_video(tmp_path / "x.y4m") as reader:
        rgb = planes_to_rgb(next(reader).planes, reader.info)
    assert (rgb.float() - torch.tensor([255.0, 0, 0])[:, None, None]).abs().max() <= 2
