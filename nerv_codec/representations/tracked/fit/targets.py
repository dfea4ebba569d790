"""What a fit of the `tracked` representation aims at: the code values of a GOP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.representations.fitting.sites import distortion_weights
from nerv_codec.representations.rendering import View, plane_axes, plane_groups

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """Code values of planes that have their samples at the same places, for all frames of the GOP."""

    rows: Array
    """(R,) in pixels."""
    cols: Array
    """(Q,) in pixels."""
    codes: npt.NDArray[np.unsignedinteger]
    """(frames, R, Q, outputs); outputs that have no sample here may hold anything, their weight is 0."""
    weights: Array
    """(outputs,): share of each output's mean squared error in the distortion."""


def make_targets(frames: Sequence[PlanarFrame], info: VideoInfo) -> list[Targets]:
    """The code values of a GOP, planes with common sample places together."""
    view = View.whole(info.height, info.width)
    shares = distortion_weights(info)
    targets = []
    for planes in plane_groups(info.pixel_format):
        rows, cols = plane_axes(info, planes[0], view, info)
        first = frames[0].planes[planes[0]]
        codes = np.zeros((len(frames), *first.shape, info.pixel_format.num_planes), first.dtype)
        weights = np.zeros(info.pixel_format.num_planes, np.float32)
        for plane in planes:
            codes[..., plane] = [frame.planes[plane] for frame in frames]
            weights[plane] = shares[plane]
        targets.append(Targets(rows.numpy().astype(np.float32), cols.numpy().astype(np.float32), codes, weights))
    return targets
