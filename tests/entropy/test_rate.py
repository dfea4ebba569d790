from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from latent_grids import CLASSES, three_nodes

from nerv_codec.entropy.context_model import CLIP, NUM_INPUTS, RateParameters
from nerv_codec.entropy.rate_cpu import FLOOR_BITS, FLOOR_SPAN, MAX_LOG2_SCALE, MIN_LOG2_SCALE, rate_forward_backward

LN2 = float(np.log(2))


def example(seed=0, hidden=5, biases=1, sizes=((21, 300), (11, 150), (6, 75)), amplitude=1.5, dtype=np.float32):
    """Latents on the grids of three nodes, one of which is off, and a network at random."""
    rng = np.random.default_rng(seed)
    table, maps = three_nodes(rng, sizes)
    table.active[len(sizes) + 2] = 0
    y = rng.laplace(0, amplitude, table.size)
    for grid in table:
        if not grid.active:
            y[grid.part] = 0
    shapes = ((hidden, NUM_INPUTS), (biases, hidden), (2, hidden), (CLASSES, 2), (2, NUM_INPUTS))
    parameters = RateParameters(*((rng.normal(0, 0.3 / shape[-1] ** 0.5, shape)).astype(dtype) for shape in shapes))
    table.check(table.size, maps, CLASSES)
    return y.astype(dtype), table, maps, parameters


