from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nerv_codec.base.psnr import MAX_DB, mean_squared_error, psnr_db
from nerv_codec.evaluation.metrics.pooling import pool
from nerv_codec.evaluation.metrics.psnr import PsnrMetric


def test_poolings_by_hand():
    assert pool([20.0, 40.0]) == pytest.approx({"mean": 30, "harmonic_mean": 80 / 3, "p5": 21, "min": 20})
    assert pool([0.0, 1.0], higher_is_better=False) == pytest.approx({"mean": 0.5, "p95": 0.95, "max": 1})
    assert "harmonic_mean" not in pool([0.0, 1.0])
    with pytest.raises(ValueError, match="at least one"):
        pool([])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mean_squared_error_is_exact(dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, np.iinfo(dtype).max, (150, 33), dtype, endpoint=True) for _ in range(2))
    assert mean_squared_error(a, b) == pytest.approx(np.square(a.astype(float) - b.astype(float)).mean(), rel=1e-12)
    top = np.full((70, 5), np.iinfo(dtype).max, dtype)
    assert mean_squared_error(top, np.zeros_like(top)) == np.iinfo(dtype).max ** 2
    with pytest.raises(ValueError, match="one shape"):
        mean_squared_error(a, b[1:])


def test_psnr_of_mean_mse_is_not_the_mean(make_pairs, info):
    metric = PsnrMetric(info)
    quiet, loud = make_pairs(info, 1, noise=2)[0], make_pairs(info, 1, noise=30)[0]
    metric.add(quiet)
    metric.add(loud)
    *series_of_planes, _ = metric.series()
    for series in series_of_planes:
        assert series.pooled["of_mean_mse"] < series.pooled["mean"]
        assert series.pooled["min"] == min(series.values)
    luma = [mean_squared_error(pair.reference[0], pair.target[0]) for pair in (quiet, loud)]
    assert metric.series()[0].pooled["of_mean_mse"] == pytest.approx(psnr_db(sum(luma) / 2, 255))
    assert psnr_db(0, 255) == MAX_DB


def test_the_worst_block_of_chroma_is_found(make_pairs, info):
    metric = PsnrMetric(info)
    for number, pair in enumerate(make_pairs(info, 3, noise=0)):
        u, v = (plane.copy() for plane in pair.target[1:])
        if number == 1:
            u[64:72, 80:88] = 255 - u[64:72, 80:88]  # the lowest row of blocks has 8 rows
            v[20, 5] ^= 3
        metric.add(dataclasses.replace(pair, target=(pair.target[0], u, v)))
    series = metric.series()[-1]
    wrong = mean_squared_error(u0 := make_pairs(info, 3, noise=0)[1].target[1][64:72, 80:96], _inverted(u0))
    assert series.values == pytest.approx([MAX_DB, psnr_db(wrong / 2, 255), MAX_DB])
    assert series.domain.endswith("in frame 1, row 64, column 80")


def _inverted(block):
    return np.hstack([255 - block[:, :8], block[:, 8:]])
