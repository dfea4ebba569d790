"""Encodes and decodes every file of a folder and compares what comes back with the source: a table.

``python tools/check_media.py FOLDER [--frames 8] [--format mp4]``: size, number of frames, every time, duration,
colour, rotation, the digest of each packet of sound and subtitles, and how far any of these is out of sync. A file
that is refused stands there with its line. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from nerv_codec.base.companions import TrackPacket
from nerv_codec.base.errors import NervCodecError
from nerv_codec.base.video import PlanarFrame
from nerv_codec.decoding.decode import decode
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.media.containers import open_input
from nerv_codec.media.reader import VideoReader, open_video
from nerv_codec.media.sequence import is_sequence
from nerv_codec.media.tracks import open_tracks

CONFIG = EncoderConfig(
    model="siren",
    siren=SirenConfig(width=16, hidden_layers=2, steps=20, batch=2000, quantised_fraction=0.2),
)
COLUMNS = ("size", "frames", "pts", "last duration", "colour", "rotation", "packets", "sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--format", choices=("mp4", "mkv"), default="mp4")
    options = parser.parse_args()
    failed = 0
    print(
        "| file | size | frames | pts | last duration | colour | rotation | packets | sync | notes |\n|" + "---|" * 10
    )
    for path in sorted(options.folder.iterdir()):
        try:
            cells, same = check(path, options.frames, options.format)
        except NervCodecError as error:
            cells, same = (
                [f"exit {error.exit_code}: {error}".replace(str(path.parent) + "/", ""), *[""] * len(COLUMNS)],
                True,
            )
        except Exception:
            cells, same = [f"CRASH {traceback.format_exc().splitlines()[-1]}", *[""] * len(COLUMNS)], False
        failed += not same
        print(f"| {path.name} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{failed} files differ")
    sys.exit(failed > 0)


def check(path: Path, count: int, suffix: str) -> tuple[list[str], bool]:
    """One row of the table, and whether all of it is as it was."""
    with tempfile.TemporaryDirectory() as folder:
        nvc, out = Path(folder) / "a.nvc", Path(folder) / f"a.{suffix}"
        encoded = encode(path, nvc, config=CONFIG, frames=count)
        decoded = decode(nvc, out)
        with VideoDecoder(nvc) as video:
            stored = list(video.packets())
            tracks = video.companions.tracks
            last = video.timeline.frame_duration(len(video) - 1)
        with open_video(path) as source, open_video(out) as result:
            frames, back = first_frames(source, count), list(result)
            a, b = source.info, result.info
            begin_a, begin_b = frames[0].pts * a.time_base, back[0].pts * b.time_base
            moved = any("shifted" in note for note in decoded.warnings)
            sound = min((packet.pts * tracks[packet.track].time_base for packet in stored), default=begin_a)
            # Files begin at 0: what is earliest, a picture or sound, is moved there by whole ticks of the pictures.
            earliest = max(Fraction(0), min(begin_a, sound) // a.time_base * a.time_base)
            shift = begin_b - begin_a if moved else -begin_a if begin_a < 0 else -earliest
            errors = [
                abs(x.pts * a.time_base + shift - y.pts * b.time_base) for x, y in zip(frames, back, strict=False)
            ]
            end_a, end_b = last, back[-1].duration * b.time_base
            colour = [(*dataclasses.astuple(i.color), i.pixel_format.bit_depth) for i in (a, b)]
            hdr = (source.mastering, source.light) == (result.mastering, result.light)
        ours = {(p.track, hashlib.md5(p.data, usedforsecurity=False).hexdigest()) for p in stored}
        theirs = set(packet_digests(path))
        mixed = [digest for _, digest in packet_digests(out)]
        converted = any("converted" in note for note in decoded.warnings)
        skew = out_of_sync(stored, [track.time_base for track in tracks], out, shift)
        left_out = sum("left out" in note or "become plain text" in note for note in decoded.warnings)
        came_back = sum(digest in mixed for _, digest in ours)
        facts = {
            "size": (f"{a.width}x{a.height}", (a.width, a.height) == (b.width, b.height)),
            "frames": (str(len(frames)), len(frames) == len(back) == encoded.num_frames),
            "pts": (
                f"max error {1000 * float(max(errors)):g} ms",
                max(errors) <= Fraction(1, 1000) * (suffix == "mkv"),
            ),
            "duration": (f"{float(end_a):.4f} s", abs(end_a - end_b) <= Fraction(1, 1000)),
            "colour": (
                "/".join(map(str, colour[0])) + (" HDR" if source.light else ""),
                (converted or colour[0] == colour[1]) and hdr,
            ),
            "rotation": (str(a.orientation), a.orientation == b.orientation),
            "packets": (f"{len(ours)}, back {came_back}", ours <= theirs and (came_back == len(ours) or left_out > 0)),
            "sync": (f"{1000 * float(skew):g} ms", skew <= Fraction(2, 1000)),
        }
        cells = [text if same else f"**{text} → differs**" for text, same in facts.values()]
        if colour[0] != colour[1] and not converted:
            cells[4] = f"{cells[4]} {'/'.join(map(str, colour[1]))}"
        notes = "; ".join([*encoded.warnings, *decoded.warnings])
        return [*cells, notes], all(same for _, same in facts.values())


def first_frames(reader: VideoReader, count: int) -> list[PlanarFrame]:
    return [frame for _, frame in zip(range(count), reader, strict=False)]


def out_of_sync(stored: list[TrackPacket], units: list[Fraction], out: Path, shift: Fraction) -> Fraction:
    """How far a packet is, at the most, from where the shift of the pictures puts it; copies are left out."""
    with open_tracks(out) as reader:
        found = [(packet.data, packet.pts * reader.tracks[packet.track].time_base) for packet in reader.packets()]
    given = [(packet.data, packet.pts * units[packet.track] + shift) for packet in stored]
    copies = Counter(data for data, _ in given) | Counter(data for data, _ in found)
    places = dict(found)
    return max(
        (abs(places[data] - time) for data, time in given if data in places and copies[data] == 1), default=Fraction(0)
    )


def packet_digests(path: Path) -> Iterator[tuple[int, str]]:
    """(number of the track, digest) of every packet of sound and subtitles."""
    if is_sequence(path):
        return
    with open_input(f"file:{path}") as file:
        streams = [stream for stream in file.streams if stream.type in ("audio", "subtitle")]
        numbers = {stream.index: number for number, stream in enumerate(streams)}
        for packet in file.demux(*streams) if streams else ():
            data = bytes(packet)
            if data:
                yield numbers[packet.stream_index], hashlib.md5(data, usedforsecurity=False).hexdigest()
            if data[:1] == b"\xff" and data[1:2] and data[1] & 0xF6 == 0xF0:  # AAC in ADTS: without the header, too
                bare = data[7 if data[1] & 1 else 9 :]
                yield numbers[packet.stream_index], hashlib.md5(bare, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    main()