class Inward(torch.autograd.Function):
    """A clamp whose derivative leads back inside."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return torch.where((x < MIN_LOG2_SCALE) & (grad > 0) | (x > MAX_LOG2_SCALE) & (grad < 0), 0, grad)


def magnitude(v):
    u = v.abs()
    return torch.where(u > 1, u, u * u * (2 - u))


def moved(plane, down, right):
    """plane[i + down, j + right], 0 outside."""
    rows, cols = plane.shape
    padded = torch.nn.functional.pad(plane, (2, 2, 2, 2))
    return padded[2 + down : 2 + down + rows, 2 + right : 2 + right + cols]


def cross(plane):
    return moved(plane, -1, 0) + moved(plane, 1, 0) + moved(plane, 0, -1) + moved(plane, 0, 1)


def reference(y, table, maps, parameters):
    """Bits per grid, in torch."""
    result = []
    clipped = y.clamp(-CLIP, CLIP)
    sizes = magnitude(clipped)
    for grid in table:
        offset, rows, cols, coarse, shift, ref0, ref1, context_class, active = grid
        if not active:
            result.append(torch.zeros((), dtype=y.dtype))
            continue

        def plane(source, at=offset, size=(rows, cols)):
            return source[at : at + size[0] * size[1]].reshape(size)

        v, m, zero = plane(clipped), plane(sizes), torch.zeros((rows, cols), dtype=y.dtype)
        inputs = [moved(v, *at) for at in ((0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1))]
        inputs.append(moved(m, 0, -1) + moved(m, -1, 0))
        inputs.append(moved(m, -1, -1) + moved(m, -1, 1))
        inputs.append(moved(m, 0, -2) + moved(m, -2, 0) + moved(m, -1, -2) + moved(m, -1, 2))
        if coarse < 0:
            inputs += [zero] * 3
        else:
            at, *size = table[coarse][:3]
            where = np.ix_(np.arange(rows) >> shift, np.arange(cols) >> shift)
            magnitudes = plane(sizes, at, size)
            inputs += [plane(clipped, at, size)[where], magnitudes[where], cross(magnitudes)[where]]
        found = [ref for ref in (ref0, ref1) if ref >= 0]
        ref_v, ref_m = zero, zero
        for ref in found:
            index = torch.from_numpy(maps[ref : ref + rows * cols].astype(np.int64))
            ref_v = ref_v + clipped[index].reshape(rows, cols) * (2 / len(found))
            ref_m = ref_m + sizes[index].reshape(rows, cols) * (2 / len(found))
        inputs += [ref_v, ref_m, cross(ref_m)]
        x = torch.stack(inputs, -1)
        b2 = parameters.b2[context_class]
        b1 = parameters.b1[min(context_class, len(parameters.b1) - 1)]
        out = torch.relu(x @ parameters.w1.T + b1) @ parameters.w2.T + x @ parameters.w3.T + b2
        u = (plane(y) - out[..., 0]).abs()
        a = torch.exp2(-Inward.apply(out[..., 1]))
        inside = 1 - (torch.exp(-a * (0.5 - u).abs()) + torch.exp(-a * (0.5 + u))) / 2
        outside = a * (u - 0.5) - torch.log(-torch.expm1(-a) / 2)
        bits = torch.where(u < 0.5, -torch.log(inside.clamp_min(1e-30)), outside) / LN2
        over = (bits - FLOOR_BITS).clamp_min(0)
        result.append((bits.clamp_max(FLOOR_BITS) + over / (1 + over / FLOOR_SPAN)).sum())
    return torch.stack(result)


@pytest.mark.parametrize("hidden", [1, 5, 8])
@pytest.mark.parametrize("biases", [1, CLASSES])
@pytest.mark.parametrize("amplitude", [0.1, 1.5, 40.0])
def test_bits_and_gradients_agree_with_autograd(hidden, biases, amplitude):
    y, table, maps, parameters = example(hidden, hidden, biases, amplitude=amplitude)
    leaves = [torch.tensor(y, dtype=torch.float64).requires_grad_()]
    leaves += [torch.tensor(p, dtype=torch.float64).requires_grad_() for p in parameters]
    expected = reference(leaves[0], table, maps, RateParameters(*leaves[1:]))
    expected.sum().backward()
    result = rate_forward_backward(y, table, maps, parameters)
    np.testing.assert_allclose(result.bits, expected.detach().numpy(), rtol=2e-5)
    found = [result.latents, *result.parameters]
    for value, leaf in zip(found, leaves, strict=True):
        scale = leaf.grad.abs().max().item()
        close = np.abs(value - leaf.grad.numpy()) < 1e-4 * scale + 1e-3 * np.abs(leaf.grad.numpy())
        assert close.mean() > 0.9995  # a latent within rounding of a corner (|u| = 1/2, relu) may take the other side


def test_the_result_depends_on_the_parts_and_not_on_the_threads():
    y, table, maps, parameters = example(4)
    alone = rate_forward_backward(y, table, maps, parameters, parts=3)
    with ThreadPoolExecutor(2) as executor:
        threaded = rate_forward_backward(y, table, maps, parameters, parts=3, run=executor.map)
    np.testing.assert_array_equal(alone.bits, threaded.bits)
    np.testing.assert_array_equal(alone.latents, threaded.latents)
    for a, b in zip(alone.parameters, threaded.parameters, strict=True):
        np.testing.assert_array_equal(a, b)
    one = rate_forward_backward(y, table, maps, parameters, parts=1)
    np.testing.assert_allclose(one.bits, alone.bits, rtol=1e-6)
    np.testing.assert_allclose(one.latents, alone.latents, atol=1e-4)


def test_extreme_values_stay_finite():
    y, table, maps, parameters = example(5)
    y[::7] *= 1e4
    result = rate_forward_backward(y, table, maps, RateParameters(*(50 * p for p in parameters)))
    assert np.isfinite(result.bits).all() and np.isfinite(result.latents).all()
    assert all(np.isfinite(p).all() for p in result.parameters)
    assert result.bits.sum() < (FLOOR_BITS + FLOOR_SPAN) * y.size


def test_inactive_grids_cost_nothing():
    y, table, maps, parameters = example(6)
    table.active[:] = 0
    result = rate_forward_backward(y, table, maps, parameters)
    assert not result.bits.any() and not result.latents.any()


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [(0, 0, 1), (1, 1, 0), (1, 3, 1), (1, 3, -2), (2, 4, 2), (4, 7, CLASSES), (5, 8, 2), (4, 5, 10**6)],
)
def test_bad_grid_tables_are_refused(row, column, value):
    y, table, maps, _ = example()
    table.array[row, column] = value
    with pytest.raises(ValueError, match="Grid"):
        table.check(y.size, maps, CLASSES)


def test_maps_that_lead_ahead_are_refused():
    y, table, maps, _ = example()
    for bad in (-1, table[4].offset):
        wrong = maps.copy()
        wrong[0] = bad
        with pytest.raises(ValueError, match="refers"):
            table.check(y.size, wrong, CLASSES)
