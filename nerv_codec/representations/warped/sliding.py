"""A scene that moves as a whole, in the encoder only: whether most of a picture slides, zooms or turns, and how.

Search, block by block, leaves flat ground where it began, lets neighbours differ by a quarter of a sample, and finds
for what comes in at a border its like somewhere, each elsewhere. So what all blocks may share is looked for here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from nerv_codec.representations.warped.compensate import compensate
from nerv_codec.representations.warped.global_motion import LARGEST_NUMBER, UNIT, GlobalMotion
from nerv_codec.representations.warped.motion import (
    BLOCK,
    BOTH,
    FORWARD,
    PRECISION,
    Expectation,
    MotionField,
    no_corners,
)
from nerv_codec.representations.warped.planes import LARGEST, Planes, Samples

_BITS = 8
"""Bits from which on more error in a block costs a logarithm: what it has is coded then."""
_WORSE = 2.0
"""Squared error in a block, as a multiple of what its own motion leaves, that is about as well."""
_WAYS = 4
"""How many of the most frequent ways are compared."""
_FEW = 0.25
"""Share of blocks that is too small to fit a map to."""
_MIDDLE = (BLOCK - 1) / 2
"""Of a block, in samples from its first one."""
_LARGE = 1 << 17
"""Samples of a picture that is halved before it is laid on its parent: what is seen of motion then will do."""
_TURNS = 20
"""Of the fit of a map, and of what follows it."""

Map = npt.NDArray[np.float64]
"""(3, 2): what a place (1, y, x) in samples is multiplied by to give its vector, down and right, in samples."""


def promised(source: Planes, parents: Sequence[Planes], field: MotionField, price: float) -> float:
    """What the errors that motion leaves cost in bits, about, coded or not: better the less is to be known of it.

    Args:
        source: What the picture shows.
        parents: Of its prediction.
        field: Its motion, block by block.
        price: Lambda of the node.
    """
    worth = _errors(source, parents, field) / (LARGEST**2 * price)
    return float(_BITS * np.log2(1 + worth / _BITS).sum())


def shown_by(source: Planes, parents: Sequence[Planes], way: MotionField, field: MotionField, price: float) -> float:
    """The share of blocks that a way shows about as well as their own motion does, of those that parent 0 shows then.

    Errors that are worth less than a bit, with lambda as the price, are none: flat ground has next to nothing anyway.
    """
    there = ~_leading_out(way)
    good = _errors(source, parents, way) <= _WORSE * _errors(source, parents, field) + LARGEST**2 * price
    return float(good[there].sum() / max(there.sum(), 1))


def mapped_share(field: MotionField | None) -> float:
    """The share of blocks that move as the map of the picture does, if it has one."""
    if field is None or field.whole is None:
        return 0.0
    parents = len(field.whole.numbers) // 3
    same = field.vectors[:parents] == field.whole.vectors(field.modes.shape)[:parents]
    return float(same.all((0, 3)).mean())


def _errors(source: Planes, parents: Sequence[Planes], field: MotionField) -> npt.NDArray[np.float64]:
    """Squared error of luma, block by block."""
    wrong = np.square(compensate(parents, field)[0].y.astype(np.float64) - source.y)
    rows, cols = field.modes.shape
    return np.asarray(wrong.reshape(rows, BLOCK, cols, BLOCK).sum((1, 3)))


def _leading_out(field: MotionField) -> npt.NDArray[np.bool_]:
    """`tint_kernel.leads_out` of all blocks (rows, cols) and their vectors to parent 0 at once."""
    shape = np.array(field.modes.shape)
    centres = BLOCK * np.moveaxis(np.indices(field.modes.shape), 0, -1) + BLOCK // 2 + field.vectors[0] / PRECISION
    return np.asarray(((centres < 0) | (centres >= BLOCK * shape)).any(-1))


def as_expected(known: Expectation) -> MotionField:
    """All blocks as motion before lets expect."""
    shape = known.vectors.shape[1:3]
    modes = np.full(shape, BOTH if known.parents == 2 else FORWARD, np.uint8)
    return MotionField(known.vectors, modes, no_corners(shape))


def most_frequent(field: MotionField) -> list[MotionField]:
    """Fields in which all blocks move as many of a field do, the most frequent first."""
    rows, cols = field.modes.shape
    ways = np.dstack([field.modes, *field.vectors]).reshape(rows * cols, -1)
    _, first, counts = np.unique(ways, axis=0, return_index=True, return_counts=True)

    def of(block: int) -> MotionField:
        r, c = divmod(block, cols)
        vectors = np.broadcast_to(field.vectors[:, r : r + 1, c : c + 1], field.vectors.shape)
        return MotionField(vectors.copy(), np.full_like(field.modes, field.modes[r, c]), no_corners((rows, cols)))

    return [of(int(block)) for block in first[np.argsort(-counts, kind="stable")[:_WAYS]]]


def alike(
    source: Planes, parents: Sequence[Planes], field: MotionField, known: Expectation, step: Map | None = None
) -> list[MotionField]:
    """Fields for all blocks at once: as expected, as many move, and as maps move them.

    Maps are that which is fitted, that which is expected, and that of one frame as often as there are frames to each
    parent: where a pattern repeats itself, that is the one which the frames between follow, too.

    Args:
        source: What the picture shows.
        parents: Of its prediction.
        field: Its motion, block by block.
        known: What was known of that.
        step: The map to the frame beside the picture on the way to its parents, if these lie on one side of it.
    """
    maps = [fitted(source, parents, field), known.course.straight(len(parents))]
    if step is not None:
        ways = known.near, abs(known.far)
        maps.append(_whole(source, parents, [_repeated(step, way) for way in ways[: len(parents)]]))
    moved = [moving_as_a_whole(whole, known) for whole in maps if whole]
    return [as_expected(known), *most_frequent(field), *(way for way in moved if way)]


def moving_as_a_whole(whole: GlobalMotion, known: Expectation) -> MotionField | None:
    """All blocks as a map moves the picture; None if that leads too far."""
    moved = known.given(whole)
    return replace(as_expected(moved), whole=whole) if np.abs(moved.vectors).max() <= known.farthest else None


def fitted(source: Planes, parents: Sequence[Planes], field: MotionField) -> GlobalMotion | None:
    """How one affine map moves the picture, towards each of its parents; None if that leads too far.

    The map is at first that which most blocks are near to (iteratively reweighted least squares), then that by which
    the picture is most like the parent (Evangelidis, Psarakis, Parametric image alignment using enhanced correlation
    coefficient maximization, PAMI 2008), if less is left then.

    Args:
        source: What the picture shows.
        parents: Of its prediction.
        field: Its motion, block by block.
    """
    return _whole(source, parents, [_near_to(field, number) for number in range(len(parents))])


def one_step(source: Planes, before: Planes, field: MotionField) -> Map:
    """The map by which a picture is most like the one before: near to its blocks' motion, or to none."""
    ways = [_registered(source.y, before.y, start) for start in (_near_to(field, 0), np.zeros((3, 2)))]
    one, two = source.y.astype(np.float32), before.y.astype(np.float32)
    return min(ways, key=lambda way: _left(one, two, way))


