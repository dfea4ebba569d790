"""Motion fields to a stream and back, with models that adapt from node to node."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped import motion_kernel, split_kernel
from nerv_codec.representations.warped.decision_kernel import Decisions
from nerv_codec.representations.warped.global_motion import GlobalCounts, put_global, take_global
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField, no_corners

Estimates = npt.NDArray[np.int64]
MotionEstimates = tuple[Estimates, Estimates]
"""Of decisions on motion and on splits: see `decision_kernel.Decisions`."""


class MotionModels:
    """Adaptive models of one part of a GOP: for nodes with one parent, between two parents, and after two parents.

    Attributes:
        splits: Of blocks that are split, for all nodes.
        any_split: Counts of flags whether a node has any, for each set.
        whole: Counts of what is said of whole pictures.
    """

    def __init__(self) -> None:
        self._sets = [motion_kernel.start() for _ in range(3)]
        self.splits = split_kernel.start()
        self.any_split = np.zeros((3, 2), np.int64)
        self.whole = GlobalCounts()

    def of(self, expectation: Expectation) -> Decisions:
        """The set for a node."""
        return self._sets[_kind_of(expectation)]

    def estimates(self, expectation: Expectation) -> MotionEstimates:
        """Copies of what is expected of single decisions, by the set for a node."""
        return self.of(expectation).estimates.copy(), self.splits.estimates.copy()


def _kind_of(expectation: Expectation) -> int:
    """Which set: 0 with one parent, 1 between two, 2 after two."""
    return (expectation.far > 0) + 2 * (expectation.far < 0)


def put_field(field: MotionField, expectation: Expectation, models: MotionModels, out: StreamWriter) -> None:
    """Appends a field to a stream; expectation: what motion before says of it."""
    put_global(field.whole, expectation.course, models.whole, _kind_of(expectation), out)
    expectation = expectation.given(field.whole)
    out.reserve(6 * field.modes.size)
    out.used = motion_kernel.code_field(
        True, field.vectors.copy(), field.modes.copy(), expectation.vectors, expectation.near, expectation.far,
        models.of(expectation), motion_kernel.room_for(*field.modes.shape), out.state, out.words, out.used,
    )  # fmt: skip
    assert out.used >= 0
    split = bool(field.corners.any())
    out.flag(split, models.any_split[_kind_of(expectation)])
    if split:
        out.used = split_kernel.code_splits(
            True, field.vectors, field.modes, field.corners.copy(), models.splits, out.state, out.words, out.used
        )


def field_bits(field: MotionField, expectation: Expectation, models: MotionModels) -> float:
    """What a field takes behind what came before."""
    out = StreamWriter()
    put_field(field, expectation, copy.deepcopy(models), out)
    return out.bits


def take_field(
    extent: tuple[int, int], expectation: Expectation, models: MotionModels, source: StreamReader
) -> MotionField:
    """The inverse of :func:`put_field` for a canvas of (rows, cols) luma samples. Raises BitstreamError."""
    shape = extent[0] // BLOCK, extent[1] // BLOCK
    whole = take_global(expectation.parents, expectation.course, models.whole, _kind_of(expectation), source)
    expectation = expectation.given(whole)
    vectors, modes = np.zeros((2, *shape, 2), np.int32), np.zeros(shape, np.uint8)
    source.position = motion_kernel.code_field(
        False, vectors, modes, expectation.vectors, expectation.near, expectation.far, models.of(expectation),
        motion_kernel.room_for(*shape), source.state, source.words, source.position,
    )  # fmt: skip
    if source.position < 0:
        raise BitstreamError("the motion of a frame leads nowhere")
    field = MotionField(vectors, modes, no_corners(shape), whole)
    if source.flag(models.any_split[_kind_of(expectation)]):
        source.position = split_kernel.code_splits(
            False, vectors, modes, field.corners, models.splits, source.state, source.words, source.position
        )
    return field
