"""Small valid files and payloads to start from, made on the spot so that no corpus need be kept."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from nerv_codec.base.companions import Attachment, Chapter, Companions, LightLevel, MasteringDisplay, Track, TrackPacket
from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.bitstream.companions import write_attachment, write_companions, write_packets
from nerv_codec.bitstream.container import (
    SECTION_ATTACHMENT,
    SECTION_COMPANIONS,
    SECTION_PACKETS,
    ContainerReader,
    pack_section,
    write_prologue,
)
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.registry import MODELS

_SAMPLES = Path(__file__).parents[2] / "samples"


def files() -> Iterator[bytes]:
    """A ``.nvc`` of two GOPs in colour and one in gray, of every representation, one of screen content and a zoom."""
    for model, num_planes in itertools.product(MODELS, (3, 1)):
        layout = PixelFormat(num_planes, int(num_planes == 3), int(num_planes == 3))
        info = VideoInfo(16, 8, layout, time_base=Fraction(1, 24))
        with tempfile.TemporaryDirectory() as folder:
            clip, target = Path(folder) / "clip.y4m", Path(folder) / "clip.nvc"
            with open_writer(clip, "y4m", info, frame_rate=Fraction(24)) as writer:
                for index in range(4):
                    sizes = (layout.plane_size(plane, 8, 16) for plane in range(num_planes))
                    planes = tuple(np.full(size, 40 * index, np.uint8) for size in sizes)
                    writer.write(PlanarFrame(planes, index, 1))
            config = EncoderConfig(model=model, gop=2, siren=SirenConfig(width=4, hidden_layers=1, steps=2))
            encode(clip, target, config=config)
            yield _beside(target.read_bytes(), _companions())
    yield from ((_SAMPLES / f"golden_{name}.nvc").read_bytes() for name in ("screen", "zoom", "priced", "middle"))


def _beside(file: bytes, sections: bytes) -> bytes:
    """The file with more sections behind its others."""
    reader = ContainerReader(io.BytesIO(file))
    header = replace(reader.header, other_bytes=reader.header.other_bytes + len(sections))
    return write_prologue(header) + file[reader.header_bytes :] + sections


def _companions() -> bytes:
    """All kinds of sections that hold what travels beside the pictures."""
    companions = Companions(
        tracks=(Track("matroska", b"stub", Fraction(1, 48000), 1, {"language": "deu"}), Track("mp4", b"", Fraction(1))),
        chapters=(Chapter(0, 1_000_000, "one"),),
        tags={"title": "t"},
        mastering=MasteringDisplay((1, 2, 3, 4, 5, 6, 7, 8), (1, 2)),
        light=LightLevel(1000, 400),
    )
    packets = [TrackPacket(n % 2, bytes(n), 1024 * n, 1024 * n - 7, 1024) for n in range(6)]
    sections = [
        pack_section(SECTION_COMPANIONS, write_companions(companions)),
        pack_section(SECTION_ATTACHMENT, write_attachment(Attachment("a.ttf", "font/ttf", b"font", is_cover=True))),
    ]
    return b"".join(sections + [pack_section(SECTION_PACKETS, part) for part in write_packets(packets)])


def payloads() -> Iterator[bytes]:
    """The first GOP of each file behind the bytes by which the target chooses."""
    for file in files():
        reader = ContainerReader(io.BytesIO(file))
        header = reader.header
        model = sorted(known.model_id for known in MODELS.values()).index(header.model_id)
        gray = header.info.pixel_format.num_planes == 1
        yield bytes([model, 2 * (header.gops[0].num_frames - 1) + gray]) + reader.read_gop(0)
