from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nerv_codec.evaluation.report.svg import Line, Plot, log_ticks, render, ticks


def test_ticks_are_round_and_inside():
    assert ticks(0.3, 4.9) == [1, 2, 3, 4]
    assert ticks(27.1, 29.2) == pytest.approx([27.5, 28, 28.5, 29])
    assert log_ticks(0.05, 12) == pytest.approx([0.1, 0.3, 1, 3, 10])
    assert len(log_ticks(0.2, 0.21)) >= 2


@pytest.mark.parametrize("values", [[30.0, 31.5, 29.0], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0]])
def test_a_plot_is_well_formed_and_stays_inside(values):
    line = Line('<&">', [0.1, 0.2, 0.4], values, markers=True, titles=["a & b", "<c>", '"'])
    root = ElementTree.fromstring(render(Plot([line], "x", "y", log_x=True, marks=[0.2], cross=True)))
    circles = [e for e in root.iter() if e.tag == "circle"]
    assert len(circles) == 3
    assert all(0 <= float(c.get("cx")) <= 560 and 0 <= float(c.get("cy")) <= 320 for c in circles)


def test_a_single_point_is_drawn():
    assert "<circle" in render(Plot([Line("a", [1.0], [2.0])], "x", "y"))
