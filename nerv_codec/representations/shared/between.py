"""What a plane shows between its samples, learnt: a polynomial for each sample, which a small network finds.

A sample is the mean of its square, so that planes are smoother than what they show. A network of four convolutions sees
a plane and the price of its bits, and gives for every sample the coefficients of a polynomial in the distance to it;
at a position between samples those of the nearest four are mixed bilinearly (a local ensemble, as in LIIF: Chen, Liu,
Wang, CVPR 2021) and added to a windowed sinc. At samples all of it is zero: f goes through them.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from nerv_codec.representations.shared.quality import CENTRE, HALF_RANGE

WIDTH = 24
"""Features of the hidden layers."""
POWERS = ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (1, 2), (2, 2))
"""Exponents of the distance down and of that to the right, term by term."""
LARGEST = 3.0
"""Features are cut to it."""
LAYERS = ("first", "second", "third")


class Between(nn.Module):
    """Coefficients of every sample, in floats. Trained in this form."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, WIDTH, 3, padding=1)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.third = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = nn.Conv2d(WIDTH, len(POWERS), 3, padding=1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, plane: Tensor, index: Tensor) -> Tensor:
        """Coefficients (batch, terms, rows, cols).

        Args:
            plane: (batch, 1, rows, cols), less mid-gray, 1 is 128 code values of 8 bits.
            index: Lambda indices, (batch,).
        """
        price = ((index - CENTRE) / HALF_RANGE)[:, None, None, None].expand_as(plane)
        x = torch.cat([plane, price], 1)
        for name in LAYERS:
            x = getattr(self, name)(x).clamp(0, LARGEST)
        found: Tensor = self.out(x)
        return found


@functools.lru_cache(maxsize=8)
def _terms(factor: int) -> Tensor:
    """What the coefficients of 3 x 3 samples add to the places inside the middle one: (factor**2, terms, 3, 3)."""
    found = torch.zeros(factor * factor, len(POWERS), 3, 3)
    inside = [(number + 0.5) / factor - 0.5 for number in range(factor)]
    for number in range(factor * factor):
        down, right = inside[number // factor], inside[number % factor]
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                share = max(0.0, 1 - abs(down - i)) * max(0.0, 1 - abs(right - j))
                for term, (m, n) in enumerate(POWERS):
                    found[number, term, i + 1, j + 1] = share * (down - i) ** m * (right - j) ** n
    return found


def details(coefficients: Tensor, factor: int) -> Tensor:
    """What they add to a plane that is read ``factor`` times as densely: (batch, factor * rows, factor * cols)."""
    around = functional.pad(coefficients, (1, 1, 1, 1), mode="replicate")
    return functional.pixel_shuffle(functional.conv2d(around, _terms(factor)), factor)[:, 0]
