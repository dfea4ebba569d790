from __future__ import annotations

import dataclasses
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import moved

from nerv_codec import VideoDecoder, encode
from nerv_codec.base.errors import BitstreamError, InputError, OutputExistsError, UsageError, VerificationError
from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.bitstream.container import SECTION_TOOL
from nerv_codec.bitstream.headers import MAX_AREA
from nerv_codec.decoding.gop_loader import GopLoader
from nerv_codec.decoding.inspection import inspect
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.source import gop_length
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import MODELS, check_gop
from nerv_codec.representations.rendering import View


@pytest.fixture
def quick(tiny_config):
    """Seconds matter here, quality does not."""
    return dataclasses.replace(tiny_config, siren=dataclasses.replace(tiny_config.siren, steps=2))


def test_gops_follow_the_scenes(tiny_nvc):
    with VideoDecoder(tiny_nvc) as video:
        gops = [(gop.num_frames, gop.shares_first) for gop in video.header.gops]
        assert gops == [(7, False), (6, True), (6, False)]
        assert list(video.header.pts) == list(range(18))


def test_report_is_what_the_file_gives(tiny, tiny_clip, tiny_frames):
    path, report = tiny
    assert report.file_bytes == path.stat().st_size
    assert (report.num_frames, report.num_gops, report.verified) == (18, 3, True)
    assert report.rate_bpp == pytest.approx(8 * report.file_bytes / (18 * 40 * 24))
    assert report.input_bytes == tiny_clip.stat().st_size
    with VideoDecoder(path) as video:
        shown = [video.render(index, View.whole(24, 40)).planes[0] for index in range(18)]
        tool = [section for section in video.loader.container.trailing_sections() if section.kind == SECTION_TOOL]
    scores = [psnr_db(mean_squared_error(f.planes[0], y), 255) for f, y in zip(tiny_frames, shown, strict=True)]
    assert report.psnr_y_db == pytest.approx(np.mean(scores), abs=0.3)  # both sides of a shared frame differ
    assert len(tool) == 1
    assert "0m0" in report.summary() and "verified" in report.summary()


def test_estimated_bits_are_within_one_percent_of_real_bits(tiny):
    _, report = tiny
    assert report.estimated_bits == pytest.approx(report.coded_bits, rel=0.01, abs=32 * report.num_gops)


def test_same_command_same_bytes(tiny_clip, tmp_path, quick):
    for name in ("a.nvc", "b.nvc"):
        encode(tiny_clip, tmp_path / name, config=quick, frames=3, tool_section=False)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"frames": 1}, [0]),
        ({"start": 4, "end": 7}, [4, 5, 6]),
        ({"start": 4 / 24, "end": 7 / 24}, [4, 5, 6]),
        ({"start": 16, "frames": 99}, [16, 17]),
    ],
    ids=str,
)
def test_parts_of_the_input(tiny_clip, tmp_path, quick, where, expected):
    encode(tiny_clip, tmp_path / "a.nvc", config=quick, **where)
    with VideoDecoder(tmp_path / "a.nvc") as video:
        assert list(video.header.pts) == expected
        assert video[len(expected) - 1].shape == (3, 24, 40)


def test_reads_y4m_from_a_stream(tiny_clip, tmp_path, quick):
    report = encode(io.BytesIO(tiny_clip.read_bytes()), tmp_path / "a.nvc", config=quick, frames=2)
    assert report.input_bytes is None and report.num_frames == 2 and "% of input" not in report.summary()


@pytest.mark.parametrize(
    "layout",
    [
        PixelFormat(1, 0, 0, 8),
        PixelFormat(3, 0, 0, 8),
        PixelFormat(3, 0, 1, 10),
        PixelFormat(3, 1, 0, 8),
        PixelFormat(3, 2, 2, 8),
        PixelFormat(3, 1, 1, 12),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(17, 9), (1, 1)])
def test_any_layout(tmp_path, quick, layout, size):
    width, height = size
    info = VideoInfo(width, height, layout, ColorInfo(1, 1, 1))
    rng = np.random.default_rng(0)
    shapes = [layout.plane_size(index, height, width) for index in range(layout.num_planes)]
    kind = np.uint8 if layout.bit_depth == 8 else np.uint16
    frames = [
        PlanarFrame(tuple(rng.integers(0, layout.max_value, shape).astype(kind) for shape in shapes), 40 * index)
        for index in range(2)
    ]
    with open_writer(tmp_path / "a.mkv", "mkv", info) as writer:
        for frame in frames:
            writer.write(frame)
    with open_video(tmp_path / "a.mkv") as reader:
        assert reader.info.pixel_format == layout
    encode(tmp_path / "a.mkv", tmp_path / "a.nvc", config=quick)
    with VideoDecoder(tmp_path / "a.nvc") as video:
        assert video.header.info.pixel_format == layout
        picture = video.render(1, View.whole(height, width))
    assert [plane.shape for plane in picture.planes] == shapes
    assert picture.planes[0].dtype == kind


