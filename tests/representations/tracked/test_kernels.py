"""The compiled kernels of `tracked` against their plain form in torch: values and gradients."""

import numpy as np
import pytest
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.tracked.chains import chain_arrays
from nerv_codec.representations.tracked.cpu import colour as kernels
from nerv_codec.representations.tracked.cpu import planes as plane_kernels
from nerv_codec.representations.tracked.cpu import tracks as track_kernels
from nerv_codec.representations.tracked.cpu.planes import backward_feature_map, build_feature_map, grid_view
from nerv_codec.representations.tracked.fit.backend_cpu import TrackedEngine
from nerv_codec.representations.tracked.fit.targets import Targets
from nerv_codec.representations.tracked.function import feature_map, features, knot_tracks, motion_grids, synthesis
from nerv_codec.representations.tracked.render_cpu import Tracked
from nerv_codec.representations.tracked.shape import CUBIC, FEATURES, KEPT, NETWORK, PAD, TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

SHAPES = [TrackedShape(GopTree(9, 4), 37, 53, 5, 16, 3), TrackedShape(GopTree(6), 9, 130, 3, 8, 1)]


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().numpy())


def _random_network(shape: TrackedShape) -> dict[str, torch.Tensor]:
    return {
        name: (torch.randn(size, dtype=torch.float64) * 0.3).requires_grad_(True)
        for name, size in shape.network_shapes().items()
    }


def _relative(found: np.ndarray, expected: torch.Tensor | None) -> float:
    if expected is None:
        return float(np.abs(found).max(initial=0))
    return float(np.abs(found - expected.numpy()).max() / (1e-12 + expected.abs().max().item()))


def _share_that_differs(found: np.ndarray, expected: torch.Tensor | None) -> float:
    wanted = np.zeros_like(found) if expected is None else expected.numpy()
    return float((np.abs(found - wanted) > 1e-3 * (1e-9 + np.abs(wanted).max())).mean())


def _padded(planes: torch.Tensor) -> np.ndarray:
    edges = [(0, 0)] * (planes.ndim - 3) + [(PAD, PAD)] * 2 + [(0, 0)]
    return np.pad(_numpy(planes), edges, mode="edge")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("missing", [(), (0,), (1, 2), (2,)])
def test_planes_and_their_gradient(shape: TrackedShape, missing: tuple[int, ...]) -> None:
    present = np.array([scale not in missing for scale in range(len(shape.grid_scales))])
    latents = torch.randn(shape.node_latents, dtype=torch.float64)
    mix = torch.randn(len(shape.grid_scales), FEATURES, dtype=torch.float64, requires_grad=True)
    kept = torch.zeros_like(latents)
    parts = [
        slice(start, start + rows * cols)
        for start, (rows, cols) in zip(shape.grid_offsets, shape.grid_sizes, strict=True)
    ]
    for scale, part in enumerate(parts):
        kept[part] = float(present[scale])
    latents = (latents * kept).requires_grad_(True)
    grids = [latents[part].reshape(size) for part, size in zip(parts, shape.grid_sizes, strict=True)]
    expected = feature_map(shape, grids, mix)
    out = np.zeros((shape.height + 2 * PAD, shape.width + 2 * PAD, FEATURES), np.float32)
    build_feature_map(shape, _numpy(latents), present, _numpy(mix), out)
    assert np.abs(out - _padded(expected)).max() < 1e-5
    slope = torch.randn(expected.shape, dtype=torch.float64)
    expected.backward(slope)
    gradient, found = _padded(slope), np.zeros(shape.node_latents, np.float32)
    mix_gradient = backward_feature_map(shape, gradient, _numpy(latents), present, _numpy(mix), found)
    assert _relative(found, latents.grad * kept) < 1e-5
    assert _relative(mix_gradient[present], mix.grad[torch.from_numpy(present)]) < 1e-5


def test_the_border_and_its_adjoint() -> None:
    rng = np.random.default_rng(1)
    plane_, other = (rng.normal(size=(3 + 2 * PAD, 5 + 2 * PAD, 8)).astype(np.float32) for _ in "ab")
    inner = (slice(PAD, -PAD), slice(PAD, -PAD))
    bordered = plane_.copy()
    plane_kernels.repeat_edges(bordered)
    assert np.array_equal(bordered, _padded(torch.from_numpy(plane_[inner])))
    folded = other.copy()
    plane_kernels.fold_edges(folded)
    assert (bordered * other).sum() == pytest.approx((plane_[inner] * folded[inner]).sum(), rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [0.0, 5.0, 3.0, 2.5, 0.25])
