from __future__ import annotations

from fractions import Fraction

import pytest

from nerv_codec.base.companions import Companions, LightLevel, MasteringDisplay
from nerv_codec.base.video import PixelFormat
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer

DISPLAY = MasteringDisplay((35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450), (1, 10_000_000))
LIGHT = LightLevel(1000, 400)


@pytest.mark.parametrize("format", ["mkv", "mp4"])
@pytest.mark.parametrize(
    ("mastering", "light"),
    [
        (DISPLAY, LIGHT),
        (DISPLAY, None),
        (None, LIGHT),
        (MasteringDisplay(DISPLAY.chromaticity, (50, 40_000_000)), None),
    ],
)
def test_hdr_metadata_comes_back(tmp_path, make_info, make_frames, format, mastering, light):
    info = make_info(PixelFormat(3, 1, 1, 10), matrix=9, primaries=9, transfer=16)
    frames = make_frames(info, [0, 40, 80])
    companions = Companions(mastering=mastering, light=light)
    path = tmp_path / f"x.{format}"
    with open_writer(path, format, info, frame_rate=Fraction(25), companions=companions) as writer:
        for frame in frames:
            writer.write(frame)
    with open_video(path) as reader:
        assert (reader.mastering, reader.light) == (mastering, light)
        assert reader.info.color == info.color and reader.frame_rate == 25
        assert [frame.pts for frame in reader] == [0, 40, 80]
    assert not any("master" in note for note in writer.notes)


@pytest.mark.parametrize(
    ("chromaticity", "luminance"), [((0,) * 8, (50, 10_000_000)), (DISPLAY.chromaticity, (0, 0)), ((0,) * 8, (0, 0))]
)
def test_what_is_unknown_stays_unknown(tmp_path, make_info, make_frames, chromaticity, luminance):
    info = make_info(PixelFormat(3, 1, 1, 10))
    companions = Companions(mastering=MasteringDisplay(chromaticity, luminance))
    with open_writer(tmp_path / "x.mkv", "mkv", info, companions=companions) as writer:
        writer.write(make_frames(info, [0])[0])
    with open_video(tmp_path / "x.mkv") as reader:
        found = reader.mastering or MasteringDisplay((0,) * 8, (0, 0))
        assert (found.chromaticity, found.luminance) == (chromaticity, luminance)
