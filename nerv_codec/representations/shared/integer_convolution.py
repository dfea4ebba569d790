"""Convolutions in integers, run as float32 ones of whole numbers: exact, and so the same on every machine.

A float32 sum is exact in any order while all sums that may occur stay below 2**24; loaders check it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from nerv_codec.base.errors import BitstreamError
from nerv_codec.representations.shared.integer_network import EXACT

MIN_SHIFT, MAX_SHIFT = 1, 15


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
    def _scaled(self) -> tuple[Tensor, Tensor]:
        """Weights and biases, half of a unit included, over 2**shift: exact in float32."""
        shift = self.shift.astype(np.int32)
        weight = np.ldexp(self.weight.astype(np.float32), -shift[:, None, None, None])
        bias = np.ldexp(self.bias, -shift) + 0.5
        return torch.from_numpy(weight), torch.from_numpy(bias.astype(np.float32))

    def __call__(self, x: Tensor) -> Tensor:
        """Whole numbers (batch, out, rows, cols) from whole numbers (batch, in, rows, cols), both float32."""
        weight, bias = self._scaled
        return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2).floor_()
