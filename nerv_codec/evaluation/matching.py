"""Two videos side by side: a ``.nvc`` or any ordinary file as frames, and which frame belongs to which."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import InputError
from nerv_codec.base.video import DEFAULT_RATE, PixelFormat, PlanarFrame, Plane, VideoInfo
from nerv_codec.bitstream.container import MAGIC, SECTION_TOOL
from nerv_codec.bitstream.tool import ToolInfo, parse_tool
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.media import layout
from nerv_codec.media.reader import VideoReader, open_video
from nerv_codec.representations.rendering import View

Array = npt.NDArray[np.float64]

_UNSPECIFIED = 2
"""In the code points of ITU-T H.273."""
_SEARCHED_FRAMES = 16
"""How many frames at the start of both videos are looked at to see whether their clocks agree."""
_SURE = 4.0
"""By how much the squared error has to fall for pictures to be believed against clocks."""
_THUMBNAIL = 16
"""Rows and columns of the mean values that pictures are recognised by."""


def is_nvc(path: str | Path) -> bool:
    """Whether a file begins as a ``.nvc`` does. False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class FrameSource:
    """The frames of one file in presentation order, and what it took to decode them.

    Args:
        path: A ``.nvc`` or anything that PyAV opens.
        device: Where the function of a ``.nvc`` is evaluated.
        rate: Frames per second of numbered pictures; None is 25.

    Raises:
        InputError: It cannot be opened. BitstreamError: It is a damaged ``.nvc``; also while iterating.
    """

    def __init__(self, path: str | Path, *, device: str = "auto", rate: Fraction | None = None) -> None:
        self.path = Path(path)
        self.device = "cpu"
        """Where it is decoded."""
        self.decode_seconds = 0.0
        """Wall time spent on the frames given so far."""
        self.frames_read = 0
        self.nvc: VideoDecoder | None = None
        """The decoder, where the file is a ``.nvc``."""
        self._stack = ExitStack()
        began = time.perf_counter()
        if is_nvc(path):
            self.nvc = self._stack.enter_context(VideoDecoder(path, device=device))
            self.device = str(choose_device(device))
            self.info: VideoInfo = self.nvc.header.info
            self.num_frames: int | None = len(self.nvc)
            """How many frames there are; of an ordinary file a hint."""
            self.frame_rate: Fraction = self.nvc.timeline.average_rate
            self._frames: Iterator[PlanarFrame] = _nvc_frames(self.nvc)
        else:
            reader: VideoReader = self._stack.enter_context(open_video(path, rate=rate))
            self.info, self.num_frames, self._frames = reader.info, reader.num_frames, reader
            self.frame_rate = reader.frame_rate or DEFAULT_RATE
        self.decode_seconds = time.perf_counter() - began

    def peek(self, count: int) -> list[PlanarFrame]:
        """The next ``count`` frames, fewer at the end; they are still given afterwards."""
        began = time.perf_counter()
        ahead = list(islice(self._frames, count))
        self._frames = chain(ahead, self._frames)
        self.decode_seconds += time.perf_counter() - began
        return ahead

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[PlanarFrame]:
        return self

    def __next__(self) -> PlanarFrame:
        began = time.perf_counter()
        frame = next(self._frames)
        self.decode_seconds += time.perf_counter() - began
        self.frames_read += 1
        return frame

    @property
    def tool(self) -> ToolInfo | None:
        """What a ``.nvc`` says about its making, if it does."""
        if self.nvc is None:
            return None
        sections = self.nvc.loader.container.trailing_sections()
        return next((parse_tool(part.payload) for part in sections if part.kind == SECTION_TOOL), None)


@dataclass(frozen=True)
class Match:
    """Two frames that are shown at one time."""

    reference_index: int
    target_index: int
    seconds: float
    """When, on the reference's clock."""
    reference: PlanarFrame
    target: PlanarFrame


