"""Deinterlacing by ffmpeg's bwdif filter: one progressive picture for each frame, with the frame's times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from nerv_codec.media.filters import pulled

_SMALLEST_SIDE = 3
"""The least width and height that bwdif takes."""


def deinterlaced(frames: Iterable[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """Yields progressive frames; frames before the first interlaced one are passed on unchanged.

    From the first interlaced frame on every frame goes through the filter, which deinterlaces those that need it
    and holds one back to look ahead. A change of size or format starts a new filter.

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
    """One bwdif filter, for frames of one size and format."""

    def __init__(self, frame: VideoFrame, time_base: Fraction) -> None:
        self._shape = frame.width, frame.height, frame.format.name
        self._time_base = time_base
        self._graph = Graph()
        width, height, name = self._shape
        source = self._graph.add_buffer(width=width, height=height, format=VideoFormat(name), time_base=time_base)
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(source, bwdif, self._sink).configure()

    def takes(self, frame: VideoFrame) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._shape

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self._graph.vpush(frame)
        yield from self._pull()

    def finish(self) -> Iterator[VideoFrame]:
        self._graph.vpush(None)
        yield from self._pull()

    def _pull(self) -> Iterator[VideoFrame]:
        for frame in pulled(self._sink):
            if frame.pts is not None and frame.time_base:  # the filter counts in half units
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
            if frame.duration and frame.time_base:
                frame.duration = round(frame.duration * frame.time_base / self._time_base)
            frame.time_base = self._time_base
            yield frame
