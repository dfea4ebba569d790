from __future__ import annotations

import pytest
import torch

from nerv_codec.representations.siren.muon import Muon, cosine, orthogonalise


@pytest.mark.parametrize("size", [4, 32, 65])
def test_orthogonalise_brings_singular_values_near_one(size):
    matrix = torch.randn(size, size, generator=torch.Generator().manual_seed(size))
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonalise(matrix))
    conditioned = before > 0.02 * before.norm()
    assert after.max() < 1.3
    assert after[conditioned].min() > 0.4


def test_orthogonalise_keeps_the_directions():
    left, _, right = torch.linalg.svd(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))
    values = torch.linspace(1, 3, 16)
    found = left.T @ orthogonalise(left @ torch.diag(values) @ right) @ right.T
    assert (found - torch.diag(found.diag())).abs().max() < 1e-3


def test_orthogonalise_of_nothing_is_nothing():
    assert torch.equal(orthogonalise(torch.zeros(5, 5)), torch.zeros(5, 5))


def test_minimises_a_quadratic():
    generator = torch.Generator().manual_seed(1)
    goals = [torch.randn(6, 6, generator=generator), torch.randn(6, generator=generator)]
    tensors = [torch.zeros_like(goal) for goal in goals]
    optimizer = Muon(tensors, [1.0, 1.0])
    start = sum(float((t - g).square().sum()) for t, g in zip(tensors, goals, strict=True))
    for step in range(300):
        optimizer.step([t - g for t, g in zip(tensors, goals, strict=True)], 0.1 * cosine(step / 300))
    end = sum(float((t - g).square().sum()) for t, g in zip(tensors, goals, strict=True))
    assert end < 1e-3 * start


def test_the_factor_scales_a_step():
    gradient = torch.tensor([1.0, -2.0, 3.0])
    tensors = [torch.zeros(3), torch.zeros(3)]
    Muon(tensors, [1.0, 0.5]).step([gradient, gradient], 0.1)
    assert torch.allclose(tensors[0], -0.1 * gradient.sign(), atol=1e-6)
    assert torch.allclose(tensors[1], 0.5 * tensors[0])


def test_cosine():
    assert cosine(0.0) == 0
    assert cosine(0.015) == pytest.approx(0.5, abs=0.01)
    assert cosine(0.5) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0, abs=1e-9)
    assert cosine(1.1) == pytest.approx(0, abs=1e-9)