def test_colour_and_its_gradient(shape: TrackedShape, t: float) -> None:
    count = len(shape.tree.nodes)
    planes = torch.randn(count, shape.height, shape.width, FEATURES, dtype=torch.float64, requires_grad=True)
    # Motion of several pixels also leads beyond the border, and blends beyond their range.
    kept = [torch.randn(count, *size, KEPT, dtype=torch.float64) for size in shape.motion_sizes]
    grids = motion_grids(shape, kept).detach().requires_grad_(True)
    network = _random_network(shape)
    kinds = np.arange(count) % 3
    kinds[0] = CUBIC
    rows = torch.arange(0, shape.height - 1, 1.5, dtype=torch.float64)
    cols = torch.arange(shape.width, dtype=torch.float64)
    codes = torch.randint(0, 255, (len(rows), len(cols), shape.outputs))
    places = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    followed = knot_tracks(shape, grids, shape.tree.chain(t))
    knots = followed.detach().requires_grad_(True)
    expected = synthesis(features(planes, kinds.tolist(), shape.tree.chain(t), knots, places), network)
    weights = torch.arange(1, shape.outputs + 1, dtype=torch.float64) / 1000
    loss = ((expected - codes.reshape(-1, shape.outputs) / 255) ** 2 * weights).sum()
    loss.backward()
    if followed.requires_grad:
        followed.backward(knots.grad)

    chain, reals = chain_arrays(shape, t)
    tensors = tuple(_numpy(network[name]) for name in NETWORK)
    out = np.empty((len(rows), len(cols), shape.outputs), np.float32)
    axes = (_numpy(rows), _numpy(cols))
    padded, size = _padded(planes), (shape.height, shape.width)
    tracks = np.empty((len(chain), 3, *shape.knots), np.float32)
    track_kernels.tracks_forward(_numpy(grids), chain, reals, *size, 0, shape.knots[0], tracks)
    assert np.abs(tracks - knots.detach().permute(0, 3, 1, 2).numpy()).max() < 1e-4
    kernels.evaluate(padded, kinds, chain, tracks, *axes, tensors, out)
    assert np.abs(out.reshape(-1, shape.outputs) - expected.detach().numpy()).max() < 2e-4

    plane_gradients, d_tracks = np.zeros_like(padded), np.zeros_like(tracks)
    gradients = tuple(np.zeros((*tensor.shape, 8), np.float32) for tensor in tensors)
    distortion = np.zeros(shape.outputs, np.float32)
    transposed = tuple(_numpy(network[name].T) for name in ("w1", "w2", "w3", "skip"))
    kernels.fit_step(
        padded, kinds, chain, tracks, *axes, tensors, transposed, codes.numpy().astype(np.uint8),
        _numpy(weights), np.float32(255), plane_gradients, np.arange(count), d_tracks, gradients, distortion,
    )  # fmt: skip
    grid_gradients = np.zeros(grids.shape, np.float32)
    track_kernels.tracks_backward(_numpy(grids), chain, reals, *size, d_tracks, grid_gradients)
    for gradient in plane_gradients:
        plane_kernels.fold_edges(gradient)
    assert distortion.sum() == pytest.approx(loss.item(), rel=1e-5)
    pad = PAD
    assert _relative(plane_gradients[:, pad:-pad, pad:-pad], planes.grad) < 1e-4
    # At the edge of a pixel the slope jumps, and a rounding error decides which side a place is on.
    assert _share_that_differs(d_tracks, knots.grad.permute(0, 3, 1, 2)) < 0.01
    assert _share_that_differs(grid_gradients, grids.grad) < 0.03
    for name, gradient in zip(NETWORK, gradients, strict=True):
        assert _relative(gradient.sum(-1), network[name].grad) < 1e-4, name


def test_the_engine_gives_the_same_whatever_the_number_of_threads() -> None:
    shape = TrackedShape(GopTree(7), 20, 24, 3, 8, 3)
    rng = np.random.default_rng(0)
    count = len(shape.tree.nodes)
    latents = rng.normal(size=(count, shape.node_latents)).astype(np.float32)
    present = rng.random((count, len(shape.grid_scales))) < 0.7
    mix = rng.normal(size=(count, len(shape.grid_scales), FEATURES)).astype(np.float32)
    kept = [torch.from_numpy(rng.normal(size=(count, *size, KEPT)).astype(np.float32)) for size in shape.motion_sizes]
    motion = motion_grids(shape, kept).numpy()
    network = {name: _numpy(tensor) for name, tensor in _random_network(shape).items()}
    codes = rng.integers(0, 256, (7, 20, 24, 3)).astype(np.uint8)
    rows, cols = np.arange(20, dtype=np.float32), np.arange(24, dtype=np.float32)
    targets = [Targets(rows, cols, codes, np.array([0.75, 0.125, 0.125], np.float32))]
    found = []
    threads = torch.get_num_threads()
    for number in (1, 3):
        torch.set_num_threads(number)
        with Workers() as workers:
            engine = TrackedEngine(shape, targets, 255, workers)
            result = engine.gradient(latents, present, motion, mix, network)
            first = result.latents.copy()
            again = engine.gradient(latents, present, motion, mix, network)
        assert np.array_equal(first, again.latents)
        found.append((first, result.motion.copy(), result.mix.copy(), result.network["w1"].copy()))
    torch.set_num_threads(threads)
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)


def test_grids_lie_one_behind_the_other_coarsest_first() -> None:
    shape = SHAPES[0]
    latents = np.arange(shape.node_latents, dtype=np.float32)
    assert grid_view(shape, latents, 0)[0, 0] == 0
    assert grid_view(shape, latents, len(shape.grid_scales) - 1)[-1, -1] == shape.node_latents - 1


def test_a_decoder_has_room_for_the_longest_chain() -> None:
    shape = TrackedShape(GopTree(97, 8), 6, 8, 2, 8, 1)
    network = {name: tensor.detach().float() for name, tensor in _random_network(shape).items()}
    motion = [np.zeros((97, *size, KEPT), np.int32) for size in shape.motion_sizes]
    latents = np.ones((97, shape.node_latents), np.int32)
    model = Tracked(GopGeometry(97, 6, 8, 1), shape, latents, motion, network)
    times, axis = torch.tensor([95.5], dtype=torch.float64), torch.arange(6, dtype=torch.float64)
    assert model.render(times, axis, axis).isfinite().all()
