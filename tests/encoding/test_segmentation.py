from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from letters import letters

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PlanarFrame
from nerv_codec.encoding.segmentation import segment
from nerv_codec.media.reader import open_video

NO_CUT = ["basketballpass_416x240_64f.mkv", "carphone_176x144_120f.mp4", "flower_960x540_150f.mp4"]
NO_CUT += ["foreman_352x288_21f.mkv", "mobile_352x288_30f.mkv", "redtree_1920x1080_54f.264"]


def texture(seed: int, height: int = 72, width: int = 400) -> np.ndarray:
    """A smooth random picture in [0, 1]."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    rows, cols = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    picture = np.fft.irfft2(spectrum * np.exp(-400 * (rows**2 + cols**2)), s=(height, width))
    return 0.5 + 0.15 * picture / picture.std()


def video(pictures, bit_depth: int = 8) -> list[PlanarFrame]:
    top, dtype = (1 << bit_depth) - 1, np.uint8 if bit_depth == 8 else np.uint16
    return [
        PlanarFrame((np.round(np.clip(picture, 0, 1) * top).astype(dtype),), pts)
        for pts, picture in enumerate(pictures)
    ]


def pan(seed: int, count: int, speed: int = 2) -> list[np.ndarray]:
    whole = texture(seed)
    return [whole[:, speed * index : speed * index + 128] for index in range(count)]


def starts(frames, **options) -> list[int]:
    return [part.first_frame for part in segment(frames, gop=64, **options) if part.starts_scene]


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 16, 17, 18, 33])
@pytest.mark.parametrize("gop", [1, 8])
def test_gops_share_their_ends_and_cover_all(count, gop):
    frames = video(pan(1, count))
    parts = list(segment(iter(frames), gop=gop))
    assert parts[0].first_frame == 0
    assert not parts[0].continues
    assert parts[-1].frames[-1] is frames[-1]
    for part in parts:
        end = part.first_frame + len(part.frames)
        assert all(a is b for a, b in zip(part.frames, frames[part.first_frame : end], strict=True))
        assert len(part.frames) <= gop + 1
        assert len(part.frames) > 1 or count == 1
    for left, right in pairwise(parts):
        assert right.continues
        assert right.frames[0] is left.frames[-1]


def test_scene_cut_ends_a_gop_without_a_shared_frame():
    frames = video(pan(1, 13) + pan(2, 9))
    parts = list(segment(frames, gop=8))
    assert [(part.first_frame, len(part.frames), part.continues) for part in parts] == [
        (0, 9, False),
        (8, 5, True),
        (13, 9, False),
    ]


@pytest.mark.parametrize(
    ("count", "lengths"), [(8, [8]), (9, [9]), (10, [6, 5]), (12, [7, 6]), (13, [9, 5]), (17, [9, 9]), (18, [9, 6, 5])]
)
def test_the_last_gops_of_a_scene_are_about_equally_long(count, lengths):
    parts = list(segment(video(pan(1, count) + pan(2, 3)), gop=8))
    assert [len(part.frames) for part in parts] == [*lengths, 3]


def test_cut_right_after_a_full_gop_leaves_no_gop_of_the_shared_frame():
    parts = list(segment(video(pan(1, 9) + pan(2, 9)), gop=8))
    assert [(part.first_frame, len(part.frames), part.continues) for part in parts] == [
        (0, 9, False),
        (9, 9, False),
    ]


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_cuts_between_textures_are_found(bit_depth):
    pictures = [picture for seed in range(8) for picture in pan(seed, 10)]
    assert starts(video(pictures, bit_depth), bit_depth=bit_depth) == list(range(0, 80, 10))


def test_scene_cut_of_one_never_cuts():
    assert starts(video(pan(1, 10) + pan(2, 10)), scene_cut=1.0) == [0]


@pytest.mark.parametrize("speed", [0, 3, 12])
def test_pan_is_no_cut(speed):
    assert starts(video(pan(3, 20, speed))) == [0]


def test_a_page_that_jumps_is_no_cut_and_another_page_is_one():
    page = letters(0, 1600, 160) * np.linspace(0.3, 1, 1600)[:, None].round(1) / 255  # its parts look different
    jumping = [page[begin : begin + 112] for begin in (0, 0, 0, 0, 0, 40, 40, 90, 130, 173)]
    other = [letters(seed, 112, 160) / 255 * (seed / 9) for seed in (5, 8)]
    assert starts(video(jumping), scene_cut=0.02) == [0]
    assert starts(video([other[0]] * 6 + [other[1]] * 6), scene_cut=0.02) == [0, 6]


def test_exposure_drift_and_jump_are_no_cut():
    drift = [0.4 * picture + 0.03 * index for index, picture in enumerate(pan(3, 20))]
    jump = [picture * (0.5 if index < 10 else 1.0) for index, picture in enumerate(pan(4, 20))]
    assert starts(video(drift)) == [0]
    assert starts(video(jump)) == [0]


def test_flash_and_noise_are_no_cut():
    rng = np.random.default_rng(0)
    flash = pan(5, 20)
    flash[7] = np.ones_like(flash[7])
    flash[13] = rng.random(flash[13].shape)
    noisy = [picture + 0.1 * rng.normal(size=picture.shape) for picture in pan(6, 20)]
    dark = [0.02 + 0.01 * rng.normal(size=(72, 128)) for _ in range(20)]
    for pictures in (flash, noisy, dark):
        assert starts(video(pictures)) == [0]


def test_fade_from_black_is_no_cut():
    assert starts(video([picture * min(1, index / 15) for index, picture in enumerate(pan(7, 25))])) == [0]


def test_no_cut_so_soon_after_another():
    pictures = pan(1, 10) + pan(2, 2) + pan(3, 10)
    assert starts(video(pictures)) == [0, 10]


def test_tiny_pictures():
    assert starts(video([np.full((1, 1), 0.5)] * 6)) == [0]
    assert starts(video([texture(1, 3, 5)] * 6)) == [0]


def test_streams_with_half_a_gop_ahead():
    frames, taken = video(pan(1, 60)), []

    def source():
        for frame in frames:
            taken.append(frame)
            yield frame

    for part in segment(source(), gop=8):
        assert len(taken) <= part.first_frame + 8 + 1 + 8 // 2 + 1


def test_gop_must_hold_something():
    with pytest.raises(UsageError, match="GOP"):
        list(segment([], gop=0))
    assert list(segment([], gop=1)) == []


@pytest.mark.parametrize("name", NO_CUT)
def test_real_scenes_hold_no_cut(clips, name):
    with open_video(clips / "rd" / name) as reader:
        assert starts(reader) == [0]


def test_real_cut_is_found(clips):
    with open_video(clips / "media/tc_nasa_13013.mp4") as reader:
        assert starts(reader) == [0, 240]
