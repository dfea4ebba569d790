"""The function of a decoded GOP: planes at frames and samples, motion between frames, a kernel between samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.base.video import Plane, plane_dtype
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import BAND_SAMPLES, plane_numbers
from nerv_codec.representations.shared.integer_between import DETAIL, IntegerBetween
from nerv_codec.representations.shared.integer_convolution import Halves
from nerv_codec.representations.shared.layout import DESIGNS, macs_per_pixel
from nerv_codec.representations.warped.bilateral import Moves, moves_between
from nerv_codec.representations.warped.interpolate import KERNEL
from nerv_codec.representations.warped.interpolate_kernel import add_lattice, add_points, read_lattice, read_points
from nerv_codec.representations.warped.motion import MotionField, Vectors, scaled
from nerv_codec.representations.warped.planes import UNIT, Samples
from nerv_codec.representations.warped.tree import Node

_COORDINATES = 1.25
"""Of a pixel, as 4:2:0 has."""
_SAMPLE_BITS = 8 + UNIT.bit_length() - 1
"""Of a sample, as of code values."""
_DETAIL = np.float32(1 / DETAIL)
_REMEMBERED = 4
"""Planes of which what lies between samples is kept at hand, and pairs of frames whose moves are."""
Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.float64]


def macs_per_sample(num_frames: int, num_anchors: int) -> int:
    """Multiplications for one coordinate of a GOP, about: networks of its frames over their samples, all mended.

    Args:
        num_frames: Of the GOP.
        num_anchors: Of these, the root among them.
    """
    counts = (1, num_anchors - 1, num_frames - num_anchors)
    of_all = sum(count * macs_per_pixel(design) for count, design in zip(counts, DESIGNS, strict=True))
    return round(of_all / num_frames / _COORDINATES)


@dataclass(frozen=True)
class Lattice:
    """Where the samples of a plane lie, in pixels of the picture: origin + step * index."""

    row: float
    col: float
    row_step: int
    col_step: int

    def positions(self, rows: Positions, cols: Positions) -> tuple[Positions, Positions]:
        """Rows and columns of a picture as positions in the plane."""
        return (rows - self.row) / self.row_step, (cols - self.col) / self.col_step


@dataclass(frozen=True)
class DecodedFrame:
    """Planes of a frame, cut to their sizes; its node, and the motion that it was coded with, if it has parents."""

    planes: Sequence[Samples]
    node: Node
    field: MotionField | None = None


@dataclass
class Warped:
    """A representation: see `representation.Representation`.

    Attributes:
        geometry: The box.
        depth: Bits of a sample.
        lattices: Of every plane.
        frames: By their numbers.
        between: What planes show between their samples; those of reduced chroma do not ask.
        lambda_index: Price of bits of the anchors, which it is told.
        num_anchors: Of the GOP, the root among them.
    """

    geometry: GopGeometry
    depth: int
    lattices: Sequence[Lattice]
    frames: Mapping[int, DecodedFrame]
    between: IntegerBetween
    lambda_index: int
    num_anchors: int

    _known: dict[tuple[int, int], Halves] = field(default_factory=dict, init=False, repr=False)
    _ways: dict[int, Moves] = field(default_factory=dict, init=False, repr=False)

    def _details(self, frame: int, plane: int) -> Halves | None:
        """Between the samples of a plane, None if it is of reduced size."""
        lattice = self.lattices[plane]
        if lattice.row_step > 1 or lattice.col_step > 1:
            return None
        found = self._known.get((frame, plane))
        if found is None:
            found = self._known[frame, plane] = self.between(self.frames[frame].planes[plane], self.lambda_index)
            for old in list(self._known)[:-_REMEMBERED]:
                self._known.pop(old, None)
        return found

    @property
    def band_samples(self) -> int:
        """Samples that a picture is best evaluated in at a time."""
        return BAND_SAMPLES

    @property
    def macs_per_sample(self) -> int:
        """See :func:`macs_per_sample`."""
        return macs_per_sample(self.geometry.num_frames, self.num_anchors)

    @property
    def _scale(self) -> np.float32:
        return np.float32(2.0 ** (self.depth - 8) / (UNIT * (2**self.depth - 1)))

    def codes(self, t: float, plane: int, rows: Tensor, cols: Tensor, depth: int) -> Plane | None:
        """Samples of a frame, halves rounded up; see `representation.Representation.codes`."""
        if t not in range(self.geometry.num_frames) or depth != self.depth:
            return None
        samples, drop = self.frames[int(t)].planes[plane], _SAMPLE_BITS - depth
        down, across = self._places(plane, rows.double().cpu().numpy(), cols.double().cpu().numpy(), samples.shape)
        if not (_whole(down) and _whole(across)):
            return None
        samples = samples[_numbers(down)][:, _numbers(across)]
        shifted = (samples + np.int16(1 << drop >> 1)) >> drop if drop > 0 else samples.astype(np.int32) << -drop
        codes: Plane = np.minimum(shifted, 2**depth - 1).astype(plane_dtype(depth))
        return codes

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        """f on a lattice, see `representation.Representation.render`."""
        self.geometry.normalise([times, rows, cols])
        r, c = rows.double().cpu().numpy(), cols.double().cpu().numpy()
        wanted = plane_numbers(planes, self.geometry)
        out = np.empty((len(times), len(wanted), len(r), len(c)), np.float32)
        for number, t in enumerate(times.tolist()):
            if t == int(t):
                for plane, into in zip(wanted, out[number], strict=True):
                    self._at_frame(int(t), plane, self.lattices[plane].positions(r, c), into)
            else:
                grid_rows, grid_cols = (axis.ravel() for axis in np.meshgrid(r, c, indexing="ij"))
                out[number] = self._between(t, grid_rows, grid_cols, wanted).reshape(out[number].shape)
        out *= self._scale
        return torch.from_numpy(out)

    def sample(self, coords: Tensor) -> Tensor:
        """f at single points, see `representation.Representation.sample`."""
        flat = coords.reshape(-1, 3).double().cpu()
        self.geometry.normalise(list(flat.unbind(-1)))
        points = flat.numpy()
        out = np.empty((len(points), self.geometry.num_planes), np.float32)
        for t in np.unique(points[:, 0]):
            chosen = points[:, 0] == t
            out[chosen] = self._between(
                float(t), points[chosen, 1], points[chosen, 2], range(self.geometry.num_planes)
            ).T
        out *= self._scale
        return torch.from_numpy(out).reshape(*coords.shape[:-1], -1)

    def _at_frame(self, frame: int, plane: int, positions: tuple[Positions, Positions], out: Floats) -> None:
        samples = self.frames[frame].planes[plane]
        rows, cols = (_snapped(axis, size) for axis, size in zip(positions, samples.shape, strict=True))
        if _whole(rows) and _whole(cols):
            out[:] = samples[_numbers(rows)][:, _numbers(cols)]
        else:
            read_lattice(samples, rows, cols, KERNEL, out)
            details = self._details(frame, plane)
            if details is not None:
                add_lattice(details, rows, cols, _DETAIL, out)

    def _between(self, t: float, rows: Positions, cols: Positions, planes: Sequence[int]) -> Floats:
        """(planes, points) at one time."""
        frame = min(int(t), self.geometry.num_frames - 1)
        way = t - frame
        if way == 0:
            return self._read(frame, rows, cols, np.zeros((2, 1)), planes)
        out = np.zeros((len(planes), len(rows)), np.float32)
        moved, weights = self._moves(frame).at(way, rows, cols, (self.geometry.height, self.geometry.width))
        for number, neighbour in product(range(2), range(2)):
            chosen = weights[number, neighbour] > 0
            places = rows[chosen], cols[chosen], moved[number, neighbour][:, chosen]
            weight = weights[number, neighbour, chosen].astype(np.float32)
            out[:, chosen] += weight * self._read(frame + neighbour, *places, planes)
        return out

    def _moves(self, frame: int) -> Moves:
        """Those between a frame and the next."""
        found = self._ways.get(frame)
        if found is None:
            before, after = self.frames[frame], self.frames[frame + 1]
            found = self._ways[frame] = moves_between(before.planes[0], after.planes[0], _half_motion(before, after))
            for old in list(self._ways)[:-_REMEMBERED]:
                self._ways.pop(old, None)
        return found

    def _read(self, frame: int, rows: Positions, cols: Positions, moved: Positions, planes: Sequence[int]) -> Floats:
        """A frame at points that have moved (2, points), (planes, points).

        What lies between samples moves by whole samples, so that at those of a frame in between nothing is added.
        """
        out = np.empty((len(planes), len(rows)), np.float32)
        for plane, into in zip(planes, out, strict=True):
            samples, whole = self.frames[frame].planes[plane], np.rint(moved)
            read_points(samples, *self._places(plane, rows + moved[0], cols + moved[1], samples.shape), KERNEL, into)
            places = self._places(plane, rows + whole[0], cols + whole[1], samples.shape)
            details = None if all(map(_whole, places)) else self._details(frame, plane)
            if details is not None:
                add_points(details, *places, _DETAIL, into)
        return out

    def _places(self, plane: int, rows: Positions, cols: Positions, extent: tuple[int, ...]) -> list[Positions]:
        positions = self.lattices[plane].positions(rows, cols)
        return [_snapped(axis, size) for axis, size in zip(positions, extent, strict=True)]


def _half_motion(before: DecodedFrame, after: DecodedFrame) -> Vectors:
    """Half of the motion from a frame to the next, as the one that is predicted from the other has it.

    (rows of blocks, cols, 2) in quarter samples.
    """
    later = before.node.frame in after.node.parents
    one, other = (after, before) if later else (before, after)
    assert one.field is not None
    return scaled(one.field.vectors[one.node.parents.index(other.node.frame)], -1 if later else 1, 2)


def _snapped(positions: Positions, extent: int) -> Positions:
    """Positions half a sample outside of them at the most; those within rounding of a sample lie on it."""
    near = np.rint(positions)
    inside: Positions = np.clip(np.where(np.abs(positions - near) < 1e-9, near, positions), -0.5, extent - 0.5)
    return inside


def _whole(positions: Positions) -> bool:
    return bool((positions == np.rint(positions)).all())


def _numbers(positions: Positions) -> slice | npt.NDArray[np.int64]:
    """Whole positions as an index, a slice if they are samples one after another."""
    numbers = positions.astype(np.int64)
    successive = (np.diff(numbers) == 1).all()
    return slice(int(numbers[0]), int(numbers[0]) + len(numbers)) if len(numbers) and successive else numbers
