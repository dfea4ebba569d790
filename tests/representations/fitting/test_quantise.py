from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.entropy.weights import MAX_MAGNITUDE, MAX_STEP_LOG2, MIN_STEP_LOG2, best_scale
from nerv_codec.representations.fitting.quantise import choose_steps, dequantise, initial_step, quantise

CPU = torch.device("cpu")


def test_rounding_is_within_half_a_step():
    tensor = torch.randn(50, 50, generator=torch.Generator().manual_seed(0))
    (back,) = dequantise([quantise(tensor, -4)], CPU)
    assert (back - tensor).abs().max() <= 2**-5
    assert torch.equal(back * 16, (back * 16).round())


def test_what_is_too_large_is_clipped():
    assert quantise(torch.tensor([1e9, -1e9]), -10).symbols.tolist() == [MAX_MAGNITUDE, -MAX_MAGNITUDE]


def test_initial_step():
    assert initial_step(torch.full((10,), 16.0)) == 0
    assert initial_step(torch.full((10,), 1.0)) == -4
    assert initial_step(torch.zeros(3)) == MIN_STEP_LOG2
    assert initial_step(torch.full((3,), 1e30)) == MAX_STEP_LOG2


def total(tensors, steps, importance, per_bit):
    coded = [quantise(t, s) for t, s in zip(tensors, steps, strict=True)]
    values = dequantise(coded, CPU)
    error = sum(k * float((v - t).square().sum()) for k, v, t in zip(importance, values, tensors, strict=True))
    return error + per_bit * sum(best_scale(c.symbols)[1] for c in coded)


@pytest.mark.parametrize("per_bit", [1e-5, 1e-3, 1e-1])
def test_steps_minimise_rate_and_distortion(per_bit):
    """Where tensors do not interact, coordinate descent finds the best of all steps."""
    generator = torch.Generator().manual_seed(2)
    tensors = [torch.randn(40, 40, generator=generator), 0.1 * torch.randn(40, generator=generator)]
    importance = (1.0, 30.0)

    def distortion(values):
        return sum(k * float((v - t).square().sum()) for k, v, t in zip(importance, values, tensors, strict=True))

    found = choose_steps(tensors, distortion, per_bit)
    best = total(tensors, found, importance, per_bit)
    for index in range(2):
        for other in range(max(MIN_STEP_LOG2, found[index] - 3), min(MAX_STEP_LOG2, found[index] + 3) + 1):
            steps = list(found)
            steps[index] = other
            assert best <= total(tensors, steps, importance, per_bit) + 1e-9


def test_a_dearer_bit_gives_coarser_steps():
    tensors = [torch.randn(30, 30, generator=torch.Generator().manual_seed(3))]
    chosen = [
        choose_steps(tensors, lambda v: float((v[0] - tensors[0]).square().sum()), cost)[0] for cost in (1e-6, 1e-3, 1)
    ]
    assert chosen == sorted(chosen) and chosen[0] < chosen[-1]


def test_values_survive_float32():
    tensor = torch.tensor([3.0, -5.0])
    assert np.array_equal(quantise(tensor, 0).values, tensor.numpy())
