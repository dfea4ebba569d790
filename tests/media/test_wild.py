"""Files as they are met in the wild, each made here for one kind of trouble, and what must come of them."""

from __future__ import annotations

import io
import os
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.media.reader import open_video
from nerv_codec.media.tracks import open_tracks
from nerv_codec.media.writer import open_writer

RATE = 25
KEY = "00112233445566778899aabbccddeeff"
SRT = b"<i>Hello</i> {\\an8}you\nthere"


def picture(number: int, form: str = "yuv420p") -> av.VideoFrame:
    """A square that moves over a background which gets brighter."""
    array = np.full((64, 64, 3), 20 + 5 * number % 200, np.uint8)
    array[3 * number % 48 :][:12, 10:30] = 220
    return av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format=form)


def make(
    path: Path,
    codec: str = "libx264",
    sound: str | None = None,
    *,
    count: int = 20,
    form: str = "yuv420p",
    start: int = 0,
    sound_seconds: float | None = None,
    subtitles: bool = False,
    container: str | None = None,
    **options: str,
) -> Path:
    """Writes a clip of ``count`` pictures from ``start`` seconds on, with a tone."""
    muxing = {
        key: value for key, value in options.items() if key.startswith(("encryption", "write_tmcd", "mpegts_flags"))
    }
    coding = {key: value for key, value in options.items() if key not in muxing and key != "timecode"}
    with av.open(str(path), "w", format=container, container_options=muxing) as out:
        out.metadata.update({key: value for key, value in options.items() if key == "timecode"})
        video = out.add_stream(codec, rate=RATE, options=coding)
        video.width, video.height, video.pix_fmt = 64, 64, form
        audio = out.add_stream(sound, rate=48000, layout="mono") if sound else None
        text = out.add_mux_stream("subrip") if subtitles else None
        if text is not None:
            text.time_base = Fraction(1, 1000)
        packets = []
        for number in range(count):
            frame = picture(number, form)
            frame.pts, frame.time_base = start * RATE + number, Fraction(1, RATE)
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio is not None:
            context = audio.codec_context
            resampler = av.AudioResampler(context.format, "mono", 48000, frame_size=context.frame_size or 1024)
            samples = np.sin(np.arange(round(48000 * (sound_seconds or count / RATE))) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 48000 * start, Fraction(1, 48000)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                packets += audio.encode(piece)
            packets += audio.encode(None)
        if text is not None:
            packet = av.Packet(SRT)
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts, packet.dts, packet.duration = 200, 200, 300
            packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path


def copied(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """Reads a file and writes all of it anew. Returns what the readers and the writer had to say."""
    with open_video(source) as pictures, open_tracks(source) as tracks:
        companions = tracks.companions(pictures.tags, pictures.mastering, pictures.light)
        writer = open_writer(
            target,
            target.suffix[1:],
            pictures.info,
            frame_rate=pictures.frame_rate,
            companions=companions,
            packets=tracks.packets(),
        )
        with writer:
            for frame in pictures:
                writer.write(frame)
        return [*pictures.warnings, *tracks.notes], list(writer.notes)


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """(seconds, data) of all packets of the tracks of a kind."""
    with av.open(str(path)) as file:
        streams = [stream for stream in file.streams if stream.type == kind]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in file.demux(streams) if packet.size]


def times_of(path: Path, **options) -> tuple[list[Fraction], list[str]]:
    """The times of all frames in seconds, and the warnings."""
    with open_video(path, **options) as reader:
        return [frame.pts * reader.info.time_base for frame in reader], reader.warnings


def check_decodes(path: Path) -> None:
    """Every stream of a file decodes with errors of any kind turned into exceptions."""
    with av.open(str(path)) as file:
        for stream in file.streams:
            stream.codec_context.options = {"err_detect": "explode"}
        for packet in file.demux():
            packet.decode()


def check_matroska(path: Path) -> set[int]:
    """Every element ends where the one around it says (RFC 8794), with known sizes. Returns the elements' numbers."""
    masters = {
        0x18538067,
        0x1654AE6B,
        0xAE,
        0xE0,
        0xE1,
        0x1F43B675,
        0xA0,
        0x1C53BB6B,
        0xBB,
        0xB7,
        0x1549A966,
        0x114D9B74,
    }
    data, seen = path.read_bytes(), set()

    def number(at: int, *, keep: bool) -> tuple[int, int]:
        length = 9 - data[at].bit_length()
        value = int.from_bytes(data[at : at + length], "big")
        return (value if keep else value & ((1 << 7 * length) - 1)), at + length

    def walk(at: int, end: int) -> None:
        while at < end:
            element, at = number(at, keep=True)
            size, at = number(at, keep=False)
            assert at + size <= end, f"element {element:x} runs past the one around it"
            seen.add(element)
            if element in masters:
                walk(at, at + size)
            at += size
        assert at == end

    walk(0, len(data))
    return seen


@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_aac_with_headers_in_its_packets(tmp_path, target):
    source, out = make(tmp_path / "in.ts", sound="aac"), tmp_path / f"out.{target}"
    assert copied(source, out) == ([], [])
    before, after = packets_of(source, "audio"), packets_of(out, "audio")
    assert [data[7:] for _, data in before] == [data for _, data in after]
    shift = after[0][0] - before[0][0]
    assert max(abs(b - a - shift) for (a, _), (b, _) in zip(before, after, strict=True)) < 0.001
    with av.open(str(out)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
        assert file.streams.audio[0].codec_context.extradata
    check_decodes(out)
    if target == "mkv":
        assert {0x1654AE6B, 0xAE, 0x63A2, 0x1F43B675, 0xA3} <= check_matroska(out)


def test_aac_with_headers_in_a_stub_of_before(tmp_path):
    """Files of version 0.1.0 hold such packets as they were, with a description that ffmpeg made up."""
    source, out = make(tmp_path / "in.ts", sound="aac"), tmp_path / "out.mkv"
    with open_tracks(source) as tracks:
        tracks._setups.clear()
        companions, packets = tracks.companions({}), list(tracks.packets())
    assert packets[0].data[0] == 0xFF
    with (
        open_video(source) as pictures,
        open_writer(out, "mkv", pictures.info, companions=companions, packets=packets) as writer,
    ):
        for frame in pictures:
            writer.write(frame)
    check_matroska(out)
    assert [data for _, data in packets_of(out, "audio")] == [data[7:] for _, data in packets_of(source, "audio")]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_in_avi_follow_each_other_evenly(tmp_path, codec):
    path = make(tmp_path / "a.avi", codec, count=60, bf="2")
    times, warnings = times_of(path)
    assert times == [Fraction(number, RATE) for number in range(60)] and not warnings


def test_only_frames_with_one_time_move(tmp_path):
    whole, path = make(tmp_path / "whole.mkv", "mpeg4", "aac", count=40, bf="0"), tmp_path / "a.mkv"
    with av.open(str(whole)) as file, av.open(str(path), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in file.streams}
        seen = 0
        for packet in file.demux():
            if packet.size:
                if packet.stream_index == 0:
                    packet.pts = packet.dts = 40 * (seen - (seen % 10 == 9))
                    seen += 1
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    times, warnings = times_of(path)
    given = [Fraction(number - (number % 10 == 9), RATE) for number in range(40)]
    assert times[-1] == given[-1] and all(a < b for a, b in pairwise(times))
    assert sum(a != b for a, b in zip(times, given, strict=True)) <= 4 and "moved: 4" in warnings[0]


def test_sound_that_is_longer_is_no_loss_of_pictures(tmp_path):
    assert times_of(make(tmp_path / "a.mkv", "mpeg4", "aac", count=10, sound_seconds=4))[1] == []


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_a_file_that_starts_late_is_written_from_0_in_sync(tmp_path, container, target):
    source, out = make(tmp_path / f"in.{container}", sound="aac", start=36000), tmp_path / f"out.{target}"
    assert copied(source, out)[0] == []
    pictures, sound = times_of(source)[0], packets_of(source, "audio")
    after, sound_after = times_of(out)[0], packets_of(out, "audio")
    assert 0 <= min(float(after[0]), sound_after[0][0]) < 0.001
    gap = float(pictures[0]) - sound[0][0]
    assert float(after[0]) - sound_after[0][0] == pytest.approx(gap, abs=0.002)
    assert float(after[-1] - after[0]) == pytest.approx(19 / RATE, abs=0.002)


@pytest.mark.parametrize("container", ["ts", "mkv", "mpg"])
def test_joined_files_play_one_after_the_other(tmp_path, container):
    codecs = ("mpeg2video", "mp2") if container == "mpg" else ("libx264", "aac")
    data = make(tmp_path / f"a.{container}", *codecs).read_bytes()
    (tmp_path / f"joined.{container}").write_bytes(2 * data)
    times, warnings = times_of(tmp_path / f"joined.{container}")
    assert len(times) == 40 and sum("jumps" in line for line in warnings) == 1 == len(warnings)
    steps = [b - a for a, b in pairwise(times)]
    assert steps[:19] == steps[20:] == [Fraction(1, RATE)] * 19 and Fraction(1, RATE) <= steps[19] < Fraction(1, 5)
    with open_tracks(tmp_path / f"joined.{container}") as tracks:
        unit, packets = tracks.tracks[0].time_base, list(tracks.packets())
    sound = [float(packet.pts * unit) for packet in packets]
    half = len(sound) // 2
    # A packet lasts 21 ms; the last one of a file 11 ms, where the muxer says how much of it is sound.
    assert len(sound) == 2 * half and all(b - a > 0.01 for a, b in pairwise(sound))
    assert sound[half] - sound[0] == pytest.approx(float(times[20] - times[0]), abs=0.002)


def test_an_encrypted_file_is_refused(tmp_path):
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": KEY, "encryption_kid": KEY}
    path = make(tmp_path / "a.mp4", sound="aac", **options)
    with pytest.raises(InputError, match="encrypted"):
        open_video(path)
    with open_tracks(path) as tracks:
        assert not tracks.tracks and tracks.notes == ["encrypted audio tracks left out: 1"]


@pytest.mark.parametrize("form", ["rgb565le", "rgb555le", "bgr565le", "rgb444le", "rgb24"])
def test_white_is_white(tmp_path, form):
    white = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 255, np.uint8), format="rgb24").reformat(format=form)
    with av.open(str(tmp_path / "a.nut"), "w") as out:
        video = out.add_stream("rawvideo", rate=25)
        video.width, video.height, video.pix_fmt = 16, 16, form
        white.pts, white.time_base = 0, Fraction(1, 25)
        out.mux([*video.encode(white), *video.encode(None)])
    with open_video(tmp_path / "a.nut") as reader:
        assert [(plane.min(), plane.max()) for plane in next(reader).planes] == [(255, 255)] * 3


