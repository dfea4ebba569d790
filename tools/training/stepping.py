"""A step of training as a GPU likes it: convolutions in half precision, and all of it one CUDA graph.

Its thousands of small kernels cost more to start than to run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tools.training.nodes import Batch

_NARROW = 24
"""Convolutions of fewer channels stay in float32."""
WARM_UP = 3
"""Steps before the capture, in which libraries choose their kernels."""


def stepper(step: Callable[[Batch], Tensor], example: Batch, device: torch.device) -> Callable[[Batch], Tensor]:
    """The step itself, or on a GPU one that replays it.

    Args:
        step: Must not look at values nor allocate what outlives it, but gradients.
        example: A batch; all others must have its shapes.
        device: Where batches are.
    """
    if device.type != "cuda":
        return step
    static = Batch(*(part.clone() for part in vars(example).values()))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step(static)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step(static)

    def replayed(batch: Batch) -> Tensor:
        for into, values in zip(vars(static).values(), vars(batch).values(), strict=True):
            into.copy_(values)
        graph.replay()
        return found

    return replayed


def halve(networks: nn.Module) -> None:
    """Has wide convolutions multiply in bfloat16 on a GPU; what lies between them stays in float32."""

    def halved(plain: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            # a graph must cast the weights again in each step, so that none may be kept
            with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                return plain(x)

        return forward

    for module in networks.modules():
        if isinstance(module, nn.Conv2d) and min(module.in_channels, module.out_channels) >= _NARROW:
            module.forward = halved(module.forward)  # type: ignore[method-assign]
