"""What the networks of a `tracked` GOP are expected to be: the same for all videos, fitted once to others.

A fit begins there, and the file holds the difference alone. The numbers are part of the format (FORMAT.md, section 5)
and stand in ``prior.json`` in units of 2**-12; ``tools/train_prior.py`` makes them.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np
import numpy.typing as npt

from nerv_codec.model.tracked import TrackedShape

UNIT_LOG2 = -12
MAX_GAIN_QUARTERS = 64
DEPTH_CLASSES = 4
"""Nodes of depth 0, 1, 2 and deeper ones have biases of their own in the entropy model."""
_PYRAMIDS = 2

Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]


@functools.cache
def _numbers() -> dict[str, Integers]:
    text = resources.files("nerv_codec.model").joinpath("prior.json").read_text()
    return {name: np.array(values, np.int64) for name, values in json.loads(text).items()}


def network_prior(shape: TrackedShape, gain_quarters: int) -> dict[str, Weights] | None:
    """Tensors as ``shape.network_shapes()``, or None where the prior knows no network of this width.

    Args:
        shape: Sizes. Grids are matched by their distance and pyramid, depths from the first on, output planes likewise;
            where there are more than the prior knows, the last one counts again.
        gain_quarters: Gains are multiplied by 2**(gain_quarters / 4).
    """
    numbers = _numbers()
    if numbers["b1"].shape != (shape.hidden,):
        return None
    depths = np.minimum(np.arange(shape.depths), len(numbers["gain"]) - 1)
    outputs = np.minimum(np.arange(shape.outputs), len(numbers["b3"]) - 1)
    grids = _grids(shape)
    factor = round(2 ** (gain_quarters / 4 - UNIT_LOG2))
    found = {name: numbers[name] for name in ("w1", "b1", "w2", "b2")}
    found |= {name: numbers[name][..., outputs] for name in ("w3", "b3", "skip")}
    found |= {"mix": numbers["mix"][grids], "gain": numbers["gain"][depths][:, grids] * factor >> -UNIT_LOG2}
    return {name: _real(found[name]) for name in shape.network_shapes()}


def latent_prior(shape: TrackedShape, hidden: int) -> list[Weights] | None:
    """The latents' entropy model as it is stored, likewise."""
    numbers = _numbers()
    grids = _grids(shape)
    own = len(numbers["mix"])
    classes = (own * np.arange(DEPTH_CLASSES)[:, None] + grids).ravel()
    found = [numbers[f"latents.{index}"] for index in range(6)]
    if len(found[0]) != hidden:
        return None
    return [_real(part[classes] if index in (3, 4) else part) for index, part in enumerate(found)]


def motion_prior(hidden: int) -> list[Weights] | None:
    """The motion's entropy model as it is stored, likewise."""
    found = [_numbers()[f"motion.{index}"] for index in range(6)]
    return [_real(part) for part in found] if len(found[0]) == hidden else None


def _grids(shape: TrackedShape) -> Integers:
    """For each grid of a node the prior's grid of the same distance and pyramid."""
    known = (len(_numbers()["mix"]) + 1) // _PYRAMIDS
    full = [(scale, number) for scale in reversed(range(known)) for number in range(_PYRAMIDS) if scale or not number]
    pyramid = [int(index != shape.at_scale(scale)[0]) for index, scale in enumerate(shape.grid_scales)]
    wanted = [(min(scale, known - 1), number) for scale, number in zip(shape.grid_scales, pyramid, strict=True)]
    return np.array([full.index(one) for one in wanted], np.int64)


def _real(values: Integers) -> Weights:
    return np.ldexp(values.astype(np.float32), UNIT_LOG2)
