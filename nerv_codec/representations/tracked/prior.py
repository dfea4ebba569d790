"""What the networks of a `tracked` GOP are expected to be: those of another GOP of the file, or the prior.

A fit begins there, and the file holds the difference alone. The prior is the same for all videos, fitted once to
others; its numbers are part of the format (docs/format.md, section 6) and stand in ``prior.json`` in units of 2**-12;
``tools/training/train_prior.py`` makes them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from nerv_codec.representations.tracked.shape import grids_of

UNIT_LOG2 = -12
MAX_GAIN_QUARTERS = 64
DEPTH_CLASSES = 4
"""Nodes of depth 0, 1, 2 and deeper ones have biases of their own in the entropy model."""

Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NetworkSizes:
    """What shapes all networks of a GOP."""

    depths: int
    """Depth classes of the tree: nodes of each have gains of their own."""
    scales: int
    outputs: int
    hidden: int
    """Width of the synthesis network."""
    latent_hidden: int
    """Width of the latents' entropy model."""
    motion_hidden: int
    """Width of the motion's entropy model."""


@dataclass(frozen=True)
class Networks:
    """The networks of one GOP, or of none in particular, as they serve others with more or fewer depths and grids."""

    tensors: Mapping[str, Weights]
    """Named as in ``shape.network_shapes()``; ``latents.0`` .. and ``motion.0`` .. are the entropy models as stored."""
    grids: tuple[tuple[int, int], ...]
    """(scale, pyramid) of each grid."""

    def network(self, sizes: NetworkSizes, gain_quarters: int) -> list[Weights] | None:
        """Tensors in the order of ``shape.network_shapes()``, or None where the width is another one.

        Args:
            sizes: Grids are matched by their distance and pyramid, depths and output planes from the first on;
                where there are more than are known, the last one counts again.
            gain_quarters: Gains are multiplied by 2**(gain_quarters / 4).
        """
        known = self.tensors
        if known["b1"].shape != (sizes.hidden,):
            return None
        depths = np.minimum(np.arange(sizes.depths), len(known["gain"]) - 1)
        outputs = np.minimum(np.arange(sizes.outputs), len(known["b3"]) - 1)
        grids = self._matching(sizes)
        factor = np.ldexp(np.float64(round(2 ** (gain_quarters / 4 - UNIT_LOG2))), UNIT_LOG2)
        gain = (known["gain"][depths][:, grids] * factor).astype(np.float32)
        layers = [known[name] for name in ("w1", "b1", "w2", "b2")]
        return [gain, known["mix"][grids], *layers, *(known[name][..., outputs] for name in ("w3", "b3", "skip"))]

    def latents(self, sizes: NetworkSizes) -> list[Weights] | None:
        """The latents' entropy model as it is stored, or None where its width is another one."""
        found = [self.tensors[f"latents.{index}"] for index in range(6)]
        if len(found[0]) != sizes.latent_hidden:
            return None
        classes = (len(self.grids) * np.arange(DEPTH_CLASSES)[:, None] + self._matching(sizes)).ravel()
        return [part[classes] if index in (3, 4) else part for index, part in enumerate(found)]

    def motion(self, sizes: NetworkSizes) -> list[Weights] | None:
        """The motion's entropy model as it is stored, or None where its width is another one."""
        found = [self.tensors[f"motion.{index}"] for index in range(6)]
        return found if len(found[0]) == sizes.motion_hidden else None

    def _matching(self, sizes: NetworkSizes) -> Integers:
        """For each grid of a node the known one of the same distance and pyramid."""
        top = max(scale for scale, _ in self.grids)
        wanted = grids_of(sizes.scales, sizes.outputs)
        return np.array([self.grids.index((min(scale, top), pyramid)) for scale, pyramid in wanted], np.int64)


@functools.cache
def _numbers() -> dict[str, Integers]:
    text = resources.files("nerv_codec.representations.tracked").joinpath("prior.json").read_text()
    return {name: np.array(values, np.int64) for name, values in json.loads(text).items()}


def prior() -> Networks:
    """What is expected where nothing is known of the video."""
    numbers = _numbers()
    tensors = {name: np.ldexp(values.astype(np.float32), UNIT_LOG2) for name, values in numbers.items()}
    return Networks(tensors, grids_of((len(numbers["mix"]) + 1) // 2, outputs=3))
