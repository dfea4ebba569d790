from __future__ import annotations

import contextlib
import io
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from nerv_codec.base.errors import BitstreamError, OutputExistsError, UsageError
from nerv_codec.base.progress import Progress
from nerv_codec.decoding.decode import MAX_PICTURES, choose_view, decode
from nerv_codec.decoding.gop_loader import GopLoader
from nerv_codec.decoding.output_name import default_target
from nerv_codec.media.reader import open_video


def md5(source: Path, **arguments: object) -> str:
    stream = io.BytesIO()
    decode(source, stream, format="md5", device="cpu", **arguments)
    return stream.getvalue().decode()


def planes(path: Path) -> list[list[np.ndarray]]:
    """[plane][frame, row, col]"""
    with open_video(path) as reader:
        return [np.stack(group) for group in zip(*(frame.planes for frame in reader), strict=True)]


def lossless(source: Path, folder: Path, name: str, **arguments: object) -> list[np.ndarray]:
    decode(source, folder / name, device="cpu", **arguments)
    return planes(folder / name)


def picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray()


def test_source_rate_and_scale_one_are_the_default(tiny_nvc):
    expected = md5(tiny_nvc)
    assert md5(tiny_nvc, scale=1.0) == expected
    assert md5(tiny_nvc, fps=24) == expected
    assert md5(tiny_nvc, fps=24.0, size=(40, 24)) == expected
    assert md5(tiny_nvc, fps=Fraction(24), crop=(40, 24, 0, 0)) == expected
    assert md5(tiny_nvc, scale=2) != expected


def test_parts_are_parts_of_the_whole(tiny_nvc, tmp_path):
    whole = lossless(tiny_nvc, tmp_path, "whole.mkv")
    assert [plane.shape for plane in whole] == [(18, 24, 40), (18, 12, 20), (18, 12, 20)]
    by_frame = lossless(tiny_nvc, tmp_path, "frames.mkv", start=7, end=13)
    by_time = lossless(tiny_nvc, tmp_path, "times.mkv", start=7 / 24, end=13 / 24)
    single = lossless(tiny_nvc, tmp_path, "single.mkv", start=12, end=13)
    for plane in range(3):
        assert np.array_equal(by_frame[plane], whole[plane][7:13])
        assert np.array_equal(by_time[plane], whole[plane][7:13])
        assert np.array_equal(single[plane], whole[plane][12:13])


@pytest.mark.parametrize("scale", [1, 2, 0.5, 1.7])
def test_crop_is_the_crop_of_a_full_decode(tiny_nvc, tmp_path, scale):
    whole = lossless(tiny_nvc, tmp_path, "whole.mkv", scale=scale, end=3)
    width, height, left, top = 8, 6, 4, 2
    part = lossless(tiny_nvc, tmp_path, "part.mkv", scale=scale, end=3, crop=(width, height, left, top))
    assert np.array_equal(part[0], whole[0][:, top : top + height, left : left + width])
    for plane in (1, 2):
        assert np.array_equal(part[plane], whole[plane][:, 1:4, 2:6])


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(("left", "top"), [(1, 0), (0, 1), (5, 3), (13, 11)])
def test_crop_at_odd_offsets(tiny_nvc, tmp_path, scale, left, top):
    """A chroma sample of 4:2:0 then lies elsewhere; luma, and pictures with a colour for every pixel, are the crop."""
    where = {"scale": scale, "start": 6, "end": 8}
    whole = lossless(tiny_nvc, tmp_path, "whole.mkv", **where)
    part = lossless(tiny_nvc, tmp_path, "part.mkv", **where, crop=(11, 7, left, top))
    assert np.array_equal(part[0], whole[0][:, top : top + 7, left : left + 11])
    decode(tiny_nvc, tmp_path / "whole", format="png", device="cpu", **where)
    decode(tiny_nvc, tmp_path / "part", format="png", device="cpu", **where, crop=(11, 7, left, top))
    for name in ("000000.png", "000001.png"):
        full, cut = (picture(tmp_path / kind / name) for kind in ("whole", "part"))
        assert np.array_equal(cut, full[top : top + 7, left : left + 11])


