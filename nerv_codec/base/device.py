"""Which device to compute on."""

from __future__ import annotations

import torch

from nerv_codec.base.errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is the first GPU if there is one, else the CPU; other names are torch's.

    Raises:
        UsageError: The name is unknown, or there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).tolist()  # some devices exist, but hold no data
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = "auto, cpu, cuda" if torch.cuda.is_available() else "auto, cpu; no GPU that torch can use is here"
        raise UsageError(f"expected a device of this machine ({known}), found {name!r}") from error
    return device
