"""Predicted pictures to train on: ``python -m tools.training.nodes --data <folder>`` encodes the clips and keeps crops.

Every clip is encoded with the networks as they are, at random prices and spans; of each node that has parents a few
crops of source, prediction and doubt are kept. May be killed at any time; the same command goes on with the next clip.
"""

from __future__ import annotations

import argparse
import zlib
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
from nerv_codec.representations.shared.transform import pack, unpack
from nerv_codec.representations.shared.weights import SharedWeights, from_bytes, load_weights, to_bytes
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.encode import encode_part
from tools.training import checkpoint
from tools.training.pictures import HELD_OUT_SHARE, read_clip, source_of

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
        ``told`` (crops, 2): lambda index and number of parents.
    """
    clip = read_clip(path, tuple(range(17)))
    part = parts([plane.shape for plane in clip[0]])[0]
    ladder = Ladder(int(rng.integers(*PRICES)), (-6, 0, 6, 10, 13))
    sources, span = [to_canvas(planes, 8, part) for planes in clip], int(rng.choice(SPANS))
    pictures, told = [], []
    with Workers() as workers:
        coded = list(encode_part(sources, part, ladder, span, weights, StreamWriter(), workers))
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
            told.append((node.told.conditions.lambda_index, len(node.node.parents)))
    shape = (0, 3, 6, SIDE // 2, SIDE // 2)
    stacked = np.stack(pictures) if pictures else np.zeros(shape, np.int16)
    return {"pictures": stacked, "told": np.array(told, np.int16).reshape(-1, 2)}


@dataclass(frozen=True)
class Batch:
    """Predicted pictures: planes, prediction and doubt (count, 6, ...) in 0..1, lambda indices and parents (count,)."""

    planes: Tensor
    prediction: Tensor
    doubt: Tensor
    index: Tensor
    parents: Tensor


class NodeCrops:
    """Draws random crops of what the folder holds, mirrored or transposed; held-out sources are left out, or alone."""

    def __init__(self, folder: Path, size: int, rng: np.random.Generator, held_out: bool = False) -> None:
        self._size, self._rng = size, rng
        stored = []
        for path in sorted(folder.glob("*.npz")):
            source = "clip/" + source_of(Path(path.stem.rpartition("@")[0]))
            if (zlib.crc32(source.encode()) % HELD_OUT_SHARE == 0) == held_out:
                with np.load(path) as file:
                    stored.append((file["pictures"], file["told"]))
        self._pictures = np.concatenate([pictures for pictures, _ in stored])
        self._told = np.concatenate([told for _, told in stored])

    def draw(self, count: int) -> Batch:
        """So many crops."""
        rng, size = self._rng, self._size
        chosen = rng.integers(0, len(self._pictures), count)
        found = []
        for number in chosen:
            planes = torch.from_numpy(self._pictures[number].astype(np.float32) / _SCALE)
            top, left = (int(start) for start in rng.integers(0, (SIDE - size) // 2 + 1, 2))
            luma, chroma = unpack(planes[..., top : top + size // 2, left : left + size // 2])
            mirror, turn = rng.random() < 0.5, rng.random() < 0.2
            luma, chroma = (plane.flip(-1) if mirror else plane for plane in (luma, chroma))
            luma, chroma = (plane.transpose(-1, -2) if turn else plane for plane in (luma, chroma))
            found.append(pack(luma, chroma))
        planes = torch.stack(found, 1)
        told = torch.from_numpy(self._told[chosen].astype(np.float32))
        jitter = torch.from_numpy(rng.uniform(-4, 4, count).astype(np.float32))
        index = (told[:, 0] + jitter).clamp(0, NUM_LAMBDAS - 1)
        return Batch(planes[0], planes[1], planes[2], index, told[:, 1])


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
        weights = from_bytes(to_bytes(checkpoint.averaged_networks(options.out / "checkpoint.pt")))
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