def test_every_source_frame_is_met_at_twice_the_rate(tiny_nvc, tmp_path):
    whole = lossless(tiny_nvc, tmp_path, "whole.mkv")
    twice = lossless(tiny_nvc, tmp_path, "twice.mkv", fps=48)
    assert len(twice[0]) == 36
    assert np.array_equal(twice[0][::2], whole[0])


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m"])
def test_times_of_the_output(tiny_nvc, tmp_path, name):
    report = decode(tiny_nvc, tmp_path / name, fps=Fraction(60), scale=1.5, device="cpu")
    assert (report.num_frames, report.width, report.height) == (45, 60, 36)
    with open_video(tmp_path / name) as reader:
        seconds = [float(frame.pts * reader.info.time_base) for frame in reader]
    assert seconds == pytest.approx([i / 60 for i in range(45)], abs=6e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_rate_that_starts_between_its_ticks_gives_every_picture_its_own_time(tiny_nvc, tmp_path):
    decode(tiny_nvc, tmp_path / "a.mp4", fps=12, start=1, end=11, device="cpu")
    with open_video(tmp_path / "a.mp4") as reader:
        pts = [frame.pts * reader.info.time_base for frame in reader]
    assert [b - a for a, b in pairwise(pts)] == [Fraction(1, 12)] * 4


def test_png_folder(tiny_nvc, tmp_path):
    with pytest.raises(UsageError, match="expected one frame"):
        decode(tiny_nvc, tmp_path / "a.png", end=2, device="cpu")
    decode(tiny_nvc, tmp_path / "a.png", end=1, device="cpu")
    decode(tiny_nvc, tmp_path / "a", format="png", end=2, device="cpu")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "a/000000.png").read_bytes()
    (tmp_path / "b").mkdir()
    for folder in (tmp_path / "b", f"{tmp_path}/c/"):
        decode(tiny_nvc, folder, end=2, device="cpu")
    for folder in ("a", "b", "c"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["000000.png", "000001.png"]


def test_png_pattern(tiny_nvc, tmp_path):
    pattern, names = tmp_path / "zoom_%03d.png", ["zoom_000.png", "zoom_001.png"]
    decode(tiny_nvc, pattern, end=2, device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    decode(tiny_nvc, tmp_path / "one.png", start=1, end=2, device="cpu")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / names[1]).read_bytes()
    with pytest.raises(OutputExistsError, match=f"{names[0]}: exists already"):
        decode(tiny_nvc, pattern, end=2, device="cpu")
    (tmp_path / names[1]).write_bytes(b"old")
    decode(tiny_nvc, pattern, end=1, device="cpu", overwrite=True)
    assert (tmp_path / names[1]).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", *names]


def test_streams(tiny_nvc, tmp_path):
    stream = io.BytesIO()
    decode(tiny_nvc, stream, device="cpu", end=2)
    assert stream.getvalue().startswith(b"YUV4MPEG2 W40 H24 F24:1 ")
    assert stream.getvalue().count(b"FRAME\n") == 2
    with pytest.raises(UsageError, match="png"):
        decode(tiny_nvc, io.BytesIO(), format="png", device="cpu")
    assert decode(tiny_nvc, None, format="null", device="cpu").target == "null"


def test_names():
    source = Path("/videos/clip.nvc")
    assert default_target(source, "mp4").name == "clip.mp4"
    assert default_target(source, "mp4", fps=Fraction(60), scale=2.0).name == "clip.60fps.x2.mp4"
    assert default_target(source, "png", size=(64, 48), crop=(8, 4, 2, 1)).name == "clip.64x48.crop8x4+2+1.frames"
    assert default_target(source, "mkv", fps=Fraction(30000, 1001)).name == "clip.29.97fps.mkv"


def test_default_target_is_beside_the_source(tiny_nvc, tmp_path):
    source = tmp_path / "clip.nvc"
    source.write_bytes(tiny_nvc.read_bytes())
    report = decode(source, fps=30, scale=0.5, device="cpu")
    assert report.target == str(tmp_path / "clip.30fps.x0.5.mp4")
    with pytest.raises(OutputExistsError):
        decode(source, fps=30, scale=0.5, device="cpu")


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 0},
        {"scale": 2, "size": (4, 4)},
        {"size": (0, 4)},
        {"crop": (41, 4, 0, 0)},
        {"crop": (4, 4, 37, 0)},
        {"crop": (0, 4, 0, 0)},
        {"crop": (4, 4, -1, 0)},
        {"fps": 0},
        {"start": 0.8},
        {"start": 18},
        {"start": -1},
        {"start": 5, "end": 5},
        {"start": 0.005, "end": 0.03},
        {"end": 0.0},
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(tiny_nvc, tmp_path, arguments):
    with pytest.raises(UsageError):
        decode(tiny_nvc, tmp_path / "out.mkv", device="cpu", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_unknown_format(tiny_nvc, tmp_path):
    with pytest.raises(UsageError, match="found 'mov'"):
        decode(tiny_nvc, tmp_path / "a.mkv", format="mov")


def test_unknown_suffix(tiny_nvc, tmp_path):
    with pytest.raises(UsageError, match=r"expected a name ending in \.mp4"):
        decode(tiny_nvc, tmp_path / "out.avi", device="cpu")


def test_damage_leaves_no_output(tiny_nvc, tmp_path):
    broken = bytearray(tiny_nvc.read_bytes())
    broken[-400] ^= 4
    (tmp_path / "broken.nvc").write_bytes(broken)
    for name in ("out.mkv", "out.mp4", "out.y4m", "out.md5"):
        with pytest.raises(BitstreamError, match="damaged"):
            decode(tmp_path / "broken.nvc", tmp_path / name, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.nvc"]


def test_progress_counts_every_frame(tiny_nvc):
    events: list[Progress] = []
    decode(tiny_nvc, None, format="null", device="cpu", end=3, progress=events.append)
    assert [event.type for event in events] == ["start", "progress", "progress", "progress", "done"]
    assert events[-2].stage == "decode 3/3" and events[-2].fraction == 1


def test_choose_view_rounds_like_a_ruler():
    view = choose_view(24, 41, scale=0.5, crop=(20, 12, 0, 0))
    assert (view.full_height, view.full_width) == (12, 20)


def test_absurd_lengths_are_refused(tmp_path, tiny_nvc):
    from damage import rewritten

    path = tmp_path / "long.nvc"
    path.write_bytes(rewritten(tiny_nvc, last_duration=1 << 48))
    with pytest.raises(UsageError, match=f"at most {MAX_PICTURES} pictures"):
        decode(path, tmp_path / "out.mp4", fps=1000, device="cpu")
    assert decode(path, None, format="null", fps=1000, end=0.01, device="cpu").num_frames == 10


def test_the_next_gop_is_opened_in_a_thread_and_only_if_it_is_needed(tiny_nvc, monkeypatch):
    opened = []
    load = GopLoader._load

    def noted(self, index):
        opened.append((index, threading.current_thread() is threading.main_thread()))
        return load(self, index)

    monkeypatch.setattr(GopLoader, "_load", noted)
    whole = md5(tiny_nvc)
    assert opened == [(0, False), (1, False), (2, False)]
    opened.clear()
    md5(tiny_nvc, end=5)
    assert opened == [(0, False)]
    monkeypatch.setattr(GopLoader, "in_order", lambda self, gops: contextlib.nullcontext())
    assert md5(tiny_nvc) == whole


def test_an_error_of_the_writer_ends_the_decode(tiny_nvc, tmp_path):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        decode(tiny_nvc, Full(), format="y4m", device="cpu")


@pytest.mark.parametrize(
    "arguments", [{"size": (16,)}, {"size": (16, 1.5)}, {"crop": (8, 8)}, {"crop": (8, 8, 0, "1")}]
)
def test_sizes_are_whole_numbers(arguments):
    with pytest.raises(UsageError, match="in whole pixels"):
        choose_view(24, 40, **arguments)
