"""Predicted pictures to train on: ``python -m tools.training.nodes --data <folder>`` encodes clips and keeps crops.

Every clip is encoded with the networks as they are, forwards or backwards, at random prices and spans; of each node
that has parents a few crops of source, prediction and doubt are kept. May be killed at any time; the same command goes
on with the next clip.
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
from nerv_codec.representations.shared.quality import NUM_LAMBDAS, STEPS_PER_OCTAVE
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.transform import GRAY
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
from tools.training.pictures import CONTRAST, TONED, is_held_out, read_clip, source_of, turned

SIDE = 128
"""Of the crops, in luma samples."""
CROPS_OF_A_NODE, MOST_OF_AN_ANCHOR = 2, 6
"""An anchor gives one for each frame of its span, at most so many: those of short spans are many."""
SPANS = (1, 2, 4, 8, 8, 16)
PRICES = (6, 60)
_SCALE = 255 * 16
_SATURATION = (0.6, 1.3)
"""Factors of chroma where tones change: less than of pictures alone, as errors of its prediction change with it."""


def crops_of(path: Path, weights: SharedWeights, rng: np.random.Generator) -> dict[str, npt.NDArray[np.int16]]:
    """Crops of one encode of a clip.

    Returns:
        ``pictures`` (crops, 3, 6, SIDE / 2, SIDE / 2): source, prediction and doubt in 1/16 of a code value;
        ``told`` (crops, 2): lambda index and on how many sides parents lie.
    """
    clip = read_clip(path, tuple(range(17)))[:: int(rng.choice((1, -1)))]
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
        for _ in range(CROPS_OF_A_NODE if node.node.sides == 2 else min(span, MOST_OF_AN_ANCHOR)):
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
    """Draws random crops of what the folder holds, mirrored or transposed.

    Args:
        folder: Of files of crops.
        size: Of what is drawn, in luma samples.
        rng: On the device where crops are to be.
        sides: Those with parents on so many sides in time only.
        held_out: Those of held-out sources, or all others; these in other tones, too.
    """

    def __init__(self, folder: Path, size: int, rng: torch.Generator, sides: int, held_out: bool = False) -> None:
        self._folder, self._size, self._rng, self._sides, self._held_out = folder, size, rng, sides, held_out
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
                    chosen = file["told"][:, 1] == self._sides
                    pictures.append(torch.from_numpy(file["pictures"][chosen]).to(self._rng.device))
                    told.append(torch.from_numpy(file["told"][chosen]).to(self._rng.device, torch.float32))
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
        index = told[:, 0] + self._uniform(count, -4, 4)
        if not self._held_out:
            planes, octaves = self._toned(planes)
            index = index + STEPS_PER_OCTAVE * octaves
        return Batch(*planes.unbind(1), index.clamp(0, NUM_LAMBDAS - 1), told[:, 1])

    def _toned(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Other contrast and colours, by chance, and by how many octaves squared errors of luma change.

        Those of the prediction do, too, so that it is what another lambda would have left. Planes are
        (count, 3, 6, rows, cols).
        """
        count = len(planes)
        changed = self._uniform(count, 0, 1) < TONED
        luma, chroma = (torch.where(changed, self._uniform(count, *limits), 1.0) for limits in (CONTRAST, _SATURATION))
        factors = torch.stack([luma] * 4 + [chroma] * 2, 1)[:, None, :, None, None]
        middle = torch.full_like(planes, GRAY)
        middle[:, :, :4] = planes[:, :1, :4].mean((2, 3, 4), keepdim=True)
        middle[:, 2] = 0  # doubt is a difference
        return middle + (planes - middle) * factors, 2 * torch.log2(luma)

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.rand(count, device=self._rng.device, generator=self._rng) * (high - low) + low


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
