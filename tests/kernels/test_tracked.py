"""The compiled kernels of `tracked` against their plain form in torch: values and gradients."""

import numpy as np
import pytest
import torch

from nerv_codec.kernels import tracked as kernels
from nerv_codec.model.gop_tree import GopTree
from nerv_codec.model.tracked import (
    FEATURES,
    TrackedShape,
    features,
    motion_fields,
    motion_grids,
    plane,
    synthesis,
)
from nerv_codec.model.tracked_function import NETWORK, build_plane, chain_arrays, grid
from nerv_codec.training.tracked_engine import Targets, TrackedEngine, backward_plane
from nerv_codec.workers import Workers

SHAPES = [TrackedShape(GopTree(9), 37, 53, 5, 16, 3), TrackedShape(GopTree(6), 9, 130, 3, 8, 1)]


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


@pytest.mark.parametrize("shape", SHAPES)
def test_planes_and_their_gradient(shape: TrackedShape) -> None:
    latents = torch.randn(shape.node_latents, dtype=torch.float64, requires_grad=True)
    mix = torch.randn(shape.scales, FEATURES, dtype=torch.float64, requires_grad=True)
    grids = [
        latents[start : start + rows * cols].reshape(rows, cols)
        for start, (rows, cols) in zip(shape.grid_offsets, shape.grid_sizes, strict=True)
    ]
    expected = plane(grids, mix)
    assert np.abs(build_plane(shape, _numpy(latents), _numpy(mix)) - expected.detach().numpy()).max() < 1e-5
    slope = torch.randn(expected.shape, dtype=torch.float64)
    expected.backward(slope)
    latent_gradient, mix_gradient = backward_plane(shape, _numpy(slope), _numpy(latents), _numpy(mix))
    assert _relative(latent_gradient, latents.grad) < 1e-5
    assert _relative(mix_gradient, mix.grad) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("t", [0.0, 5.0, 3.0, 2.5, 0.25])
def test_colour_and_its_gradient(shape: TrackedShape, t: float) -> None:
    count = len(shape.tree.nodes)
    planes = torch.randn(count, shape.height, shape.width, FEATURES, dtype=torch.float64, requires_grad=True)
    # Motion of several pixels also leads beyond the border.
    residuals = 3 * torch.randn(count, *shape.motion_size, 4, dtype=torch.float64)
    fields = motion_fields(shape, motion_grids(shape, residuals)).requires_grad_(True)
    network = _random_network(shape)
    cubic = np.arange(count) % 3 == 0
    rows = torch.arange(0, shape.height - 1, 1.5, dtype=torch.float64)
    cols = torch.arange(shape.width, dtype=torch.float64)
    codes = torch.randint(0, 255, (len(rows), len(cols), shape.outputs))
    places = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    expected = synthesis(features(planes, fields, list(cubic), shape.tree.chain(t), places), network)
    weights = torch.arange(1, shape.outputs + 1, dtype=torch.float64) / 1000
    loss = ((expected - codes.reshape(-1, shape.outputs) / 255) ** 2 * weights).sum()
    loss.backward()

    chain = chain_arrays(shape, t)
    tensors = tuple(_numpy(network[name]) for name in NETWORK)
    out = np.empty((len(rows), len(cols), shape.outputs), np.float32)
    axes = (_numpy(rows), _numpy(cols))
    kernels.evaluate(_numpy(planes), _numpy(fields), cubic, *chain, *axes, tensors, out)
    assert np.abs(out.reshape(-1, shape.outputs) - expected.detach().numpy()).max() < 2e-4

    plane_gradients = np.zeros(planes.shape, np.float32)
    motion_gradients = np.zeros(fields.shape, np.float32)
    gradients = tuple(np.zeros_like(tensor) for tensor in tensors)
    distortion = np.zeros(shape.outputs, np.float32)
    kernels.fit_step(
        _numpy(planes), _numpy(fields), cubic, *chain, *axes, tensors, codes.numpy().astype(np.uint8),
        _numpy(weights), np.float32(255), plane_gradients, motion_gradients, np.arange(count), gradients, distortion,
    )  # fmt: skip
    assert distortion.sum() == pytest.approx(loss.item(), rel=1e-5)
    assert _relative(plane_gradients, planes.grad) < 1e-4
    assert _relative(motion_gradients, fields.grad) < 1e-3
    for name, gradient in zip(NETWORK, gradients, strict=True):
        assert _relative(gradient, network[name].grad) < 1e-4, name


def test_the_engine_adds_up_what_its_threads_find() -> None:
    shape = TrackedShape(GopTree(7), 20, 24, 3, 8, 3)
    rng = np.random.default_rng(0)
    count = len(shape.tree.nodes)
    latents = rng.normal(size=(count, shape.node_latents)).astype(np.float32)
    mix = rng.normal(size=(count, shape.scales, FEATURES)).astype(np.float32)
    fields = rng.normal(size=(count, shape.height, shape.width, 4)).astype(np.float32)
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
            result = engine.gradient(latents, fields, mix, network)
            again = engine.gradient(latents, fields, mix, network)
        assert np.array_equal(result.latents, again.latents)
        found.append((result.latents.copy(), result.motion.copy(), result.mix.copy(), result.network["w1"].copy()))
    torch.set_num_threads(threads)
    for one, three in zip(*found, strict=True):
        assert np.allclose(one, three, rtol=1e-4, atol=1e-6 * np.abs(one).max())


def test_grids_lie_one_behind_the_other_coarsest_first() -> None:
    shape = SHAPES[0]
    latents = np.arange(shape.node_latents, dtype=np.float32)
    assert grid(shape, latents, shape.scales - 1)[0, 0] == 0
    assert grid(shape, latents, 0)[-1, -1] == shape.node_latents - 1
