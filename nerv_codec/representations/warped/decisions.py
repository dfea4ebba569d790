"""What an encoder chose for each node, kept so that an encode which was stopped goes on where it stood.

Bytes of a node follow from its decision and from the nodes before. So a GOP that is begun again takes the same way, and
saves the searches and the steps that are done.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.representations.fitting.checkpoint import Checkpoint, FitState
from nerv_codec.representations.shared.band_coder import Latents
from nerv_codec.representations.warped.brightness import Brightness
from nerv_codec.representations.warped.global_motion import GlobalMotion
from nerv_codec.representations.warped.mending import Mending
from nerv_codec.representations.warped.motion import MotionField
from nerv_codec.representations.warped.screen import Codes, Screen
from nerv_codec.representations.warped.tree import Anchors, Node

_PLANES = "yuv"


@dataclass(frozen=True)
class Decision:
    """Of one node.

    Attributes:
        node: Which.
        brightness: Against each parent; nothing if none is changed.
        field: Its motion, None at the root.
        latents: What it lacks.
        mending: Where the network mends it.
        screen: What it shows of screen content.
    """

    node: Node
    brightness: tuple[Brightness, ...]
    field: MotionField | None
    latents: Latents
    mending: Mending
    screen: Screen | None = None


class Decisions:
    """Those of a fit, by what they were made for.

    Args:
        checkpoint: Where they are kept.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.stop = checkpoint.stop
        saved = checkpoint.load()
        self._kept: dict[str, Tensor] = dict(saved.tensors) if saved else {}

    def of(self, trial: str) -> dict[int, Decision]:
        """All decisions of a trial, by frame."""
        found = (name.split("/") for name in self._kept)
        frames = {int(frame) for kind, frame, _ in found if kind == trial}
        return {frame: self._decision(f"{trial}/{frame}") for frame in frames}

    def anchors(self, name: str) -> Anchors | None:
        """Anchors that were chosen before; None if they were not."""
        root, *frames = self._kept.get(f"{name}/0/anchors", torch.zeros(1, dtype=torch.long)).tolist()
        return Anchors(tuple(frames), root) if frames else None

    def add_anchors(self, name: str, anchors: Anchors) -> None:
        """Keeps anchors; they are saved with the next decision."""
        self._kept[f"{name}/0/anchors"] = torch.tensor((anchors.root, *anchors.frames))

    def add(self, trial: str, decision: Decision) -> None:
        """Keeps one, and saves if it is time. Raises Interrupted."""
        node = decision.node
        name = f"{trial}/{node.frame}"
        self._kept[f"{name}/node"] = torch.tensor([node.depth, *node.parents])
        self._kept |= {f"{name}/{level}": _packed(grid) for level, grid in decision.latents.items()}
        self._kept[f"{name}/squares"] = torch.tensor(decision.mending.squares)
        self._kept[f"{name}/chroma"] = torch.tensor(decision.mending.chroma)
        if decision.brightness:
            self._kept[f"{name}/brightness"] = torch.tensor([(one.gain, one.offset) for one in decision.brightness])
        if decision.screen is not None:
            self._kept[f"{name}/screen"] = torch.tensor(decision.screen.squares)
            for plane, codes in zip(_PLANES, decision.screen.planes, strict=False):
                self._kept[f"{name}/{plane}"] = _packed(codes)
        if decision.field is not None:
            self._kept[f"{name}/vectors"] = torch.from_numpy(decision.field.vectors.astype(np.int16))
            self._kept[f"{name}/modes"] = torch.from_numpy(decision.field.modes)
            self._kept[f"{name}/corners"] = _packed(decision.field.corners)
            if decision.field.whole is not None:
                self._kept[f"{name}/whole"] = torch.tensor(decision.field.whole.numbers)
        self.offer()

    def offer(self) -> None:
        """Saves if it is time. Raises Interrupted."""
        self._checkpoint.offer(lambda: FitState(self._kept))

    def _decision(self, name: str) -> Decision:
        parts = {key.rpartition("/")[2]: kept for key, kept in self._kept.items() if key.startswith(f"{name}/")}
        depth, *parents = parts.pop("node").tolist()
        node, field, screen = Node(int(name.rpartition("/")[2]), depth, tuple(parents)), None, None
        brightness = tuple(Brightness(*one) for one in parts.pop("brightness", torch.empty(0, 2)).tolist())
        if "modes" in parts:
            vectors, corners = parts.pop("vectors").numpy().astype(np.int32), _unpacked(parts.pop("corners"))[0]
            numbers = tuple((down, right) for down, right in parts.pop("whole", torch.empty(0, 2)).tolist())
            whole = GlobalMotion(numbers) if numbers else None
            field = MotionField(vectors, parts.pop("modes").numpy(), corners.astype(np.uint8), whole)
        if "screen" in parts:
            codes = (_unpacked(parts.pop(plane))[0].astype(np.uint8) for plane in _PLANES if plane in parts)
            screen = Screen(parts.pop("screen").numpy(), tuple(codes))
        u, v = parts.pop("chroma").tolist()
        chosen = Mending(parts.pop("squares").numpy(), (u, v))
        latents = {int(level): _unpacked(kept) for level, kept in parts.items()}
        return Decision(node, brightness, field, latents, chosen, screen)


def _packed(grid: npt.NDArray[np.int32] | Codes) -> Tensor:
    """Shape, then values of a grid (bands, rows, cols) or a plane: most repeat."""
    shape = np.array((1, *grid.shape)[-3:], "<i4")
    data = shape.tobytes() + zlib.compress(grid.astype("<i4").tobytes(), 1)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _unpacked(kept: Tensor) -> npt.NDArray[np.int32]:
    data = kept.numpy().tobytes()
    shape = np.frombuffer(data[:12], "<i4")
    return np.frombuffer(zlib.decompress(data[12:]), "<i4").astype(np.int32).reshape(shape)
