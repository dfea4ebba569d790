"""Two rate-distortion curves as one number: Bjontegaard's deltas, and how far they can be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_METHOD = "pchip"


@dataclass(frozen=True)
class BdResult:
    """How a curve compares with an anchor."""

    bd_rate_percent: float
    """Mean difference of rate at equal quality; negative: fewer bits than the anchor."""
    bd_quality: float
    """Mean difference of quality at equal rate, in the metric's unit; positive: better than the anchor."""
    quality_overlap: float
    """Share of the narrower curve's range of quality that both curves cover, 0..1."""
    rate_overlap: float
    """Share of the narrower curve's range of the logarithm of the rate that both curves cover, 0..1."""
    points: tuple[int, int]
    """How many points the curve and its anchor have."""


def bjontegaard_deltas(
    rates: Sequence[float],
    qualities: Sequence[float],
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
) -> BdResult:
    """BD-rate and BD-PSNR of a curve against an anchor (VCEG-M33), with PCHIP as JCT-VC has it.

    Args:
        rates: Bits per anything, above 0, in any order.
        qualities: What they buy, higher is better.
        anchor_rates: Rates of the anchor's points, in the same unit.
        anchor_qualities: Qualities of the anchor's points.

    Raises:
        ValueError: A curve has fewer than two points or is not strictly increasing, or the two have no
            quality or no rate in common.
    """
    try:
        import bjontegaard
    except ImportError:
        raise ValueError("the package bjontegaard is not installed") from None
    curve = _sorted_curve(rates, qualities, "this curve")
    anchor = _sorted_curve(anchor_rates, anchor_qualities, "the anchor")
    quality_overlap = _overlap(curve[1], anchor[1])
    rate_overlap = _overlap(np.log10(curve[0]), np.log10(anchor[0]))
    if quality_overlap <= 0:
        raise ValueError("the curves have no quality in common")
    if rate_overlap <= 0:
        raise ValueError("the curves have no rate in common")
    arguments = (*anchor, *curve)
    options = {"method": _METHOD, "require_matching_points": False, "min_overlap": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the overlap is in the result
        rate = bjontegaard.bd_rate(*arguments, **options)
        quality = bjontegaard.bd_psnr(*arguments, **options)
    return BdResult(float(rate), float(quality), quality_overlap, rate_overlap, (len(curve[0]), len(anchor[0])))


def rate_at_quality(rates: Sequence[float], qualities: Sequence[float], quality: float) -> float:
    """The rate at which a curve reaches a quality, PCHIP over the logarithm of the rate.

    Raises:
        ValueError: The curve (the anchor, in the message) is too short, not increasing, or does not get there.
    """
    try:
        from scipy.interpolate import PchipInterpolator
    except ImportError:
        raise ValueError("the package scipy is not installed") from None
    curve_rates, curve_qualities = _sorted_curve(rates, qualities, "the anchor")
    if not curve_qualities[0] <= quality <= curve_qualities[-1]:
        raise ValueError(f"every point of the anchor is {'better' if quality < curve_qualities[0] else 'worse'}")
    return float(10 ** PchipInterpolator(curve_qualities, np.log10(curve_rates))(quality))


def _sorted_curve(rates: Sequence[float], qualities: Sequence[float], name: str) -> tuple[np.ndarray, np.ndarray]:
    if len(rates) < 2:
        raise ValueError(f"{name} has {len(rates)} point{'' if len(rates) == 1 else 's'}, two are needed")
    order = np.argsort(np.asarray(rates, np.float64), kind="stable")
    x, y = np.asarray(rates, np.float64)[order], np.asarray(qualities, np.float64)[order]
    if (np.diff(x) <= 0).any() or (np.diff(y) <= 0).any():
        raise ValueError(f"the quality of {name} does not grow with its rate")
    return x, y


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    common = min(a[-1], b[-1]) - max(a[0], b[0])
    return float(max(0.0, common) / min(a[-1] - a[0], b[-1] - b[0]))
