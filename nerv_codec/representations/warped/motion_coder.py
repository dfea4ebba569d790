"""Motion fields to a stream and back, with models that adapt from node to node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.warped import motion_kernel
from nerv_codec.representations.warped.motion import BLOCK, Expectation, MotionField

Models = npt.NDArray[np.int32]


class MotionModels:
    """Adaptive models of one part of a GOP: one set for nodes with one parent, one for nodes with two."""

    def __init__(self) -> None:
        self._sets = np.full((2, motion_kernel.MODELS, 2), 1 << 15, np.int32)

    def of(self, expectation: Expectation) -> Models:
        """The set for a node."""
        found: Models = self._sets[int(expectation.far > 0)]
        return found


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