def clock_shift(reference: FrameSource, target: FrameSource, *, by: str = "auto") -> tuple[Fraction, list[str]]:
    """Seconds to add to the target's times so that they are the reference's, and what has to be said about it.

    Clocks are believed, unless the first pictures fit far better with another shift: a pipe drops the delay that a
    video starts with, muxers move videos at will, and a target may have lost its first frames.

    Args:
        reference: A source of which no frame has been taken yet.
        target: The other one. A ``.nvc`` has its source's times; those of other files begin where the
            reference's begin.
        by: As for :func:`match_frames`; only ``auto`` looks at pictures.
    """
    if by != "auto":
        return Fraction(0), []
    left, right = (source.peek(_SEARCHED_FRAMES) for source in (reference, target))
    if not left or not right:
        return Fraction(0), []
    times = [
        [frame.pts * source.info.time_base for frame in frames]
        for source, frames in ((reference, left), (target, right))
    ]
    by_clock = Fraction(0) if target.nvc is not None else times[0][0] - times[1][0]
    depth = target.info.pixel_format.max_value / reference.info.pixel_format.max_value
    seen = [_thumbnail(frame) * depth for frame in left], [_thumbnail(frame) for frame in right]

    def error(shift: Fraction) -> float:
        """Mean squared error of the thumbnails that fall together, infinite for fewer than two thirds of them."""
        tolerance = _tolerance(reference, target)
        pairs = [
            float(np.mean((seen[0][i] - seen[1][j]) ** 2))
            for i, here in enumerate(times[0])
            for j, there in enumerate(times[1])
            if abs(here - there - shift) <= tolerance
        ]
        return statistics.fmean(pairs) if 3 * len(pairs) >= 2 * min(len(left), len(right)) else math.inf

    candidates = {times[0][i] - times[1][0] for i in range(len(left))}
    candidates |= {times[0][0] - times[1][j] for j in range(len(right))}
    by_picture = min(sorted(candidates, key=lambda shift: abs(shift - by_clock)), key=error)
    expected, found = error(by_clock), error(by_picture)
    if by_picture == by_clock or not _SURE * (found + depth**2 * 0.01) < expected < math.inf:
        return by_clock, []
    return by_picture, [
        f"times and pictures are {abs(float(by_clock - by_picture)):.3g} s apart: frames were paired by what the first "
        "ones show (--match time believes the times)"
    ]


def match_frames(
    reference: FrameSource, target: FrameSource, *, by: str = "auto", shift: Fraction = Fraction(0)
) -> Iterator[Match]:
    """Pairs the frames of two sources while both stream through; what has no partner is passed over.

    Args:
        reference: Where the frames' times are taken from.
        target: A ``.nvc`` has its source's times, so a part of the reference finds its place.
        by: ``time`` or ``auto``: times are equal within one tick of the coarser time base. ``number``: first to
            first, second to second.
        shift: What :func:`clock_shift` found, in seconds.
    """
    if by == "number":
        for index, (first, second) in enumerate(zip(reference, target, strict=False)):
            yield Match(index, index, float(first.pts * reference.info.time_base), first, second)
        return
    tick_left, tick_right = reference.info.time_base, target.info.time_base
    tolerance = _tolerance(reference, target)
    left, right = next(reference, None), next(target, None)
    number_left = number_right = 0
    while left is not None and right is not None:
        ahead = left.pts * tick_left - (right.pts * tick_right + shift)
        if abs(ahead) <= tolerance:
            yield Match(number_left, number_right, float(left.pts * tick_left), left, right)
        if ahead <= tolerance:
            left, number_left = next(reference, None), number_left + 1
        if ahead >= -tolerance:
            right, number_right = next(target, None), number_right + 1


