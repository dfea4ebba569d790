"""tools/benchmark/plain_torch.py, which the compiled step of a fit is measured against, agrees with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from places import ROOT

from nerv_codec.entropy.context_model import RateParameters
from nerv_codec.entropy.rate_cpu import rate_forward_backward
from nerv_codec.representations.tracked.config import TrackedConfig
from nerv_codec.representations.tracked.grid_tables import latent_table, motion_maps, motion_table
from nerv_codec.representations.tracked.networks import latent_classes
from nerv_codec.representations.tracked.references import reference_maps
from nerv_codec.representations.tracked.shape import TrackedShape
from nerv_codec.representations.tracked.tree import GopTree


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "benchmark"))


@pytest.mark.parametrize("kind", ["latents", "motion"])
def test_the_rate_and_its_gradients(kind):
    from plain_torch import RateModel

    shape = TrackedShape(GopTree(6), 37, 53, 5, 8, 3)
    rng = np.random.default_rng(2)
    symbols = rng.integers(-9, 9, motion_table(shape).size)
    if kind == "latents":
        table, maps, classes = (
            latent_table(shape),
            reference_maps(shape, symbols.astype(np.int32)),
            latent_classes(shape),
        )
        y = rng.laplace(0, 1.5, len(shape.tree.nodes) * shape.node_latents).astype(np.float32)
    else:
        table, maps, classes = motion_table(shape), motion_maps(shape), 9
        y = rng.laplace(0, 1.5, len(symbols)).astype(np.float32)
    table.active[:] = 1
    sizes = ((5, 14), (classes, 5), (2, 5), (classes, 2), (2, 14))
    parameters = RateParameters(*(rng.normal(0, 0.3 / size[-1] ** 0.5, size).astype(np.float32) for size in sizes))
    expected = rate_forward_backward(y, table, maps, parameters)
    leaves = [torch.from_numpy(array).requires_grad_(True) for array in (y, *parameters)]
    bits = RateModel(table, maps, torch.device("cpu"))(leaves[0], leaves[1:])
    bits.backward()
    assert float(bits.detach()) == pytest.approx(expected.bits.sum(), rel=1e-5)
    for leaf, found in zip(leaves, (expected.latents, *expected.parameters), strict=True):
        scale = float(leaf.grad.abs().max())
        assert (np.abs(found - leaf.grad.numpy()) < 1e-3 * scale).mean() > 0.999


def test_twenty_steps_come_to_the_same_loss(tiny_frames, tiny_info):
    from fit_benchmark import Problem, compiled, plain

    # Without the prior there are bits enough to compare.
    config = TrackedConfig(scales=4, hidden=8, steps=100, prior=False)
    problem = Problem(tuple(tiny_frames[:5]), tiny_info, config)
    assert problem.coordinates == 5 * (24 * 40 + 12 * 20)
    curves = []
    for make in (compiled(problem, torch.device("cpu")), plain(problem, torch.device("cpu"))):
        with make as step:
            curves.append([step(number) for number in range(20)])
    first, last = curves[0][0], curves[0][-1]
    assert problem.loss(last) < problem.loss(first)
    for one, other in zip(*curves, strict=True):
        assert one.psnr_db == pytest.approx(other.psnr_db, abs=0.02)
        assert one.bits == pytest.approx(other.bits, rel=1e-3)
