"""What a fit tells while it runs and what it gives in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class FitStatus:
    """One moment of a fit."""

    step: int
    steps: int
    stage: str
    """``fit`` or ``quantise``."""
    psnr_db: float
    """Luma, of the last batches: an estimate of the whole GOP's."""
    estimated_bits: float
    """What W would cost if it were coded now."""


@dataclass(frozen=True)
class GopFit:
    """A fitted GOP."""

    payload: bytes
    """What goes into the GOP's section."""
    estimated_bits: float
    """What the entropy model says the payload costs."""
    float_psnr_y_db: tuple[float, ...]
    """Luma PSNR of each frame before W was quantised."""


@dataclass(frozen=True)
class FitTarget:
    """What a fit shall come to, instead of the balance that its rd_lambda strikes: one of the two."""

    bits: float | None = None
    """Of the payload."""
    psnr_db: float | None = None
    """Luma, mean over the GOP's frames, of what the payload decodes to."""


Report = Callable[[FitStatus], None]
