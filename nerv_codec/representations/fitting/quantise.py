"""Quantiser steps chosen by rate-distortion cost, and weights rounded to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from nerv_codec.entropy.weights import MAX_MAGNITUDE, MAX_STEP_LOG2, MIN_STEP_LOG2, QuantizedTensor, best_scale

_PASSES = 2
_SEARCH_ROUNDS = 7
_SEARCH_OCTAVES = 8.0
_MOVES = (1, -1, -3)
"""Changes of a step's log2 that are tried; -3 since a few numbers can round to the same values at half the step."""


def quantise(tensor: Tensor, step_log2: int) -> QuantizedTensor:
    """A tensor rounded to multiples of 2**step_log2."""
    scaled = np.ldexp(tensor.detach().cpu().numpy().astype(np.float64), -step_log2)
    symbols = np.clip(np.rint(scaled), -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int32)
    return QuantizedTensor(symbols, step_log2)


def dequantise(tensors: Sequence[QuantizedTensor], device: torch.device) -> list[Tensor]:
    """The values that a decoder will see."""
    return [torch.from_numpy(tensor.values).to(device) for tensor in tensors]


def initial_step(tensor: Tensor) -> int:
    """log2 of a step of about a sixteenth of the tensor's deviation from 0: some 5 to 6 bits a weight."""
    deviation = float(tensor.detach().double().square().mean().sqrt())
    step = round(math.log2(deviation / 16)) if deviation > 0 else MIN_STEP_LOG2
    return min(MAX_STEP_LOG2, max(MIN_STEP_LOG2, step))


def choose_steps(
    tensors: Sequence[Tensor],
    distortion: Callable[[Sequence[Tensor]], float],
    lambda_per_bit: float,
) -> list[int]:
    """log2 of the step of each tensor that minimises distortion + lambda_per_bit * bits.

    Coordinate descent over the tensors in powers of two. The network is evaluated with all tensors rounded, so
    that what one tensor loses is judged beside what the others lose.

    Args:
        tensors: The float weights.
        distortion: What weights cost in quality, on a fixed set of sites.
        lambda_per_bit: rd_lambda divided by the pixels that the weights describe.
    """
    device = tensors[0].device
    coded = [quantise(tensor, initial_step(tensor)) for tensor in tensors]
    bits = [best_scale(tensor.symbols)[1] for tensor in coded]
    best = distortion(dequantise(coded, device)) + lambda_per_bit * sum(bits)
    for _ in range(_PASSES):
        changed = False
        for index, tensor in enumerate(tensors):
            for direction in _MOVES:
                while True:
                    step = coded[index].step_log2 + direction
                    if not MIN_STEP_LOG2 <= step <= MAX_STEP_LOG2:
                        break
                    candidate = quantise(tensor, step)
                    cost = best_scale(candidate.symbols)[1]
                    trial = [*coded[:index], candidate, *coded[index + 1 :]]
                    rate = sum(bits) - bits[index] + cost
                    total = distortion(dequantise(trial, device)) + lambda_per_bit * rate
                    if total >= best:
                        break
                    best, coded, bits[index], changed = total, trial, cost, True
        if not changed:
            break
    return [tensor.step_log2 for tensor in coded]


def steps_for_bits(
    tensors: Sequence[Tensor],
    distortion: Callable[[Sequence[Tensor]], float],
    lambda_per_bit: float,
    bits: float,
) -> list[int]:
    """log2 of the steps with which the tensors cost about ``bits``: the lambda that gives them is searched.

    Args:
        tensors: The float weights.
        distortion: What weights cost in quality, on a fixed set of sites.
        lambda_per_bit: Where the search begins; it looks at 2**-8 to 2**8 times that.
        bits: All tensors together.
    """
    costs: dict[tuple[int, int], float] = {}

    def cost(steps: Sequence[int]) -> float:
        for index, step in enumerate(steps):
            if (index, step) not in costs:
                costs[index, step] = best_scale(quantise(tensors[index], step).symbols)[1]
        return sum(costs[index, step] for index, step in enumerate(steps))

    low, high = -_SEARCH_OCTAVES, _SEARCH_OCTAVES
    found = choose_steps(tensors, distortion, lambda_per_bit * 2**high)
    for _ in range(_SEARCH_ROUNDS):
        octave = (low + high) / 2
        steps = choose_steps(tensors, distortion, lambda_per_bit * 2**octave)
        if cost(steps) > bits:
            low = octave
        else:
            high, found = octave, steps
    # What is left over goes into finer steps of single tensors, the largest that still fits first.
    while True:
        finer = [[*found[:i], found[i] - 1, *found[i + 1 :]] for i in range(len(found)) if found[i] > MIN_STEP_LOG2]
        fitting = [steps for steps in finer if cost(found) < cost(steps) <= bits]
        if not fitting:
            return found
        found = max(fitting, key=cost)
