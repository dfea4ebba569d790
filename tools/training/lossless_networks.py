"""Trains the small networks of lossless prediction on what the kernel recorded: see `train_lossless`.

A network gives three logistic distributions with shares; the loss is what coding a sample with them takes, in bits. One
thread and one seed, so that the same records give the same network.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nerv_codec.representations.lossless.network_kernel import NUM_HIDDEN, NUM_PARTS

EPOCHS, LEAST_STEPS = 4, 1500
_BATCH, _RATE = 2048, 4e-3
_OCTAVES = 6.0
_NEARLY_NOTHING = 1e-6
_SCALED = 200_000
"""Records that facts are scaled by."""
Floats = npt.NDArray[np.float64]


def bits(answers: Tensor, errors: Tensor, units: Tensor) -> Tensor:
    """What each sample takes.

    Args:
        answers: (N, 3 NUM_PARTS), see `network_kernel`.
        errors: (N), what was there less what was expected.
        units: (N), what makes facts of differences.
    """
    logits, places, octaves = answers.split(NUM_PARTS, 1)
    held = octaves.clamp(-_OCTAVES, _OCTAVES)
    whole = held.detach().floor()
    steepness = torch.exp2(whole) * (1 + held - whole) * units[:, None]
    away = (errors[:, None] - places / units[:, None]).abs()
    chances = torch.sigmoid((0.5 - away) * steepness) - torch.sigmoid((-0.5 - away) * steepness)
    shares = torch.sigmoid(logits)
    return -torch.log2((shares * chances).sum(1) / shares.sum(1) + _NEARLY_NOTHING)


def train(record: npt.NDArray[np.float32], *, name: str) -> tuple[Floats, Floats, Floats]:
    """The layers of a network, each with the row that is added first, exact in binary32.

    Args:
        record: (N, facts + 2): facts, error and unit of samples.
        name: For what is told.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    count, size = len(record), record.shape[1] - 2
    mean, spread = record[:_SCALED, :size].mean(0), record[:_SCALED, :size].std(0) + 1e-3
    facts = torch.from_numpy((record[:, :size] - mean) / spread)
    errors, units = (torch.from_numpy(record[:, size + k].copy()) for k in range(2))
    network = nn.Sequential(
        nn.Linear(size, NUM_HIDDEN), nn.ReLU(), nn.Linear(NUM_HIDDEN, NUM_HIDDEN), nn.ReLU(),
        nn.Linear(NUM_HIDDEN, 3 * NUM_PARTS),
    )  # fmt: skip
    first, second, last = network[0], network[2], network[4]
    with torch.no_grad():
        last.weight *= 0.3
        last.bias[:] = torch.tensor([1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.5, 0.5, -0.5])
    steps = max(EPOCHS * count // _BATCH, LEAST_STEPS)
    optimiser = torch.optim.Adam(network.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.05)
    order, at, spent = torch.randperm(count), 0, 0.0
    for step in range(steps):
        if at + _BATCH > count:
            order, at = torch.randperm(count), 0
        chosen = order[at : at + _BATCH]
        at += _BATCH
        loss = bits(network(facts[chosen]), errors[chosen], units[chosen]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        spent += loss.item()
        if (step + 1) % (steps // 4) == 0:
            print(f"network {name}, step {step + 1} of {steps}: {spent / (steps // 4):.4f} bits", flush=True)
            spent = 0.0
    if not math.isfinite(loss.item()):
        raise RuntimeError(f"network {name} did not learn")
    told = first.weight.detach().double().numpy() / spread
    layers = [(told, first.bias.detach().double().numpy() - told @ mean)]
    layers += [(one.weight.detach().double().numpy(), one.bias.detach().double().numpy()) for one in (second, last)]
    made = [np.vstack([bias, weight.T]).astype(np.float32).astype(np.float64, order="C") for weight, bias in layers]
    return made[0], made[1], made[2]
