"""Everything a training run needs to go on, in one file that is replaced at once: a kill loses a minute at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nerv_codec.representations.shared.between import Between
from nerv_codec.representations.shared.integer_between import IntegerBetween
from nerv_codec.representations.shared.layout import DESIGNS
from nerv_codec.representations.shared.networks import SharedNetworks

NAMED = {design.name: design for design in DESIGNS}


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
    state = load(path)
    networks = SharedNetworks(NAMED[state["settings"]["design"]])
    networks.load_state_dict(state["average"])
    return networks.eval()


def averaged_between(path: Path) -> IntegerBetween:
    """What reads between samples, of a checkpoint of `train_between` with averaged weights, in integers."""
    network = Between()
    network.load_state_dict(load(path)["average"])
    return IntegerBetween.quantised(network)
