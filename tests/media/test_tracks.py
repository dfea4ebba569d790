"""Sound, subtitles, chapters and tags: out of one file, into another, packet by packet the same."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from nerv_codec.base.companions import Attachment, Chapter, Companions
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media.plain_text import words_of
from nerv_codec.media.reader import open_video
from nerv_codec.media.side_data import display_matrix
from nerv_codec.media.stubs import make_stub, open_stub
from nerv_codec.media.tracks import open_tracks
from nerv_codec.media.writer import open_writer

INFO = VideoInfo(16, 16, time_base=Fraction(1, 30000))


def picture(pts: int) -> PlanarFrame:
    return PlanarFrame(tuple(np.full(size, 90, np.uint8) for size in ((16, 16), (8, 8), (8, 8))), pts, 1001)


def make_source(path, codec="aac", seconds=2, rate=48000, subtitles=None):
    """A video with a tone of sound, and subtitles of two lines."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=Fraction(30000, 1001), width=16, height=16, pix_fmt="yuv420p")
        sound = out.add_stream(codec, rate=rate, layout="mono")
        sound.metadata.update({"language": "fra", "title": "Son"})
        out.metadata["title"] = "Tour"
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "Un"}}]
        )
        for index in range(seconds * 30):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index * 1001, Fraction(1, 30000)
            out.mux(video.encode(frame))
        context = sound.codec_context
        resampler = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or 1024)
        tone = np.sin(np.arange(seconds * rate) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(sound.encode(piece))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


def packets_of(path):
    """(track, seconds, bytes) of all sound and subtitles."""
    with av.open(str(path)) as file:
        streams = [stream for stream in file.streams if stream.type in ("audio", "subtitle")]
        numbers = {stream.index: number for number, stream in enumerate(streams)}
        return [
            (numbers[packet.stream_index], packet.pts * packet.time_base, bytes(packet))
            for packet in file.demux(streams)
            if packet.size
        ]


def through(source, target, pictures=60, first=0):
    """Reads all that is beside the pictures of ``source`` and writes it beside new ones."""
    with open_tracks(source) as tracks:
        companions = tracks.companions({"language": "eng"})
        opened = open_writer(target, target.suffix[1:], INFO, companions=companions, packets=tracks.packets())
        with opened as writer:
            for index in range(pictures):
                writer.write(picture(first + index * 1001))
    return companions, writer.notes


@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("aac", "mp4", "mp4"),
        ("aac", "mp4", "mkv"),
        ("aac", "ts", "mp4"),
        ("libopus", "mkv", "mp4"),
        ("libopus", "mkv", "mkv"),
        ("flac", "mkv", "mkv"),
        ("libmp3lame", "mp4", "mkv"),
        ("ac3", "mkv", "mp4"),
        ("pcm_s16le", "mkv", "mkv"),
    ],
)
def test_packets_come_through_in_sync(tmp_path, codec, source, target):
    path = make_source(tmp_path / f"in.{source}", codec)
    out = tmp_path / f"out.{target}"
    companions, _ = through(path, out)
    assert len(companions.tracks) == 1
    before, after = packets_of(path), packets_of(out)
    head = 7 if source == "ts" else 0  # MP4 has no place for ADTS headers; ffmpeg's muxer takes them off
    assert [data[head:] for _, _, data in before] == [data for _, _, data in after]
    with open_video(out) as video:
        shift = next(video).pts * video.info.time_base
    errors = [abs(later - earlier - shift) for (_, earlier, _), (_, later, _) in zip(before, after, strict=True)]
    assert max(errors) <= (0 if target == "mp4" and source == "mp4" else Fraction(1, 1000))


def test_times_in_mp4_are_exact(tmp_path):
    path = make_source(tmp_path / "in.mp4")
    through(path, tmp_path / "out.mp4")
    assert packets_of(path) == packets_of(tmp_path / "out.mp4")


def test_tags_chapters_and_languages(tmp_path):
    path = make_source(tmp_path / "in.mkv")
    companions, notes = through(path, tmp_path / "out.mp4")
    assert companions.tags == {"title": "Tour"} and companions.chapters == (Chapter(0, 1_000_000, "Un"),)
    assert companions.tracks[0].tags == {"language": "fra", "title": "Son"} and not notes
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.metadata["title"] == "Tour"
        assert [chapter["metadata"]["title"] for chapter in out.chapters()] == ["Un"]
        assert out.streams.audio[0].language == "fra" and out.streams.video[0].language == "eng"


def test_tags_that_are_no_utf_8_become_legible(tmp_path):
    path = make_source(tmp_path / "in.mkv")
    data = path.read_bytes()
    for text, damaged in ((b"Tour", b"T\xf4ur"), (b"Son", b"S\xff\xfe"), (b"\x85\x82Un", b"\x85\x82U\xf1")):
        assert data.count(text) == 1
        data = data.replace(text, damaged)
    path.write_bytes(data)
    companions, _ = through(path, tmp_path / "out.mp4")
    assert companions.tags == {"title": "T\ufffdur"} and companions.chapters == (Chapter(0, 1_000_000, "U\ufffd"),)
    assert companions.tracks[0].tags == {"language": "fra", "title": "S\ufffd\ufffd"}
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.metadata["title"] == "T\ufffdur"


