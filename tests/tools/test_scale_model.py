"""The model of what an encode takes, against a simulation of the scheduler."""

from __future__ import annotations

import random

import pytest
from scale_model import Rates, Videos, drawn, forecast, simulate


def test_gops_of_one_video_run_side_by_side():
    videos, rates = Videos(1, 2, 1.0), Rates(10.0, 0.0)
    assert forecast(videos, rates, 2, start_seconds=0.0).wall == 10.0
    assert simulate([[10.0, 10.0]], 2) == 10.0


@pytest.mark.parametrize("slots", [1, 4, 16])
def test_model_and_simulation_agree_where_gops_are_many(slots):
    videos, rates = Videos(4, 200, 2.0), Rates(30.0)
    simulated = simulate(drawn(videos, rates, random.Random(0)), slots)
    assert forecast(videos, rates, slots, start_seconds=0.0).wall == pytest.approx(simulated, rel=0.05)
