"""The function that goes through every sample: exact where the source has one, interpolated along motion elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.video import Plane
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.motion_kernel import BLOCK
from nerv_codec.representations.lossless.parts import MACS_PER_SAMPLE
from nerv_codec.representations.representation import BAND_SAMPLES, plane_numbers

Floats = npt.NDArray[np.float64]


class LosslessFunction:
    """Planes of frames, read at any place by cubic convolution, between two frames along the motion of the later one.

    A point at the time n + f, f in (0, 1), lies f of the way along the motion M of frame n + 1 at its place: it is
    frame n at x + f M, with the weight 1 - f, and frame n + 1 at x - (1 - f) M with the weight f. Motion is linear
    between the centres of its blocks. Cubic convolution: Keys 1981, a = -1/2 (Catmull and Rom).

    Args:
        geometry: The GOP's box.
        layout: Where its samples lie.
        frames: Number to the planes of each frame.
        motion: (rows, cols, 2) of each frame: where its blocks lie one frame before.
        device: Where values are wanted; they are made on the CPU.
    """

    band_samples = BAND_SAMPLES
    macs_per_sample = MACS_PER_SAMPLE

    def __init__(
        self,
        geometry: GopGeometry,
        layout: SampleLayout,
        frames: Mapping[int, Sequence[Plane]],
        motion: Sequence[npt.NDArray[np.int64]],
        device: torch.device | None = None,
    ) -> None:
        self.geometry, self._frames, self._motion, self._device = geometry, frames, motion, device
        self._sites = [layout.sites(plane, geometry) for plane in range(geometry.num_planes)]
        self._peak, self._depth = layout.pixel_format.max_value, layout.pixel_format.bit_depth

    def codes(self, t: float, plane: int, rows: Tensor, cols: Tensor, depth: int) -> Plane | None:
        """The samples themselves; see ``Representation``."""
        sites = zip((rows, cols), self._sites[plane], strict=True)
        own = (
            t in range(self.geometry.num_frames)
            and depth == self._depth
            and all(np.array_equal(axis, other) for axis, other in sites)
        )
        return self._frames[int(t)][plane] if own else None

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice; see ``Representation``."""
        self.geometry.normalise((times, rows, cols))  # raises outside of the box
        down, across = rows.cpu().numpy()[:, None], cols.cpu().numpy()[None, :]
        wanted = plane_numbers(planes, self.geometry)
        pictures = [self._values(np.float64(t), down, across, wanted) for t in times.tolist()]
        shape = len(times), len(wanted), len(rows), len(cols)
        return self._tensor(np.stack(pictures).reshape(shape) if pictures else np.zeros(shape))

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points; see ``Representation``."""
        self.geometry.normalise(coords.unbind(-1))
        points = coords.cpu().numpy().reshape(-1, 3)
        values = np.zeros((self.geometry.num_planes, len(points)))
        for t in np.unique(points[:, 0]):
            here = points[:, 0] == t
            values[:, here] = self._values(t, points[here, 1], points[here, 2], range(self.geometry.num_planes))
        return self._tensor(values.T.reshape(*coords.shape[:-1], self.geometry.num_planes))

    def _tensor(self, values: Floats) -> Tensor:
        return torch.from_numpy((values / self._peak).astype(np.float32)).to(self._device or torch.device("cpu"))

    def _values(self, t: np.float64, rows: Floats, cols: Floats, planes: Sequence[int]) -> Floats:
        """Code values of planes at places that broadcast against each other: (planes, ...)."""
        before = int(t)
        part = t - before
        if part == 0:
            return np.stack([self._read(before, plane, rows, cols) for plane in planes])
        down, across = self._motion_at(before + 1, rows, cols)
        earlier, later = (
            (rows + part * down, cols + part * across),
            (rows - (1 - part) * down, cols - (1 - part) * across),
        )
        return np.stack(
            [
                (1 - part) * self._read(before, plane, *earlier) + part * self._read(before + 1, plane, *later)
                for plane in planes
            ]
        )

    def _motion_at(self, frame: int, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Rows and columns from a place in a frame to the same thing in the frame before."""
        field = self._motion[frame].astype(np.float64)
        axes = []
        for places, count in ((rows, field.shape[0]), (cols, field.shape[1])):
            at = np.clip((places - (BLOCK - 1) / 2) / BLOCK, 0, count - 1)
            low = at.astype(np.int64)
            axes.append((low, np.minimum(low + 1, count - 1), at - low))
        (r0, r1, down), (c0, c1, across) = axes
        down, across = down[..., None], across[..., None]
        upper = (1 - across) * field[r0, c0] + across * field[r0, c1]
        lower = (1 - across) * field[r1, c0] + across * field[r1, c1]
        found = (1 - down) * upper + down * lower
        return found[..., 0], found[..., 1]

    def _read(self, frame: int, plane: int, rows: Floats, cols: Floats) -> Floats:
        """Code values of one plane of one frame."""
        samples = self._frames[frame][plane]
        row_sites, col_sites = self._sites[plane]
        at_row = np.interp(rows, row_sites, np.arange(len(row_sites)))
        at_col = np.interp(cols, col_sites, np.arange(len(col_sites)))
        row, col = np.floor(at_row).astype(np.int64), np.floor(at_col).astype(np.int64)
        down, across = at_row - row, at_col - col
        if not (down.any() or across.any()):
            exact: Floats = samples[row, col].astype(np.float64)
            return exact
        values = np.zeros(np.broadcast_shapes(rows.shape, cols.shape))
        for i, row_weight in enumerate(_cubic(down)):
            line = np.clip(row + i - 1, 0, len(row_sites) - 1)
            for j, col_weight in enumerate(_cubic(across)):
                values += row_weight * col_weight * samples[line, np.clip(col + j - 1, 0, len(col_sites) - 1)]
        return values


def _cubic(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights of the samples at -1, 0, 1 and 2 for a place in [0, 1]."""
    return (
        ((-0.5 * x + 1) * x - 0.5) * x,
        (1.5 * x - 2.5) * x * x + 1,
        ((-1.5 * x + 2) * x + 0.5) * x,
        (0.5 * x - 0.5) * x * x,
    )
