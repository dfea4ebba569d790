"""Sizes, layouts and tracks end to end: what goes in comes out with the same lattice, times and tags."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nerv_codec.base.errors import InputError
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo, plane_dtype
from nerv_codec.decoding.decode import decode
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.media.reader import open_video
from nerv_codec.media.tracks import open_tracks
from nerv_codec.media.writer import open_writer

CONFIG = EncoderConfig(model="siren", gop=4, siren=SirenConfig(width=8, hidden_layers=1, steps=3, batch=200))


def make_clip(path, info, pts=(0, 1)):
    layout = info.pixel_format
    with open_writer(path, path.suffix[1:], info, frame_rate=Fraction(25)) as writer:
        for time in pts:
            planes = tuple(
                np.full(layout.plane_size(plane, info.height, info.width), layout.max_value // 3).astype(
                    plane_dtype(layout.bit_depth)
                )
                for plane in range(layout.num_planes)
            )
            writer.write(PlanarFrame(planes, time, 1))
    return path


def there_and_back(source, folder, suffix="mkv", **options):
    encode(source, folder / "a.nvc", config=CONFIG, **options)
    report = decode(folder / "a.nvc", folder / f"back.{suffix}")
    with open_video(folder / f"back.{suffix}") as video:
        return video.info, list(video), report


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (1, 64), (161, 121), (8192, 3), (8192, 16)])
def test_sizes(tmp_path, size):
    clip = make_clip(tmp_path / "in.y4m", VideoInfo(*size, PixelFormat(3, 0, 0), time_base=Fraction(1, 25)))
    info, frames, _ = there_and_back(clip, tmp_path, "y4m")
    assert (info.width, info.height, len(frames)) == (*size, 2)


@pytest.mark.parametrize(
    ("layout", "color"),
    [
        *(
            (PixelFormat(3, rows, cols, depth), ColorInfo(9, 9, 16, False, 1))
            for depth in (8, 10, 12)
            for rows, cols in ((1, 1), (0, 1), (1, 0), (0, 0))
        ),
        (PixelFormat(1, 0, 0, 8), ColorInfo(2, 2, 2, True)),
        (PixelFormat(1, 0, 0, 12), ColorInfo(2, 2, 2, True)),
        (PixelFormat(3, 0, 0, 8), ColorInfo(0, 1, 13, True)),
        (PixelFormat(3, 0, 0, 10), ColorInfo(0, 9, 18, True)),
        (PixelFormat(3, 1, 1, 10), ColorInfo(9, 9, 18, False)),
    ],
)
def test_layouts_and_colours(tmp_path, layout, color):
    clip = make_clip(tmp_path / "in.mkv", VideoInfo(24, 16, layout, color, time_base=Fraction(1, 1000)), (0, 40, 80))
    info, frames, report = there_and_back(clip, tmp_path)
    assert info.pixel_format == layout and not report.warnings
    assert (info.color.matrix, info.color.primaries, info.color.transfer) == (
        color.matrix,
        color.primaries,
        color.transfer,
    )
    assert info.color.full_range == color.full_range and [frame.pts for frame in frames] == [0, 40, 80]


@pytest.mark.parametrize("pts", [(0,), (7,), (0, 1, 5, 6, 30), (100, 133, 167, 200)])
def test_times_are_kept(tmp_path, pts):
    info = VideoInfo(16, 16, time_base=Fraction(1, 1000))
    _, frames, _ = there_and_back(make_clip(tmp_path / "in.mkv", info, pts), tmp_path, "mp4")
    assert tuple(frame.pts for frame in frames) == tuple(time - pts[0] for time in pts)


@pytest.mark.parametrize(
    ("part", "ends"), [({"end": 1.5}, 1600), ({"frames": 2}, 500), ({"start": 0.45, "end": 0.55}, 600)]
)
def test_the_last_frame_of_a_part_lasts_until_the_next_one(tmp_path, part, ends):
    clip = make_clip(
        tmp_path / "in.mkv", VideoInfo(16, 16, time_base=Fraction(1, 1000)), (0, 400, 500, 600, 1600, 1700)
    )
    encode(clip, tmp_path / "a.nvc", config=CONFIG, **part)
    about = VideoDecoder(tmp_path / "a.nvc").metadata
    begin = 500 if "start" in part else 0
    assert about.end_seconds - about.begin_seconds == pytest.approx((ends - begin) / 1000)


@pytest.mark.parametrize(("pts", "moved"), [((0, 33, 67, 100), 0), ((0, 400, 500, 600, 1600, 1700), 3)])
def test_y4m_says_which_times_it_cannot_hold(tmp_path, pts, moved):
    clip = make_clip(tmp_path / "in.mkv", VideoInfo(16, 16, time_base=Fraction(1, 1000)), pts)
    _, _, report = there_and_back(clip, tmp_path, "y4m")
    assert [f" {moved} of these " in note for note in report.warnings] == [True] * bool(moved)
    assert not decode(tmp_path / "a.nvc", tmp_path / "even.y4m", fps=25).warnings


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60)]
)
def test_any_rate(tmp_path, rate):
    clip = make_clip(tmp_path / "in.mkv", VideoInfo(16, 16, time_base=Fraction(1, 1000)), range(0, 1000, 40))
    encode(clip, tmp_path / "a.nvc", config=CONFIG)
    decode(tmp_path / "a.nvc", tmp_path / "a.mp4", fps=rate)
    with open_video(tmp_path / "a.mp4") as video:
        times = [frame.pts * video.info.time_base for frame in video]
    assert times == [index / rate for index in range(len(times))] and abs(len(times) - rate) <= 1


def test_one_of_several_tracks(clips, tmp_path):
    source = clips / "media" / "tc_nasa_13013.mp4"
    for track, size in ((0, (320, 180)), (1, (480, 270))):
        with open_video(source, track=track) as video:
            assert (video.info.width, video.info.height) == size
    with pytest.raises(InputError, match="found 2 of them"):
        open_video(source, track=2)
    info, _, _ = there_and_back(source, tmp_path, "mp4", track=0, frames=2)
    assert (info.width, info.height) == (320, 180)


def test_sound_of_a_part(clips, tmp_path):
    """A part, and a part of that: sound and pictures are still on one clock."""
    source = clips / "media" / "mdn_friday.mp4"
    encode(source, tmp_path / "a.nvc", config=CONFIG, start=1.0, end=1.5)
    with VideoDecoder(tmp_path / "a.nvc") as video:
        begin, end = video.timeline.begin, video.timeline.end
        stored = list(video.packets())
        unit = video.companions.tracks[0].time_base
    with open_tracks(source) as tracks:
        assert stored == list(tracks.packets(begin, end))
    assert stored[0].pts * unit <= begin < (stored[0].pts + stored[0].duration) * unit
    decode(tmp_path / "a.nvc", tmp_path / "part.mp4", start=0.1, end=0.3)
    with open_video(tmp_path / "part.mp4") as video, open_tracks(tmp_path / "part.mp4") as tracks:
        first = next(video).pts * video.info.time_base
        sound = list(tracks.packets())
        unit = tracks.tracks[0].time_base
    assert sound[0].pts == 0 and first < sound[0].duration * unit
    assert {packet.data for packet in sound} < {packet.data for packet in stored}
    decode(tmp_path / "a.nvc", tmp_path / "silent.mp4", audio=False)
    with open_tracks(tmp_path / "silent.mp4") as tracks:
        assert not tracks.tracks


def test_interlaced_video_becomes_progressive(clips, tmp_path):
    source = clips / "media" / "fate_interlaced_crop.mp4"
    report = encode(source, tmp_path / "a.nvc", config=CONFIG, frames=3)
    assert any("deinterlaced" in warning for warning in report.warnings) and report.num_frames == 3
