"""Which squares an encoder codes sample by sample, and with how many different values: what costs least."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nerv_codec.entropy.compiling import njit
from nerv_codec.representations.shared.band_coder import Latents
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction, six_planes
from nerv_codec.representations.shared.integer_transform import SAMPLE_SCALE
from nerv_codec.representations.shared.layout import bands
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.transform import Subbands
from nerv_codec.representations.warped.motion import BLOCK
from nerv_codec.representations.warped.planes import UNIT, Planes
from nerv_codec.representations.warped.screen import (
    SQUARE,
    Codes,
    Costs,
    Screen,
    ScreenModels,
    codes_of,
    layer_of,
    put,
    side_of,
)
from nerv_codec.representations.warped.squares import CHROMA_SHARE, Flags, errors, price, spread

Palette = npt.NDArray[np.int16]
"""(3, 256): of Y, U and V, what a code value becomes in squares; -1 where it has not come up."""
_BITS_A_CHANGE = 2.5
"""What a sample takes at least that is neither its left nor its upper neighbour nor what is expected."""
_MOST_BITS = 5.0
"""What latents take at the most where the logarithm of their size grows by one."""
_PROMISE = 0.03
"""Share of what a node costs that squares must promise to save."""
_SHARES = (0.3, 0.1, 0.03)
"""Of the entropy of single values, what they may take among others: least where a ramp repeats from row to row."""
_BITS_A_VALUE = 8.0
"""What a value takes once."""
_BITS_A_GUESS = 4.0
"""What is gained by keeping a sample as it is expected."""
_LASTING = 2.0
"""Times that an error counts where values are merged: frames behind show the same, wrong as it is."""
_LITTLE = 1 / 64
"""Share of a block's variance that motion may leave where it is of use for squares."""
_CHROMA = (2.0, 8.0)
"""Times that errors of chroma count beside what `errors` says, from those that nobody sees on to those that take a
small coloured thing its colour. Films, whose errors are small where bits are many, would take squares for nothing."""
_SEEN = 64.0
"""Mean squared error of chroma in a square, in 8-bit code values, that counts half way between."""
_CHROMA_VALUES = 4.0
"""Times that errors of chroma count where values are merged."""


