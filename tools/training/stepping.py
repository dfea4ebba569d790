"""A step of training as one CUDA graph: its thousands of small kernels cost more to start than to run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tools.training.nodes import Batch

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
