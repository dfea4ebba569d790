"""LPIPS (Zhang et al. 2018) with AlexNet, through the ``lpips`` package, and where its weights come from."""

from __future__ import annotations

import functools
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerv_codec.base.video import VideoInfo
from nerv_codec.evaluation.metrics.pair import FramePair, Series, Unavailable
from nerv_codec.evaluation.metrics.threads import threads_for

if TYPE_CHECKING:
    import torch

WEIGHTS_NAME = "alexnet-owt-7be5be79.pth"
"""What torchvision calls its AlexNet."""

_STALL_SECONDS = 10.0
_SMALLEST = 32
"""Pixels a side below which AlexNet's pooling has nothing left."""


class LpipsMetric:
    """``lpips_alex``, of RGB in [-1, 1]."""

    def __init__(self, info: VideoInfo, weights: str | Path | None = None, device: str = "cpu") -> None:
        if min(info.height, info.width) < _SMALLEST:
            raise Unavailable(f"lpips needs at least 32 rows and columns, found {info.width}x{info.height}")
        self._device = device
        self._network = load_lpips(weights).to(device)
        self._values: list[float] = []

    def add(self, pair: FramePair) -> None:
        """Measures the next frame."""
        import torch

        with torch.inference_mode(), threads_for(pair.reference[0].size):
            first, second = (
                rgb[None].to(self._device).float() / 127.5 - 1 for rgb in (pair.reference_rgb, pair.target_rgb)
            )
            self._values.append(float(self._network(first, second)))

    def series(self) -> list[Series]:
        """``lpips_alex``."""
        return [Series("lpips_alex", "RGB", tuple(self._values), higher_is_better=False)]


@functools.lru_cache(maxsize=1)
def load_lpips(weights: str | Path | None = None) -> torch.nn.Module:
    """Loads AlexNet with the weights that LPIPS needs; keeps the last one.

    Args:
        weights: The file of AlexNet's weights, or a folder laid out as TORCH_HOME. Without it they are
            looked for where torchvision keeps them (TORCH_HOME, else ~/.cache/torch), and else downloaded
            there by ``lpips`` itself, which gives up when the network is silent for ten seconds.

    Raises:
        Unavailable: The package or the weights cannot be had.
    """
    try:
        import lpips
    except ImportError:
        raise Unavailable("lpips needs the package lpips") from None
    file = _find(weights)
    if file is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips calls torchvision in its old way
            network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        _load_trunk(network, file)
        return network.eval()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return lpips.LPIPS(net="alex", verbose=False)
    except OSError as error:
        raise Unavailable(f"lpips could not download its weights ({error}); {_advice()}") from error
    finally:
        socket.setdefaulttimeout(before)


def _find(weights: str | Path | None) -> Path | None:
    """The file of weights, if it is on this machine. Raises Unavailable where a place was named in vain."""
    import torch

    if weights is None:
        file = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME
        return file if file.is_file() else None
    path = Path(weights)
    places = [path, path / WEIGHTS_NAME, path / "checkpoints" / WEIGHTS_NAME]
    places.append(path / "hub" / "checkpoints" / WEIGHTS_NAME)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise Unavailable(f"{path}: expected {WEIGHTS_NAME} or a folder with hub/checkpoints/{WEIGHTS_NAME}")
    return found


def _load_trunk(network: Any, file: Path) -> None:
    """Puts torchvision's convolutions where lpips has them. Raises Unavailable."""
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        for part in network.net.children():
            for name, layer in part.named_children():
                if layer.state_dict():
                    layer.load_state_dict({key: state[f"features.{name}.{key}"] for key in ("weight", "bias")})
    except Exception as error:  # torch raises whatever unpickling and shapes raise
        raise Unavailable(f"{file}: expected torchvision's AlexNet weights ({type(error).__name__})") from error


def _advice() -> str:
    return f"give {WEIGHTS_NAME} by --lpips-weights or under $TORCH_HOME/hub/checkpoints"
