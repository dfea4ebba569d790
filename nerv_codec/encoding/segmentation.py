"""Cuts a video into GOPs, the pieces that are fitted one by one: at scene cuts, and where a scene gets long.

Neighbours within a scene share a frame, the last of one being the first of the next, so that a
function fitted on each is known on the whole of a closed interval of time and no gap is left between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import UsageError
from nerv_codec.base.video import PlanarFrame, Plane
from nerv_codec.representations.warped.motion import BLOCK
from nerv_codec.representations.warped.same_blocks import same_blocks

Thumbnail = npt.NDArray[np.float32]

DEFAULT_SCENE_CUT = 0.32
_MIN_SCENE_FRAMES = 4
_THUMB_SIZE = 24, 32
_MAX_SHIFT = 4
_SIMILAR = 0.1  # pattern distance below which no pan is looked for
_PATTERN_WEIGHT = 0.7  # so that a change of light alone is no cut
_LEVELS_APART = 0.2  # mean distance of sorted luma at which histograms count as entirely different
_NOISE = 0.02  # standard deviation below which the pattern of a thumbnail says nothing, of a range of 1
_RESTLESS = 2.5  # a cut is this many times as different as the scene's frames have been of late
_SAME = 0.3  # share of a page's blocks, exactly the same elsewhere, from which it has only moved on


@dataclass(frozen=True)
class GopFrames:
    """The frames of one GOP."""

    frames: tuple[PlanarFrame, ...]
    """All of them, both ends included."""
    first_frame: int
    """Index in the video of the first."""
    continues: bool
    """Whether the first frame is also the last one of the GOP before; else a scene (or the video) starts."""

    @property
    def starts_scene(self) -> bool:
        """Whether the first frame is the first of a scene."""
        return not self.continues


def segment(
    frames: Iterable[PlanarFrame], *, gop: int, bit_depth: int = 8, scene_cut: float = DEFAULT_SCENE_CUT
) -> Iterator[GopFrames]:
    """Yields the GOPs of a video while it is read, holding ``1.5 * gop + 2`` frames at most.

    Args:
        frames: pictures in presentation order.
        gop: the largest number of frames from one GOP's start to the next one's, at least 1; a GOP has
            up to ``gop + 1`` frames, since it holds the start of the next. The last two of a scene are about equally
            long where the last would be less than half of one.
        bit_depth: of the code values in ``frames``.
        scene_cut: how different (0 to 1) frames must be for a cut; 1 never cuts.

    Raises:
        UsageError: ``gop`` is less than 1.
    """
    if gop < 1:
        raise UsageError(f"expected a GOP of at least 1 frame, found {gop}")
    held: list[PlanarFrame] = []
    first, continues = 0, False
    for index, (frame, is_cut) in enumerate(_marked(frames, bit_depth, scene_cut)):
        if is_cut:
            yield from _last(held, first, continues, gop)
            held, first, continues = [], index, False
        held.append(frame)
        if len(held) == gop + 1 + gop // 2:
            yield GopFrames(tuple(held[: gop + 1]), first, continues)
            held, first, continues = held[gop:], first + gop, True
    yield from _last(held, first, continues, gop)


def _last(held: list[PlanarFrame], first: int, continues: bool, gop: int) -> Iterator[GopFrames]:
    """What is left of a scene, in two halves if it is too much for one."""
    if len(held) > gop + 1:
        half = len(held) // 2
        yield GopFrames(tuple(held[: half + 1]), first, continues)
        held, first, continues = held[half:], first + half, True
    if len(held) > int(continues):  # more than the frame that the GOP before has too
        yield GopFrames(tuple(held), first, continues)


def _marked(frames: Iterable[PlanarFrame], bit_depth: int, scene_cut: float) -> Iterator[tuple[PlanarFrame, bool]]:
    """Each frame with whether a scene begins there; reads one frame ahead."""
    reference: Thumbnail | None = None  # of the frame before, but not of a flash
    before: Plane | None = None  # that frame's luma
    usual, age = 0.0, 0
    pictures = _with_thumbnails(frames, bit_depth)
    current = next(pictures, None)
    while current is not None:
        (frame, thumb), current = current, next(pictures, None)
        change = 0.0 if reference is None else difference(reference, thumb)
        differs = change > max(scene_cut, _RESTLESS * usual)
        if differs and reference is not None and current and difference(reference, current[1]) <= scene_cut:
            yield frame, False  # a flash: the next picture is as the last one was
            age += 1
            continue
        is_cut = differs and age >= _MIN_SCENE_FRAMES and not (before is not None and _same(before, frame.planes[0]))
        usual, age = (0.0, 0) if is_cut else (usual + (change - usual) / 4, age)
        yield frame, is_cut
        reference, before = thumb, frame.planes[0]
        age += 1


def _same(before: Plane, after: Plane) -> bool:
    """Whether much of a picture is what another shows, sample by sample, wherever: of a page that has moved on."""
    rows, cols = (BLOCK * (extent // BLOCK) for extent in after.shape)
    if not rows or not cols:
        return False
    one, two = (plane[:rows, :cols].astype(np.int16) for plane in (after, before))
    return bool(same_blocks(one, two)[1].mean() >= _SAME)


def _with_thumbnails(frames: Iterable[PlanarFrame], bit_depth: int) -> Iterator[tuple[PlanarFrame, Thumbnail]]:
    for frame in frames:
        yield frame, thumbnail(frame.planes[0], bit_depth)


def thumbnail(plane: Plane, bit_depth: int) -> Thumbnail:
    """Returns block means of a plane (Y, or G) in [0, 1], (24, 32) or what a smaller picture has."""
    rows, cols = (min(size, limit) for size, limit in zip(plane.shape, _THUMB_SIZE, strict=True))
    # At most four samples a block and direction: a mean over more costs time and tells no more.
    sparse = plane[:: max(1, plane.shape[0] // (4 * rows)), :: max(1, plane.shape[1] // (4 * cols))]
    row_edges = np.arange(rows) * sparse.shape[0] // rows
    col_edges = np.arange(cols) * sparse.shape[1] // cols
    sums = np.add.reduceat(np.add.reduceat(sparse, row_edges, 0, np.float32), col_edges, 1, np.float32)
    counts = np.outer(np.diff(np.append(row_edges, sparse.shape[0])), np.diff(np.append(col_edges, sparse.shape[1])))
    means: Thumbnail = (sums / counts / ((1 << bit_depth) - 1)).astype(np.float32)
    return means


def difference(left: Thumbnail, right: Thumbnail) -> float:
    """Returns how little two pictures have in common, from 0 (the same) to 1.

    Mostly that is what remains of the pattern after a pan and a change of exposure are taken out; the
    lesser part is the distance of the luma histograms (earth mover's distance, by sorted samples).
    """
    pattern = _pattern_distance(left, right)
    if pattern > _SIMILAR:
        pattern = min(_pattern_distance(*pair) for pair in _shifted_pairs(left, right))
    levels = float(np.abs(np.sort(left, axis=None) - np.sort(right, axis=None)).mean())
    return _PATTERN_WEIGHT * min(1.0, pattern) + (1 - _PATTERN_WEIGHT) * min(1.0, levels / _LEVELS_APART)


def _pattern_distance(left: Thumbnail, right: Thumbnail) -> float:
    """Half the mean squared difference of standardised pictures: 0 alike, 0.5 one is flat, 1 unrelated."""
    standardised = [(picture - picture.mean()) / np.sqrt(picture.var() + _NOISE**2) for picture in (left, right)]
    return float(np.square(standardised[0] - standardised[1]).mean()) / 2


def _shifted_pairs(left: Thumbnail, right: Thumbnail) -> Iterator[tuple[Thumbnail, Thumbnail]]:
    """The overlapping parts of both pictures, for every pan by a few blocks."""
    rows, cols = left.shape
    reach = [min(_MAX_SHIFT, size // 4) for size in (rows, cols)]
    for down, across in product(*(range(-limit, limit + 1) for limit in reach)):
        yield (
            left[max(0, down) : rows + min(0, down), max(0, across) : cols + min(0, across)],
            right[max(0, -down) : rows + min(0, -down), max(0, -across) : cols + min(0, -across)],
        )
