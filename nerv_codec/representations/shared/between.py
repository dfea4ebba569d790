"""What a plane shows between its samples, learnt: a polynomial for each sample, which a small network finds.

A sample is the mean of its square, so that planes are smoother than what they show. A network of six convolutions sees
a plane and the price of its bits, and gives for every sample the coefficients of a polynomial in the distance to it;
at a position between samples those of the nearest four are mixed bilinearly (a local ensemble, as in LIIF: Chen, Liu,
Wang, CVPR 2021) and added to a windowed sinc. At samples all of it is zero: f goes through them.

A plane goes on beyond its edges with its outermost samples, also for the network. It has polynomials for the samples
one beyond them, too: the outermost pixels of a picture that is read more densely lie there.
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
LAYERS = ("first", "second", "third", "fourth", "fifth")
"""The hidden layers. What the last one gives is added to what comes before the last two."""
REACH = len(LAYERS) + 1
"""How many samples away a polynomial still depends on, along an axis."""


class Between(nn.Module):
    """Coefficients of every sample, in floats. Trained in this form."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, WIDTH, 3)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3)
        self.third = nn.Conv2d(WIDTH, WIDTH, 3)
        self.fourth = nn.Conv2d(WIDTH, WIDTH, 3)
        self.fifth = nn.Conv2d(WIDTH, WIDTH, 3)
        self.out = nn.Conv2d(WIDTH, len(POWERS), 3)
        for layer in (self.fifth, self.out):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, plane: Tensor, index: Tensor) -> Tensor:
        """Coefficients (batch, terms, rows + 2, cols + 2): of all samples and of those one beyond the edges.

        Args:
            plane: An :func:`extended` one, less mid-gray, 1 is 128 code values of 8 bits; or what is around a crop.
            index: Lambda indices, (batch,).
        """
        price = ((index - CENTRE) / HALF_RANGE)[:, None, None, None].expand_as(plane)
        x = torch.cat([plane, price], 1)
        for name in LAYERS[:-2]:
            x = getattr(self, name)(x).clamp(0, LARGEST)
        more = self.fifth(self.fourth(x).clamp(0, LARGEST))
        found: Tensor = self.out((x[..., 2:-2, 2:-2] + more).clamp(0, LARGEST))
        return found


def extended(plane: Tensor) -> Tensor:
    """Planes (batch, 1, rows, cols) with REACH + 1 more samples on each side, those of the edge."""
    return functional.pad(plane, (REACH + 1,) * 4, mode="replicate")


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
    return functional.pixel_shuffle(functional.conv2d(coefficients, _terms(factor)), factor)[:, 0]
