"""Convolutions in integers, the same on every machine.

Sums stay below 2**28, so that 32 bits hold them whichever way they are computed; loaders check it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nerv_codec.base import rooms
from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.threads import Workers, side_by_side
from nerv_codec.representations.shared import convolution_kernel
from nerv_codec.representations.shared.integer_network import Ints
from nerv_codec.representations.shared.vector_code import LANES, block_of, paired

Halves = npt.NDArray[np.int16]
Features = Halves
"""Whole numbers with zeros around them, see `convolution_kernel`."""
Places = npt.NDArray[np.bool_]
"""(rows, cols) of a grid."""
MIN_SHIFT, MAX_SHIFT = 1, 15
LARGEST_SUM = (1 << 28) - 1
"""A fourth of what 32 bits hold: minimal filtering makes sums four times as large."""
LARGEST_WEIGHT = 3640
"""Nine of them fit in 16 bits: minimal filtering adds up so many."""
_FEWEST_ROWS = 8
"""That a thread is worth waking for."""


@dataclass(frozen=True)
class Range:
    """What a convolution is given: whole numbers of magnitude ``largest`` at most, none negative unless signed."""

    largest: int
    signed: bool = True

    def sums(self, weight: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The largest magnitude of any partial sum, for each row of weights (out, ...)."""
        flat = weight.reshape(len(weight), -1)
        positive, negative = np.maximum(flat, 0).sum(1), np.maximum(-flat, 0).sum(1)
        worst: npt.NDArray[np.int64] = positive + negative if self.signed else np.maximum(positive, negative)
        return self.largest * worst