def test_variable_frame_rate_and_a_late_start(tmp_path, tiny_info, tiny_frames, quick):
    info = dataclasses.replace(tiny_info, time_base=Fraction(1, 1000))
    pts = [500, 533, 600, 610, 900]
    with open_writer(tmp_path / "prompt.mkv", "mkv", info) as writer:
        for frame, time in zip(tiny_frames, pts, strict=False):
            writer.write(PlanarFrame(frame.planes, time, 33))
    late = moved(tmp_path / "prompt.mkv", tmp_path / "a.mkv", pts[0])
    encode(late, tmp_path / "a.nvc", config=quick)
    with VideoDecoder(tmp_path / "a.nvc") as video:
        assert list(video.header.pts) == pts
        assert [round(1000 * s) for s in video.get_frames_at(range(5)).pts_seconds.tolist()] == pts


def test_target_exists(tiny_clip, tmp_path, quick):
    target = tmp_path / "a.nvc"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        encode(tiny_clip, target, config=quick)
    assert target.read_bytes() == b"precious"
    encode(tiny_clip, target, config=quick, frames=1, overwrite=True)
    assert target.read_bytes()[:4] == b"\x93NVC"


def test_input_is_output(tiny_clip, tmp_path, quick):
    copy = tmp_path / "a.y4m"
    copy.write_bytes(tiny_clip.read_bytes())
    with pytest.raises(OutputExistsError, match="the output is the input"):
        encode(copy, copy, config=quick, overwrite=True)
    assert copy.read_bytes() == tiny_clip.read_bytes()


def audio_only(path):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "audio", "folder", "nvc"])
def test_what_is_no_video(tmp_path, quick, tiny_nvc, kind):
    source = tmp_path / "input.wav"
    if kind == "audio":
        audio_only(source)
    elif kind == "folder":
        source.mkdir()
    elif kind != "missing":
        source.write_bytes({"empty": b"", "text": b"no video at all\n" * 50, "nvc": tiny_nvc.read_bytes()}[kind])
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        encode(source, tmp_path / "out.nvc", config=quick)
    assert "\n" not in str(caught.value) and "expected a video" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_range(tiny_clip, tmp_path, quick):
    with pytest.raises(InputError, match="no frame in the chosen range"):
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, start=50)
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_the_format_cannot_hold(tmp_path, quick):
    info = VideoInfo(16400, 2, PixelFormat(1, 0, 0), ColorInfo())
    with open_writer(tmp_path / "a.y4m", "y4m", info) as writer:
        writer.write(PlanarFrame((np.zeros((2, 16400), np.uint8),), 0))
    with pytest.raises(InputError, match=r"does not fit the format.*the width in 1\.\.16384, found 16400"):
        encode(tmp_path / "a.y4m", tmp_path / "a.nvc", config=quick)


@pytest.mark.parametrize(
    ("model", "gop", "shape", "expected"),
    [
        ("warped", 64, (2160, 3840), 63),
        ("warped", 64, (1080, 1920), 64),
        ("lossless", 1024, (512, 1024), 1023),
        ("warped", 64, (8192, 8192), 7),
        ("lossless", 64, (32768, 32768), 1),
        ("siren", 64, (8192, 8192), 64),
    ],
)
def test_a_gop_has_room_in_its_representation(model, gop, shape, expected):
    height, width = shape
    config, info = EncoderConfig(model=model, gop=gop), VideoInfo(width, height, PixelFormat(), ColorInfo())
    assert gop_length(config, info) == expected
    if height * width <= MAX_AREA:
        check_gop(MODELS[model].model_id, GopGeometry(expected + 1, height, width, 3))


def test_interrupted(tiny_clip, tmp_path, quick):
    def interrupt(event):
        if event.type == "gop-done":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [".a.nvc.work"]
    with pytest.raises(KeyboardInterrupt):
        encode(tiny_clip, tmp_path / "b.nvc", config=quick, progress=interrupt, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == [".a.nvc.work"]


@pytest.mark.parametrize("what", ["digest", "damage"])
def test_verification(tiny_clip, tmp_path, quick, monkeypatch, what):
    original = GopLoader.unpack

    def wrong(self, index):
        if what == "damage":
            raise BitstreamError("checksum mismatch")
        model, digest, parts = original(self, index)
        return model, digest ^ 1, parts

    monkeypatch.setattr(GopLoader, "unpack", wrong)
    with pytest.raises((VerificationError, BitstreamError)) as caught:
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, frames=2)
    assert caught.type is VerificationError
    assert list(tmp_path.iterdir()) == []


def test_bad_settings(tiny_clip, tmp_path):
    with pytest.raises(UsageError, match="preset"):
        encode(tiny_clip, tmp_path / "a.nvc", preset="hasty")
    with pytest.raises(UsageError, match="device"):
        encode(tiny_clip, tmp_path / "a.nvc", device="abacus")


def test_progress_tells_the_whole_job(tiny_clip, tmp_path, quick):
    events = []
    encode(tiny_clip, tmp_path / "a.nvc", config=quick, progress=events.append)
    assert [event.type for event in events if event.type != "progress"] == ["start", *["gop-done"] * 3, "done"]
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    step = next(event for event in events if event.type == "progress")
    assert step.stage == "gop 1/3 fit 2/2"
    assert {"psnr_db", "rate_bpp", "estimated_bytes"} <= set(step.detail)


def test_inspection_adds_up(tiny_nvc):
    report = inspect(tiny_nvc)
    assert sum(report["bytes_by_part"].values()) == report["file_bytes"] == tiny_nvc.stat().st_size
    assert [gop["first_frame"] for gop in report["gops"]] == [0, 6, 12]
    assert report["model"] == "siren" and report["tool"]["name"].startswith("nerv-codec")
