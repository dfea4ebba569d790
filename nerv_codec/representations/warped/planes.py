"""Reconstructed pictures as integers: what motion reads, and what is shown, the same on every machine.

A sample is an int16 in units of 1/16 of an 8-bit code value. A canvas is 4:2:0 with a luma of whole blocks of 16;
pictures of another layout are coded plane by plane as grays (`shared.canvas`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.canvas import Part
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.transform import pack, unpack

Samples = npt.NDArray[np.int16]
UNIT = 16
"""Units in a step of 8-bit code values."""
LARGEST = 256 * UNIT - 1
_SCALE = 255 * UNIT


@dataclass(frozen=True)
class Planes:
    """Y (rows, cols), U and V (half of both), int16."""

    y: Samples
    u: Samples
    v: Samples

    def tensor(self) -> Tensor:
        """As (1, 6, rows / 2, cols / 2) in 0..1 for the networks."""
        y, u, v = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in (self.y, self.u, self.v))
        return pack(y, torch.cat([u, v], 1)) / _SCALE

    @classmethod
    def rounded(cls, planes: Tensor) -> Planes:
        """The inverse of :meth:`tensor`, rounded and clipped to 0..LARGEST."""
        luma, chroma = unpack(torch.round(planes * _SCALE).clamp(0, LARGEST))
        y, u, v = (plane.numpy().astype(np.int16) for plane in (luma[0, 0], chroma[0, 0], chroma[0, 1]))
        return cls(y, u, v)

    def cut(self, part: Part) -> list[Samples]:
        """The planes that a part has, cut to its size."""
        half = -(-part.rows // 2), -(-part.cols // 2)
        chroma = [plane[: half[0], : half[1]] for plane in (self.u, self.v)] if part.components == 3 else []
        return [self.y[: part.rows, : part.cols], *chroma]


def prediction_of(planes: Planes, doubt: Planes, sides: int, workers: Workers | None = None) -> IntegerPrediction:
    """What the networks are told of a picture that motion predicts."""
    expected, doubted = ((found.y, found.u, found.v) for found in (planes, doubt))
    return IntegerPrediction.of(expected, doubted, sides, workers)
