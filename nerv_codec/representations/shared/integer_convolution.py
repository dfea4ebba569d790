"""Convolutions in integers, run on whole numbers in float32: exact, and so the same on every machine.

A float32 sum is exact in any order while all sums that may occur stay below 2**24; loaders check it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared import convolution_kernel
from nerv_codec.representations.shared.integer_network import EXACT
from nerv_codec.representations.shared.tile_product import LANES

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]
"""Whole numbers with zeros around them, see `convolution_kernel`."""
Places = npt.NDArray[np.bool_]
"""(rows, cols) of a grid."""
MIN_SHIFT, MAX_SHIFT = 1, 15
_NONE = np.zeros(0, np.float32)


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
        """The nearest one to a trained layer; every row takes the finest step whose sums are exact.

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
            fits = given.sums(weight.astype(np.int64)) + np.abs(bias) + (1 << bits) < EXACT
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
        if shift.min() < MIN_SHIFT or shift.max() > MAX_SHIFT or sums.max() >= EXACT:
            raise BitstreamError(f"the weights of {name} are too large for exact sums")

    @functools.cached_property
    def _scaled(self) -> tuple[Floats, Floats]:
        """Weights and biases, half of a unit included, over 2**shift: exact in float32."""
        shift = self.shift.astype(np.int32)
        weight = np.ldexp(self.weight.astype(np.float32), -shift[:, None, None, None])
        return weight, (np.ldexp(self.bias, -shift) + 0.5).astype(np.float32)

    @functools.cached_property
    def _flat(self) -> tuple[Floats, Floats]:
        """The same for the compiled loops; outputs that fill whole vectors up are zero."""
        weight, bias = self._scaled
        more = -len(bias) % LANES
        return _blocks(np.pad(weight, ((0, more), (0, 0), (0, 0), (0, 0))), np.pad(bias, (0, more)))

    @functools.cached_property
    def _phases(self) -> tuple[Floats, Floats]:
        """The layers of the 2 x 2 places below one."""
        weight, bias = self._scaled
        order = np.arange(len(bias)).reshape(-1, 4).T.ravel()
        return _blocks(weight[order], bias[order], len(bias) // 4)

    def __call__(
        self,
        x: Features,
        wanted: Places,
        limits: tuple[int, int] = (-EXACT, EXACT),
        modulators: tuple[Floats, Floats] = (_NONE, _NONE),
        into: Features | None = None,
    ) -> Features:
        """The convolution at the wanted places, and anything at others.

        Args:
            x: Whole numbers.
            wanted: Places.
            limits: What the result is cut to.
            modulators: What each output is multiplied with then, and what is added; it is rounded down and cut again.
            into: What the convolution is added to, in place, before it is cut.
        """
        weight, bias = self._flat
        out = blank(wanted, bias.size) if into is None else into
        low, high = np.float32(limits[0]), np.float32(limits[1])
        scale, shift = (values.reshape(-1, bias.shape[1]) for values in modulators)
        convolution_kernel.convolve(
            x, self.weight.shape[-1], weight, bias, wanted, low, high, scale, shift, into is not None, out
        )
        return out

    def lift(self, x: Features, wanted: Places, limits: tuple[int, int]) -> Features:
        """Features of the grid twice as fine below the wanted places: outputs 4 n to 4 n + 3 are one of its, 2 x 2."""
        weight, bias = self._phases
        out = blank(wanted.repeat(2, 0).repeat(2, 1), bias.size // 4)
        convolution_kernel.lift(x, weight, bias, wanted, np.float32(limits[0]), np.float32(limits[1]), out)
        return out


def _blocks(weight: Floats, bias: Floats, whole: int = 0) -> tuple[Floats, Floats]:
    """A layer as `convolution_kernel` takes it, in blocks of outputs that divide ``whole``, or all."""
    block = next(size for size in (24, 16, 8) if (whole or len(bias)) % size == 0)
    parts = weight.reshape(-1, block, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)
    return np.ascontiguousarray(parts).reshape(len(parts), -1), bias.reshape(-1, block)


def blank(places: Places, channels: int) -> Features:
    """Zeros for a grid."""
    rows, cols = places.shape
    return np.zeros((rows + 2, cols + 1 + convolution_kernel.RIGHT, channels), np.float32)


def inside(features: Features) -> Floats:
    """A view of features as (channels, rows, cols)."""
    return features[1:-1, 1 : -convolution_kernel.RIGHT].transpose(2, 0, 1)
