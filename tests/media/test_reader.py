from __future__ import annotations

import io
import re
import subprocess
import sys
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from places import ROOT, beside, files_beside

from nerv_codec.base.errors import InputError
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.media import layout as layouts
from nerv_codec.media.part import Part
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer

REAL = files_beside("clips/media", "clips/corrupt")


def encoded(codec: str, format: str, pictures: list[av.VideoFrame], container: str = "nut") -> io.BytesIO:
    """The pictures (in ffmpeg's pixel format ``format``) as a file."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        video = output.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = pictures[0].width, pictures[0].height, format
        for index, picture in enumerate(pictures):
            picture.pts, picture.time_base = index, Fraction(1, 25)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
    stream.seek(0)
    return stream


def noise(format: str, width: int = 38, height: int = 22) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, format)
    rng = np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return frame


def samples(frame: av.VideoFrame, plane: int, width: int) -> np.ndarray:
    part = frame.planes[plane]
    return np.frombuffer(part, np.uint8).reshape(-1, part.line_size)[: part.height, :width]


@pytest.mark.parametrize("suffix", ["txt", "nfo", "diz", "asc", "bin"])
def test_text_is_no_video(tmp_path, suffix):
    """ffmpeg would show it letter by letter."""
    path = tmp_path / f"notes.{suffix}"
    path.write_text("no video at all\n" * 99)
    with pytest.raises(InputError, match="expected a video"):
        open_video(path)


@pytest.mark.parametrize("path", REAL or [None], ids=lambda path: path.name if path else "none")
def test_real_files_open_or_say_why(path):
    if path is None:
        beside("clips")
    try:
        with open_video(path) as reader:
            info, frames = reader.info, list(islice(reader, 3))
    except InputError as error:
        assert path.parent.name == "corrupt"
        assert "\n" not in str(error)
        assert "Errno" not in str(error)
        assert path.name in str(error)
        return
    assert frames
    assert all(left.pts < right.pts for left, right in pairwise(frames))
    for frame in frames:
        assert len(frame.planes) == info.pixel_format.num_planes
        for index, plane in enumerate(frame.planes):
            assert plane.shape == info.pixel_format.plane_size(index, info.height, info.width)
            assert plane.flags.c_contiguous
            assert plane.dtype == (np.uint8 if info.pixel_format.bit_depth == 8 else np.uint16)
            assert plane.max() <= info.pixel_format.max_value


@pytest.mark.parametrize(
    ("name", "layout", "color"),
    [
        ("am_bt601.mp4", PixelFormat(), ColorInfo(6, 6, 6)),
        ("am_hlg10-color-test.mp4", PixelFormat(3, 1, 1, 10), ColorInfo(9, 9, 18)),
        ("fate_vp91-2-04-yuv440.mp4", PixelFormat(3, 1, 0, 8), ColorInfo()),
        ("blue_sky_640x360_422p8_3f.y4m", PixelFormat(3, 0, 1, 8), ColorInfo()),
        ("derived_bug_gray_ffv1_12f.mkv", PixelFormat(1, 0, 0, 8), ColorInfo(full_range=True)),
        ("derived_flower_bgr0_ffv1_8f_321x181.mkv", PixelFormat(3, 0, 0, 8), ColorInfo(0, full_range=True)),
        ("am_trim_optimization_failure.mp4", PixelFormat(), ColorInfo(1, 1, 1, True)),
    ],
)
def test_real_layouts_and_colours(clips, name, layout, color):
    with open_video(clips / "media" / name) as reader:
        assert reader.info.pixel_format == layout
        assert reader.info.color == color


def test_warnings_of_real_files(clips):
    for name, warning in [
        ("media/fate_interlaced_crop.mp4", "interlaced"),
        ("media/fate_vp8_video_with_alpha.mp4", "alpha"),
        ("corrupt/fate_brokensps.mp4", "another size"),
        ("corrupt/am_sample_with_invalid_nalu.mp4", "frames lost: 1"),
        ("corrupt/am_sample_with_invalid_nalu.mp4", "may show that damage: 3"),
    ]:
        with open_video(clips / name) as reader:
            assert list(reader)
            assert any(warning in line for line in reader.warnings), (name, reader.warnings)


@pytest.mark.parametrize(
    ("source", "layout", "planes"),
    [
        ("rgb24", PixelFormat(3, 0, 0, 8), lambda raw: [raw[:, 1::3], raw[:, 2::3], raw[:, 0::3]]),
        ("bgr0", PixelFormat(3, 0, 0, 8), lambda raw: [raw[:, 1::4], raw[:, 0::4], raw[:, 2::4]]),
        ("rgba", PixelFormat(3, 0, 0, 8), lambda raw: [raw[:, 1::4], raw[:, 2::4], raw[:, 0::4]]),
        ("yuyv422", PixelFormat(3, 0, 1, 8), lambda raw: [raw[:, 0::2], raw[:, 1::4], raw[:, 3::4]]),
        ("ya8", PixelFormat(1, 0, 0, 8), lambda raw: [raw[:, 0::2]]),
        (
            "gray16be",
            PixelFormat(1, 0, 0, 16),
            lambda raw: [raw[:, 0::2].astype(np.uint16) << 8 | raw[:, 1::2]],
        ),
    ],
)
def test_packed_formats_are_unpacked_exactly(source, layout, planes):
    frame = noise(source)
    raw = samples(frame, 0, 38 * frame.format.padded_bits_per_pixel // 8)
    with open_video(encoded("rawvideo", source, [frame])) as reader:
        assert reader.info.pixel_format == layout
        read = next(reader)
        for got, wanted in zip(read.planes, planes(raw), strict=True):
            assert np.array_equal(got, wanted)
        assert any("alpha" in line for line in reader.warnings) == (source in ("rgba", "ya8"))


@pytest.mark.parametrize(("source", "count"), [("nv12", 2), ("yuva420p", 3)])
def test_semiplanar_and_alpha(source, count):
    frame = noise(source)
    with open_video(encoded("rawvideo", source, [frame])) as reader:
        assert reader.info.pixel_format == PixelFormat()
        luma, cb, cr = next(reader).planes
    assert np.array_equal(luma, samples(frame, 0, 38))
    if count == 3:
        assert np.array_equal(cb, samples(frame, 1, 19))
        assert np.array_equal(cr, samples(frame, 2, 19))
    else:
        both = samples(frame, 1, 38)
        assert np.array_equal(cb, both[:, 0::2])
        assert np.array_equal(cr, both[:, 1::2])


def test_p010_keeps_its_ten_bits():
    frame = noise("p010le")
    layout = layouts.nearest_layout(frame.format)
    assert layouts.native_layout(frame.format) is None
    assert layout == PixelFormat(3, 1, 1, 10)
    name = layouts.format_name(layout, rgb=False)
    planes = layouts.frame_planes(layouts.convert(frame, name, width=38, height=22), layout)
    assert np.array_equal(planes[0], samples(frame, 0, 76).view(np.uint16) >> 6)
    assert np.array_equal(planes[1], samples(frame, 1, 76).view(np.uint16)[:, 0::2] >> 6)


def test_palette_becomes_rgb():
    flat = av.VideoFrame.from_ndarray(np.full((22, 38, 3), (255, 0, 0), np.uint8), format="rgb24")
    with open_video(encoded("gif", "rgb8", [flat, flat], "gif")) as reader:
        assert reader.info.color.matrix == 0
        assert [plane.mean() for plane in next(reader).planes] == pytest.approx([0, 0, 255], abs=4)  # 3-3-2 bits


def test_missing_times_follow_the_frame_rate():
    stream = encoded("mpeg2video", "yuv420p", [noise("yuv420p", 64, 48) for _ in range(5)], "mpeg2video")
    with open_video(stream) as reader:
        times = [frame.pts * reader.info.time_base for frame in reader]
    assert [time - times[0] for time in times] == [Fraction(number, 25) for number in range(5)]


@pytest.fixture
def y4m(make_info, make_frames) -> tuple[bytes, list[PlanarFrame]]:
    info = make_info(PixelFormat(), chroma_location=2)
    frames, stream = make_frames(info, list(range(6))), io.BytesIO()
    with open_writer(stream, "y4m", info, frame_rate=Fraction(25)) as writer:
        for frame in frames:
            writer.write(frame)
    return stream.getvalue(), frames


def test_pipe(y4m):
    data, frames = y4m
    code = (
        "import sys; from nerv_codec.media.reader import open_video\n"
        "with open_video(sys.stdin.buffer, format='yuv4mpegpipe') as reader:\n"
        "    print(reader.info.color.chroma_location, sum(int(f.planes[0].sum()) for f in reader))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.split() == [b"2", str(sum(int(f.planes[0].sum()) for f in frames)).encode()]


def test_cut_off_file_is_read_as_far_as_it_goes(y4m, tmp_path):
    data, frames = y4m
    for keep in (len(data) - 1, len(data) * 2 // 3, 200 + 38 * 22 * 2):
        (tmp_path / "cut.y4m").write_bytes(data[:keep])
        with open_video(tmp_path / "cut.y4m") as reader:
            read = list(reader)
        assert 1 <= len(read) < len(frames)
        assert np.array_equal(read[0].planes[0], frames[0].planes[0])


def test_damage_is_counted_up_to_the_next_key_frame(tmp_path):
    """Half of packet 12 is 0xff, in GOPs of ten."""
    pattern = np.kron(np.random.default_rng(0).integers(16, 236, (12, 20)), np.ones((8, 8))).astype(np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10", "bf": "0"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        packets = []
        for index in range(30):
            rgb = np.roll(pattern, 3 * index, axis=1)[..., None].repeat(3, axis=2)
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            packets += video.encode(picture)
        packets += video.encode(None)
        for index, packet in enumerate(packets):
            keep = packet.size // 2 if index == 12 else packet.size
            damaged = av.Packet(bytes(packet)[:keep] + b"\xff" * (packet.size - keep))
            damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
            damaged.stream, damaged.is_keyframe = video, packet.is_keyframe
            output.mux(damaged)
    with open_video(tmp_path / "a.mkv") as reader:
        assert len(list(reader)) == 30
        assert reader.warnings == [
            "damaged frames, shown as far as they decode: 1",
            "frames up to the next key frame, which may show that damage: 7",
        ]


def test_what_is_no_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    sound = encoded_sound()
    (tmp_path / "sound.m4a").write_bytes(sound)
    for name, found in [
        ("missing.mp4", "no such file"),
        ("empty.mp4", "an empty file"),
        ("text.mp4", "no known video format"),
        ("sound.m4a", "only audio"),
    ]:
        with pytest.raises(InputError) as error:
            open_video(tmp_path / name)
        message = str(error.value)
        assert found in message
        assert message.startswith(str(tmp_path / name))
        assert "\n" not in message
        assert "Errno" not in message
    with pytest.raises(InputError, match="input stream"):
        open_video(io.BytesIO(b""))
    with pytest.raises(InputError, match="expected y4m, found data in no known"):
        open_video(io.BytesIO(sound), format="yuv4mpegpipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="found no picture"):
        open_video(tmp_path / "folder")


def encoded_sound() -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format="ipod") as output:
        audio = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return stream.getvalue()


def test_name_with_a_colon(tmp_path, y4m):
    (tmp_path / "a:b%03d.y4m").write_bytes(y4m[0])
    with open_video(str(tmp_path / "a:b%03d.y4m")) as reader:
        assert len(list(reader)) == len(y4m[1])


def test_closed_reader_gives_nothing(y4m):
    with open_video(io.BytesIO(y4m[0])) as reader:
        next(reader)
    assert list(reader) == []


def test_alpha_is_refused_where_it_may_not_be_dropped():
    for source in ("rgba", "yuva420p", "ya8"):
        with pytest.raises(InputError, match=rf"found {source} with an alpha channel.*--drop-alpha"):
            open_video(encoded("rawvideo", source, [noise(source)]), drop_alpha=False)
    with open_video(encoded("rawvideo", "bgr0", [noise("bgr0")]), drop_alpha=False) as reader:
        assert len(list(reader)) == 1 and not reader.warnings


def test_alpha_beside_the_pictures_is_refused_too(clips):
    """WebM keeps it in packets of its own, which ffmpeg's decoder does not show."""
    with pytest.raises(InputError, match="alpha"):
        open_video(clips / "media/fate_vp8_video_with_alpha.mp4", drop_alpha=False)


