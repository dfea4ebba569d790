"""Networks that begin as smaller ones did end: what these compute is kept, what is new adds nothing at first."""

from __future__ import annotations

import torch
from torch import Tensor

from nerv_codec.representations.shared.networks import SharedNetworks


@torch.no_grad()
def grow(networks: SharedNetworks, smaller: dict[str, Tensor]) -> None:
    """Puts the weights of smaller networks into larger ones of the same names; what these lack stays as it is.

    New channels are the random ones that the networks have, but what they add to the old ones is zero.
    """
    for name, target in networks.state_dict().items():
        if name not in smaller:
            continue
        source = smaller[name].to(target)
        for into, values in zip(_parts(name, target), _parts(name, source), strict=True):
            if into.dim() > 1:
                into[: values.shape[0], values.shape[1] :] = 0
            into[tuple(slice(extent) for extent in values.shape)] = values


def _parts(name: str, values: Tensor) -> tuple[Tensor, ...]:
    """Parts that grow by themselves: factors and shifts of modulations, hidden units and outputs of context models."""
    if "modulation" in name:
        return values.chunk(2, 1)
    if "context.bands" in name and not name.endswith("second"):
        axis = 0 if name.endswith("first") else 1
        return values.split([values.shape[axis] - 2, 2], axis)
    return (values,)
