"""The `tracked` representation: latent pyramids at every frame, tied together by motion, read by a small sine network.

Every node n of the GOP's tree keeps a pyramid of integer grids, from which its feature map R_n is made (FEATURES
numbers for each pixel), and a grid of motion towards its parents. At the time t a point x reads

    z(t, x) = sum_n m_n(t, x) R_n(x_n),   colour = MLP(z) + z skip,

over the nodes on its chain (tree.py), each at the place x_n to which the motion on the chain leads. The mass m_n begins
at the frames next to t and flows from every node to its parents, shared by time unless the node's blend says that the
point is seen in one of them only. What does not change but move is kept once, in frame 0. Each feature map is read
once, at a real place: nothing is blurred by repeated warping.

Places and masses are computed at the knots of a coarse lattice around the point and interpolated linearly: the motion
is smooth, and so this costs next to nothing.

This module is the definition, in torch and differentiable; ``cpu`` and ``cuda`` compute the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from nerv_codec.representations.tracked.shape import (
    BLEND,
    BOUND,
    CHANNELS,
    CUBIC,
    FEATURES,
    KEPT,
    MOTION_SHIFT,
    SKIPPED,
    TRACK_ORIGIN,
    TRACK_SHIFT,
    UPSAMPLING,
    TrackedShape,
)
from nerv_codec.representations.tracked.tree import Sample


def upsampling_matrix(coarse: int, fine: int) -> Tensor:
    """(fine, coarse): one axis at twice the size; fine sample i sits at (i - 1/2) / 2 of the coarse axis."""
    matrix = torch.zeros(fine, coarse)
    for i in range(fine):
        taps = UPSAMPLING if i % 2 else UPSAMPLING[::-1]
        for k, tap in enumerate(taps):
            matrix[i, min(max((i >> 1) - 2 + i % 2 + k, 0), coarse - 1)] += tap
    return matrix


def feature_map(shape: TrackedShape, grids: Sequence[Tensor], mix: Tensor) -> Tensor:
    """R_n of one node: its latent grids added up over the scales, from coarse to fine.

    Args:
        shape: Sizes.
        grids: The latent grids (rows, cols), in coding order.
        mix: (grids, FEATURES): the node's gain times the mixing vector of each grid.

    Returns:
        (H, W, FEATURES).
    """
    result = torch.zeros(*shape.size_at(shape.scales - 1), FEATURES).to(mix)
    for scale in range(shape.scales - 1, -1, -1):
        rows, cols = shape.size_at(scale)
        if scale < shape.scales - 1:
            up_rows = upsampling_matrix(result.shape[0], rows).to(result)
            up_cols = upsampling_matrix(result.shape[1], cols).to(result)
            result = torch.einsum("ir,rcf,jc->ijf", up_rows, result, up_cols)
        for index in shape.at_scale(scale):
            result = result + grids[index][..., None] * mix[index]
    return result


@lru_cache(maxsize=32)
def refinement_matrix(coarse: int, fine: int) -> Tensor:
    """(fine, coarse): control points of a cubic B-spline with half the knot distance, the edge repeated.

    Kept from call to call, so not to be changed.
    """
    matrix = torch.zeros(fine, coarse)
    for i in range(fine):
        taps = ((-1, 0.125), (0, 0.75), (1, 0.125)) if i % 2 == 0 else ((0, 0.5), (1, 0.5))
        for offset, weight in taps:
            matrix[i, min(max((i >> 1) + offset, 0), coarse - 1)] += weight
    return matrix


def motion_grids(shape: TrackedShape, kept: Sequence[Tensor]) -> Tensor:
    """What is kept of the motion made whole: pyramids added up, and predicted under constant velocity.

    A node half way between its parents is expected half way along the motion that joins them, an anchor is expected to
    go on as the anchor before.

    Args:
        kept: Of each scale, finest first: (nodes, rows, cols, KEPT); motion in pixels, blends as shares.

    Returns:
        (nodes, rows, cols, CHANNELS): motion in pixels, row and column towards the first, then the second parent,
        the blend, and zeros.
    """
    residuals = kept[-1]
    for finer in reversed(kept[:-1]):
        rows = refinement_matrix(residuals.shape[1], finer.shape[1]).to(finer)
        cols = refinement_matrix(residuals.shape[2], finer.shape[2]).to(finer)
        residuals = torch.einsum("ir,nrcf,jc->nijf", rows, residuals, cols) + finer
    nodes = shape.tree.nodes
    whole: list[Tensor] = []
    for index, node in enumerate(nodes):
        motion = residuals[index][..., :4]
        if len(node.parents) == 2:
            left, right = node.parents
            young, old = max(left, right), min(left, right)
            number = nodes[young].parents.index(old)
            between = whole[young][..., 2 * number : 2 * number + 2]
            # ``between`` leads from the younger to the older parent; from left to right it is +-that.
            across = between if young == left else -between
            share = (node.frame - nodes[left].frame) / (nodes[right].frame - nodes[left].frame)
            motion = motion + torch.cat((-share * across, (1 - share) * across), dim=-1)
        elif node.parents and nodes[node.parents[0]].parents:
            ratio = float(shape.tree.pace(index))
            motion = motion + torch.nn.functional.pad(ratio * whole[node.parents[0]][..., :2], (0, 2))
        whole.append(motion)
    result = torch.cat((torch.stack(whole), residuals[..., 4:]), dim=-1)
    return torch.nn.functional.pad(result, (0, CHANNELS - KEPT))


def read_motion(grid: Tensor, places: Tensor) -> Tensor:
    """A motion grid (rows, cols, CHANNELS) at (N, 2) places of (row, col) in pixels: (N, CHANNELS).

    Uniform cubic B-splines with a knot every 2**MOTION_SHIFT pixels, the edge repeated.
    """
    positions = places / (1 << MOTION_SHIFT)
    base = positions.floor()
    f = positions - base
    weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
    return _sample(grid, base, torch.stack(weights) / 6, 1)


def sample_linear(image: Tensor, places: Tensor) -> Tensor:
    """(H, W, F) at (N, 2) real places of (row, col): (N, F); the edge is repeated beyond the border."""
    base = places.floor()
    f = places - base
    return _sample(image, base, (torch.stack((1 - f, f))), 0)


def sample_cubic(image: Tensor, places: Tensor) -> Tensor:
    """As :func:`sample_linear` with Catmull-Rom weights (Keys 1981, a = -1/2)."""
    base = places.floor()
    f = places - base
    weights = (
        -0.5 * f + f**2 - 0.5 * f**3,
        1 - 2.5 * f**2 + 1.5 * f**3,
        0.5 * f + 2 * f**2 - 1.5 * f**3,
        0.5 * (f**3 - f**2),
    )
    return _sample(image, base, torch.stack(weights), 1)


def _sample(image: Tensor, base: Tensor, weights: Tensor, before: int) -> Tensor:
    result = torch.zeros(len(base), image.shape[-1]).to(image)
    for i in range(len(weights)):
        row = (base[:, 0].long() - before + i).clamp(0, image.shape[0] - 1)
        for j in range(len(weights)):
            col = (base[:, 1].long() - before + j).clamp(0, image.shape[1] - 1)
            result = result + (weights[i, :, 0] * weights[j, :, 1])[:, None] * image[row, col]
    return result


def tracks(grids: Tensor, chain: Sequence[Sample], height: int, width: int, places: Tensor) -> Tensor:
    """Where and how strongly the samples of a chain are read for points at ``places`` (N, 2).

    Args:
        grids: As :func:`motion_grids` makes them.

    Returns:
        (K, N, 3): row, column, mass.
    """
    high = torch.tensor([height - 1 + BOUND, width - 1 + BOUND]).to(places)

    def hold(at: Tensor) -> Tensor:
        return torch.minimum(at.clamp_min(-BOUND), high)

    where: list[Tensor] = []
    masses = [torch.full_like(places[:, 0], sample.mass) for sample in chain]
    for sample in chain:
        place = places if sample.source < 0 else where[sample.source]
        if sample.mover >= 0:
            shift = read_motion(grids[sample.mover], place)[:, 2 * sample.number : 2 * sample.number + 2]
            place = hold(place + sample.scale * shift)
        where.append(place)
    for k, sample in enumerate(chain):
        if len(sample.parents) == 2:
            blend = read_motion(grids[sample.node], where[k])[:, BLEND]
            share = (sample.share + blend).clamp(0, 1)
            first, second = sample.parents
            masses[first] = masses[first] + (1 - share) * masses[k]
            masses[second] = masses[second] + share * masses[k]
        elif sample.parents:
            masses[sample.parents[0]] = masses[sample.parents[0]] + masses[k]
    return torch.stack([torch.cat((hold(at), mass[:, None]), -1) for at, mass in zip(where, masses, strict=True)])


def knot_tracks(shape: TrackedShape, grids: Tensor, chain: Sequence[Sample]) -> Tensor:
    """:func:`tracks` at the track knots: (K, KR, KC, 3)."""
    axes = [torch.arange(knots).to(grids) * (1 << TRACK_SHIFT) + TRACK_ORIGIN for knots in shape.knots]
    places = torch.cartesian_prod(*axes).reshape(-1, 2)
    return tracks(grids, chain, shape.height, shape.width, places).reshape(len(chain), *shape.knots, 3)


def features(
    planes: Tensor | Mapping[int, Tensor], kinds: Sequence[int], chain: Sequence[Sample], knots: Tensor, places: Tensor
) -> Tensor:
    """z at one moment.

    Args:
        planes: (H, W, FEATURES) of each node.
        kinds: How each node's plane is read: SKIPPED, LINEAR or CUBIC.
        chain: ``tree.chain(t)``.
        knots: Its :func:`knot_tracks`.
        places: (N, 2) of (row, col).

    Returns:
        (N, FEATURES).
    """
    positions = (places - TRACK_ORIGIN) / (1 << TRACK_SHIFT)
    last = torch.tensor(knots.shape[1:3]).to(places) - 2
    base = torch.minimum(positions.floor(), last)
    f = positions - base
    weights = torch.stack((1 - f, f))
    z = torch.zeros(len(places), FEATURES).to(places)
    for k, sample in enumerate(chain):
        if kinds[sample.node] == SKIPPED:
            continue
        track = _sample(knots[k], base, weights, 0)
        read = sample_cubic if kinds[sample.node] == CUBIC else sample_linear
        z = z + track[:, 2:] * read(planes[sample.node], track[:, :2])
    return z


def synthesis(z: Tensor, network: Mapping[str, Tensor]) -> Tensor:
    """Features (N, FEATURES) to colour (N, outputs)."""
    h = torch.sin(z @ network["w1"] + network["b1"])
    h = torch.sin(h @ network["w2"] + network["b2"])
    return h @ network["w3"] + network["b3"] + z @ network["skip"]


def node_mix(shape: TrackedShape, network: Mapping[str, Tensor]) -> Tensor:
    """(nodes, grids, FEATURES): gain of each node's depth and grid times the grid's mixing vector."""
    depth = torch.tensor([node.depth for node in shape.tree.nodes])
    return network["gain"][depth][:, :, None] * network["mix"]
