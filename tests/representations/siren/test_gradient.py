from __future__ import annotations

import pytest
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.representations.siren.gradient import Batch, SirenGradient
from nerv_codec.representations.siren.network import initial_tensors, siren_forward

CPU = torch.device("cpu")
SHAPES = [(8, 1, 1, 60), (16, 2, 3, 5000), (33, 4, 3, 1), (40, 3, 1, 4097), (64, 5, 3, 2500)]


def setting(width: int, layers: int, planes: int, rows: int) -> tuple[list[torch.Tensor], Batch]:
    generator = torch.Generator().manual_seed(width)
    mean = torch.rand(planes, generator=generator)
    tensors = initial_tensors(width, layers, omega=(10, 30, 30), mean=mean, generator=generator)
    coords = 2 * torch.rand(rows, 3, generator=generator) - 1
    targets = torch.rand(rows, planes, generator=generator)
    weights = torch.rand(rows, planes, generator=generator) / rows
    return tensors, Batch(coords, targets, weights)


def autograd(tensors: list[torch.Tensor], batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The plain form, in double precision."""
    leaves = [tensor.double().requires_grad_() for tensor in tensors]
    error = siren_forward(leaves, batch.coords.double()) - batch.targets.double()
    distortion = (error.square() * batch.weights.double()).sum(0)
    distortion.sum().backward()
    return distortion.detach(), [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 6e-2)], ids=str)
def test_agrees_with_automatic_differentiation(shape, dtype, tolerance):
    tensors, batch = setting(*shape)
    expected_distortion, expected = autograd(tensors, batch)
    with Workers() as workers:
        gradient = SirenGradient([tuple(t.shape) for t in tensors], device=CPU, dtype=dtype, workers=workers)
        for _ in range(2):  # the second time with buffers that have been used
            found = gradient(tensors, batch)
            assert torch.allclose(found.distortion.double(), expected_distortion, rtol=tolerance)
            for one, other in zip(found.tensors, expected, strict=True):
                assert (one.double() - other).norm() <= tolerance * other.norm()
        assert gradient.distortion(tensors, batch) == pytest.approx(float(expected_distortion.sum()), rel=1e-5)


def test_same_input_same_bits():
    tensors, batch = setting(40, 3, 3, 9000)
    shapes = [tuple(t.shape) for t in tensors]
    with Workers() as workers:
        runs = [SirenGradient(shapes, device=CPU, dtype=torch.float32, workers=workers) for _ in range(2)]
        first, again = (run(tensors, batch) for run in runs)
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, again.tensors, strict=True))


@pytest.mark.needs_cuda
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 6e-2)], ids=str)
def test_agrees_on_a_gpu(dtype, tolerance):
    tensors, batch = setting(64, 4, 3, 5000)
    _, expected = autograd(tensors, batch)
    device = torch.device("cuda")
    moved = Batch(batch.coords.to(device), batch.targets.to(device), batch.weights.to(device))
    with Workers() as workers:
        gradient = SirenGradient([tuple(t.shape) for t in tensors], device=device, dtype=dtype, workers=workers)
        found = gradient([tensor.to(device) for tensor in tensors], moved)
    for one, other in zip(found.tensors, expected, strict=True):
        assert (one.cpu().double() - other).norm() <= tolerance * other.norm()
