"""One plane of a GOP's frames, one after another: what the kernel reads is kept here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.lossless.bit_kernel import LEARN
from nerv_codec.representations.lossless.byte_stream import ByteStream
from nerv_codec.representations.lossless.model import PAST, Begin, PlaneState, regressors
from nerv_codec.representations.lossless.motion_kernel import BLOCK
from nerv_codec.representations.lossless.plane_kernel import MARGIN, code_plane

Samples = npt.NDArray[np.int32]
_RING = PAST + 1
_NO_DRAWING = np.ones(2)
_MOST_BYTES = 80
"""What a sample may take: some 40 decisions of at most two bytes."""


def with_margin(plane: npt.NDArray[np.generic]) -> Samples:
    """A plane with MARGIN samples around it, which repeat its border."""
    return np.pad(plane.astype(np.int32), MARGIN, mode="edge")


def without_margin(plane: Samples) -> Samples:
    """What `with_margin` was given."""
    return plane[MARGIN:-MARGIN, MARGIN:-MARGIN]


def at_chroma(plane: Samples, row_shift: int, col_shift: int) -> Samples:
    """The mean of the samples that share a chroma sample, rounded; the border is repeated where they are fewer."""
    rows, cols = -plane.shape[0] % (1 << row_shift), -plane.shape[1] % (1 << col_shift)
    padded = np.pad(plane, ((0, rows), (0, cols)), mode="edge")
    shape = padded.shape[0] >> row_shift, 1 << row_shift, padded.shape[1] >> col_shift, 1 << col_shift
    shift = row_shift + col_shift
    means: Samples = (padded.reshape(shape).sum(axis=(1, 3), dtype=np.int32) + (1 << shift >> 1)) >> shift
    return means


def _smooth(errors: Samples) -> Samples:
    """Sixteen times the mean of errors around each sample, weights 1 2 1 along both axes."""
    padded = np.pad(errors, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    sums: Samples = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return sums


@dataclass(frozen=True)
class CodedPlane:
    """A plane as the planes coded after it see it."""

    samples: Samples
    """(H, W)."""
    errors: Samples
    """(H, W), magnitudes of what was not expected, in sixteenths."""


@dataclass(frozen=True)
class Drawing:
    """How a plane is drawn."""

    known: int
    """So many rows are given."""
    numbers: npt.NDArray[np.float64]
    """See the kernel."""


class PlaneCoder:
    """Codes one plane of frame after frame.

    Args:
        plane: 0..2.
        shape: Its height and width.
        shifts: log2 of its subsampling, of rows and columns.
        peak: The largest value.
        stream: What is read or written.
        begin: Gives the state of a plane, in frames without or with frames before them, which adapts in place.
    """

    def __init__(
        self,
        plane: int,
        shape: tuple[int, int],
        shifts: tuple[int, int],
        peak: int,
        stream: ByteStream,
        begin: Begin,
    ) -> None:
        self._plane, self._shape, self._shifts, self._peak, self._stream = plane, shape, shifts, peak, stream
        self._begin = begin
        self._taps = {inter: regressors(plane, inter=inter) for inter in (False, True)}
        self._states: dict[bool, PlaneState] = {}
        full = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
        self._planes = np.zeros(((plane + 1) * _RING, *full), np.int32)
        self._errors = np.zeros((_RING, *full), np.int32)
        self._none = np.zeros(full, np.int32)
        self._frame = 0

    def code(
        self,
        samples: npt.NDArray[np.generic] | None,
        beside: list[CodedPlane],
        vectors: npt.NDArray[np.int64],
        drawing: Drawing | None = None,
    ) -> CodedPlane:
        """Codes the plane of the next frame.

        Args:
            samples: (H, W), where the stream is written; None where it is read.
            beside: Planes of the same frame that were coded before, at the places of this one's samples.
            vectors: (PAST, rows, cols, 2), where blocks of luma lie in the frames before.
            drawing: The stream is chance: the first rows of the samples are learnt from, the others drawn.
        """
        now, inter = self._frame, self._frame > 0
        slots = np.array(
            [[g * _RING + max(now - back, 0) % _RING for back in range(_RING)] for g in range(self._plane + 1)]
        )
        own = self._planes[slots[0, 0]]
        if samples is not None:
            without_margin(own)[:] = samples
        for group, other in enumerate(beside, 1):
            self._planes[slots[group, 0]] = with_margin(other.samples)
        luma_errors = (
            with_margin(np.sum([other.errors for other in beside], axis=0) // len(beside)) if beside else self._none
        )
        taps = self._taps[inter]
        if inter not in self._states:
            self._states[inter] = self._begin(self._plane, inter)
        self._stream.make_room(_MOST_BYTES * self._shape[0] * self._shape[1])
        errors = np.zeros_like(own)
        block_shifts = np.array([BLOCK.bit_length() - 1 - shift for shift in self._shifts])
        code_plane(
            self._stream.coder,
            self._stream.data,
            LEARN if drawing else self._stream.mode,
            drawing.known if drawing else self._shape[0],
            drawing.numbers if drawing else _NO_DRAWING,
            self._planes,
            slots,
            vectors >> np.array(self._shifts),
            block_shifts,
            taps.array,
            np.array([taps.few, taps.some]),
            self._shape,
            self._states[inter],
            self._errors,
            luma_errors,
            errors,
            self._peak,
        )
        self._stream.check_end()
        coded = CodedPlane(without_margin(own).copy(), without_margin(errors))
        own[:] = with_margin(coded.samples)
        self._errors[slots[0, 0]] = with_margin(_smooth(coded.errors))
        self._frame += 1
        return coded
