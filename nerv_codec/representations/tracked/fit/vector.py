"""Vectors of latents or motion while they are fitted: real numbers on their way to integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nerv_codec.entropy.grids import GridTable
from nerv_codec.representations.tracked.cpu.quantise import adam, soft_round

BETAS = (0.8, 0.95)
"""Decay rates of Adam's moments for latents and motion, whose fits are short."""

Array = npt.NDArray[np.float32]


class QuantisedVector:
    """Integers to be: their real values, the optimiser's moments, and which grids of them are still alive.

    Args:
        values: (n,).
        table: Their grids; a copy is kept, whose active grids are those that take part. None does yet.

    Attributes:
        proxy: (n,) float32: the values as if quantised, which the function and the entropy model see.
        slopes: (n,) float32: how the proxy follows the values.
        spans: (m, 2): first and last + 1 of the stretches that take part.
    """

    def __init__(self, values: npt.NDArray[Any], table: GridTable) -> None:
        self.values = np.ascontiguousarray(values, np.float32)
        self.table = GridTable(table)
        self.table.active[:] = 0
        self.first, self.second = np.zeros_like(self.values), np.zeros_like(self.values)
        self.proxy, self.slopes = np.zeros_like(self.values), np.zeros_like(self.values)
        self.spans = self._spans()

    def _spans(self) -> npt.NDArray[np.int64]:
        spans: list[list[int]] = []
        for grid in self.table:
            if not grid.active:
                continue
            if spans and spans[-1][1] == grid.offset:
                spans[-1][1] += grid.size
            else:
                spans.append([grid.offset, grid.offset + grid.size])
        return np.array(spans, np.int64).reshape(-1, 2)

    def wake(self, grids: npt.NDArray[np.bool_]) -> None:
        """Lets the grids that are flagged take part from now on."""
        self.table.active[grids] = 1
        self.spans = self._spans()

    def soften(self, temperature: float, deviation: float, seed: int) -> None:
        """Sets ``proxy`` and ``slopes``."""
        soft_round(
            self.values, self.spans, np.float32(temperature), np.float32(deviation), np.uint32(seed & 0xFFFFFFFF),
            self.proxy, self.slopes,
        )  # fmt: skip

    def round(self) -> None:
        """Makes them the integers that they are nearest to."""
        self.prune()
        np.rint(self.values, out=self.values)
        self.proxy[:] = self.values

    def show_rounded(self) -> None:
        """Lets ``proxy`` be the nearest integers, until it is set anew."""
        np.rint(self.values, out=self.proxy)

    def prune(self) -> None:
        """Takes grids that round to zero out of the fit: they cost a flag from here on, and no time."""
        for index, grid in enumerate(self.table):
            if grid.active and np.abs(self.values[grid.part]).max() <= 0.5:
                self.table.active[index] = 0
                self.values[grid.part] = self.proxy[grid.part] = self.slopes[grid.part] = 0
        self.spans = self._spans()

    def step(self, gradient: Array, rate: float, count: int, floor: float) -> None:
        """One step of Adam."""
        beta1, beta2 = BETAS
        adam(
            self.values, gradient, self.slopes, self.first, self.second, self.spans, np.float32(rate),
            np.float32(beta1), np.float32(beta2), np.float32(1 - beta1**count), np.float32(1 - beta2**count),
            np.float32(floor),
        )  # fmt: skip

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`restore` takes: the arrays themselves, not copies."""
        active = np.ascontiguousarray(self.table.active)
        return {"values": self.values, "first": self.first, "second": self.second, "active": active}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Goes on from what :meth:`arrays` gave."""
        for own, name in ((self.values, "values"), (self.first, "first"), (self.second, "second")):
            torch.as_tensor(own).copy_(torch.from_numpy(arrays[name]))  # also where they are on a device
        self.table.active[:] = arrays["active"]
        self.spans = self._spans()
        for first, last in self.spans:
            self.proxy[first:last] = self.values[first:last]

    @property
    def symbols(self) -> npt.NDArray[np.int32]:
        """The nearest integers."""
        return np.rint(self.values).astype(np.int32)
