"""What a fit tells while it runs and what it gives in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nerv_codec.representations.representation import Representation


@dataclass(frozen=True)
class FitStatus:
    """One moment of a fit."""

    step: int
    """Steps done so far, 0..``steps``."""
    steps: int
    """Steps of the whole fit."""
    stage: str
    """``look ahead``, ``fit`` or ``quantise``."""
    psnr_db: float
    """Luma, of the last batches: an estimate of the whole GOP's."""
    estimated_bits: float
    """What W would cost if it were coded now."""


FitReporter = Callable[[FitStatus], None]
"""Called now and then with where a fit stands."""


@dataclass(frozen=True)
class FittedGop:
    """What a fit came to."""

    payload: bytes
    """What goes into the GOP's section."""
    estimated_bits: float
    """What the entropy model says the payload costs."""
    float_function: Representation
    """The function before its weights were quantised."""
