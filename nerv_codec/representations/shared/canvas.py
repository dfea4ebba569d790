"""Pictures of any size, chroma format and depth as what the networks know: six planes of half size, 4:2:0, in 0..1.

4:2:0 is coded as a whole. Any other format is coded plane by plane, each as the luma of a gray picture whose chroma is
neutral and takes no bits; the price of bits follows the weight of the plane. Sizes are rounded up to 16 by repeating
the last row and column. Samples are divided by 255 * 2**(depth - 8), so that depths agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nerv_codec.representations.shared.integer_transform import SAMPLE_BITS, Yuv
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.quality import NUM_LAMBDAS, STEPS_PER_OCTAVE
from nerv_codec.representations.shared.transform import pack

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Shape = tuple[int, int]
NEUTRAL = 128 / 255
"""Chroma of gray."""
_LUMA_WEIGHT = 6


@dataclass(frozen=True)
class Part:
    """What is coded together.

    Attributes:
        planes: Which planes of the picture: (0, 1, 2) or a single one.
        rows: Rows of the first of them.
        cols: Its columns.
        price: Lambda indices to add: bits of a light plane cost more.
    """

    planes: tuple[int, ...]
    rows: int
    cols: int
    price: int = 0

    @property
    def components(self) -> int:
        """3 with chroma, 1 without."""
        return len(self.planes)

    def lambda_index(self, index: int) -> int:
        """The index at which the part is coded."""
        return min(max(index + self.price, 0), NUM_LAMBDAS - 1)


def parts(shapes: Sequence[Shape]) -> tuple[Part, ...]:
    """How a picture with planes of these (rows, cols) is divided: gray, 4:2:0, or three planes of any sizes."""
    if len(shapes) not in (1, 3) or min(min(shape) for shape in shapes) < 1:
        raise ValueError(f"Expected one plane or three that are not empty, got shapes {list(shapes)}.")
    (rows, cols), *chroma = shapes
    if chroma and all(tuple(shape) == (-(-rows // 2), -(-cols // 2)) for shape in chroma):
        return (Part((0, 1, 2), rows, cols),)
    found = [Part((0,), rows, cols)]
    for number, (r, c) in enumerate(chroma, 1):
        weight = _LUMA_WEIGHT * (r * c) / (rows * cols)
        found.append(Part((number,), r, c, round(STEPS_PER_OCTAVE * math.log2(weight))))
    return tuple(found)


def _padded(plane: Tensor, multiple: int, rows: int, cols: int) -> Tensor:
    """(1, channels, ...) made to belong to a luma of (rows, cols) rounded up; multiple 16 for luma, 8 for chroma."""
    goal = [-(-extent // LEVELS[0]) * multiple for extent in (rows, cols)]
    missing = (0, goal[1] - plane.shape[-1], 0, goal[0] - plane.shape[-2])
    return functional.pad(plane, missing, mode="replicate")


def to_canvas(planes: Sequence[Plane], depth: int, part: Part) -> Tensor:
    """The part of a picture as (1, 6, rows, cols), float32."""
    peak = 255 * 2 ** (depth - 8)

    def tensor(number: int) -> Tensor:
        return torch.from_numpy(planes[number].astype(np.float32) / np.float32(peak))[None, None]

    luma = _padded(tensor(part.planes[0]), LEVELS[0], part.rows, part.cols)
    if part.components == 1:
        half = [extent // 2 for extent in luma.shape[-2:]]
        return pack(luma, torch.full((1, 2, *half), NEUTRAL))
    chroma = torch.cat([tensor(1), tensor(2)], 1)
    return pack(luma, _padded(chroma, LEVELS[0] // 2, part.rows, part.cols))


def from_samples(planes: Yuv, depth: int, part: Part) -> list[Plane]:
    """The planes of a part, cut to its size, rounded half up and clipped to the depth."""
    half = -(-part.rows // 2), -(-part.cols // 2)
    found = [planes[0][: part.rows, : part.cols]]
    if part.components == 3:
        found += [plane[: half[0], : half[1]] for plane in planes[1:]]
    dtype = np.uint8 if depth <= 8 else np.uint16
    half_unit = 1 << SAMPLE_BITS - 1
    scaled = (((plane.astype(np.int32) << depth - 8) + half_unit) >> SAMPLE_BITS for plane in found)
    return [np.minimum(plane, 2**depth - 1).astype(dtype) for plane in scaled]
