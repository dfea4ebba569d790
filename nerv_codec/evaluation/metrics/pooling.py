"""From one figure a frame to one figure a video, under names that say how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

POOLINGS = {
    "mean": "arithmetic mean over frames",
    "harmonic_mean": "harmonic mean over frames, which bad frames pull down",
    "p5": "5th percentile over frames (linear between ranks)",
    "min": "worst frame",
    "p95": "95th percentile over frames (linear between ranks)",
    "max": "worst frame",
    "of_mean_mse": "PSNR of the mean squared error over all frames, never above the mean",
}
"""What each name means. Where lower is better, ``p95`` and ``max`` stand for ``p5`` and ``min``."""


def pool(values: Sequence[float], *, higher_is_better: bool = True) -> dict[str, float]:
    """Figures of a whole video from one figure a frame.

    Args:
        values: One figure a frame, at least one.
        higher_is_better: Which end of the range is the bad one.

    Returns:
        ``mean``, ``harmonic_mean`` (only of positive figures), and ``p5`` and ``min``, or ``p95`` and ``max``
        where lower is better.

    Raises:
        ValueError: There are no values.
    """
    if not len(values):
        raise ValueError("Expected at least one value, got none.")
    numbers = np.asarray(values, dtype=np.float64)
    pooled = {"mean": float(numbers.mean())}
    if higher_is_better:
        if (numbers > 0).all():
            pooled["harmonic_mean"] = float(len(numbers) / (1 / numbers).sum())
        pooled |= {"p5": float(np.percentile(numbers, 5)), "min": float(numbers.min())}
    else:
        pooled |= {"p95": float(np.percentile(numbers, 95)), "max": float(numbers.max())}
    return pooled