def check_comparable(reference: FrameSource, target: FrameSource) -> list[str]:
    """Notes on comparing two sources whose layouts or ranges differ.

    Raises:
        InputError: Their pictures have different sizes, or one is gray and the other is not.
    """
    left, right = reference.info, target.info
    if (left.width, left.height) != (right.width, right.height):
        found = f"{right.width}x{right.height}"
        raise InputError(f"{target.path}: expected {left.width}x{left.height} pixels as the reference, found {found}")
    planes = left.pixel_format.num_planes, right.pixel_format.num_planes
    if planes[0] != planes[1] or (planes[0] == 3 and (left.color.matrix == 0) != (right.color.matrix == 0)):
        raise InputError(f"{target.path}: expected the reference's kind of colour (gray, YUV or RGB), found another")
    notes = []
    if left.pixel_format != right.pixel_format:
        notes.append(f"the target's pictures were converted to the reference's {_describe(left.pixel_format)}")
    for name, what in (("matrix", "matrices"), ("primaries", "primaries"), ("transfer", "transfer functions")):
        codes = getattr(left.color, name), getattr(right.color, name)
        if codes[0] != codes[1] and _UNSPECIFIED not in codes:
            notes.append(f"the {what} differ (H.273 codes {codes[0]} and {codes[1]}): planes are compared as they are")
    if left.color.full_range != right.color.full_range:
        notes.append("the ranges of code values differ: figures of planes compare code values as they are")
    return notes


def select_frames(path: str | Path, numbers: Collection[int]) -> Iterator[PlanarFrame]:
    """The frames of a file with the given numbers, in order; reads no further than the last of them."""
    wanted, last = frozenset(numbers), max(numbers)
    with FrameSource(path) as source:
        for number, frame in enumerate(source):
            if number in wanted:
                yield frame
            if number >= last:
                return


def in_layout(planes: tuple[Plane, ...], info: VideoInfo, wanted: PixelFormat) -> tuple[Plane, ...]:
    """Planes in another subsampling or bit depth, by swscale; the same arrays where nothing is to be done."""
    if info.pixel_format == wanted:
        return planes
    rgb = info.color.matrix == 0 and wanted.num_planes == 3
    name = layout.format_name(wanted, rgb=rgb)
    if name is None:
        raise InputError(f"expected a layout that can be converted to, found {wanted}")
    frame: av.VideoFrame = layout.planes_frame(planes, info.pixel_format, info.color)
    converted = layout.convert(frame, name, width=info.width, height=info.height)
    return layout.frame_planes(converted, wanted)


def _tolerance(reference: FrameSource, target: FrameSource) -> Fraction:
    """How far times of one moment may be apart, in seconds: one tick, but never so much that a neighbour would do."""
    ticks = reference.info.time_base, target.info.time_base
    return min(max(ticks), 1 / (3 * max(reference.frame_rate, target.frame_rate)))


def _thumbnail(frame: PlanarFrame) -> Array:
    """Mean code values of the first plane in at most 16 x 16 parts."""
    plane = frame.planes[0].astype(np.float64)
    for axis, size in enumerate(plane.shape):
        edges = np.linspace(0, size, min(size, _THUMBNAIL) + 1).astype(np.int64)
        shape = [-1 if a == axis else 1 for a in range(2)]
        plane = np.add.reduceat(plane, edges[:-1], axis) / np.diff(edges).reshape(shape)
    return plane


def _nvc_frames(video: VideoDecoder) -> Iterator[PlanarFrame]:
    view = View.whole(video.header.info.height, video.header.info.width)
    for index, pts in enumerate(video.header.pts):
        yield PlanarFrame(video.render(Fraction(index), view).planes, pts)


def _describe(pixel_format: PixelFormat) -> str:
    shifts = pixel_format.chroma_row_shift, pixel_format.chroma_col_shift
    sampling = {(1, 1): "4:2:0", (0, 1): "4:2:2", (0, 0): "4:4:4"}.get(shifts, "chroma subsampling")
    return f"{sampling if pixel_format.num_planes == 3 else 'gray'}, {pixel_format.bit_depth} bit"
