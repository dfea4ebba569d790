"""XPSNR (Helmrich et al. 2020), through ffmpeg's filter in PyAV: PSNR weighted by visual sensitivity.

PyAV cannot tell the filter a frame rate, so it takes the temporal activity of videos up to 32 frames a second.
"""

from __future__ import annotations

import math
from fractions import Fraction

import av
from av.filter import Graph

from nerv_codec.base.psnr import MAX_DB, yuv611_db
from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable, require_luma
from nerv_codec.media import layout
from nerv_codec.media.filters import pulled

_TIME_BASE = Fraction(1, 25)


class FilterPair:
    """One of ffmpeg's filters that compare two videos, fed frame by frame.

    Args:
        name: ``xpsnr``, ``ssim`` or ``psnr``.
        info: Of both inputs.

    Raises:
        Unavailable: This build of PyAV has no such filter, or it does not take such pictures.
    """

    def __init__(self, name: str, info: VideoInfo) -> None:
        self._info = info
        form = layout.format_name(info.pixel_format, rgb=info.color.matrix == 0)
        if form is None or name not in av.filter.filters_available:
            raise Unavailable(f"{name} needs ffmpeg's filter of that name, which this PyAV does not have")
        self._graph = Graph()
        try:
            self._inputs = [
                self._graph.add_buffer(width=info.width, height=info.height, format=form, time_base=_TIME_BASE)
                for _ in range(2)
            ]
            comparison, self._sink = self._graph.add(name), self._graph.add("buffersink")
            # XPSNR weighs errors by what its first input shows, so that one has to be the reference.
            self._inputs[0].link_to(comparison, 0, 0)
            self._inputs[1].link_to(comparison, 0, 1)
            comparison.link_to(self._sink)
            self._graph.configure()
        except (av.FFmpegError, ValueError) as error:
            raise Unavailable(f"{name}: ffmpeg's filter does not take {form} pictures of that size") from error
        self._count = 0
        self._metadata: list[dict[str, str]] = []

    def add(self, reference: tuple[Plane, ...], target: tuple[Plane, ...]) -> None:
        """Feeds one pair."""
        for entry, planes in zip(self._inputs, (reference, target), strict=True):
            frame = layout.planes_frame(planes, self._info.pixel_format, self._info.color)
            frame.pts, frame.time_base = self._count, _TIME_BASE
            entry.push(frame)
        self._count += 1
        self._pull()

    def finish(self) -> list[dict[str, str]]:
        """What the filter noted on each frame, by its own names."""
        for entry in self._inputs:
            entry.push(None)
        self._pull()
        return self._metadata

    def _pull(self) -> None:
        self._metadata += [dict(frame.metadata) for frame in pulled(self._sink)]


class XpsnrMetric:
    """``xpsnr_y_db`` and ``xpsnr_yuv611_db``."""

    def __init__(self, info: VideoInfo) -> None:
        require_luma(info, "xpsnr")
        self._filter = FilterPair("xpsnr", info)
        self._planes = info.pixel_format.num_planes

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        self._filter.add(pair.reference, pair.target)

    def series(self) -> list[Series]:
        """Luma, and all planes weighted 6:1:1 in dB."""
        notes = self._filter.finish()
        names = [f"lavfi.xpsnr.xpsnr.{plane}" for plane in "yuv"[: self._planes]]
        frames = [[_decibels(note[name]) for name in names] for note in notes]
        return [
            Series("xpsnr_y_db", "Y", tuple(frame[0] for frame in frames), "dB"),
            Series("xpsnr_yuv611_db", "YUV 6:1:1, weighted in dB", tuple(map(yuv611_db, frames)), "dB"),
        ]


def _decibels(text: str) -> float:
    value = float(text)
    return MAX_DB if math.isinf(value) or math.isnan(value) else min(MAX_DB, value)
