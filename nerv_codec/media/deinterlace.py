"""Woven fields to whole pictures: ffmpeg's bwdif, one picture a frame, its times kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

_SMALLEST_SIDE = 3
"""What bwdif asks for."""


def deinterlaced(frames: Iterable[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """Yields progressive frames; those that are so already pass through unchanged.

    From the first interlaced frame on all pass through the filter, which holds one back to look ahead.
    A change of size or format starts it anew.

    Args:
        frames: In presentation order.
        time_base: Seconds per unit of their pts.
    """
    graph: _Deinterlacer | None = None
    for frame in frames:
        if graph is not None and not graph.takes(frame):
            yield from graph.finish()
            graph = None
        if graph is None and frame.interlaced_frame and min(frame.width, frame.height) >= _SMALLEST_SIDE:
            graph = _Deinterlacer(frame, time_base)
        if graph is None:
            yield frame
        else:
            yield from graph.push(frame)
    if graph is not None:
        yield from graph.finish()


class _Deinterlacer:
    def __init__(self, frame: VideoFrame, time_base: Fraction) -> None:
        self._shape = frame.width, frame.height, frame.format.name
        self._time_base = time_base
        self._graph = Graph()
        width, height, name = self._shape
        source = self._graph.add_buffer(width=width, height=height, format=name, time_base=time_base)
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()

    def takes(self, frame: VideoFrame) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._shape

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self._graph.vpush(frame)
        yield from self._pull()

    def finish(self) -> Iterator[VideoFrame]:
        self._graph.vpush(None)
        yield from self._pull()

    def _pull(self) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            if frame.pts is not None and frame.time_base:  # the filter counts in half units
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
            if frame.duration and frame.time_base:
                frame.duration = round(frame.duration * frame.time_base / self._time_base)
            frame.time_base = self._time_base
            yield frame