@pytest.fixture
def resized(tmp_path) -> Path:
    """Frames 0..2 are 64x48, 3..5 are 32x16, 6 and 7 are 64x48 again; one every 40 ms from 1 s on."""
    path, sizes = tmp_path / "resized.mkv", [(64, 48)] * 3 + [(32, 16)] * 3 + [(64, 48)] * 2
    with av.open(str(path), "w") as output:
        video = output.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = *sizes[0], "yuvj420p"
        for index, size in enumerate(sizes):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, "yuvj420p", Fraction(1, 25)
            (packet,) = encoder.encode(noise("yuvj420p", *size))
            packet.stream, packet.time_base, packet.pts, packet.dts = video, Fraction(1, 25), 25 + index, 25 + index
            output.mux(packet)
    return path


def test_a_change_of_size_is_refused_where_it_happens(resized):
    with open_video(resized, scale_to_first=False) as reader:
        assert len(list(islice(reader, 3))) == 3
        with pytest.raises(InputError) as error:
            next(reader)
    wanted = r"of 64x48, found 32x16 from frame 3 \(0.120 s\) on; --end f:3 .*, --start f:3 .*, --scale-to-first"
    assert re.search(wanted, str(error.value)) and "\n" not in str(error.value)
    with open_video(resized) as reader:
        assert len(list(reader)) == 8
        assert reader.warnings == ["frames of another size, scaled to 64x48: 3"]


