"""Small valid files and payloads to start from, made on the spot so that no corpus need be kept."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from nerv_codec.bitstream.container import ContainerReader
from nerv_codec.config import EncoderConfig, SirenConfig, TrainingConfig
from nerv_codec.encoder import encode
from nerv_codec.media.writer import open_writer
from nerv_codec.types import PixelFormat, PlanarFrame, VideoInfo


def files() -> Iterator[bytes]:
    """One ``.nvc`` of two GOPs in colour, one in gray."""
    for num_planes in (3, 1):
        layout = PixelFormat(num_planes, int(num_planes == 3), int(num_planes == 3))
        info = VideoInfo(16, 8, layout, time_base=Fraction(1, 24))
        with tempfile.TemporaryDirectory() as folder:
            clip, target = Path(folder) / "clip.y4m", Path(folder) / "clip.nvc"
            with open_writer(clip, "y4m", info, frame_rate=Fraction(24)) as writer:
                for index in range(4):
                    sizes = (layout.plane_size(plane, 8, 16) for plane in range(num_planes))
                    planes = tuple(np.full(size, 40 * index, np.uint8) for size in sizes)
                    writer.write(PlanarFrame(planes, index, 1))
            config = EncoderConfig(gop=2, siren=SirenConfig(width=4, hidden_layers=1), training=TrainingConfig(steps=2))
            encode(clip, target, config=config)
            yield target.read_bytes()


def payloads() -> Iterator[bytes]:
    """The first GOP of each file behind the two bytes by which the target chooses."""
    for file in files():
        reader = ContainerReader(io.BytesIO(file))
        planes = reader.header.info.pixel_format.num_planes
        yield bytes([0, planes == 1]) + reader.read_gop(0)
