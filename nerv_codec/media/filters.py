"""The one way in which frames are taken out of ffmpeg's filter graphs."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.filter.context import FilterContext
from av.video.frame import VideoFrame


def pulled(sink: FilterContext) -> Iterator[VideoFrame]:
    """Yields the frames that a ``buffersink`` has ready, until the graph wants more input or has ended."""
    while True:
        try:
            frame = sink.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, VideoFrame):
            yield frame