def _whole(source: Planes, parents: Sequence[Planes], starts: Sequence[Map]) -> GlobalMotion | None:
    """Maps to all parents, near to those given, as the format has them; None if one leads too far."""
    shape = (source.y.shape[0] // BLOCK, source.y.shape[1] // BLOCK)
    numbers: list[tuple[int, int]] = []
    ends = _MIDDLE + BLOCK * np.maximum(np.array(shape) - 1, 1)
    corners = np.array([(1, _MIDDLE, _MIDDLE), (1, ends[0], _MIDDLE), (1, _MIDDLE, ends[1])])
    for parent, start in zip(parents, starts, strict=True):
        found = corners @ _registered(source.y, parent.y, start)
        rounded = np.rint(found * PRECISION * UNIT)
        if not (np.abs(rounded) <= LARGEST_NUMBER // 2).all():
            return None
        (y, x), *others = rounded.astype(int).tolist()
        numbers += [(y, x), *((down - y, right - x) for down, right in others)]
    return GlobalMotion(tuple(numbers))


def _repeated(step: Map, times: int) -> Map:
    """A map after itself, so many times."""
    once = np.eye(3)
    once[:, 1:] += step
    all_of_it = np.linalg.matrix_power(once, times)
    return np.asarray(all_of_it[:, 1:] - np.eye(3)[:, 1:])


def _near_to(field: MotionField, number: int) -> Map:
    """The map that most blocks are near to which have vectors of their own to a parent; of all if few have."""
    used = (field.modes == number) | (field.modes == BOTH)
    blocks = used if used.mean() > _FEW else np.ones_like(used)
    vectors = field.vectors[number][blocks] / PRECISION
    places = np.insert(BLOCK * np.argwhere(blocks) + _MIDDLE, 0, 1.0, axis=1)
    weights, found = np.ones(len(places)), np.zeros((3, 2))
    for _ in range(_TURNS):
        weighted = places * weights[:, None]
        found = np.linalg.lstsq(weighted.T @ places, weighted.T @ vectors, rcond=None)[0]
        weights = np.maximum(np.abs(vectors - places @ found).max(1), 1.0) ** -1.5
    return found


def _registered(source: Samples, parent: Samples, start: Map) -> Map:
    """The map by which a picture is most like its parent, near to the first one."""
    one, two, smaller = source.astype(np.float32), parent.astype(np.float32), 1
    while one.size > _LARGE:
        one, two = (cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in (one, two))
        smaller *= 2
    stop = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _TURNS, 1e-5
    first = _seen(start, smaller)
    try:
        found = cv2.findTransformECC(one, two, _matrix(first), cv2.MOTION_AFFINE, stop, np.empty(0, np.uint8), 3)[1]
    except cv2.error:  # nothing to go by, or what is alike is lost
        return start
    other = np.array([(found[1, 2], found[0, 2]), (found[1, 1] - 1, found[0, 1]), (found[1, 0], found[0, 0] - 1)])
    return _seen(min(first, other, key=lambda way: _left(one, two, way)), 1 / smaller)


def _seen(way: Map, smaller: float) -> Map:
    """A map on pictures that are smaller, by a factor."""
    first, down, across = way
    return np.array([(first + (smaller - 1) / 2 * (down + across)) / smaller, down, across])


def _left(source: npt.NDArray[np.float32], parent: npt.NDArray[np.float32], way: Map) -> float:
    """Mean difference of what a map shows to the source; edges are repeated."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(parent, _matrix(way), source.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(moved - source).mean())


def _matrix(way: Map) -> npt.NDArray[np.float32]:
    """As OpenCV has it: (2, 3), rows are those of x and y, from a place (x, y, 1) to where it is read."""
    (y, x), (yy, xy), (yx, xx) = way
    return np.array([(1 + xx, xy, x), (yx, 1 + yy, y)], np.float32)
