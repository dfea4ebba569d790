"""Small clips that tests draw: frames of noise, and files of frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from nerv_codec.base.video import PlanarFrame, VideoInfo, plane_dtype
from nerv_codec.media.writer import open_writer


def noise(info: VideoInfo, times: Iterable[int], *, seed: int = 5, duration: int = 0) -> list[PlanarFrame]:
    """Frames of independent samples over the whole range at the given pts, so that any wrong sample shows."""
    rng = np.random.default_rng(seed)
    layout = info.pixel_format
    sizes = [layout.plane_size(index, info.height, info.width) for index in range(layout.num_planes)]
    dtype = plane_dtype(layout.bit_depth)
    return [
        PlanarFrame(tuple(rng.integers(0, layout.max_value, s, dtype, endpoint=True) for s in sizes), pts, duration)
        for pts in times
    ]


def write_clip(path: Path, info: VideoInfo, frames: Iterable[PlanarFrame], rate: int = 25) -> Path:
    """A lossless file of frames, of the kind that its suffix says (``.y4m``, ``.mkv``); returns its path."""
    with open_writer(path, path.suffix[1:], info, frame_rate=Fraction(rate)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def moved(source: Path, target: Path, milliseconds: int) -> Path:
    """A copy of a file whose clock is ahead, which the package's own writer, beginning at 0, does not make."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
        for packet in given.demux(video=0):
            if packet.size:
                packet.pts += milliseconds
                packet.dts, packet.stream = packet.pts, stream
                out.mux(packet)
    return target
