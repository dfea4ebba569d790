"""Motion fields to a stream and back, with models that adapt from node to node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.decision_kernel import Decisions
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField

Estimates = npt.NDArray[np.int64]


class MotionModels:
    """Adaptive models of one part of a GOP: for nodes with one parent, between two parents, and after two parents."""

    def __init__(self) -> None:
        self._sets = [motion_kernel.start() for _ in range(3)]

    def of(self, expectation: Expectation) -> Decisions:
        """The set for a node."""
        return self._sets[(expectation.far > 0) + 2 * (expectation.far < 0)]

    def estimates(self, expectation: Expectation) -> Estimates:
        """A copy of what the set for a node expects of single decisions: `decision_kernel.Decisions.estimates`."""
        return self.of(expectation).estimates.copy()


def put_field(field: MotionField, expectation: Expectation, models: MotionModels, out: StreamWriter) -> None:
    """Appends a field to a stream."""
    out.reserve(4 * field.modes.size)
    out.used = motion_kernel.code_field(
        True, field.vectors.copy(), field.modes.copy(), expectation.vectors, expectation.near, expectation.far,
        models.of(expectation), out.state, out.words, out.used,
    )  # fmt: skip
    assert out.used >= 0


def take_field(
    extent: tuple[int, int], expectation: Expectation, models: MotionModels, source: StreamReader
) -> MotionField:
    """The inverse of :func:`put_field` for a canvas of (rows, cols) luma samples. Raises BitstreamError."""
    shape = extent[0] // BLOCK, extent[1] // BLOCK
    vectors, modes = np.zeros((2, *shape, 2), np.int32), np.zeros(shape, np.uint8)
    source.position = motion_kernel.code_field(
        False, vectors, modes, expectation.vectors, expectation.near, expectation.far, models.of(expectation),
        source.state, source.words, source.position,
    )  # fmt: skip
    if source.position < 0:
        raise BitstreamError("the motion of a frame leads nowhere")
    return MotionField(vectors, modes)
