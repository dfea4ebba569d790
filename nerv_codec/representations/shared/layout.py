"""What the latents of a picture are: grids of wavelet subbands, the order they are coded in, and what each may look at.

A picture is a luma plane and two chroma planes of half its size (4:2:0). CDF 9/7 takes luma through four levels and
chroma through three, so that subbands of both meet in the same grids, 1/2 to 1/16 of the luma lattice. There are as
many latents as samples. Grids are coded from coarse to fine, bands of a grid one after another, each in raster order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import IntEnum

LEVELS = (16, 8, 4, 2)
"""Spacing of a grid's positions in luma samples, in coding order."""
NUM_PLANES = 6
"""A picture as the networks see it: luma in four phases, U and V."""


class Orientation(IntEnum):
    """What a band holds: low-pass, or detail across columns (HL), across rows (LH) or both (HH)."""

    LL = 0
    HL = 1
    LH = 2
    HH = 3


@dataclass(frozen=True)
class Band:
    """One subband: component 0 (Y), 1 (U) or 2 (V), and its orientation."""

    component: int
    orientation: Orientation


@dataclass(frozen=True)
class Tap:
    """One input of the context model: plane ``source`` of a grid, ``rows`` down and ``cols`` right of the latent.

    Planes are the bands in coding order, then the same bands of the prediction, then those of its doubt.
    The value goes through the saturating table with its sign, or as a magnitude. Outside of the grid it is 0.
    """

    source: int
    rows: int
    cols: int
    signed: bool


@functools.cache
def bands(level: int) -> tuple[Band, ...]:
    """The bands of a grid in coding order: low-pass (1/16 only), details of luma, then of chroma, U before V."""
    low = [Band(component, Orientation.LL) for component in range(3)] if level == LEVELS[0] else []
    details = (Orientation.HL, Orientation.LH, Orientation.HH)
    luma = [Band(0, orientation) for orientation in details]
    chroma = [Band(c, orientation) for orientation in details for c in (1, 2)] if level != LEVELS[-1] else []
    return (*low, *luma, *chroma)


PRIOR_HIDDEN = {16: 24, 8: 24, 4: 12}
"""Hidden units of what a grid tells the next finer one."""
PRIOR_FEATURES = {8: 12, 4: 8, 2: 6}
"""Features that a position gets from all coarser grids."""


@dataclass(frozen=True)
class Design:
    """How large networks are, and what they see; by grid where it is a table.

    Attributes:
        name: Of their arrays in the file of weights.
        sides: On how many sides in time parents lie of the pictures that they are for; with any, they see a prediction
            and its doubt.
        hidden: Units of the context model; with the two outputs' direct path, a multiple of 8 lanes.
        widths: Features of the synthesis, a multiple of 8.
        blocks: Pairs of its convolutions.
        analysis_widths: Features of the analysis.
        analysis_blocks: Pairs of its convolutions.
    """

    name: str
    sides: int
    hidden: dict[int, int]
    widths: dict[int, int]
    blocks: dict[int, int]
    analysis_widths: dict[int, int]
    analysis_blocks: dict[int, int]

    @property
    def predicted(self) -> bool:
        """Whether there is a prediction."""
        return self.sides > 0

    def seen(self, level: int) -> int:
        """What the synthesis sees of a grid: bands and, at the finest, planes; those of prediction and doubt, too."""
        planes = NUM_PLANES if level == LEVELS[-1] else 0
        return 3 * len(bands(level)) + 2 * planes if self.predicted else len(bands(level)) + planes


ALONE = Design(
    "alone",
    sides=0,
    hidden={16: 46, 8: 46, 4: 30, 2: 30},
    widths={16: 96, 8: 96, 4: 96, 2: 72},
    blocks={16: 1, 8: 2, 4: 3, 2: 2},
    analysis_widths={16: 96, 8: 96, 4: 96, 2: 72},
    analysis_blocks={16: 1, 8: 2, 4: 2, 2: 2},
)
"""Of pictures without parents, which take the most bytes and come once a GOP."""
ONE_SIDED = Design(
    "one_sided",
    sides=1,
    hidden={16: 22, 8: 22, 4: 14, 2: 14},
    widths={16: 64, 8: 64, 4: 64, 2: 40},
    blocks={16: 1, 8: 2, 4: 2, 2: 1},
    analysis_widths={16: 96, 8: 96, 4: 96, 2: 64},
    analysis_blocks={16: 1, 8: 2, 4: 2, 2: 1},
)
"""Of anchors, which all frames between them lean on."""
TWO_SIDED = Design(
    "two_sided",
    sides=2,
    hidden={16: 22, 8: 22, 4: 14, 2: 14},
    widths={16: 48, 8: 48, 4: 48, 2: 24},
    blocks={16: 1, 8: 1, 4: 1, 2: 1},
    analysis_widths={16: 64, 8: 64, 4: 64, 2: 48},
    analysis_blocks={16: 1, 8: 1, 4: 1, 2: 1},
)
"""Of pictures between two known ones: most of a video and few of its bytes, so they are small."""
DESIGNS = (ALONE, ONE_SIDED, TWO_SIDED)
"""By the number of sides."""
_POINT = ((0, 0),)
_PLUS = ((-1, 0), (0, -1), (0, 0), (0, 1), (1, 0))
_SQUARE = tuple((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1))
_PAST = ((-2, 0), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, -2), (0, -1))
_NEAR_PAST = ((-2, 0), (-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1))


