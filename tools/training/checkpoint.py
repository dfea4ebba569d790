"""Everything a training run needs to go on, in one file that is replaced at once: a kill loses a minute at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerv_codec.representations.shared.networks import SharedNetworks


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside and renames."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Tensors, numbers and strings only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def averaged_networks(path: Path) -> SharedNetworks:
    """The networks of a checkpoint with averaged weights, ready to code."""
    networks = SharedNetworks()
    networks.load_state_dict(load(path)["average"])
    return networks.eval()


def rng_state(rng: np.random.Generator) -> dict[str, Any]:
    """A generator's state as plain numbers (strings, for they are longer than 64 bits)."""
    state = rng.bit_generator.state
    inner = {key: str(value) for key, value in state["state"].items()}
    return {**state, "state": inner}


def restore_rng(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """The inverse of :func:`rng_state`."""
    rng.bit_generator.state = {**state, "state": {key: int(value) for key, value in state["state"].items()}}
