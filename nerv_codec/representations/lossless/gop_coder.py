"""The frames of a GOP to streams and back: motion, then plane after plane, each plane in a thread of its own.

A plane needs the frame's planes before it and its own past, so that luma runs ahead while chroma follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.background import read_ahead
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import Plane
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.byte_stream import ByteStream
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.model import PAST, Begin
from nerv_codec.representations.lossless.motion_kernel import BLOCK, code_vectors, motion_counters, search
from nerv_codec.representations.lossless.plane_coder import (
    CodedPlane,
    PlaneCoder,
    Samples,
    at_chroma,
    with_margin,
)
from nerv_codec.representations.lossless.plane_kernel import MARGIN

Vectors = npt.NDArray[np.int64]
"""(PAST, rows, cols, 2): where each block of luma lies one, two, three frames before, in rows and columns."""
_AHEAD = 2
_REACH_NEAR, _REACH_FAR = 12, 4
_STEP_COST = 12


@dataclass(frozen=True)
class _Item:
    """A frame on its way through the planes."""

    source: tuple[Plane, ...] | None
    """What to encode; None decodes."""
    vectors: Vectors
    done: tuple[CodedPlane, ...] = ()


def code_frames(
    layout: SampleLayout,
    geometry: GopGeometry,
    frames: Iterable[tuple[tuple[Plane, ...] | None, Vectors]],
    streams: Sequence[ByteStream],
    begin: Begin,
) -> Iterator[tuple[Samples, ...]]:
    """Codes frame after frame; yields the planes of each.

    Args:
        layout: Planes and their sizes.
        geometry: The GOP's box.
        frames: What to encode, or None, and the motion of each.
        streams: One a plane.
        begin: Gives the states to begin with.
    """
    items: Iterator[_Item] = (_Item(source, vectors) for source, vectors in frames)
    with ExitStack() as stack:
        for plane, stream in enumerate(streams):
            shape = layout.pixel_format.plane_size(plane, geometry.height, geometry.width)
            coder = PlaneCoder(plane, shape, layout.shifts(plane), layout.pixel_format.max_value, stream, begin)
            items = _through(coder, plane, layout.shifts(plane), items)
            if plane + 1 < len(streams):
                items = stack.enter_context(read_ahead(items, _AHEAD))
        for item in items:
            yield tuple(plane.samples for plane in item.done)


def _through(coder: PlaneCoder, plane: int, shifts: tuple[int, int], items: Iterator[_Item]) -> Iterator[_Item]:
    """Items with one more plane coded."""
    for item in items:
        beside = beside_plane(item.done, shifts)
        source = None if item.source is None else item.source[plane]
        coded = coder.code(source, beside, item.vectors)
        yield _Item(item.source, item.vectors, (*item.done, coded))


def beside_plane(done: Sequence[CodedPlane], shifts: tuple[int, int]) -> list[CodedPlane]:
    """The planes of a frame that were coded before, luma at the places of the next plane's samples."""
    if not done:
        return []
    luma = CodedPlane(at_chroma(done[0].samples, *shifts), at_chroma(done[0].errors, *shifts))
    return [luma, *done[1:]]


def no_vectors(geometry: GopGeometry) -> Vectors:
    """Vectors of no motion."""
    return np.zeros((PAST, -(-geometry.height // BLOCK), -(-geometry.width // BLOCK), 2), np.int64)


def search_motion(lumas: Sequence[Plane], geometry: GopGeometry) -> Iterator[Vectors]:
    """The motion of every frame, found in the frames before."""
    size = geometry.height, geometry.width
    past: list[Samples] = []
    before = no_vectors(geometry)
    for luma in lumas:
        current = with_margin(luma)
        vectors = no_vectors(geometry)
        for back, other in enumerate(past):
            guess = (back + 1) * vectors[0] if back else before[0]
            search(current, other, guess, *size, MARGIN, _REACH_FAR if back else _REACH_NEAR, _STEP_COST, vectors[back])
        yield complete(vectors, len(past))
        past = [current, *past][:PAST]
        before = vectors


def complete(vectors: Vectors, known: int) -> Vectors:
    """Frames before the first one are the first one: motion towards them is motion towards it."""
    if known:
        vectors[known:] = vectors[known - 1]
    return vectors


def write_motion(motion: Sequence[Vectors], geometry: GopGeometry) -> bytes:
    """The stream of all vectors of a GOP; nothing for a GOP of one frame."""
    if len(motion) == 1:
        return b""
    stream = ByteStream()
    counters = motion_counters()
    for frame, vectors in enumerate(motion):
        stream.make_room(vectors.size * 8)
        code_vectors(
            stream.coder, stream.data, stream.mode, vectors, min(frame, PAST), counters, geometry.height, geometry.width
        )
    return stream.getvalue()


def read_motion(data: bytes, geometry: GopGeometry) -> list[Vectors]:
    """The vectors of every frame. Raises BitstreamError."""
    motion = [no_vectors(geometry)]
    if geometry.num_frames == 1 and not data:
        return motion
    stream = ByteStream(data)
    counters = motion_counters()
    for frame in range(1, geometry.num_frames):
        vectors, known = no_vectors(geometry), min(frame, PAST)
        size = geometry.height, geometry.width
        if not code_vectors(stream.coder, stream.data, stream.mode, vectors, known, counters, *size):
            raise BitstreamError("expected blocks near the picture, found motion that leads far outside of it")
        motion.append(complete(vectors, known))
    stream.expect_end("motion")
    return motion