def test_ratios_have_the_type_of_this_package(tmp_path):
    path = make_source(tmp_path / "in.mp4", "mp3")
    with open_video(path) as video, open_tracks(path) as tracks:
        found = video.info.time_base, video.info.sample_aspect, video.frame_rate, tracks.tracks[0].time_base
        assert [type(each) for each in found] == [Fraction] * 4


def test_without_sound(tmp_path):
    path = make_source(tmp_path / "in.mp4")
    with open_tracks(path, audio=False) as tracks:
        assert tracks.tracks == () and list(tracks.packets()) == []


def test_a_part_keeps_the_packets_that_play_in_it(tmp_path):
    path = make_source(tmp_path / "in.mp4")
    with open_tracks(path) as tracks:
        unit = tracks.tracks[0].time_base
        kept = list(tracks.packets(Fraction(1, 2), Fraction(1)))
    assert kept[0].pts * unit <= Fraction(1, 2) < (kept[0].pts + kept[0].duration) * unit
    assert kept[-1].pts * unit < 1 <= (kept[-1].pts + kept[-1].duration) * unit


def test_what_a_format_cannot_hold_is_a_note(tmp_path, clips):
    _, notes = through(clips / "media" / "tc_nasa_13013.mp4", tmp_path / "out.mkv")
    assert notes[:2] == ["mkv: subtitles in mov_text become plain text (subrip)"] * 2
    assert {track for track, _, _ in packets_of(tmp_path / "out.mkv")} == {0, 1, 2, 3}
    with av.open(str(tmp_path / "out.mkv")) as file:
        lines = [bytes(packet) for packet in file.demux(file.streams.subtitles) if packet.size]
    assert lines and all(line.decode().replace("\n", "").isprintable() for line in lines)


