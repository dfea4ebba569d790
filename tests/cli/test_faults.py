"""Damage costs what is damaged and no more; outputs are whole or not there."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import subprocess
import sys
from fractions import Fraction

import pytest
from damage import rewritten

from nerv_codec.base.errors import BitstreamError, OutputExistsError
from nerv_codec.base.files import atomic_output
from nerv_codec.bitstream.container import ContainerReader
from nerv_codec.decoding.decode import decode
from nerv_codec.decoding.metadata import own_frames
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.encode import encode
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer


def offsets(path):
    """Where each GOP begins, and the end of the last one."""
    with path.open("rb") as file:
        reader = ContainerReader(file)
        places = [reader.header_bytes]
        for gop in reader.header.gops:
            places.append(places[-1] + gop.section_bytes)
        return places


def pictures(path, target, **options):
    report = decode(path, target, overwrite=True, **options)
    with open_video(target) as video:
        return [b"".join(plane.tobytes() for plane in frame.planes) for frame in video], report.warnings


@pytest.fixture(scope="module")
def ten(tiny_info, tiny_frames, tiny_config, tmp_path_factory):
    """A file of ten GOPs: two frames each, and two cuts."""
    folder = tmp_path_factory.mktemp("ten")
    with open_writer(folder / "ten.y4m", "y4m", tiny_info, frame_rate=Fraction(24)) as writer:
        for frame in [*tiny_frames, *tiny_frames[:2]]:
            writer.write(frame)
    config = dataclasses.replace(tiny_config, gop=2, siren=dataclasses.replace(tiny_config.siren, steps=5, batch=300))
    report = encode(folder / "ten.y4m", folder / "ten.nvc", config=config)
    assert report.num_gops == 10
    return folder / "ten.nvc"


@pytest.mark.parametrize("gop", range(10))
def test_a_damaged_gop_costs_itself(ten, tmp_path, gop):
    whole, _ = pictures(ten, tmp_path / "whole.y4m")
    data = bytearray(ten.read_bytes())
    data[offsets(ten)[gop] + 20] ^= 4
    path = tmp_path / "damaged.nvc"
    path.write_bytes(data)
    with pytest.raises(BitstreamError, match=f"GOP {gop}"):
        decode(path, tmp_path / "a.y4m")
    assert not (tmp_path / "a.y4m").exists()
    kept, warnings = pictures(path, tmp_path / "a.y4m", keep_going=True)
    with VideoDecoder(ten) as video:
        first, last = own_frames(video.header, gop)
    assert len(kept) == len(whole)
    assert kept[:first] == whole[:first] and kept[last + 1 :] == whole[last + 1 :]
    assert len(warnings) == 1 and f"frames {first}..{last} are filled" in warnings[0]
    if gop:
        assert kept[first] == whole[first - 1]


def test_a_file_that_is_cut_off_decodes_up_to_the_cut(ten, tmp_path):
    whole, _ = pictures(ten, tmp_path / "whole.y4m")
    places = offsets(ten)
    path = tmp_path / "cut.nvc"
    path.write_bytes(ten.read_bytes()[: places[4] + 11])
    with pytest.raises(BitstreamError, match="truncated"):
        decode(path, tmp_path / "a.y4m")
    kept, warnings = pictures(path, tmp_path / "a.y4m", keep_going=True)
    with VideoDecoder(ten) as video:
        present = own_frames(video.header, 4)[0]
    assert kept == whole[:present] and "truncated" in warnings[0]
    path.write_bytes(ten.read_bytes()[: places[0] + 3])
    with pytest.raises(BitstreamError, match="no whole GOP"):
        decode(path, tmp_path / "b.y4m", keep_going=True)


def test_nothing_intact(ten, tmp_path):
    data = bytearray(ten.read_bytes())
    for place in offsets(ten)[:-1]:
        data[place + 20] ^= 4
    (tmp_path / "a.nvc").write_bytes(data)
    with pytest.raises(BitstreamError, match="no GOP is intact"):
        decode(tmp_path / "a.nvc", tmp_path / "a.y4m", keep_going=True)


def test_damage_behind_the_gops_costs_what_follows_it(ten, tmp_path):
    ruins = b"\x83\x05ruins"
    with ten.open("rb") as file:
        other_bytes = ContainerReader(file).header.other_bytes
    (tmp_path / "a.nvc").write_bytes(rewritten(ten, other_bytes=other_bytes + len(ruins) + 4) + ruins)
    with pytest.raises(BitstreamError):
        VideoDecoder(tmp_path / "a.nvc")
    _, warnings = pictures(tmp_path / "a.nvc", tmp_path / "a.y4m", keep_going=True)
    assert warnings == ("the file is truncated: a section runs past its end",)


@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_a_full_disk_leaves_no_output(ten, tiny_clip, tmp_path, verb):
    """A limit on the size of files stands for it: the writes fail the same way.

    Python itself would cut compiled modules off there, and trip over them the next time.
    """
    words = {
        "encode": [
            str(tiny_clip),
            str(tmp_path / "a.nvc"),
            "--model",
            "siren",
            "--set",
            "siren.width=16",
            "--set",
            "siren.steps=3",
        ],
        "decode": [str(ten), str(tmp_path / "a.y4m"), "--scale", "4"],
    }[verb]

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    command = [sys.executable, "-m", "nerv_codec", verb, *words, "-q"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False, env=environment)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "too large" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {".a.nvc.work"}


def test_the_second_of_two_encodes_to_one_output_is_refused_at_its_start(tiny_clip, tiny_config, tmp_path):
    target, said = tmp_path / "a.nvc", []

    def meanwhile(event):
        if event.type == "gop-done" and not said:
            for overwrite in (False, True):
                with pytest.raises(OutputExistsError, match="another process is encoding to it"):
                    encode(tiny_clip, target, config=tiny_config, overwrite=overwrite, progress=said.append)
            assert all(event.type == "start" for event in said) and said

    encode(tiny_clip, target, config=tiny_config, tool_section=False, progress=meanwhile)
    alone = tmp_path / "b.nvc"
    encode(tiny_clip, alone, config=tiny_config, tool_section=False)
    assert target.read_bytes() == alone.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nvc", "b.nvc"]


def test_an_encode_ends_when_somebody_else_has_written_its_output(tiny_clip, tiny_config, tmp_path):
    """Without a lock, as for a stream: before the next GOP, not at the end."""
    target, done = tmp_path / "a.nvc", []

    def meanwhile(event):
        if event.type == "gop-done":
            done.append(event)
            target.write_bytes(b"theirs")

    config = dataclasses.replace(tiny_config, gop=2)
    with pytest.raises(OutputExistsError, match="exists already"):
        encode(tiny_clip, target, config=config, resume=False, progress=meanwhile)
    assert len(done) <= 2 and target.read_bytes() == b"theirs"


def test_what_dead_processes_left_is_removed(tmp_path):
    target = tmp_path / "clip.nvc"
    with atomic_output(target, overwrite=False) as mine:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        name = mine.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
        (tmp_path / name).write_bytes(b"half")
        (tmp_path / "..".join(name.split("."))).write_bytes(b"somebody else's")
        mine.write_bytes(b"mine")
        with atomic_output(target, overwrite=False) as second:
            assert not (tmp_path / name).exists() and mine.exists()
            second.write_bytes(b"second")
        target.unlink()
    assert target.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 2
