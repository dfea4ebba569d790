"""Quantisation while fitting, and the optimiser's update, on a GPU; ``cpu/quantise.py`` is the same on
the CPU.

What takes part is given as blocks: (m, 2) int64, the first of at most BLOCK numbers and the last + 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024

_NOISE_UNIT = tl.constexpr(float(1 / np.sqrt(4 * (256**2 - 1) / 12)))


def make_blocks(spans: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Stretches (m, 2) of a flat vector cut into blocks."""
    parts = [
        np.stack((starts := np.arange(first, last, BLOCK), np.minimum(starts + BLOCK, last)), -1)
        for first, last in spans
    ]
    return torch.from_numpy(np.concatenate([np.zeros((0, 2), np.int64), *parts])).to(device)


@triton.jit
def _tanh(x):
    e = tl.exp(-2.0 * tl.abs(x))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(x > 0, t, -t)


@triton.jit
def _noise(index, seed):
    """About normal, of deviation 1: the sum of the bytes of a hashed counter."""
    h = index.to(tl.uint32) * 0x9E3779B1 + seed.to(tl.uint32)
    h = (h ^ (h >> 16)) * 0x85EBCA6B
    h = (h ^ (h >> 13)) * 0xC2B2AE35
    h = h ^ (h >> 16)
    total = (h & 255) + ((h >> 8) & 255) + ((h >> 16) & 255) + (h >> 24)
    return (total.to(tl.float32) - 510.0) * _NOISE_UNIT


@triton.jit
def soft_round_kernel(blocks, values, inverse, scale, deviation, seeds, out, slopes, BLOCK: tl.constexpr):
    """See :func:`soft_round`."""
    first, last = tl.load(blocks + 2 * tl.program_id(0)), tl.load(blocks + 2 * tl.program_id(0) + 1)
    at = first + tl.arange(0, BLOCK)
    valid = at < last
    value = tl.load(values + at, mask=valid, other=0.0)
    middle = tl.floor(value) + 0.5
    bent = _tanh((value - middle) * inverse)
    slope = (1.0 - bent * bent) * scale * inverse
    x = middle + bent * scale + deviation * _noise(at, tl.load(seeds))
    middle = tl.floor(x) + 0.5
    bent = _tanh((x - middle) * inverse)
    tl.store(out + at, middle + bent * scale, mask=valid)
    tl.store(slopes + at, slope * (1.0 - bent * bent) * scale * inverse, mask=valid)


@triton.jit
def adam_kernel(
    blocks, values, gradients, slopes, first, second, step, beta1, beta2, inverse, floor, BLOCK: tl.constexpr
):
    """See :func:`adam`."""
    start, last = tl.load(blocks + 2 * tl.program_id(0)), tl.load(blocks + 2 * tl.program_id(0) + 1)
    at = start + tl.arange(0, BLOCK)
    valid = at < last
    g = tl.load(gradients + at, mask=valid, other=0.0) * tl.load(slopes + at, mask=valid, other=0.0)
    a = beta1 * tl.load(first + at, mask=valid, other=0.0) + (1.0 - beta1) * g
    b = beta2 * tl.load(second + at, mask=valid, other=0.0) + (1.0 - beta2) * g * g
    tl.store(first + at, a, mask=valid)
    tl.store(second + at, b, mask=valid)
    value = tl.load(values + at, mask=valid, other=0.0)
    tl.store(values + at, value - step * a / (tl.sqrt(b * inverse) + floor), mask=valid)


def soft_round(
    values: Tensor, blocks: Tensor, temperature: float, deviation: float, seed: int, out: Tensor, slopes: Tensor
) -> None:
    """Values as if quantised, and the slope with which they follow the true ones, with the CPU's noise."""
    if len(blocks):
        seeds = torch.tensor([seed & 0xFFFFFFFF], dtype=torch.int64, device=values.device)
        soft_round_kernel[(len(blocks),)](
            blocks, values, 1 / temperature, 0.5 / float(np.tanh(0.5 / temperature)), deviation, seeds, out, slopes,
            BLOCK=BLOCK,
        )  # fmt: skip


def adam(
    values: Tensor, gradients: Tensor, slopes: Tensor, first: Tensor, second: Tensor, blocks: Tensor,
    rate: float, betas: tuple[float, float], count: int, floor: float,
) -> None:  # fmt: skip
    """Step ``count`` (from 1) of Adam on ``values`` for the gradient ``gradients`` times ``slopes``.

    ``floor`` is Adam's epsilon.
    """
    if len(blocks):
        beta1, beta2 = betas
        adam_kernel[(len(blocks),)](
            blocks, values, gradients, slopes, first, second, rate / (1 - beta1**count), beta1, beta2,
            1 / (1 - beta2**count), floor, BLOCK=BLOCK,
        )  # fmt: skip
