"""Motion of a node by trials, in the encoder only: what a block saves in error against what its motion costs.

A pyramid of searches at whole samples gives starts for each parent. Then every block in turn tries modes and vectors
with all other blocks as they are, on the true overlapped prediction (iterated conditional modes, Besag 1986): error is
the sum of absolute Hadamard coefficients over the block's support, bits are those that the coder's models take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.compensate import LUMA_TAPS
from nerv_codec.representations.warped.decision_kernel import ONE
from nerv_codec.representations.warped.motion import (
    BLOCK,
    BOTH,
    MAX_VECTOR,
    PRECISION,
    Expectation,
    MotionField,
    Vectors,
)
from nerv_codec.representations.warped.motion_coder import Estimates
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples
from nerv_codec.representations.warped.search_kernel import PAD, accumulate, coarse_sweep, phases, size_bits, sweep

_LEVELS = 3
"""Of the pyramid at least; long ones have more, so that the coarsest reaches a quarter of the longer side."""
_REACH = 12
"""Samples of every level but the finest in which all vectors are tried: small things that go their own way are seen on
finer levels only."""
REACHES = (4, 2, 1, 1)
"""Largest steps of the refinement, sweep by sweep, in quarter samples."""
_PRICE = 0.9
"""Error of samples in 0..1 that a bit is worth, in square roots of lambda."""


def search(
    source: Planes,
    parents: Sequence[Planes],
    price: float,
    expectation: Expectation,
    estimates: Estimates,
    reaches: Sequence[int] = REACHES,
) -> MotionField:
    """Motion of a node.

    Args:
        source: What it shows.
        parents: One or two reconstructions.
        price: Lambda of the node.
        expectation: What is known of its motion.
        estimates: Of the motion coder, as they stand.
        reaches: Largest steps of the refinement, sweep by sweep, in quarter samples.
    """
    worth = _PRICE * math.sqrt(price) * 255 * UNIT
    starts = np.zeros(expectation.vectors.shape, np.int32)
    vectors = starts.copy()
    for number, parent in enumerate(parents):
        fine, coarse = _whole_samples(source.y, parent.y, worth)
        starts[number], vectors[number] = PRECISION * fine, PRECISION * coarse
    quarters = np.stack([_quarters(parent.y) for parent in parents])
    modes = np.full(starts.shape[1:3], BOTH if len(parents) == 2 else 0, np.uint8)
    rows, cols = modes.shape
    total = np.zeros((BLOCK * (rows + 1), BLOCK * (cols + 1)), np.int32)
    accumulate(quarters, vectors, modes, total)
    near, far = expectation.near, expectation.far
    # a vector straight on from the farthest one that is tried is still a vector
    farthest = MAX_VECTOR // -(-max(near, abs(far)) // min(near, abs(far) or near))
    chance = np.clip(estimates[: motion_kernel.MODELS, :1] / ONE, 0.001, 0.999)
    bits = -np.log2(np.hstack([chance, 1 - chance]))
    sizes = size_bits(bits)
    for reach in reaches:
        terms = expectation.vectors, starts, near, far, bits, sizes, 16 * worth, reach, farthest
        sweep(source.y, quarters, vectors, modes, total, terms)
    return MotionField(vectors, modes)


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


def _quarters(plane: Samples) -> Samples:
    """A plane at all 16 quarter-sample positions, (4, 4, rows + 2 PAD, cols + 2 PAD), as the decoder reads them."""
    taps = LUMA_TAPS.shape[1]
    before, after = taps // 2 - 1, taps // 2
    padded = np.pad(plane, ((PAD + before, PAD + after), (PAD + before, PAD + after)), mode="edge")
    out = np.empty((4, 4, plane.shape[0] + 2 * PAD, plane.shape[1] + 2 * PAD), np.int16)
    phases(padded, LUMA_TAPS, out)
    return out
