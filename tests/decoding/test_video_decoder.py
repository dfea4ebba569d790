from __future__ import annotations

import io
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

import nerv_codec
from nerv_codec import VideoDecoder
from nerv_codec.base.errors import BitstreamError, CoordinateRangeError, InputError, UsageError
from nerv_codec.representations.rendering import View


@pytest.fixture
def video(tiny_nvc):
    with VideoDecoder(tiny_nvc, device="cpu") as video:
        yield video


def test_public_names():
    assert all(getattr(nerv_codec, name) for name in nerv_codec.__all__)
    assert set(nerv_codec.__all__) <= set(dir(nerv_codec))
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = nerv_codec.fit


@pytest.mark.parametrize("source", [b"NVC", 5, None])
def test_what_is_neither_a_path_nor_a_file_is_refused(source):
    with pytest.raises(UsageError, match=f"found {type(source).__name__}; io.BytesIO"):
        VideoDecoder(source)


def test_metadata(video, tiny_nvc):
    about = video.metadata
    assert (about.width, about.height, about.num_frames, len(video)) == (40, 24, 18, 18)
    assert (about.begin_seconds, about.end_seconds, about.average_fps) == (0, 0.75, 24)
    assert (about.bit_depth, about.chroma, about.model, about.num_gops) == (8, "4:2:0", "siren", 3)
    assert about.file_bytes == tiny_nvc.stat().st_size
    assert about.rate_bpp == pytest.approx(8 * about.file_bytes / (18 * 40 * 24))
    assert about.bitrate_bps == pytest.approx(8 * about.file_bytes / 0.75)
    assert about.macs_per_pixel == pytest.approx(1.25 * (3 * 16 + 2 * 256 + 16 * 3))


def test_indexing(video):
    assert video[0].shape == (3, 24, 40) and video[0].dtype == torch.uint8
    assert torch.equal(video[-1], video[17])
    assert torch.equal(video[2:9:3], torch.stack([video[2], video[5], video[8]]))
    assert torch.equal(video[16::-8], torch.stack([video[16], video[8], video[0]]))
    assert video[5:5].shape == (0, 3, 24, 40)
    assert len(list(video)) == 18
    for wrong in (18, -19):
        with pytest.raises(IndexError, match=r"expected a frame number in -18\.\.17"):
            _ = video[wrong]


def test_frames_and_batches(video):
    frame = video.get_frame_at(3)
    assert (frame.pts_seconds, frame.duration_seconds) == pytest.approx((3 / 24, 1 / 24))
    assert "(3, 24, 40)" in repr(frame)
    batch = video.get_frames_at([3, -1], scale=2)
    assert batch.data.shape == (2, 3, 48, 80) and len(batch) == 2
    assert batch.pts_seconds.tolist() == pytest.approx([3 / 24, 17 / 24])
    assert [part.pts_seconds for part in batch] == batch.pts_seconds.tolist()
    assert torch.equal(video.get_frame_played_at(3.9 / 24).data, frame.data)


def test_ranges(video):
    assert torch.equal(video.get_frames_played_in_range(0, 0.75).data, video[:])
    batch = video.get_frames_played_in_range(1.5 / 24, 4 / 24)
    assert batch.pts_seconds.tolist() == pytest.approx([1 / 24, 2 / 24, 3 / 24])  # the first is on the screen
    fine = video.get_frames_played_in_range(0, 4 / 24, fps=48)
    assert len(fine) == 8 and torch.equal(fine.data[::2], video[:4])
    assert not torch.equal(fine.data[1], fine.data[0])
    assert fine.duration_seconds.tolist() == [1 / 48] * 8
    for start, stop in ((-0.1, 0.5), (0, 0.76), (0.5, 0.5), (0.5, 0.2)):
        with pytest.raises(CoordinateRangeError):
            video.get_frames_played_in_range(start, stop)
    with pytest.raises(UsageError, match="frame rate"):
        video.get_frames_played_in_range(0, 0.5, fps=0)


def test_a_cut_is_not_blended(video):
    """Between frames 11 and 12 there is a cut: the old scene holds, at any rate."""
    between = video.get_frames_played_in_range(11 / 24, 12 / 24, fps=240).data
    assert len(between) == 10 and torch.equal(between[0], video[11])
    assert all(torch.equal(picture, between[0]) for picture in between)
    assert (video[12].float() - between[0].float()).abs().mean() > 10


def test_random_access_equals_playing(tiny_nvc, video):
    """Frame k alone is frame k of a full decode, whatever was read before."""
    everything = video[:]
    for index in (17, 8, 0, 11, 12, 9):
        with VideoDecoder(tiny_nvc, device="cpu") as fresh:
            assert torch.equal(fresh[index], everything[index])


def test_sample_is_the_function(video):
    """At the pixels of a frame it is the frame, up to its rounding."""
    for index in (0, 8, 13):
        rows, cols = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
        coords = torch.stack((torch.full_like(rows, index / 24), rows, cols), -1).double()
        coords[..., 0] = index / 24
        rgb = video.sample(coords)
        assert rgb.shape == (24, 40, 3) and rgb.dtype == torch.float32
        assert (255 * rgb.movedim(-1, 0) - video[index]).abs().max() < 3