def test_the_alpha_plane_of_an_animated_avif_is_not_its_picture(tmp_path):
    """Stands in for one: an MP4 with AVIF's brand and two tracks, the second brighter and with more bits."""
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        streams = [out.add_stream("libx264", rate=10, options={"crf": crf}) for crf in ("50", "1")]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(4):
            for stream, value in zip(streams, (60, 200), strict=True):
                noise = np.random.default_rng(number).integers(0, 40 if value == 200 else 2, (96, 64))
                frame = av.VideoFrame.from_ndarray((noise + value).astype(np.uint8), format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    path = tmp_path / "a.avif"
    path.write_bytes((tmp_path / "a.mp4").read_bytes().replace(b"ftypisom", b"ftypavis", 1))
    with open_video(path) as reader:
        assert next(reader).planes[0].mean() < 100 and reader.warnings == ["alpha is dropped"]
    with pytest.raises(InputError, match="alpha"):
        open_video(path, drop_alpha=False)


def test_what_is_left_out_is_named(tmp_path):
    with open_tracks(make(tmp_path / "a.mov", "mpeg4", timecode="10:00:00:00")) as tracks:
        assert tracks.notes == ["tracks of data (timecode, telemetry) left out: 1"]


def samples(path):
    """All samples of the first sound, one after another."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(file.streams.audio[0])])


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_that_no_output_can_hold_comes_back_as_flac(tmp_path, codec, suffix):
    source, out = make(tmp_path / "a.avi", "mpeg4", codec, count=50), tmp_path / f"out.{suffix}"
    with open_tracks(source) as tracks:
        assert tracks.notes == [f"audio tracks in {codec}, which no output can hold, kept as FLAC: 1"]
    copied(source, out)
    expected, found = samples(source), samples(out)
    assert len(expected) >= 2 * 48000 and np.array_equal(found, expected)
    with av.open(str(out)) as file:
        packets = [packet for packet in file.demux(file.streams.audio[0]) if packet.size]
    assert all(packet.pts for packet in packets[1:]) and packets[0].pts == 0
    seconds = packets[-1].pts * packets[-1].time_base
    assert seconds == pytest.approx(2, abs=0.15)


def test_aac_in_latm_comes_back_as_flac(tmp_path):
    source, out = make(tmp_path / "a.ts", "mpeg4", "aac", count=50, mpegts_flags="latm"), tmp_path / "out.mkv"
    with open_tracks(source) as tracks:
        assert tracks.notes == ["audio tracks in aac_latm, which no output can hold, kept as FLAC: 1"]
    copied(source, out)
    expected, found = np.clip(samples(source), -1, 1), samples(out) / 2**31
    assert len(expected) == len(found) >= 2 * 48000 and np.abs(found - expected).max() < 2**-22


def exif(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with EXIF that says how to turn it."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(("stated", "orientation"), [(1, 0), (3, 6), (6, 3), (8, 5), (2, 2)])
def test_side_data_without_a_name_does_not_hide_the_rest(tmp_path, stated, orientation):
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 64, "yuvj420p", Fraction(1, 25)
    (packet,) = encoder.encode(picture(0, "yuvj420p"))
    (tmp_path / "a.jpg").write_bytes(exif(bytes(packet), stated))
    with open_video(tmp_path / "a.jpg") as reader:
        assert reader.info.orientation == orientation and len(list(reader)) == 1


def test_a_pipe_with_a_name_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.y4m")
    with pytest.raises(InputError, match="a pipe"):
        open_video(tmp_path / "pipe.y4m")


@pytest.mark.parametrize("transparent", [False, True])
def test_pictures_are_judged_by_their_pixels(tmp_path, transparent):
    with av.open(str(tmp_path / "a.apng"), "w", format="apng") as out:
        video = out.add_stream("apng", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "rgba"
        for number in range(3):
            pixels = np.full((64, 64, 4), 255, np.uint8)
            pixels[5, 7, 3] = 254 if transparent and number == 2 else 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    with open_video(tmp_path / "a.apng", drop_alpha=False) as reader:
        if not transparent:
            assert len(list(reader)) == 3 and not reader.warnings
            return
        with pytest.raises(InputError, match="alpha"):
            list(reader)


def test_an_unknown_codec_is_named(tmp_path):
    path = make(tmp_path / "a.mkv", "mpeg4")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_FUTURE/CODEC1"))
    with pytest.raises(InputError, match="unknown codec"):
        open_video(path)


def test_numbered_pictures(tmp_path, make_info, make_frames):
    folder = tmp_path / "frames"
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 64, "rgb24", Fraction(1, 25)
    folder.mkdir()
    for number in (8, 9, 10, 12):
        (folder / f"f_{number}.png").write_bytes(bytes(encoder.encode(picture(number, "rgb24"))[0]))
    for source in (folder, folder / "f_%d.png"):
        with open_video(source, rate=Fraction(24)) as reader:
            frames = list(reader)
            assert [frame.pts * reader.info.time_base for frame in frames] == [Fraction(n, 24) for n in range(4)]
            assert [frame.planes[0].min() for frame in frames] == [20 + 5 * number for number in (8, 9, 10, 12)]
            assert reader.warnings == ["numbers without a picture, passed over: 1"]
        with open_tracks(source) as tracks:
            assert not tracks.tracks and not list(tracks.packets()) and not tracks.companions({})
    with pytest.raises(UsageError, match="numbered pictures"):
        open_video(make(tmp_path / "a.mkv", "mpeg4"), rate=Fraction(24))


class Pipe(io.BytesIO):
    """What a pipe is: bytes that are read once."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("missing", [0, 1, 4000])
def test_a_raw_frame_that_is_cut_off_is_a_loss(tmp_path, pipe, missing):
    data = make(tmp_path / "a.y4m", "wrapped_avframe", count=3, container="yuv4mpegpipe").read_bytes()
    data = data[: len(data) - missing]
    (tmp_path / "cut.y4m").write_bytes(data)
    with open_video(Pipe(data) if pipe else tmp_path / "cut.y4m", format="yuv4mpegpipe") as reader:
        assert len(list(reader)) == 3 - bool(missing)
        assert reader.warnings == (["the file is cut off within its last frame, frames lost: 1"] if missing else [])


def test_more_frames_than_a_file_has_ticks(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream("mpeg4", rate=2000)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for number in range(40):
            frame = picture(number)
            frame.pts, frame.time_base = number, Fraction(1, 2000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    times, warnings = times_of(tmp_path / "a.mkv")
    assert times == [Fraction(number, 2000) for number in range(40)] and not warnings


def test_text_subtitles_in_mp4(tmp_path):
    source, out = make(tmp_path / "in.mkv", sound="aac", subtitles=True), tmp_path / "out.mp4"
    _, notes = copied(source, out)
    assert notes == ["mp4: subtitles in subrip become plain text (mov_text)"]
    said = [(seconds, data) for seconds, data in packets_of(out, "subtitle") if len(data) > 2]
    assert said == [(pytest.approx(0.2, abs=0.025), b"\x00\x0fHello you\nthere")]
    check_decodes(out)
    assert copied(source, tmp_path / "out.mkv")[1][1:] == []
    assert [data for _, data in packets_of(tmp_path / "out.mkv", "subtitle")] == [SRT]