@dataclass(frozen=True)
class Seen:
    """A node that is to be coded.

    Attributes:
        source: What squares show.
        target: What the wavelet is to show: the source, or what the temporal filter makes of it. As far as a square is
            drawn, errors are those against the source, else against this, as lack of noise is no error.
        prediction: What is expected of it.
        lambda_index: Price of bits.
        depth: In the tree.
        components: 3 with chroma, else 1.
        palette: What values became in squares before.
    """

    source: Planes
    target: Planes
    prediction: IntegerPrediction
    lambda_index: int
    depth: int
    components: int
    palette: Palette

    @functools.cached_property
    def codes(self) -> tuple[Codes, ...]:
        """The source as code values."""
        return codes_of((self.source.y, self.source.u, self.source.v)[: self.components])

    @functools.cached_property
    def _drawn(self) -> npt.NDArray[np.float64]:
        """How much of each square repeats its left or upper neighbour, by layers, 0..1: half of it or less is noise."""
        changes = _changes(self.codes, None)
        samples = np.array([SQUARE**2, 2 * (SQUARE // 2) ** 2])[: len(changes), None, None]
        shares: npt.NDArray[np.float64] = np.maximum(1 - 2 * changes / samples, 0)
        return shares

    def wrong(self, planes: Planes) -> Costs:
        """What the errors of squares are worth in bits, as `Screen.squares`."""
        found, least, most = errors(self.target, planes, SQUARE), *_CHROMA
        if self.source is not self.target:
            shares = self._drawn[[0, -1]]
            found = shares * errors(self.source, planes, SQUARE) + (1 - shares) * found
        mean = found[1] / (2 * CHROMA_SHARE * (SQUARE // 2 * UNIT) ** 2)
        found[1] *= least + (most - least) * self._drawn[-1] * mean / (mean + _SEEN)
        return found[: layer_of(self.components - 1) + 1] / price(self.lambda_index)

    def bits(self, screen: Screen, models: ScreenModels) -> tuple[float, Costs]:
        """What squares take behind what came before: in all, and each."""
        out = StreamWriter()
        costs = put(screen, self.prediction, self.depth, copy.deepcopy(models), out)
        return out.bits, costs


@dataclass(frozen=True)
class Attempt:
    """A node as the wavelet and the networks show it.

    Attributes:
        canvas: What they were to show, (1, 6, rows, cols).
        real: Latents before rounding.
        latents: As integers.
        planes: What these make.
        count: Counts the bits that the latents take.
    """

    canvas: Tensor
    real: Subbands
    latents: Latents
    planes: Planes
    count: Callable[[], float]

    @functools.cached_property
    def bits(self) -> float:
        """What the latents take."""
        return self.count()


def no_palette() -> Palette:
    """The one of a GOP that begins."""
    return np.full((3, 256), -1, np.int16)


def remember(palette: Palette, source: Planes, screen: Screen) -> None:
    """Notes in a palette what values of a node became in its squares, where they have not come up before.

    What is drawn comes again: made of other values elsewhere, it would no longer be the same.
    """
    own = codes_of((source.y, source.u, source.v)[: len(screen.planes)])
    for number, (plane, shown) in enumerate(zip(own, screen.planes, strict=True)):
        inside = spread(screen.squares[layer_of(number)], side_of(number), plane.shape)
        values, first = np.unique(plane[inside], return_index=True)
        new = palette[number, values] < 0
        palette[number, values[new]] = shown[inside][first[new]]


def with_screen(
    seen: Seen, plain: Attempt, attempted: Callable[[Tensor], Attempt], models: ScreenModels
) -> tuple[Attempt, Screen | None, float]:
    """What costs less: all of a node in the wavelet, or squares sample by sample and the rest in the wavelet.

    Behind both, what bits and errors cost together, in bits.

    Args:
        seen: The node.
        plain: All of it.
        attempted: Makes an attempt at another canvas.
        models: Of what came before.
    """
    screen, before = _chosen(seen, plain, models), plain.bits + float(seen.wrong(plain.planes).sum())
    if screen is None:
        return plain, None, before
    rest = attempted(without(plain.canvas, seen.prediction, screen))
    after = rest.bits + seen.bits(screen, models)[0] + float(seen.wrong(screen.over(rest.planes)).sum())
    return (rest, screen, after) if after < before else (plain, None, before)


def unpredicted(seen: Seen, screen: Screen) -> Flags:
    """Blocks (rows, cols) within squares of luma whose motion does not tell all but a little of what varies in them.

    What is nearly right is as many other values, and misleads who guesses samples from it.
    """
    source = seen.source.y.astype(np.float64)
    rows, cols = (extent // BLOCK for extent in source.shape)

    def sums(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = squares.reshape(rows, BLOCK, cols, BLOCK).sum((1, 3))
        return found

    varying = sums(source**2) - sums(source) ** 2 / BLOCK**2
    wrong = sums((source - seen.prediction.planes[0]) ** 2)
    times = SQUARE // BLOCK
    found: Flags = screen.squares[0].repeat(times, 0).repeat(times, 1) & (wrong > _LITTLE * varying)
    return found


def _chosen(seen: Seen, plain: Attempt, models: ScreenModels) -> Screen | None:
    """Squares that cost less sample by sample than in the wavelet, as far as single squares can tell."""
    wrong = seen.wrong(plain.planes)
    share = _shares(plain.latents)[: len(wrong)]
    if not share.any():
        return None
    codes = seen.codes
    known = codes_of(seen.prediction.planes[: seen.components]) if seen.prediction.parents else None
    least = _BITS_A_CHANGE * _changes(codes, known)
    if not (least < wrong + _MOST_BITS * share).any():
        return None
    worth = wrong + plain.bits * share / share.sum()
    squares = least < worth
    if (worth - least)[squares].sum() < _PROMISE * worth.sum():
        return None

    def cost(screen: Screen) -> Costs:
        return seen.bits(screen, models)[1] + seen.wrong(screen.over(plain.planes))

    def saved(screen: Screen) -> float:
        return float((worth - np.minimum(cost(screen), worth))[squares].sum())

    shown = [Screen(squares, _flattened(codes, None, squares, seen, _SHARES[0]))]
    found = [saved(shown[0])]
    if found[0] < _PROMISE / 2 * worth.sum():  # films seem to promise more than they keep; other ways are alike
        return None
    shown += [Screen(squares, _flattened(codes, None, squares, seen, share)) for share in _SHARES[1:]]
    if known is not None:
        shown += [Screen(squares, _flattened(codes, known, squares, seen, _SHARES[0]))]
    found += map(saved, shown[1:])
    screen = shown[int(np.argmax(found))]
    for _ in range(2):  # what the others take depends on which there are
        gains = worth - cost(screen)
        squares = squares & (gains > 0)
        if gains[squares].sum() < _PROMISE * worth.sum():
            return None
        screen = Screen(squares, screen.planes)
    return screen


def without(canvas: Tensor, prediction: IntegerPrediction, screen: Screen) -> Tensor:
    """A canvas (1, 6, rows, cols) that goes on smoothly, beside what is expected, where squares hide it."""
    expected, side = six_planes(prediction.planes) / SAMPLE_SCALE, SQUARE // 2
    layers = torch.from_numpy(screen.squares.repeat(side, 1).repeat(side, 2))
    flags = layers[[0, 0, 0, 0, -1, -1]][None]
    if len(layers) == 1:
        flags[:, 4:] = False
    smooth = _filled(_even(canvas - expected, flags), (~flags).float())
    return torch.where(flags, expected + _even(smooth, flags), canvas)


def _even(planes: Tensor, flags: Tensor) -> Tensor:
    """Six planes (1, 6, rows, cols), the four of luma each their mean where flags are set."""
    luma = torch.where(flags[:, :4], planes[:, :4].mean(1, keepdim=True), planes[:, :4])
    return torch.cat([luma, planes[:, 4:]], 1)


def _filled(values: Tensor, known: Tensor) -> Tensor:
    """Values where they are known, else what lies around, ever more coarsely (pull and push, Gortler et al. 1996)."""
    rows, cols = values.shape[-2:]
    if known.min() > 0 or rows == cols == 1:
        return values * known
    padding = (0, cols % 2, 0, rows % 2)
    weight = functional.avg_pool2d(functional.pad(known, padding), 2)
    total = functional.avg_pool2d(functional.pad(values * known, padding), 2)
    coarse = _filled(total / weight.clamp_min(1e-6), (weight > 0).float())
    wide = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :rows, :cols]
    return torch.where(known > 0, values, wide)


def _shares(latents: Latents) -> npt.NDArray[np.float64]:
    """What part of the latents' bits falls to each square, (2, rows, cols), about: the logarithms of their sizes."""
    total = np.zeros((2, *latents[SQUARE].shape[1:]))
    for level, grid in latents.items():
        times = SQUARE // level
        for band, values in zip(bands(level), np.log2(1.0 + np.abs(grid)), strict=True):
            squares = values.reshape(total.shape[1], times, -1, times).sum((1, 3))
            total[layer_of(band.component)] += squares
    return total


def _changes(codes: Sequence[Codes], known: Sequence[Codes] | None) -> npt.NDArray[np.int64]:
    """How many samples of every square are neither the left nor the upper one, nor what parents say; by layers."""
    counts = []
    for number, plane in enumerate(codes):
        new = np.zeros(plane.shape, np.int64)
        new[1:, 1:] = (plane[1:, 1:] != plane[:-1, 1:]) & (plane[1:, 1:] != plane[1:, :-1])
        if known is not None:
            new &= plane != known[number]
        side = side_of(number)
        counts.append(new.reshape(plane.shape[0] // side, side, -1, side).sum((1, 3)))
    return np.stack([counts[0], *([counts[1] + counts[2]] if len(counts) > 1 else [])])


def _flattened(
    plain: Sequence[Codes], known: Sequence[Codes] | None, squares: Flags, seen: Seen, share: float
) -> tuple[Codes, ...]:
    """Code values, new ones fewer of them as bits get dearer; and those that parents say where that is good enough."""
    found = []
    for number, plane in enumerate(plain):
        layer = layer_of(number)
        worth = _LASTING * (_CHROMA_VALUES * CHROMA_SHARE if layer else 1.0)
        bit = price(seen.lambda_index) / UNIT**2 / worth
        inside = plane[spread(squares[layer], side_of(number), plane.shape)]
        counts, before = np.bincount(inside, minlength=256), seen.palette[number]
        flat = np.where(before >= 0, before, _fewer(counts * (before < 0), bit, share)).astype(np.uint8)[plane]
        if known is not None:
            one, two, three = (values.astype(np.int64) for values in (plane, flat, known[number]))
            good = (one - three) ** 2 <= (one - two) ** 2 + _BITS_A_GUESS * bit
            flat = np.where(good, known[number], flat)
        found.append(flat)
    return tuple(found)


def _fewer(counts: npt.NDArray[np.int64], bit: float, share: float) -> Codes:
    """A table from all code values to those that are kept: neighbours are merged as long as that saves more bits than
    it adds squared error."""
    values = np.flatnonzero(counts)
    table = np.arange(256, dtype=np.uint8)
    if len(values):
        sums = counts[values] * np.stack([np.ones(len(values)), values, values.astype(np.float64) ** 2])
        starts = values.copy()
        kept = _merged(sums, starts, bit, share)
        means = np.rint(sums[1, :kept] / sums[0, :kept]).astype(np.uint8)
        table = means[np.clip(np.searchsorted(starts[:kept], table, side="right") - 1, 0, None)]
    return table


@njit(nogil=True, cache=True)
def _merged(sums, starts, bit, share):  # type: ignore[no-untyped-def]
    """Merges runs of values, of which sums has number, sum, and sum of squares (3, runs), and starts the first one,
    each time the two that gain most; returns how many are left, in front."""
    count = sums.shape[1]
    while count > 1:
        most, best = 0.0, -1
        for k in range(count - 1):
            gain = _merging_gain(sums[:, k], sums[:, k + 1], bit, share)
            if gain > most:
                most, best = gain, k
        if best < 0:
            break
        count -= 1
        for n in range(3):
            sums[n, best] += sums[n, best + 1]
            for k in range(best + 1, count):
                sums[n, k] = sums[n, k + 1]
        for k in range(best + 1, count):
            starts[k] = starts[k + 1]
    return count


@njit(nogil=True, cache=True)
def _merging_gain(one, two, bit, share):  # type: ignore[no-untyped-def]
    n = one[0] + two[0]
    wrong = (one[1] / one[0] - two[1] / two[0]) ** 2 * one[0] * two[0] / n
    entropy = one[0] * np.log2(n / one[0]) + two[0] * np.log2(n / two[0])
    return bit * (share * entropy + _BITS_A_VALUE) - wrong
