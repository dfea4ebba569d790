"""Drawn text, without a font."""

from __future__ import annotations

import numpy as np


def letters(seed: int, rows: int, cols: int) -> np.ndarray:
    """Ink here and there, as letters are: of few shapes, which come again and again."""
    draw = np.random.default_rng(seed)
    shapes = np.pad(draw.random((5, 7, 5)) < 0.5, ((0, 0), (0, 2), (0, 1)))
    lines = draw.integers(0, 5, (rows // 9 + 1, cols // 6 + 1))
    return (np.block([[shapes[one] for one in line] for line in lines])[:rows, :cols] * 200 + 20).astype(np.int16)