def test_sample_takes_points_across_gops(video):
    coords = torch.tensor([[0.7, 3, 4], [0.0, 3, 4], [0.34, 3.25, 4], [0.34, 3.25, 4]], dtype=torch.float64)
    rgb = video.sample(coords)
    assert torch.equal(rgb[2], rgb[3])
    assert torch.equal(rgb[0], video.sample(coords[0]))
    assert video.sample(torch.zeros(0, 3)).shape == (0, 3)
    assert video.sample(torch.zeros(2, 1, 3)).shape == (2, 1, 3)


@pytest.mark.parametrize("point", [(-0.001, 0, 0), (17.01 / 24, 0, 0), (0, -0.51, 0), (0, 23.6, 0), (0, 0, 39.6)])
def test_sample_outside_raises(video, point):
    with pytest.raises(CoordinateRangeError):
        video.sample(torch.tensor(point, dtype=torch.float64))


@pytest.mark.parametrize("axis", range(3))
def test_sample_nowhere_raises(video, axis):
    point = torch.zeros(3)
    point[axis] = float("nan")
    with pytest.raises(UsageError, match="expected finite coordinates, found nan or inf"):
        video.sample(point)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sample_at_frame_times_in_any_precision(video, dtype):
    """float32 is torch's default, and the last frame's time is among what it cannot hold."""
    times = torch.tensor([float(video.timeline.frame_seconds(index)) for index in range(len(video))], dtype=dtype)
    points = torch.stack([times, torch.full_like(times, 3), torch.full_like(times, 4)], dim=-1)
    pixels = torch.stack([video[index][:, 3, 4] for index in range(len(video))])
    assert (255 * video.sample(points) - pixels).abs().max() < 3


def test_a_frame_at_its_own_time(video):
    for index in range(len(video)):
        frame = video.get_frame_at(index)
        assert torch.equal(video.get_frame_played_at(frame.pts_seconds).data, frame.data)
        assert video.get_frame_played_at(torch.tensor(frame.pts_seconds)).pts_seconds == frame.pts_seconds


def test_position_outside_raises(video):
    for position in (Fraction(-1, 9), Fraction(171, 10)):
        with pytest.raises(CoordinateRangeError, match="frame number"):
            video.render(position, View.whole(24, 40))


def test_reads_from_memory(tiny_nvc, video):
    file = io.BytesIO(tiny_nvc.read_bytes())
    with VideoDecoder(file, device="cpu") as other:
        assert torch.equal(other[4], video[4])
    assert not file.closed


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        VideoDecoder(tmp_path / "missing.nvc")
    with pytest.raises(InputError, match="cannot be read"):
        VideoDecoder(tmp_path)
    (tmp_path / "empty.nvc").touch()
    with pytest.raises(BitstreamError):
        VideoDecoder(tmp_path / "empty.nvc")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", ""])
def test_unknown_device(tiny_nvc, device):
    with pytest.raises(UsageError, match="expected a device of this machine"):
        VideoDecoder(tiny_nvc, device=device)


@pytest.mark.needs_cuda
def test_gpu_and_cpu_agree_within_one_code_value(tiny_nvc, video):
    with VideoDecoder(tiny_nvc, device="cuda") as other:
        for index in (0, 8, 15):
            one, two = (v.render(Fraction(index), View.whole(24, 40)).planes for v in (video, other))
            assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, two, strict=True))


def test_what_the_caller_has_set_in_torch_changes_nothing(tiny_nvc, video):
    shown, point = video[0], [[0.0, 1.0, 2.0]]
    expected = video.sample(point)
    with torch.autocast("cpu", dtype=torch.bfloat16), VideoDecoder(tiny_nvc, device="cpu") as other:
        assert torch.equal(other[0], shown) and torch.equal(other.sample(point), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(video.sample(point), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_threads_may_share_a_decoder(tiny_nvc, video):
    expected, wrong = video[:], []
    numbers = np.random.default_rng(0).integers(len(video), size=(4, 60))

    def reading(own):
        for number in own:
            if not torch.equal(shared[int(number)], expected.data[number]):
                wrong.append(number)
        done.append(True)

    done, before = [], sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with VideoDecoder(tiny_nvc, device="cpu") as shared:
            threads = [threading.Thread(target=reading, args=(own,)) for own in numbers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(done) == 4 and not wrong


def test_rates_of_any_type(video):
    for rate in (np.float32(20), np.int64(20), torch.tensor(20.0)):
        assert len(video.get_frames_played_in_range(0.0, 0.2, fps=rate)) == 4


def test_a_fork_does_not_wait_for_threads_of_its_parent(tiny_nvc):
    code = (
        "import multiprocessing, sys, torch; from nerv_codec import VideoDecoder\n"
        "torch.set_num_threads(4); video = VideoDecoder(sys.argv[1], device='cpu'); video[0]\n"
        "child = multiprocessing.get_context('fork').Process(target=lambda: video[1])\n"
        "child.start(); child.join(60); child.kill(); print(child.exitcode)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_nvc)], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
