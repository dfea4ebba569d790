"""Which device to compute on."""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
from pathlib import Path

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
        reason = str(error).splitlines()[0]
        raise UsageError(f"expected a device of this machine (auto, cpu, cuda), found {name!r}: {reason}") from error
    return device


def runs_triton(device: torch.device) -> bool:
    """Whether compiled kernels run on a device; where they do not, what needs them runs on the CPU instead."""
    found = device.type == "cuda" and importlib.util.find_spec("triton") is not None
    if found:
        place_triton_cache()
    return found


def place_triton_cache() -> None:
    """Gives Triton a folder for this process alone where it could not write its own in the user's home.

    It would end with an error there: what it compiles goes through files.
    """
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")
    if "TRITON_CACHE_DIR" not in os.environ and not _can_hold_files(Path(home) / ".triton" / "cache"):
        os.environ["TRITON_CACHE_DIR"] = _own_folder().name


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="nerv-codec-triton-")


def _can_hold_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