def _window(source: int, offsets: tuple[tuple[int, int], ...], signed: bool) -> list[Tap]:
    return [Tap(source, rows, cols, signed) for rows, cols in offsets]


def context_taps(level: int, index: int, predicted: bool) -> tuple[Tap, ...]:
    """The inputs of band ``index`` of a grid: its own causal neighbours, and bands that precede it.

    Details look at the luma details before them, chroma at luma of the same orientation, V at U as well; at 1/16,
    the first details look at the low-pass band of their component, whose slopes they continue. Where pictures
    are predicted, all look at their own band of the prediction and of its doubt.
    """
    order = bands(level)
    band = order[index]
    place = {other: position for position, other in enumerate(order)}
    c, o = band.component, band.orientation
    taps = _window(index, _PAST, False) + _window(index, _NEAR_PAST, True)

    def look(component: int, orientation: Orientation, magnitudes: tuple[tuple[int, int], ...],
             values: tuple[tuple[int, int], ...] = ()) -> None:  # fmt: skip
        source = place[Band(component, orientation)]
        taps.extend(_window(source, magnitudes, False) + _window(source, values, True))

    if c == 0 and o != Orientation.LL:
        if level == LEVELS[0]:
            look(0, Orientation.LL, _POINT, _SQUARE if o != Orientation.HH else ())
        if o >= Orientation.LH:
            look(0, Orientation.HL, _PLUS, _POINT)
        if o == Orientation.HH:
            look(0, Orientation.LH, _PLUS, _POINT)
    if c > 0:
        look(0, o, _PLUS if c == 1 else _POINT, _PLUS if level > 4 else _POINT)
        if level == LEVELS[0] and o != Orientation.LL:
            look(c, Orientation.LL, _POINT, _PLUS)
        if c == 2:
            look(1, o, _PLUS, _PLUS if level > 4 else _POINT)
    if not predicted:
        return tuple(taps)
    expected, doubt = (index + number * len(order) for number in (1, 2))
    if o != Orientation.LL:
        taps += _window(expected, _PLUS, False) + _window(expected, _POINT, True)
    taps += _window(doubt, _PLUS, False) + _window(doubt, _POINT, True)
    return tuple(taps)


def prior_taps(level: int) -> tuple[Tap, ...]:
    """What a finished grid shows of itself to the finer ones (`PRIOR_FEATURES`), next to what it was shown itself."""
    taps: list[Tap] = []
    for index, band in enumerate(bands(level)):
        if level == LEVELS[0]:
            taps += _window(index, _SQUARE, False) + _window(index, _SQUARE, True)
        elif band.component == 0:
            taps += _window(index, _SQUARE, False) + _window(index, _SQUARE if level == 8 else _PLUS, True)
        else:
            taps += _window(index, _POINT, False) + (_window(index, _POINT, True) if level == 8 else [])
    return tuple(taps)


def macs_per_symbol(design: Design) -> float:
    """Multiplications of the context model per latent, averaged over a picture."""
    total, symbols = 0.0, 0.0
    for level in LEVELS:
        share = 1 / level**2
        prior = PRIOR_FEATURES.get(level, 0)
        for index in range(len(bands(level))):
            inputs = len(context_taps(level, index, design.predicted)) + prior
            total += share * (inputs * (design.hidden[level] + 2) + 2 * design.hidden[level])
            symbols += share
        if level in PRIOR_HIDDEN:
            inputs = len(prior_taps(level)) + prior
            total += share * PRIOR_HIDDEN[level] * (inputs + 4 * PRIOR_FEATURES[level // 2])
    return total / symbols


def macs_per_pixel(design: Design) -> float:
    """Multiplications of context model and synthesis per luma sample, where the residual is added everywhere."""
    total = sum(len(bands(level)) / level**2 for level in LEVELS) * macs_per_symbol(design)
    for level in LEVELS:
        width = design.widths[level]
        above = design.widths.get(2 * level, 0)
        total += width * (design.seen(level) + above + 2 * 9 * width * design.blocks[level]) / level**2
    return total + 9 * design.widths[LEVELS[-1]] * NUM_PLANES / LEVELS[-1] ** 2
