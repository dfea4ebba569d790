"""Numbers as libraries have them, each of which works or is refused in one clear line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.base.errors import UsageError
from nerv_codec.base.moments import time_or_number
from nerv_codec.decoding.decode import decode
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.evaluation.metrics.suite import metric_names
from nerv_codec.media.part import Part


@pytest.fixture
def video(tiny_nvc):
    with VideoDecoder(tiny_nvc, device="cpu") as opened:
        yield opened


def test_numbers_of_frames(video):
    for one in (np.int32(2), np.uint8(2), torch.tensor(2), np.array(2)):
        assert torch.equal(video[one], video[2])
    for some in ([1, 2], np.array([1, 2]), torch.tensor([1, 2]), (1, np.int64(2))):
        assert torch.equal(video[some], video[1:3])
    assert video[torch.tensor([2])].shape[0] == 1
    for wrong in (1.0, "1", np.float32(1), torch.tensor(1.0), torch.tensor([True, False]), [None], None):
        with pytest.raises(UsageError, match="expected whole numbers of frames"):
            video[wrong]


def test_a_part_of_a_batch(video):
    batch = video.get_frames_at(range(4))
    part = batch[1:3]
    assert len(part) == 2 and torch.equal(part.data, batch.data[1:3])
    assert [frame.pts_seconds for frame in part] == [batch[1].pts_seconds, batch[np.int64(2)].pts_seconds]


def test_coordinates(video):
    points = [[0.1, 2.0, 3.0], [0.2, 4.5, 5.0]]
    expected = video.sample(torch.tensor(points, dtype=torch.float64))
    reverse = np.array(points)[::-1]
    assert torch.equal(video.sample(points), expected) and torch.equal(video.sample(reverse), expected.flip(0))
    # floats of a sine network: processors add up a single row in another order than several
    torch.testing.assert_close(video.sample(points[0]), expected[0])
    for wrong, said in (
        (torch.zeros(3, 4), "shape"),
        (0.5, "shape"),
        ([[0.1, 2.0], [0.1]], "coordinates"),
        (["a", "b", "c"], "coordinates"),
        ([[float("nan"), 1, 1]], "nan"),
        ([[0.1, float("nan"), 1]], "nan"),
    ):
        with pytest.raises(UsageError, match=said):
            video.sample(wrong)


def test_times(video, tiny_nvc, tmp_path):
    frame = video.get_frame_at(3)
    for seconds in (np.float32(frame.pts_seconds), torch.tensor(frame.pts_seconds), np.array(frame.pts_seconds)):
        assert torch.equal(video.get_frame_played_at(seconds).data, frame.data)
    for wrong in (float("nan"), float("inf"), torch.zeros(2), None, "soon"):
        with pytest.raises(UsageError, match="expected a time in seconds"):
            video.get_frame_played_at(wrong)
        if wrong is not None:
            with pytest.raises(UsageError, match="expected a time in seconds"):
                decode(tiny_nvc, tmp_path / "a.y4m", start=wrong, device="cpu")
            with pytest.raises(UsageError, match="expected a time in seconds"):
                Part(start=wrong)


def test_seconds_and_numbers_are_told_apart():
    for where in (np.float32(0.5), np.float64(0.5), torch.tensor(0.5)):
        assert time_or_number(where) == 0.5 and isinstance(Part(start=where).start, float)
    for where in (np.int16(3), torch.tensor(3), 3):
        assert time_or_number(where) == 3 and isinstance(Part(end=where).end, int)


def test_a_metric_may_stand_alone():
    assert metric_names("psnr") == ("psnr",) and metric_names("psnr, ssim") == ("psnr", "ssim")
