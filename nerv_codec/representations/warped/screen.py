"""Screen content: squares whose samples are coded one after another, without a transform.

Letters, lines and flat colours have few values and hard edges: a wavelet spreads each edge over all of its bands, while
the sample itself is nearly known from those around it. So such squares are coded as lossless coders of palettes code
theirs (piecewise-constant image model, Ausbeck 2000; palette mode of HEVC's screen content coding, Pu et al. 2016), and
the wavelet codes something smooth in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.stream import Counts, StreamReader, StreamWriter
from nerv_codec.representations.warped import screen_kernel
from nerv_codec.representations.warped.decision_kernel import ONE
from nerv_codec.representations.warped.planes import UNIT, Planes, Samples
from nerv_codec.representations.warped.squares import CONTEXTS, Flags, none_of, put_flags, spread, take_flags

SQUARE = 16
"""Luma samples a side."""
_FIRST_WEIGHT = 17000
_WORDS_A_SAMPLE = 4
"""More than its decisions can take: eleven, of ten bits each at the most."""
Codes = npt.NDArray[np.uint8]
Costs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Screen:
    """Squares of a canvas and what they show.

    Attributes:
        squares: Which of luma and which of chroma, (2, rows, cols), or of luma alone, (1, rows, cols).
        planes: Y, U and V, or only Y, as 8-bit code values, of which only those in the squares count.
    """

    squares: Flags
    planes: tuple[Codes, ...]

    def over(self, planes: Planes) -> Planes:
        """A picture that shows the squares."""
        found = [planes.y, planes.u, planes.v]
        for number, codes in enumerate(self.planes):
            inside = spread(self.squares[layer_of(number)], side_of(number), codes.shape)
            found[number] = np.where(inside, codes.astype(np.int16) * UNIT, found[number])
        return Planes(*found)


class Room(NamedTuple):
    """What kernels adapt: see `decision_kernel.Decisions`; and what followed each surroundings at last, -1: nothing."""

    estimates: npt.NDArray[np.uint16]
    weights: npt.NDArray[np.int64]
    last: npt.NDArray[np.int16]


class ScreenModels:
    """Adaptive models of one part of a GOP; those of samples take their memory when the first square comes."""

    def __init__(self) -> None:
        self._flags: dict[int, Counts] = {}
        self._room: Room | None = None

    def flags(self, depth: int) -> Counts:
        """(10, 2): whether a depth's nodes have squares at all; of luma; of chroma without luma's, and with."""
        return self._flags.setdefault(depth, np.zeros((1 + 3 * CONTEXTS, 2), np.int64))

    def room(self) -> Room:
        """The models of samples."""
        if self._room is None:
            places = 1 << screen_kernel.PLACE_BITS
            estimates = np.zeros((screen_kernel.CONTEXTS * places, 2), np.uint16)
            estimates[:, 0] = ONE // 2
            weights = np.full((3 * screen_kernel.KINDS, screen_kernel.CONTEXTS), _FIRST_WEIGHT, np.int64)
            self._room = Room(estimates, weights, np.full((screen_kernel.REMEMBERED, places), -1, np.int16))
        return self._room


def codes_of(planes: Iterable[Samples]) -> tuple[Codes, ...]:
    """Planes as 8-bit code values, rounded half up and clipped."""
    return tuple(np.clip((plane.astype(np.int32) + UNIT // 2) // UNIT, 0, 255).astype(np.uint8) for plane in planes)


def put(
    screen: Screen | None,
    prediction: IntegerPrediction,
    depth: int,
    models: ScreenModels,
    out: StreamWriter,
) -> Costs:
    """Appends what a node shows of screen content, or that it shows nothing.

    Args:
        screen: What.
        prediction: What is expected of the node.
        depth: Of the node.
        models: Of what came before; adapted.
        out: The stream.

    Returns:
        The bits of every square, as `Screen.squares`.
    """
    counts = models.flags(depth)
    out.flag(screen is not None, counts[0])
    if screen is None:
        return np.zeros((0, 0, 0))
    luma, *chroma = screen.squares
    put_flags(luma, counts[1:], out)
    for flags in chroma:
        put_flags(flags, counts[1 + CONTEXTS :], out, luma)
    costs = np.zeros(screen.squares.shape)
    shown = [plane.copy() for plane in screen.planes]
    for plane in _in_order(screen.squares, shown, codes_of(prediction.planes)):
        out.reserve(_WORDS_A_SAMPLE // 2 * plane.x.size)
        adapted = models.room(), costs[layer_of(plane.number)]
        out.used = screen_kernel.code_plane(
            True, *plane, prediction.parents > 0, *adapted, out.state, out.words, out.used
        )
    return costs


def take(
    extent: tuple[int, int],
    prediction: IntegerPrediction,
    depth: int,
    components: int,
    models: ScreenModels,
    source: StreamReader,
) -> Screen | None:
    """The inverse of :func:`put` for a canvas of (rows, cols) luma samples."""
    counts = models.flags(depth)
    if not source.flag(counts[0]):
        return None
    squares = np.stack([none_of(extent, SQUARE)] * min(components, 2))
    luma, *chroma = squares
    take_flags(luma, counts[1:], source)
    for flags in chroma:
        take_flags(flags, counts[1 + CONTEXTS :], source, luma)
    known, costs = codes_of(prediction.planes[:components]), np.zeros(squares.shape)
    shown = tuple(plane.copy() for plane in known)
    for plane in _in_order(squares, shown, known):
        adapted = models.room(), costs[layer_of(plane.number)]
        source.position = screen_kernel.code_plane(
            False, *plane, prediction.parents > 0, *adapted, source.state, source.words, source.position
        )
    return Screen(squares, shown)


class _Plane(NamedTuple):
    """What `screen_kernel.code_plane` is told of a plane."""

    x: Codes
    known: Codes
    guide: Codes
    flags: Flags
    side: int
    number: int


def _in_order(squares: Flags, shown: Sequence[Codes], known: Sequence[Codes]) -> Iterator[_Plane]:
    """The planes one after another: luma goes with what is expected, U with luma, V with U."""
    for number, x in enumerate(shown):
        flags, side = squares[layer_of(number)], side_of(number)
        x[...] = np.where(spread(flags, side, x.shape), x, known[number])
        guide = (known[0], np.ascontiguousarray(shown[0][::2, ::2]), shown[min(1, number)])[number]
        yield _Plane(x, known[number], guide, flags, side, number)


def layer_of(number: int) -> int:
    """Which squares are those of a plane."""
    return min(number, 1)


def side_of(number: int) -> int:
    """Of a square, in samples of a plane."""
    return SQUARE if number == 0 else SQUARE // 2
