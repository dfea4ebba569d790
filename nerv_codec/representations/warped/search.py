"""Motion of a node by trials, in the encoder only: what a block saves in error against what its motion costs.

A pyramid of searches at whole samples gives starts for each parent. Then every block in turn tries modes and vectors
with all other blocks as they are, on the true overlapped prediction (iterated conditional modes, Besag 1986): error is
the sum of absolute Hadamard coefficients over the block's support, its square where that is small, and of chroma's
differences in the block; bits are those that the coder's models take. At last blocks are split where that pays, and all
around them have another turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from nerv_codec.base.threads import Task, Workers, side_by_side
from nerv_codec.representations.warped import motion_kernel, split_choice_kernel, split_kernel
from nerv_codec.representations.warped.brightness import Brightness, changed, estimated
from nerv_codec.representations.warped.compensate import compensate, write_quarters
from nerv_codec.representations.warped.decision_kernel import ONE
from nerv_codec.representations.warped.motion import (
    BLOCK,
    BOTH,
    PRECISION,
    Expectation,
    MotionField,
    Vectors,
    no_corners,
)
from nerv_codec.representations.warped.motion_coder import Estimates, MotionEstimates
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples
from nerv_codec.representations.warped.quarter_kernel import PAD
from nerv_codec.representations.warped.same_blocks import same_blocks
from nerv_codec.representations.warped.search_kernel import (
    accumulate,
    coarse_sweep,
    size_bits,
    sweep,
)
from nerv_codec.representations.warped.split_kernel import OVERLAPPED
from nerv_codec.representations.warped.tint_kernel import tints

_LEVELS = 3
"""Of the pyramid at least; long ones have more, so that the coarsest reaches a quarter of the longer side."""
_REACH = 12
"""Samples of every level but the finest in which all vectors are tried: small things that go their own way are seen on
finer levels only."""
_BANDS = 32
"""Of rows at the most, which threads take."""
REACHES = (4, 2, 1, 1)
"""Largest steps of the refinement, sweep by sweep, in quarter samples."""
ROUGH_REACHES = (4, 1)
"""Where little depends on it."""
_PRICE = 0.9
"""Error of samples in 0..1 that a bit is worth, in square roots of lambda."""
_QUIET = 64.0
"""Bits that a block's error is worth at the most where its square counts instead."""
_TINT_WEIGHT = 16 * 0.6
"""Of a difference of chroma, in 1/16 as errors are counted."""
_WORTH = 0.8
"""Share of the squared error that brightness may leave at the most: it costs bits, and so does its motion."""
_SPLIT_BITS = 8
"""What splitting blocks has to save in a node."""
_SPLIT_PRICES = (4.0, 2.0)
"""Of a bit that splits, by whether a node is between two parents: of what it saves there, less would have been coded
than vectors save."""


def search(
    source: Planes,
    parents: Sequence[Planes],
    price: float,
    expectation: Expectation,
    estimates: MotionEstimates,
    reaches: Sequence[int] = REACHES,
    workers: Workers | None = None,
    originals: Sequence[Samples] = (),
    calmed: tuple[MotionField, MotionField] | None = None,
    dearer: float = 1.0,
) -> MotionField:
    """Motion of a node.

    Args:
        source: What it shows.
        parents: One or two reconstructions.
        price: Lambda of the node.
        expectation: What is known of its motion.
        estimates: Of the motion coder, as they stand.
        reaches: Largest steps of the refinement, sweep by sweep, in quarter samples.
        workers: Who share the work; what is found does not depend on them.
        originals: Luma of the node and of its parents before coding, where blocks that are the same are looked for.
        calmed: A field that a whole picture moves by, and what was found before: all blocks begin as in the first, as
            if that were expected, and may still move as in the second.
        dearer: By how much bits are dearer, where calmer motion is looked for.
    """
    worth = _PRICE * math.sqrt(price) * 255 * UNIT
    bit, known = worth * dearer, calmed[0].vectors if calmed else expectation.vectors
    starts = np.zeros(expectation.vectors.shape, np.int32)
    vectors = starts.copy()
    padded = tuple(extent + 2 * PAD for extent in source.y.shape)
    quarters = np.empty((len(parents), 4, 4, *padded), np.int16)

    def prepared(number: int, parent: Samples) -> None:
        if calmed is not None:
            starts[number], vectors[number] = calmed[1].vectors[number], known[number]
        else:
            fine, coarse = _whole_samples(source.y, parent, worth)
            starts[number], vectors[number] = PRECISION * fine, PRECISION * coarse
        if originals and calmed is None:
            same, found = same_blocks(originals[0], originals[1 + number])
            starts[number][found] = PRECISION * same[found]
        write_quarters(parent, quarters[number])

    side_by_side(workers, prepared, range(len(parents)), [parent.y for parent in parents])
    modes = np.full(starts.shape[1:3], BOTH if len(parents) == 2 else 0, np.uint8)
    rows, cols = modes.shape
    total, corners = np.zeros((BLOCK * (rows + 1), BLOCK * (cols + 1)), np.int32), no_corners(modes.shape)
    accumulate(quarters, vectors, modes, total)
    seen = tints(source, parents, _TINT_WEIGHT)
    near, far, farthest = expectation.near, expectation.far, expectation.farthest
    bits = _bits(estimates[0], motion_kernel.MODELS)
    sizes = size_bits(bits)
    memory = np.zeros(starts.shape[:3], np.bool_), np.zeros(modes.shape, np.bool_), np.full(modes.shape, -1, np.int64)

    def swept(number: int, first: int, last: int) -> None:
        reach = reaches[min(number, len(reaches) - 1)]
        terms = known, starts, near, far, bits, sizes, 16 * bit, reach, farthest, _QUIET * 16 * worth
        sweep(source.y, quarters, seen, vectors, modes, total, corners, terms, memory, number, first, last)

    def split() -> float:
        """Splits blocks where that pays; what it saves in bits."""
        price = _SPLIT_PRICES[far > 0] * 16 * bit
        split_bits = _bits(estimates[1], split_kernel.MODELS)
        saved = split_choice_kernel.choose(source.y, quarters, seen, vectors, modes, total, corners, split_bits, price)
        return float(saved / price)

    _pipelined(swept, len(reaches), rows, workers)
    if len(reaches) == len(REACHES):
        if split() > _SPLIT_BITS:
            memory[2][corners[::2, ::2] > 0] = len(reaches) - 1
            swept(len(reaches), 0, rows)
            split()
        else:
            corners[:] = OVERLAPPED
    return MotionField(vectors, modes, corners, calmed[0].whole if calmed else None)


