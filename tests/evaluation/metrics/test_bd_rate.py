from __future__ import annotations

import numpy as np
import pytest

from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas, rate_at_quality

pytest.importorskip("bjontegaard")

# Averages over UVG's seven clips as their authors published them (bits per pixel, RGB PSNR in dB).
X265 = (0.0146, 0.0313, 0.0492, 0.118, 0.235), (32.26, 34.33, 35.49, 37.30, 38.39)
C3 = (0.0159, 0.0331, 0.0546, 0.1276, 0.2540), (32.93, 35.03, 36.33, 38.36, 39.70)
VTM = (0.0079, 0.0260, 0.0488, 0.1585), (33.38, 36.29, 37.60, 39.34)


def integrated(curve, anchor):
    """BD-rate written down anew: PCHIP of log rate over quality, integrated where both are."""
    from scipy.interpolate import PchipInterpolator

    (rates, quality), (anchor_rates, anchor_quality) = curve, anchor
    low, high = max(quality[0], anchor_quality[0]), min(quality[-1], anchor_quality[-1])
    areas = [
        PchipInterpolator(q, np.log10(r)).integrate(low, high)
        for q, r in ((quality, rates), (anchor_quality, anchor_rates))
    ]
    return 100 * (10 ** ((areas[0] - areas[1]) / (high - low)) - 1)


@pytest.mark.parametrize(("curve", "anchor"), [(C3, X265), (C3, VTM), (X265, VTM)])
def test_published_curves(curve, anchor):
    found = bjontegaard_deltas(*curve, *anchor)
    assert found.bd_rate_percent == pytest.approx(integrated(curve, anchor), abs=1e-6)
    assert np.sign(found.bd_rate_percent) == -np.sign(found.bd_quality)
    assert 0 < found.quality_overlap <= 1


def test_half_the_rate_is_minus_fifty_percent():
    half = tuple(rate / 2 for rate in X265[0])
    found = bjontegaard_deltas(half, X265[1], *X265)
    assert found.bd_rate_percent == pytest.approx(-50)
    assert found.quality_overlap == 1
    shuffled = bjontegaard_deltas(half[::-1], X265[1][::-1], *X265)
    assert shuffled == found


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (((0.1,), (35.0,)), "1 point,"),
        (((0.1, 0.2, 0.3), (35.0, 34.0, 36.0)), "does not grow"),
        (((0.02, 0.2), (10.0, 20.0)), "no quality in common"),
        (((20.0, 30.0), (33.0, 36.0)), "no rate in common"),
    ],
)
def test_what_cannot_be_compared_says_why(curve, reason):
    with pytest.raises(ValueError, match=reason):
        bjontegaard_deltas(*curve, *X265)


def test_rate_at_quality():
    assert rate_at_quality(*X265, 35.49) == pytest.approx(0.0492)
    assert 0.0492 < rate_at_quality(*X265, 36) < 0.118
    with pytest.raises(ValueError, match="better"):
        rate_at_quality(*X265, 20)
    with pytest.raises(ValueError, match="worse"):
        rate_at_quality(*X265, 50)
