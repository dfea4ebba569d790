"""Sizes and constants of the `tracked` representation: what the plain form, the kernels and the coder agree on.

``function`` says what is computed; this module needs neither torch nor a compiler.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

from nerv_codec.representations.tracked.tree import GopTree

FEATURES = 8
"""Features of a feature map, and inputs of the synthesis network."""
PAD = 4
"""Pixels of border around a feature map: what the widest kernel reads beyond the farthest place, BOUND outside."""
UPSAMPLING = (0.0, 0.75, 0.25, 0.0)
"""Weights of the four coarse samples around a fine one at a quarter of the way between the middle two."""
SKIPPED, LINEAR, CUBIC = range(3)
"""How a feature map is read; one that is 0 everywhere is not."""
CUBIC_DEPTH = 0
"""Feature maps of nodes up to this depth are read with a cubic kernel, deeper ones linearly."""
TRACK_SHIFT = 2
"""log2 of the distance of track knots, in pixels."""
TRACK_ORIGIN = -2.0
"""Where the first knot lies on both axes: every sample of the picture, chroma too, lies between knots."""
BOUND = 2.0
"""Pixels beyond the border at which a tracked place is held: every tap reads the edge there."""
CHANNELS = 8
"""Channels of a whole motion grid: row and column towards both parents, the blend, three unused."""
BLEND = 4
"""Channel of a motion grid that moves weight from the first to the second parent; 0..3 are motion."""
KEPT = 5
"""Channels of a motion grid that are kept in the file."""
MOTION_SHIFT = 3
"""log2 of the distance of motion samples on the finest scale, in pixels."""
MOTION_SCALES = 3
"""Motion grids of a node: one sample every 8, 16 and 32 pixels."""
MOTION_STEPS = 4
"""Motion is kept in units of 1 / MOTION_STEPS pixel."""
BLEND_STEPS = 8
"""Blends are kept in units of 1 / BLEND_STEPS."""
MOTION_UNITS = (*[1 / MOTION_STEPS] * 4, 1 / BLEND_STEPS)
"""Units of the KEPT channels of a motion grid: pixels, and a share."""
NODE, SOURCE, MOVER, CHANNEL, FIRST, SECOND = range(6)
"""Columns of a chain as the kernels take it: the node read, the sample whose place it starts from (-1: the point
itself), the node whose motion leads on (-1: none), the channel of that motion, and the samples of both parents
(-1: none)."""
SCALE, MASS, SHARE = range(3)
"""Columns of a chain's reals: factor of the motion, weight that time gives, share of the second parent."""
NETWORK = ("w1", "b1", "w2", "b2", "w3", "b3", "skip")
"""The tensors of the synthesis network in the order in which the kernels take them."""


def grids_of(scales: int, outputs: int) -> tuple[tuple[int, int], ...]:
    """(scale, pyramid) of each latent grid of a node, in coding order, coarse to fine.

    Pictures of several planes have two pyramids: the second begins at half size, as chroma does.
    """
    pairs = [(scale, number) for scale in reversed(range(scales)) for number in range(1 if outputs == 1 else 2)]
    return tuple((scale, number) for scale, number in pairs if scale or not number)


def network_shapes(depths: int, grids: int, hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all network tensors, in the order of the file."""
    return {
        "gain": (depths, grids),
        "mix": (grids, FEATURES),
        "w1": (FEATURES, hidden),
        "b1": (hidden,),
        "w2": (hidden, hidden),
        "b2": (hidden,),
        "w3": (hidden, outputs),
        "b3": (outputs,),
        "skip": (FEATURES, outputs),
    }


@dataclass(frozen=True)
class TrackedShape:
    """Sizes of one GOP's latents and networks."""

    tree: GopTree
    height: int
    width: int
    scales: int
    hidden: int
    outputs: int

    @cached_property
    def grid_scales(self) -> tuple[int, ...]:
        """log2 of the sample distance of each latent grid of a node, in coding order."""
        return tuple(scale for scale, _ in grids_of(self.scales, self.outputs))

    @cached_property
    def grid_coarser(self) -> tuple[int, ...]:
        """For each grid the next coarser one of its pyramid, or -1."""
        step = 1 if self.outputs == 1 else 2
        return tuple(index - step if index >= step else -1 for index in range(len(self.grid_scales)))

    @cached_property
    def grid_sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, cols) of each latent grid."""
        return tuple((-(-self.height >> s), -(-self.width >> s)) for s in self.grid_scales)

    @cached_property
    def node_latents(self) -> int:
        """Latents of one node."""
        return sum(rows * cols for rows, cols in self.grid_sizes)

    @cached_property
    def grid_offsets(self) -> tuple[int, ...]:
        """Where each grid begins within a node's latents."""
        ends = itertools.accumulate(rows * cols for rows, cols in self.grid_sizes)
        return (0, *ends)[:-1]

    def grid_part(self, index: int) -> slice:
        """Where a grid stands within a node's latents."""
        rows, cols = self.grid_sizes[index]
        return slice(self.grid_offsets[index], self.grid_offsets[index] + rows * cols)

    def at_scale(self, scale: int) -> tuple[int, ...]:
        """The grids of a scale."""
        return tuple(index for index, own in enumerate(self.grid_scales) if own == scale)

    def size_at(self, scale: int) -> tuple[int, int]:
        """(rows, cols) of the feature map at a scale."""
        return -(-self.height >> scale), -(-self.width >> scale)

    @cached_property
    def motion_sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, cols) of the motion grid of each scale, 0 the finest."""
        shifts = range(MOTION_SHIFT, MOTION_SHIFT + MOTION_SCALES)
        return tuple(((self.height >> shift) + 1, (self.width >> shift) + 1) for shift in shifts)

    def channels(self, node: int) -> tuple[int, ...]:
        """Which channels of the motion grids a node has."""
        return ((), (0, 1), (0, 1, 2, 3, BLEND))[len(self.tree.nodes[node].parents)]

    @property
    def knots(self) -> tuple[int, int]:
        """(rows, cols) of the lattice of track knots."""
        rows, cols = (
            math.ceil((size - 0.5 - TRACK_ORIGIN) / (1 << TRACK_SHIFT)) + 1 for size in (self.height, self.width)
        )
        return rows, cols

    @property
    def depths(self) -> int:
        """Number of depth classes of the tree."""
        return self.tree.nodes[-1].depth + 1

    def network_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all network tensors, in the order of the file."""
        return network_shapes(self.depths, len(self.grid_scales), self.hidden, self.outputs)

    @cached_property
    def longest_chain(self) -> int:
        """The most feature maps that one moment reads."""
        return max(len(self.tree.chain(half / 2)) for half in range(2 * self.tree.num_frames - 1))

    @property
    def macs_per_sample(self) -> int:
        """Multiplications to evaluate one coordinate: reads and tracks of the longest chain of a frame, the network."""
        reads = max(len(self.tree.chain(t)) for t in range(self.tree.num_frames))
        sizes = self.network_shapes()
        network = sum(math.prod(sizes[name]) for name in NETWORK if len(sizes[name]) == 2)
        return network + 16 * FEATURES + (reads - 1) * (4 * FEATURES + 8)