@dataclass(frozen=True)
class Convolution:
    """floor((weight * x + bias) / 2**shift + 1/2) with zeros around the picture, each output with its own shift.

    Attributes:
        weight: (out, in, size, size), int16.
        shift: (out,), int8, MIN_SHIFT..MAX_SHIFT.
        bias: (out,), int32, in units of the sums.
    """

    weight: npt.NDArray[np.int16]
    shift: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]

    @classmethod
    def quantised(cls, layer: nn.Conv2d, gain: float, unit: float, given: Range) -> Convolution:
        """The nearest one to a trained layer; every row takes the finest step that these limits allow.

        Args:
            layer: The trained layer.
            gain: Unit of its inputs over that of its outputs.
            unit: That of its outputs.
            given: Its inputs.
        """
        values = layer.weight.detach().double().numpy() * gain
        offsets = layer.bias.detach().double().numpy() / unit
        found = cls(np.zeros(values.shape, np.int16), np.zeros(len(values), np.int8), np.zeros(len(values), np.int32))
        for bits in range(MIN_SHIFT, MAX_SHIFT + 1):
            weight, bias = np.rint(np.ldexp(values, bits)), np.rint(np.ldexp(offsets, bits))
            fits = given.sums(weight.astype(np.int64)) + np.abs(bias) + (1 << bits) <= LARGEST_SUM
            fits &= np.abs(weight).max((1, 2, 3)) <= LARGEST_WEIGHT
            found.weight[fits], found.shift[fits], found.bias[fits] = weight[fits], bits, bias[fits]
        return found

    def copy_to(self, layer: nn.Conv2d, gain: float, unit: float) -> None:
        """The inverse of :meth:`quantised`."""
        steps = np.ldexp(1.0, -self.shift.astype(np.int32))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(self.weight * (steps / gain)[:, None, None, None]))
            layer.bias.copy_(torch.from_numpy(self.bias * steps * unit))

    def check_exact(self, name: str, given: Range) -> None:
        """Sums that leave the exact range could differ between machines."""
        shift = self.shift.astype(np.int64)
        sums = (
            given.sums(self.weight.astype(np.int64))
            + np.abs(self.bias.astype(np.int64))
            + (1 << np.clip(shift, 0, MAX_SHIFT))
        )
        largest = np.abs(self.weight.astype(np.int64)).max()
        if shift.min() < MIN_SHIFT or shift.max() > MAX_SHIFT or sums.max() > LARGEST_SUM or largest > LARGEST_WEIGHT:
            raise BitstreamError(f"the weights of {name} are too large for exact sums")

    def _in_blocks(self, outputs: int) -> tuple[Ints, Ints]:
        """(blocks, outputs) for the compiled loops: biases with half of a unit, and shifts.

        Outputs that fill the last block up are zero.
        """
        more = 0, -len(self.bias) % outputs
        shift = self.shift.astype(np.int32)
        half = self.bias + (1 << (shift - 1))
        return np.pad(half, more).reshape(-1, outputs), np.pad(shift, more).reshape(-1, outputs)

    @functools.cached_property
    def _flat(self) -> tuple[Halves, Ints, Ints]:
        """A layer of 1 x 1 for the compiled loops."""
        outputs = block_of(len(self.bias))
        return paired(self.weight[..., 0, 0], outputs), *self._in_blocks(outputs)

    @functools.cached_property
    def _phases(self) -> tuple[Halves, Ints, Ints]:
        """The layers of the 2 x 2 places below one, each in blocks of its own."""
        order = np.arange(len(self.bias)).reshape(-1, 4).T
        layers = (Convolution(self.weight[phase], self.shift[phase], self.bias[phase])._flat for phase in order)
        weights, biases, shifts = (np.concatenate(parts) for parts in zip(*layers, strict=True))
        return weights, biases, shifts

    @functools.cached_property
    def _turned(self) -> tuple[Halves, Ints, Ints]:
        """A layer of 3 x 3 for the compiled loops, its inputs filled up to whole vectors.

        What `check_exact` lets through fits in 16 bits.
        """
        outputs = block_of(len(self.bias))
        bias, shift = self._in_blocks(outputs)
        turn = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
        weight = np.pad(self.weight.astype(np.int64), ((0, 0), (0, -self.weight.shape[1] % LANES), (0, 0), (0, 0)))
        turned = np.einsum("ai,oxij,bj->abox", turn, weight, turn)
        assert np.abs(turned).max() < 1 << 15
        parts = [paired(part.astype(np.int16), outputs) for part in turned.reshape(-1, *turned.shape[2:])]
        return np.ascontiguousarray(np.stack(parts, 1)), 4 * bias, shift + 2

    def __call__(
        self,
        x: Features,
        wanted: Places,
        limits: tuple[int, int],
        into: Features | None = None,
        workers: Workers | None = None,
        use: str | None = None,
    ) -> Features:
        """A convolution of 3 x 3 at the wanted places, and anything at others.

        Args:
            x: Whole numbers, in channels that fill vectors.
            wanted: Places.
            limits: What the result is cut to.
            into: What the convolution is added to, in place, before it is cut.
            workers: Who share the rows.
            use: Of the result, see `blank`.
        """
        out = blank(wanted.shape, self._turned[1].size, use) if into is None else into
        self._convolve(x, wanted, limits, into is not None, out, workers)
        return out

    def residual(self, x: Features, wanted: Places, workers: Workers | None = None) -> Ints:
        """A convolution of 3 x 3 at the wanted places, not cut; laid out like features, but in 32 bits.

        It lies in room that the thread keeps for the next one.
        """
        out = rooms.kept("residual", (*x.shape[:2], self._turned[1].size), np.int32)
        self._convolve(x, wanted, (-LARGEST_SUM, LARGEST_SUM), False, out, workers)
        return out

    def _convolve(
        self,
        x: Features,
        wanted: Places,
        limits: tuple[int, int],
        add: bool,
        out: Features | Ints,
        workers: Workers | None,
    ) -> None:
        weight, bias, shift = self._turned
        low, high = (np.int32(limit) for limit in limits)

        def convolve(first: int, last: int) -> None:
            convolution_kernel.convolve(x, weight, bias, shift, wanted, first, last, low, high, add, out)

        rows = len(wanted)
        step = rows if workers is None else max(-(-rows // (4 * workers.count)) * 2, _FEWEST_ROWS)
        begins = range(0, rows, step)
        side_by_side(workers, convolve, begins, [min(begin + step, rows) for begin in begins])

    def merge(self, x: Features, wanted: Places, largest: int, modulators: tuple[Ints, Ints], into: Features) -> None:
        """Adds a convolution of 1 x 1, cuts, modulates and cuts again; see `convolution_kernel.merge`."""
        weight, bias, shift = self._flat
        scale, offset = (values.reshape(bias.shape) for values in modulators)
        convolution_kernel.merge(x, weight, bias, shift, wanted, np.int32(largest), scale, offset, into)

    def lift(self, x: Features, wanted: Places, largest: int, use: str | None = None) -> Features:
        """Features of the grid twice as fine below the wanted places: outputs 4 n to 4 n + 3 are one of its, 2 x 2."""
        weight, bias, shift = self._phases
        out = blank((2 * wanted.shape[0], 2 * wanted.shape[1]), bias.size // 4, use)
        convolution_kernel.lift(x, weight, bias, shift, wanted, np.int32(largest), out)
        return out


def blank(extent: tuple[int, ...], channels: int, use: str | None = None) -> Features:
    """Room for a grid (rows, cols) with zeros around it and anything in it; channels are rounded up to whole pairs.

    With a use it is room that the thread keeps, until the next of that use.
    """
    rows, cols = extent
    shape = rows + 3, cols + 3, channels + channels % 2
    room = np.empty(shape, np.int16) if use is None else rooms.kept(use, shape, np.int16)
    room[0], room[rows + 1 :], room[:, 0], room[:, cols + 1 :] = 0, 0, 0, 0
    return room


def inside(features: Features) -> Features:
    """A view of features as (channels, rows, cols)."""
    return features[1:-2, 1:-2].transpose(2, 0, 1)
