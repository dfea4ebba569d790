"""Predicted pictures to train on: ``python -m tools.training.nodes --data <folder>`` encodes the clips and keeps crops.

Every clip is encoded with the networks as they are, at random prices and spans; of each node that has parents a few
crops of source, prediction and doubt are kept. May be killed at any time; the same command goes on with the next clip.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.quality import NUM_LAMBDAS
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import (
    SharedWeights,
    arrays_of,
    from_bytes,
    load_weights,
    shipped,
    to_bytes,
)
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.encode import PartEncoder, encode_part
from nerv_codec.representations.warped.fit import ladder
from nerv_codec.representations.warped.tree import evenly
from tools.training import checkpoint
from tools.training.pictures import is_held_out, read_clip, source_of, turned

SIDE = 128
"""Of the crops, in luma samples."""
CROPS_OF_A_NODE = 2
SPANS = (1, 2, 4, 8, 8, 16)
PRICES = (20, 60)
_SCALE = 255 * 16


def crops_of(path: Path, weights: SharedWeights, rng: np.random.Generator) -> dict[str, npt.NDArray[np.int16]]:
    """Crops of one encode of a clip.

    Returns:
        ``pictures`` (crops, 3, 6, SIDE / 2, SIDE / 2): source, prediction and doubt in 1/16 of a code value;
        ``told`` (crops, 2): lambda index and on how many sides parents lie.
    """
    clip = read_clip(path, tuple(range(17)))
    part = parts([plane.shape for plane in clip[0]])[0]
    prices = ladder(WarpedConfig(), 2 * int(rng.integers(*PRICES)))
    sources, span = [to_canvas(planes, 8, part) for planes in clip], int(rng.choice(SPANS))
    pictures, told = [], []
    with Workers() as workers:
        encoder = PartEncoder(sources, part, prices, weights, workers)
        coded = list(encode_part(encoder, evenly(len(sources), span), StreamWriter()))
    for node in coded:
        if not node.node.parents:
            continue
        prediction = node.told.prediction.floating()
        planes = torch.cat([sources[node.node.frame], prediction.planes, prediction.doubt])
        rows, cols = planes.shape[-2:]
        if min(rows, cols) < SIDE // 2:
            continue
        for _ in range(CROPS_OF_A_NODE):
            top, left = rng.integers(0, rows - SIDE // 2 + 1), rng.integers(0, cols - SIDE // 2 + 1)
            crop = planes[:, :, top : top + SIDE // 2, left : left + SIDE // 2]
            pictures.append(torch.round(crop * _SCALE).numpy().astype(np.int16))
            told.append((node.told.conditions.lambda_index, node.node.sides))
    shape = (0, 3, 6, SIDE // 2, SIDE // 2)
    stacked = np.stack(pictures) if pictures else np.zeros(shape, np.int16)
    return {"pictures": stacked, "told": np.array(told, np.int16).reshape(-1, 2)}


@dataclass(frozen=True)
class Batch:
    """Predicted pictures: planes, prediction and doubt (count, 6, ...) in 0..1, lambda indices and sides (count,)."""

    planes: Tensor
    prediction: Tensor
    doubt: Tensor
    index: Tensor
    parents: Tensor

    def __add__(self, other: Batch) -> Batch:
        """Both, one after the other."""
        return Batch(*(torch.cat(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))


class NodeCrops:
    """Draws random crops of what the folder holds, mirrored or transposed; held-out sources are left out, or alone."""

    def __init__(self, folder: Path, size: int, rng: torch.Generator, held_out: bool = False) -> None:
        self._folder, self._size, self._rng, self._held_out = folder, size, rng, held_out
        self._read: set[Path] = set()
        self._pictures = torch.zeros((0, 3, 6, SIDE // 2, SIDE // 2), dtype=torch.int16, device=rng.device)
        self._told = torch.zeros((0, 2), device=rng.device)
        self.refresh()

    def __len__(self) -> int:
        return len(self._told)

    def refresh(self) -> None:
        """Takes what has been added to the folder since."""
        pictures, told = [self._pictures], [self._told]
        for path in sorted(set(self._folder.glob("*.npz")) - self._read):
            self._read.add(path)
            source = "clip/" + source_of(Path(path.stem.rpartition("@")[0]))
            if is_held_out(source) == self._held_out:
                with np.load(path) as file:
                    pictures.append(torch.from_numpy(file["pictures"]).to(self._rng.device))
                    told.append(torch.from_numpy(file["told"]).to(self._rng.device, torch.float32))
        if len(pictures) > 1:
            self._pictures, self._told = torch.cat(pictures), torch.cat(told)

    def draw(self, count: int) -> Batch:
        """So many crops."""
        rng, half = self._rng, self._size // 2
        chosen = torch.randint(len(self), (count,), device=rng.device, generator=rng)
        starts = torch.randint((SIDE // 2 - half) + 1, (2, count, 1), device=rng.device, generator=rng)
        rows, cols = starts + torch.arange(half, device=rng.device)
        found = self._pictures[chosen[:, None, None], :, :, rows[:, :, None], cols[:, None, :]]
        planes = turned(found.permute(0, 3, 4, 1, 2).float() / _SCALE, rng)
        told = self._told[chosen]
        jitter = 8 * torch.rand(count, device=rng.device, generator=rng) - 4
        index = (told[:, 0] + jitter).clamp(0, NUM_LAMBDAS - 1)
        return Batch(*planes.unbind(1), index, told[:, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/")
    parser.add_argument("--out", type=Path, default=Path(".training/shared"), help="folder of the checkpoint")
    parser.add_argument("--checkpoint", action="store_true", help="weights of the checkpoint, not those of the package")
    parser.add_argument("--rounds", type=int, default=1, help="encodes of each clip")
    parser.add_argument("--part", default="0/1", help="K/N: only every N-th clip, from the K-th on")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.checkpoint:
        weights = from_bytes(
            to_bytes({**shipped(), **arrays_of(checkpoint.averaged_networks(options.out / "checkpoint.pt"))})
        )
    else:
        weights = load_weights()
    folder = options.out.parent / "nodes"
    folder.mkdir(parents=True, exist_ok=True)
    start, step = (int(number) for number in options.part.split("/"))
    jobs = [(path, k) for k in range(options.rounds) for path in sorted((options.data / "video").glob("*.mkv"))]
    for number, (path, k) in enumerate(tqdm(jobs[start::step], unit="clip")):
        out = folder / f"{path.stem}@{k}.npz"
        if not out.exists():
            found = crops_of(path, weights, np.random.default_rng([k, number * step + start]))
            partial = out.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **found)  # type: ignore[arg-type]
            partial.replace(out)


if __name__ == "__main__":
    main()
