"""What is known of a picture before its latents: the prediction made from its parents, and how far these disagree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nerv_codec.representations.shared.transform import GRAY, Subbands, forward


@dataclass(frozen=True)
class Prediction:
    """Six-plane pictures (`transform.pack`) and their subbands.

    Attributes:
        planes: What is expected, (batch, 6, rows, cols) in 0..1; mid-gray without parents.
        doubt: Half of the difference between what two parents say, zero elsewhere; shaped like the planes.
        subbands: Bands of the planes less mid-gray.
        doubt_subbands: Bands of the doubt.
        parents: On how many sides in time the pictures lie that it is made from, 0 to 2, (batch,).
    """

    planes: Tensor
    doubt: Tensor
    subbands: Subbands
    doubt_subbands: Subbands
    parents: Tensor

    @classmethod
    def of(cls, planes: Tensor, doubt: Tensor, parents: Tensor) -> Prediction:
        """With the subbands made from the planes."""
        return cls(planes, doubt, forward(planes - GRAY), forward(doubt), parents)

    @classmethod
    def none(cls, like: Tensor) -> Prediction:
        """Mid-gray, for pictures without parents."""
        zeros = torch.zeros_like(like)
        bands = forward(zeros)
        return cls(zeros + GRAY, zeros, bands, bands, torch.zeros(len(like), device=like.device))

    def to(self, device: torch.device) -> Prediction:
        """The same on a device."""
        subbands, doubt_subbands = (
            {level: grid.to(device) for level, grid in grids.items()} for grids in (self.subbands, self.doubt_subbands)
        )
        planes, doubt, parents = (one.to(device) for one in (self.planes, self.doubt, self.parents))
        return Prediction(planes, doubt, subbands, doubt_subbands, parents)

    def quantised(self, level: int, steps: Tensor) -> Tensor:
        """What contexts see of a grid: bands of the planes, then of the doubt, in steps of the latents.

        Args:
            level: Which grid.
            steps: Step of every band, (batch, bands).

        Returns:
            Whole numbers, (batch, 2 * bands, rows, cols); the doubt counts twice.
        """
        sides = torch.cat([self.subbands[level], 2 * self.doubt_subbands[level]], 1)
        return torch.round(sides / steps.repeat(1, 2)[..., None, None])
