"""`prediction` in integers: what decoder and encoder know of a picture before its latents, alike on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nerv_codec.base.threads import Workers, side_by_side
from nerv_codec.representations.shared.band_coder import Sides
from nerv_codec.representations.shared.integer_transform import (
    BAND_SCALE,
    GRAY_SAMPLE,
    SAMPLE_SCALE,
    Grids,
    Ints,
    Steps,
    Yuv,
    forward,
    quantised,
    zeros,
)
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.transform import Subbands, pack


@dataclass(frozen=True)
class IntegerPrediction:
    """See `Prediction`.

    Attributes:
        planes: What is expected, in 1/16 of a code value; mid-gray without parents.
        doubt: Half of the difference between what two parents say, zero elsewhere.
        subbands: Bands of the planes less mid-gray.
        doubt_subbands: Bands of the doubt.
        parents: On how many sides in time the pictures lie that it is made from, 0 to 2.
    """

    planes: Yuv
    doubt: Yuv
    subbands: Grids
    doubt_subbands: Grids
    parents: int

    @classmethod
    def of(cls, planes: Yuv, doubt: Yuv, parents: int, workers: Workers | None = None) -> IntegerPrediction:
        """With the subbands made from the planes."""
        subbands, doubt_subbands = side_by_side(workers, forward, (planes, doubt), (GRAY_SAMPLE, 0))
        return cls(planes, doubt, subbands, doubt_subbands, parents)

    @classmethod
    def none(cls, rows: int, cols: int) -> IntegerPrediction:
        """Mid-gray, for a picture without parents whose luma has (rows, cols), multiples of 16."""
        assert rows % LEVELS[0] == 0 and cols % LEVELS[0] == 0
        bands = zeros(rows, cols)
        return cls(_flat(rows, cols, GRAY_SAMPLE), _flat(rows, cols, 0), bands, bands, 0)

    def sides(self, steps: Steps) -> Sides | None:
        """What contexts see: bands of the planes, then of the doubt, which counts twice, in steps of the latents."""
        if not self.parents:
            return None
        planes, doubt = quantised(self.subbands, steps, 1), quantised(self.doubt_subbands, steps, 2)
        return {level: np.concatenate([planes[level], doubt[level]]) for level in LEVELS}

    def floating(self) -> Prediction:
        """The same for the analysis."""
        return Prediction(
            six_planes(self.planes) / SAMPLE_SCALE,
            six_planes(self.doubt) / SAMPLE_SCALE,
            _tensors(self.subbands),
            _tensors(self.doubt_subbands),
            torch.tensor([self.parents]),
        )


def _flat(rows: int, cols: int, value: int) -> Yuv:
    chroma = np.full((rows // 2, cols // 2), value, np.int16)
    return np.full((rows, cols), value, np.int16), chroma, chroma


def six_planes(planes: Yuv | tuple[Ints, Ints, Ints]) -> torch.Tensor:
    """Y, U and V as (1, 6, rows / 2, cols / 2), float32."""
    y, u, v = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in planes)
    return pack(y, torch.cat([u, v], 1))


def _tensors(grids: Grids) -> Subbands:
    return {level: torch.from_numpy(grid.astype(np.float32))[None] / BAND_SCALE for level, grid in grids.items()}
