"""Sizes of a sine network, known without torch."""

from __future__ import annotations

import itertools


def tensor_shapes(width: int, hidden_layers: int, num_planes: int) -> list[tuple[int, ...]]:
    """Shapes of weight, bias, weight, bias, ... from the input to the output."""
    sizes = [3] + [width] * (hidden_layers + 1) + [num_planes]
    shapes: list[tuple[int, ...]] = []
    for inputs, outputs in itertools.pairwise(sizes):
        shapes += [(inputs, outputs), (outputs,)]
    return shapes