def search_changed(
    source: Planes,
    parents: Sequence[Planes],
    price: float,
    expectation: Expectation,
    estimates: MotionEstimates,
    reaches: Sequence[int] = REACHES,
    workers: Workers | None = None,
    originals: Sequence[Samples] = (),
) -> tuple[tuple[Brightness, ...], MotionField]:
    """Brightness and motion of a node, arguments as for :func:`search`.

    What looks like a fade may be motion: so what motion leaves with and without it is compared.
    """

    def tried(brightness: tuple[Brightness, ...]) -> tuple[float, tuple[Brightness, ...], MotionField]:
        seen = changed(parents, brightness)
        field = search(source, seen, price, expectation, estimates, reaches, workers, originals)
        left = compensate(seen, field)[0].y.astype(np.float64) - source.y
        return float((left**2).mean()) / (_WORTH if brightness else 1.0), brightness, field

    guess = estimated(source, parents)
    if not guess:
        return (), search(source, parents, price, expectation, estimates, reaches, workers, originals)
    return min(side_by_side(workers, tried, ((), guess)), key=lambda one: one[0])[1:]


def _bits(estimates: Estimates, models: int) -> npt.NDArray[np.float64]:
    """Bits of the decisions of so many models, (models, 2)."""
    chance = np.clip(estimates[:models, :1] / ONE, 0.001, 0.999)
    return -np.log2(np.hstack([chance, 1 - chance]))


def _pipelined(swept: Callable[[int, int, int], None], sweeps: int, rows: int, workers: Workers | None) -> None:
    """Calls ``swept`` with numbers of sweeps and rows from and up to which they go, as if one followed another.

    A sweep sees one row below. So the next may begin above, while it goes on, and nothing is different for that.
    """
    if workers is None or workers.count == 1:
        for number in range(sweeps):
            swept(number, 0, rows)
        return
    height = max(2, -(-rows // _BANDS))
    bands = -(-rows // height)
    tasks: dict[tuple[int, int], Task[None]] = {}

    def one(number: int, band: int) -> None:
        for needed in ((number, band - 1), (number - 1, min(band + 1, bands - 1))):
            if needed in tasks:
                tasks[needed].result()
        swept(number, height * band, min(height * (band + 1), rows))

    for turn in range(bands + 2 * (sweeps - 1)):
        for number in range(sweeps):
            if 0 <= turn - 2 * number < bands:
                tasks[number, turn - 2 * number] = workers.begin(one, number, turn - 2 * number)
    for task in tasks.values():
        task.result()


def _whole_samples(source: Samples, parent: Samples, price: float) -> tuple[Vectors, Vectors]:
    """Vectors (rows, cols, 2) in whole samples from coarse to fine, and what blocks twice the size said."""
    pyramid = [(source, parent)]
    levels = max(_LEVELS, math.ceil(math.log2(max(source.shape) / (4 * _REACH))))
    for _ in range(levels):
        rows, cols = (max(1, extent // 2) for extent in pyramid[-1][0].shape)
        one, two = (cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_AREA) for plane in pyramid[-1])
        pyramid.append((one, two))
    vectors = np.zeros((0, 0, 2), np.int32)
    for level in range(levels, -1, -1):
        shape = tuple(-(-extent // BLOCK) for extent in pyramid[level][0].shape)
        coarse = _doubled(vectors, shape) if level < levels else np.zeros((*shape, 2), np.int32)
        vectors = coarse.copy()
        one, two = (_padded(plane, shape) for plane in pyramid[level])
        for reach in (_REACH if level > 0 else 0, 0):
            coarse_sweep(one, two, vectors, price, reach)
    return vectors, coarse


def _doubled(vectors: Vectors, shape: tuple[int, ...]) -> Vectors:
    """Vectors of a picture twice the size, for so many rows and columns of blocks."""
    large = 2 * vectors.repeat(2, 0).repeat(2, 1)
    missing = [(0, max(0, extent - have)) for extent, have in zip(shape, large.shape, strict=False)]
    return np.ascontiguousarray(np.pad(large, (*missing, (0, 0)), mode="edge")[: shape[0], : shape[1]])


def _padded(plane: Samples, shape: tuple[int, ...]) -> Samples:
    """With borders of PAD around so many rows and columns of blocks."""
    missing = [(PAD, PAD + count * BLOCK - extent) for count, extent in zip(shape, plane.shape, strict=True)]
    return np.pad(plane, missing, mode="edge")
