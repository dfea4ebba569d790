"""The training set of one GOP: every sample of every plane at its own place in space and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.rendering import View, plane_axes, plane_groups

_PART = 1 << 20
"""Sites summed at once: a sum widens its input first, and a GOP is large."""


@dataclass(frozen=True)
class SiteGroup:
    """Planes with common sample places, and their code values."""

    planes: tuple[int, ...]
    axes: tuple[Tensor, Tensor, Tensor]
    """Normalised t (T,), rows (R,), cols (C,), float32."""
    codes: Tensor
    """(T * R * C, len(planes)), uint8 or int32."""
    weights: Tensor
    """(len(planes),): share of each plane's squared error in the distortion."""

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def batch(self, indices: Tensor, peak: int) -> tuple[Tensor, Tensor]:
        """Normalised coordinates (N, 3) and targets (N, len(planes)) in [0, 1] of the sites ``indices``."""
        times, rows, cols = self.axes
        lines, col = indices // len(cols), indices % len(cols)
        coords = torch.stack((times[lines // len(rows)], rows[lines % len(rows)], cols[col]), dim=-1)
        return coords, self.codes[indices].float().div_(peak)


@dataclass(frozen=True)
class Sites:
    """All sites of a GOP."""

    groups: tuple[SiteGroup, ...]
    peak: int
    pixels: int
    """Luma samples: what bits per pixel are counted against."""

    def means(self) -> Tensor:
        """(num_planes,): the mean of each plane in [0, 1], on the CPU."""
        means = []
        for group in self.groups:
            parts = [group.codes[start : start + _PART].sum(0) for start in range(0, len(group), _PART)]
            means.append(torch.stack(parts).sum(0) / (len(group) * self.peak))
        return torch.cat(means).float().cpu()


def gop_geometry(frames: Sequence[PlanarFrame], info: VideoInfo) -> GopGeometry:
    """The box of a GOP."""
    return GopGeometry(len(frames), info.height, info.width, info.pixel_format.num_planes)


def make_sites(frames: Sequence[PlanarFrame], info: VideoInfo, device: torch.device) -> Sites:
    """The sites of a GOP; code values stay in their integer type, so memory is that of the raw video."""
    geometry = gop_geometry(frames, info)
    view = View.whole(info.height, info.width)
    weights = distortion_weights(info)
    groups = []
    for planes in plane_groups(info.pixel_format):
        rows, cols = plane_axes(info, planes[0], view, info)
        times = torch.arange(len(frames), dtype=torch.float64)
        axes = tuple(axis.float().to(device) for axis in geometry.normalise((times, rows, cols)))
        stacked = np.stack([np.stack([frame.planes[p] for p in planes], axis=-1) for frame in frames])
        codes = torch.from_numpy(stacked if stacked.dtype == np.uint8 else stacked.astype(np.int32))
        groups.append(
            SiteGroup(
                planes=planes,
                axes=(axes[0], axes[1], axes[2]),
                codes=codes.reshape(-1, len(planes)).to(device),
                weights=torch.tensor([weights[p] for p in planes], device=device),
            )
        )
    return Sites(tuple(groups), info.pixel_format.max_value, len(frames) * info.height * info.width)


def distortion_weights(info: VideoInfo) -> tuple[float, ...]:
    """How much each plane's mean squared error counts: (6, 1, 1) / 8 for Y, U, V; alike for G, B, R."""
    if info.pixel_format.num_planes == 1:
        return (1.0,)
    if info.color.matrix == 0:
        return (1 / 3, 1 / 3, 1 / 3)
    return (6 / 8, 1 / 8, 1 / 8)
