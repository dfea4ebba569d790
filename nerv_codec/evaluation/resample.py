"""Ordinary ways to make pictures between pictures and pixels between pixels, to measure a function against."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from av.filter import Graph

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.media import layout
from nerv_codec.media.filters import pulled

Planes = tuple[Plane, ...]


def average_between(pictures: Iterable[Planes], places: Sequence[Fraction]) -> Iterator[Planes]:
    """Pictures between given ones, each the weighted mean of its two neighbours.

    Args:
        pictures: The given ones.
        places: Where, ascending, in pictures from the first one: 1/2 is midway between it and the second.
    """
    waiting = list(places)
    for index, (left, right) in enumerate(pairwise(pictures)):
        while waiting and waiting[0] <= index + 1:
            weight = float(waiting.pop(0) - index)
            yield tuple(
                np.rint((1 - weight) * a + weight * b).astype(a.dtype) for a, b in zip(left, right, strict=True)
            )


def interpolate_motion(pictures: Iterable[Planes], info: VideoInfo, factor: int, count: int) -> Iterator[Planes]:
    """``factor`` - 1 pictures between any two, by motion compensation (ffmpeg's ``minterpolate``).

    Args:
        pictures: The given ones, taken as evenly spaced.
        info: Of them.
        factor: How many times the rate.
        count: How many pictures are wanted.
    """
    name = layout.format_name(info.pixel_format, rgb=False)
    graph = Graph()
    entry = graph.add(
        "buffer",
        f"video_size={info.width}x{info.height}:pix_fmt={name}:time_base=1/1:pixel_aspect=1/1:frame_rate=1/1",
    )
    filters = [
        graph.add("minterpolate", f"fps={factor}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"),
        graph.add("format", f"pix_fmts={name}"),
        graph.add("buffersink"),
    ]
    for source, target in pairwise([entry, *filters]):
        source.link_to(target)
    graph.configure()
    given = 0
    last: Planes | None = None

    def push(planes: Planes) -> Iterator[Planes]:
        nonlocal count
        frame = layout.planes_frame(planes, info.pixel_format, info.color)
        frame.pts, frame.time_base = given, Fraction(1)
        entry.push(frame)
        for made in pulled(filters[-1]):
            number = round((made.pts or 0) * (made.time_base or Fraction(1)) * factor)
            if number % factor and count:
                count -= 1
                yield layout.frame_planes(made, info.pixel_format)

    for last in pictures:
        yield from push(last)
        given += 1
    # The filter looks two pictures ahead, so that the end needs some more.
    while count and last is not None:
        yield from push(last)
        given += 1


def reduced_info(info: VideoInfo, factor: int) -> VideoInfo:
    """What pictures become when each block of ``factor`` x ``factor`` becomes one sample. Raises UsageError."""
    fmt = info.pixel_format
    units = factor << fmt.chroma_row_shift, factor << fmt.chroma_col_shift
    height, width = (size // unit * unit // factor for size, unit in zip((info.height, info.width), units, strict=True))
    if min(height, width) < 8:
        raise UsageError(f"expected pictures that can be reduced {factor}:1, found {info.width}x{info.height}")
    return dataclasses.replace(info, height=height, width=width)


def reduced(planes: Planes, info: VideoInfo, factor: int) -> Planes:
    """Block means of every plane; what does not fill a block at the right and bottom edge is left out."""
    small = reduced_info(info, factor)
    result = []
    for index, plane in enumerate(planes):
        rows, cols = small.pixel_format.plane_size(index, small.height, small.width)
        blocks = plane[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)
        result.append(np.rint(blocks.mean(axis=(1, 3))).astype(plane.dtype))
    return tuple(result)


def scaled(planes: Planes, info: VideoInfo, target: VideoInfo, kernel: str) -> Planes:
    """A picture at another size, by swscale with ``BICUBIC`` or ``LANCZOS``."""
    frame = layout.planes_frame(planes, info.pixel_format, info.color)
    made = frame.reformat(width=target.width, height=target.height, interpolation=kernel, threads=1)
    return layout.frame_planes(made, info.pixel_format)
