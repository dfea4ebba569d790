"""Steering rd_lambda so that a fit lands on a size or a quality."""

from __future__ import annotations

import math

from nerv_codec.representations.fitting.task import FitTarget

_GAIN = 2.0
"""Change of ln(lambda) for a unit of error in ln(bits) or ln(distortion)."""
_LEAD = 2.0
"""How many measurements ahead the trend is followed: later ones find latents that hardly move any more."""
_MAX_CHANGE = 0.4
_REFERENCE = (2e-3, 0.1)
"""A lambda, and the bits per pixel that it comes to on ordinary clips: where a fit for a size starts."""
_EXPONENT = 1.5
"""lambda goes about as bits ** -1.5."""
_ROOT_SHARE = 0.8
"""Share of the bits that the first nodes may take while the others are still to come."""
_RANGE = (1e-7, 0.5)


class RateController:
    """Holds rd_lambda, and moves it after every measurement if there is a target.

    Args:
        rd_lambda: Where to start, and to stay without a target.
        target: Bits or PSNR to land on.
        pixels: Of the GOP.
    """

    def __init__(self, rd_lambda: float, target: FitTarget | None, pixels: int) -> None:
        self.rd_lambda = rd_lambda
        self.error: float | None = None
        """Error of the last measurement of all nodes; nothing but this and ``rd_lambda`` changes."""
        self._target = target
        if target and target.bits:
            reference, rate_bpp = _REFERENCE
            self.rd_lambda = self._bounded(reference * (target.bits / pixels / rate_bpp) ** -_EXPONENT)

    @property
    def steers(self) -> bool:
        """Whether measurements are wanted."""
        return self._target is not None

    def measure(self, bits: float, psnr_db: float, whole: bool) -> None:
        """Moves rd_lambda towards the target.

        Args:
            bits: What the payload would take now.
            psnr_db: Luma, of all frames.
            whole: Whether all nodes take part already; if not, only too many bits are acted upon.
        """
        if self._target is None:
            return
        if self._target.bits:
            share = 1.0 if whole else _ROOT_SHARE
            error = math.log(max(bits, 1.0) / (share * self._target.bits))
        else:
            assert self._target.psnr_db is not None
            error = (psnr_db - self._target.psnr_db) * math.log(10) / 10
        if not whole and (error < 0 or not self._target.bits):
            return
        trend = error - self.error if whole and self.error is not None else 0.0
        self.error = error if whole else None
        change = max(-_MAX_CHANGE, min(_MAX_CHANGE, _GAIN * (error + _LEAD * trend)))
        self.rd_lambda = self._bounded(self.rd_lambda * math.exp(change))

    @staticmethod
    def _bounded(value: float) -> float:
        return min(_RANGE[1], max(_RANGE[0], value))
