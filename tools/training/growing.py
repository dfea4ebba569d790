"""Networks that begin as smaller ones did end: what these compute is kept, what is new adds nothing at first."""

from __future__ import annotations

import torch
from torch import Tensor

from nerv_codec.representations.shared.networks import SharedNetworks


@torch.no_grad()
def grow(networks: SharedNetworks, smaller: dict[str, Tensor]) -> None:
    """Puts the weights of smaller networks into larger ones of the same names; what these lack stays as it is.

    New channels are the random ones that the networks have, but what they add to the old ones is zero. Modulations hold
    factors and then shifts, so that each half grows by itself.
    """
    for name, target in networks.state_dict().items():
        if name not in smaller:
            continue
        source = smaller[name].to(target)
        if "modulation" in name:
            pairs = zip(target.chunk(2, 1), source.chunk(2, 1), strict=True)
        else:
            pairs = zip((target,), (source,), strict=True)
        for into, values in pairs:
            if into.dim() > 1:
                into[: values.shape[0], values.shape[1] :] = 0
            into[tuple(slice(extent) for extent in values.shape)] = values
