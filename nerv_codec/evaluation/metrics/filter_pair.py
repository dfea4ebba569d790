"""ffmpeg's filters that compare two videos, through PyAV: what they note on each frame."""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph

from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.evaluation.metrics.pair import Unavailable
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
                self._graph.add_buffer(
                    width=info.width, height=info.height, format=av.VideoFormat(form), time_base=_TIME_BASE
                )
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