def cover(codec):
    """A picture of one colour, as players show beside sound."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.time_base = 32, 24, Fraction(1, 25)
    encoder.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 200, np.uint8), "rgb24").reformat(format=encoder.pix_fmt)
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_fonts_and_cover_art_come_through(tmp_path, suffix):
    given = (
        Attachment("Schrift ü.ttf", "font/ttf", bytes(range(256)) * 9),
        Attachment("cover.jpg", "image/jpeg", cover("mjpeg"), is_cover=True),
        Attachment("back.png", "image/png", cover("png"), is_cover=True),
    )
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    with open_writer(first, suffix, INFO, companions=Companions(attachments=given)) as writer:
        writer.write(picture(0))
    companions, notes = through(first, second, pictures=1)
    said = ["mp4: attachments such as fonts are left out: 1; mkv holds them"]
    assert writer.notes == (said if suffix == "mp4" else []) and not notes
    kept = given if suffix == "mkv" else given[1:]
    assert {one.data for one in companions.attachments} == {one.data for one in kept}
    assert [one.is_cover for one in companions.attachments] == [one.is_cover for one in kept]
    if suffix == "mkv":
        assert companions.attachments == given
    with open_tracks(second) as tracks:
        assert tracks.companions({}).attachments == companions.attachments
    with open_video(second) as video:
        assert len(list(video)) == 1


def test_cover_art_that_is_damaged_does_not_stop_an_mp4(tmp_path):
    given = (Attachment("cover.jpg", "image/jpeg", b"no picture", is_cover=True),)
    with open_writer(tmp_path / "a.mp4", "mp4", INFO, companions=Companions(attachments=given)) as writer:
        writer.write(picture(0))
    assert len(writer.notes) == 1
    with open_video(tmp_path / "a.mp4") as video:
        assert len(list(video)) == 1


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (b"\0\3abc", b"abc"),
        (b"\0\3abc\0\0\0\x08styl", b"abc"),
        (b"\0\0", b""),
        (b"\0\6\xff\xfeh\0i\0", b"hi"),
        (b"\0\xffcut", b"cut"),
        (b"", b""),
    ],
)
def test_words_of_a_text_sample(sample, words):
    assert words_of(sample) == words


def test_ten_minutes_do_not_drift(tmp_path):
    """18,000 pictures at 29.97 and ten minutes of sound: the last ones are where they belong."""
    path = tmp_path / "in.mp4"
    make_source(path, seconds=2)
    with open_tracks(path) as tracks:
        short = list(tracks.packets())
        companions = tracks.companions({})
    step = short[-1].pts + short[-1].duration
    count = 600 * 48000 // step
    long = (
        type(short[0])(0, packet.data, packet.pts + turn * step, packet.dts + turn * step, packet.duration)
        for turn in range(count)
        for packet in short
    )
    out = tmp_path / "out.mp4"
    with open_writer(out, "mp4", INFO, companions=companions, packets=long) as writer:
        for index in range(17982):
            writer.write(picture(index * 1001))
    with av.open(str(out)) as file:
        last = {"video": Fraction(0), "audio": Fraction(0)}
        for packet in file.demux(file.streams.video[0], file.streams.audio[0]):
            if packet.size:
                last[packet.stream.type] = max(last[packet.stream.type], packet.pts * packet.time_base)
    assert last["video"] == Fraction(17981 * 1001, 30000)
    assert last["audio"] == Fraction(short[-1].pts + (count - 1) * step, 48000)


@pytest.mark.parametrize("orientation", range(8))
def test_orientation_comes_back(tmp_path, orientation):
    info = VideoInfo(16, 16, time_base=Fraction(1, 24), orientation=orientation)
    for suffix in ("mp4", "mkv"):
        out = tmp_path / f"out.{suffix}"
        with open_writer(out, suffix, info) as writer:
            writer.write(picture(0))
        with open_video(out) as video:
            assert video.info.orientation == orientation, (suffix, display_matrix(orientation))


@pytest.mark.parametrize("stub", [b"", b"\x1a\x45\xdf\xa3", b"nonsense" * 20])
@pytest.mark.parametrize("format", ["matroska", "mp4"])
def test_a_damaged_stub_is_an_error_that_the_muxer_expects(format, stub):
    with pytest.raises((av.FFmpegError, ValueError, IndexError)):
        open_stub(format, stub)


def test_only_known_containers_describe_tracks(tmp_path):
    path = make_source(tmp_path / "in.mp4")
    with av.open(str(path)) as file:
        assert make_stub(file.streams.audio[0])[0] == "matroska"
    with pytest.raises(ValueError, match="Expected one of"):
        open_stub("concat", io.BytesIO(b"file '/etc/passwd'").getvalue())


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
@pytest.mark.parametrize(("layout", "channels"), [("stereo", 2), ("5.1", 6)])
def test_pcm_of_several_channels_comes_into_mp4(tmp_path, suffix, layout, channels):
    """Of which a stub keeps the number alone."""
    path, out = tmp_path / f"in.{suffix}", tmp_path / "out.mp4"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("pcm_s16le", rate=48000, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.arange(channels * 4800, dtype=np.int16)[None], "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    _, notes = through(path, out, pictures=3)
    assert not notes
    assert b"".join(data for _, _, data in packets_of(path)) == b"".join(data for _, _, data in packets_of(out))
    with av.open(str(out)) as file:
        assert file.streams.audio[0].layout.nb_channels == channels


def test_sound_that_an_edit_list_hides_is_left_out(tmp_path):
    """But for its last packet, which the first one that is heard may lean on."""
    path, cut = make_source(tmp_path / "in.mp4"), tmp_path / "cut.mp4"
    with av.open(str(path)) as file, av.open(str(cut), "w") as out:
        wanted = file.streams.video[0], file.streams.audio[0]
        streams = {stream.index: out.add_stream_from_template(stream) for stream in wanted}
        for packet in file.demux(*wanted):
            if packet.size:
                packet.stream = streams[packet.stream_index]
                second = round(1 / packet.time_base)
                packet.pts, packet.dts = packet.pts - second, packet.dts - second
                out.mux(packet)
    with open_tracks(cut) as tracks:
        unit, kept = tracks.tracks[0].time_base, list(tracks.packets())
    assert [one.pts + one.duration > 0 for one in kept[:3]] == [False, True, True] and kept[0].pts * unit > -0.1
    assert [one.data for one in kept] == [data for _, _, data in packets_of(path)][-len(kept) :]


def test_a_subtitle_that_is_there_already_does_not_move_a_part(tmp_path):
    lines = [(0, 1000, b"gone"), (500, 5000, b"there"), (6000, 1000, b"later")]
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as file:
        stream = file.add_mux_stream("subrip")
        stream.time_base = Fraction(1, 1000)
        for start, duration, text in lines:
            packet = av.Packet(text)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 1000), True
            packet.pts = packet.dts = start
            packet.duration = duration
            file.mux(packet)
    for suffix in ("mkv", "mp4"):
        out = tmp_path / f"out.{suffix}"
        through(source, out, pictures=100, first=4 * 30000)
        with open_video(out) as video:
            assert next(video).pts == 0
        with av.open(str(out)) as file:
            found = [packet for packet in file.demux(file.streams.subtitles[0]) if packet.size > 2]
            shown = [(packet.pts * packet.time_base, packet.duration * packet.time_base) for packet in found]
        assert shown == [(0, Fraction(3, 2)), (2, 1)]


def test_chapters_of_a_part():
    chapters = tuple(Chapter(start, stop, title) for start, stop, title in ((0, 20, "a"), (20, 60, "b"), (60, 60, "c")))
    seconds = Fraction(1, 1_000_000)

    def within(begin, end):
        found = Companions(chapters=chapters).within(begin and begin * seconds, end and end * seconds)
        return [(one.start_us, one.end_us, one.title) for one in found.chapters]

    assert within(None, None) == [(0, 20, "a"), (20, 60, "b"), (60, 60, "c")]
    assert within(20, 50) == [(20, 50, "b")] and within(10, None) == [(10, 20, "a"), (20, 60, "b"), (60, 60, "c")]
    assert within(None, 60) == [(0, 20, "a"), (20, 60, "b")] and within(61, 90) == []