@pytest.mark.parametrize(
    ("part", "size", "count"),
    [
        (Part(end=3), (64, 48), 3),
        (Part(frames=3), (64, 48), 3),
        (Part(end=0.12), (64, 48), 3),
        (Part(start=3, end=6), (32, 16), 3),
        (Part(start=3, frames=1), (32, 16), 1),
        (Part(start=0.12, end=0.24), (32, 16), 3),
        (Part(start=6), (64, 48), 2),
    ],
)
def test_parts_around_a_change_of_size(resized, part, size, count):
    with open_video(resized, part=part, scale_to_first=False) as reader:
        frames = list(reader)
        assert (reader.info.width, reader.info.height, len(frames)) == (*size, count)
        assert all(frame.planes[0].shape == size[::-1] for frame in frames) and not reader.warnings


def test_real_change_of_size(clips):
    source = clips / "media/fate_vp90-2-05-resize.mp4"
    with (
        open_video(source, scale_to_first=False) as reader,
        pytest.raises(InputError, match="found 282x173 from frame 3"),
    ):
        list(reader)
    with open_video(source, part=Part(3, 6), scale_to_first=False) as reader:
        assert (reader.info.width, reader.info.height, len(list(reader))) == (282, 173, 3)


def test_no_frame_in_the_part(y4m):
    with pytest.raises(InputError, match="no frame in the chosen range"):
        open_video(io.BytesIO(y4m[0]), part=Part(start=99))


def test_samples_that_a_depth_does_not_have_are_clipped(tmp_path):
    frame = b"FRAME\n" + np.full(384, 4000, "<u2").tobytes()
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 C420p10\n" + 2 * frame)
    with open_video(tmp_path / "a.y4m") as reader:
        assert [int(plane.max()) for shown in reader for plane in shown.planes] == [1023] * 6
        assert reader.warnings == ["frames with samples above 1023, clipped: 2"]


def test_an_empty_picture_is_a_damaged_one_and_not_the_end(tmp_path):
    sizes = (16, 16), (8, 8), (8, 8)
    with open_writer(tmp_path, "png", VideoInfo(16, 16)) as writer:
        for number in range(5):
            writer.write(PlanarFrame(tuple(np.full(size, 40 * number, np.uint8) for size in sizes), number))
    (tmp_path / "000002.png").write_bytes(b"")
    with open_video(tmp_path) as reader:
        assert [frame.pts for frame in reader] == [0, 1, 3, 4]
        assert reader.warnings == ["damaged input, frames lost: 1"]
