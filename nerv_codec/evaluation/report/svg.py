"""Line plots as inline SVG. Colours and fonts are the page's: classes only, so that light and dark both work.

Why not matplotlib: its SVG has colours and fonts of its own, so a page in the dark would need every plot twice; it is a
third to twice as long (18 to 27 kB against 13 kB for two lines of 120 frames); and the figures under the pointer need
the scales of the axes and a title for each point, which would have to be taken out of it again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 560, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 14, 46


@dataclass(frozen=True)
class Line:
    """One polyline."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    """Number of the page's colour, 0 is ours."""
    markers: bool = False
    titles: Sequence[str] = ()
    """What a pointer over each marker tells."""


@dataclass(frozen=True)
class Plot:
    """A picture of lines."""

    lines: Sequence[Line]
    x_label: str
    y_label: str
    log_x: bool = False
    marks: Sequence[float] = ()
    """Faint vertical lines."""
    strong_marks: Sequence[float] = field(default=())
    """Vertical lines that stand out."""
    cross: bool = False
    """Whether the page's script shows the figures under the pointer."""


@dataclass(frozen=True)
class _Scale:
    """From figures to pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (at - low) / (high - low)


def render(plot: Plot) -> str:
    """The plot as an ``svg`` element."""
    xs = [x for line in plot.lines for x in line.x]
    ys = [y for line in plot.lines for y in line.y]
    x_low, x_high = _padded(xs, log=plot.log_x, share=0.06 if plot.log_x else 0.0)
    y_low, y_high = _padded(ys, log=False, share=0.08)
    across = _Scale(x_low, x_high, _LEFT, WIDTH - _RIGHT, plot.log_x)
    up = _Scale(y_low, y_high, HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(plot.y_label)} over {escape(plot.x_label)}"{_cross_data(plot, across, up)}>'
    ]
    floor = HEIGHT - _BOTTOM
    for value in ticks(y_low, y_high):
        y = up(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{_short(value)}</text>')
    for value in log_ticks(x_low, x_high) if plot.log_x else ticks(x_low, x_high):
        x = across(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{floor}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 18}" text-anchor="middle">{_short(value)}</text>')
    for kind, values in (("mark", plot.marks), ("mark strong", plot.strong_marks)):
        parts += [f'<path class="{kind}" d="M{across(v):.1f} {_TOP}V{floor}"/>' for v in values if x_low <= v <= x_high]
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{floor}H{WIDTH - _RIGHT}"/>')
    for line in sorted(plot.lines, key=lambda line: -line.color):
        parts.append(_line(line, across, up))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(plot.x_label)}</text>'
    )
    turned = f'transform="translate(15 {(_TOP + floor) / 2}) rotate(-90)"'
    parts.append(f'<text class="label" {turned} text-anchor="middle">{escape(plot.y_label)}</text>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers within a range."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: 1, 2, 5 of every decade, fewer where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= 7:
            break
    return found if len(found) >= 2 else ticks(low, high, 3)


def _line(line: Line, across: _Scale, up: _Scale) -> str:
    points = [(across(x), up(y)) for x, y in zip(line.x, line.y, strict=True)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    drawn = f'<path class="line c{line.color}" d="{path}"/>' if len(points) > 1 else ""
    if not line.markers and len(points) > 1:
        return drawn
    titles = line.titles or [""] * len(points)
    radius = 5 if line.color == 0 else 3.6
    return drawn + "".join(
        f'<circle class="dot c{line.color}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{escape(title)}</title></circle>"
        for (x, y), title in zip(points, titles, strict=True)
    )


def _cross_data(plot: Plot, across: _Scale, up: _Scale) -> str:
    """What the page's script needs to show the figures under the pointer."""
    if not plot.cross:
        return ""
    data = {
        "x": [round(across(x), 1) for x in plot.lines[0].x],
        "at": [f"{x:.3f} s" for x in plot.lines[0].x],
        "lines": [
            {
                "name": line.name,
                "c": line.color,
                "y": [round(up(y), 1) for y in line.y],
                "v": [_figure(y) for y in line.y],
            }
            for line in plot.lines
        ],
    }
    return f" data-cross='{escape(json.dumps(data, separators=(',', ':')), quote=True)}'"


def _padded(values: Sequence[float], *, log: bool, share: float) -> tuple[float, float]:
    """The range of the values with some air; never empty."""
    low, high = min(values), max(values)
    if log:
        width = math.log10(high / low) or 1.0
        return low / 10 ** (share * width), high * 10 ** (share * width)
    width = (high - low) or abs(high) * 0.02 or 1.0
    if high == low:
        return low - width / 2, high + width / 2
    return low - share * width, high + share * width


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 5 else f"{value:.4f}"
