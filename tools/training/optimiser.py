"""Muon for matrices, Adam for the rest, and the running mean of the weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal (Jordan et al. 2024): all directions of a matrix move equally far.

    Convolutions count as matrices of their output channels.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: Tensor, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["velocity"] = torch.zeros_like(parameter)
                velocity = state["velocity"].mul_(group["momentum"]).add_(parameter.grad)
                update = (parameter.grad + group["momentum"] * velocity).flatten(1)
                size = 0.2 * max(update.shape) ** 0.5
                parameter.sub_(_orthogonal(update).view_as(parameter) * (group["lr"] * size))


def _orthogonal(matrix: Tensor) -> Tensor:
    """Near the closest matrix with orthonormal rows or columns, by Newton-Schulz iterations."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-9)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon moves it: hidden convolutions, no small or last layer."""
    last = any(part in name for part in ("synthesis.out", "analysis.out", "merge", "modulation", "context", "known"))
    return parameter.dim() == 4 and not last and min(parameter.shape[0], parameter[0].numel()) >= 12


class Average:
    """Exponential mean of weights, quick at the start: what is exported, steadier than any single step."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.weights.values()), list(network.state_dict().values()), 1 - keep)
