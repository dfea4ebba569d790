"""Pictures as encoders code them: ``python -m tools.training.coded --data <folder>`` keeps nodes of clips.

The training of `train_shared` rounds all latents of a crop at once; an encoder decides them one after another, in a
loop with what they decode to. Here its own decisions are kept, for `train_decoder`. The clips were coded before and
have hardly any noise left, as cameras do not: half of them are given some. May be killed at any time; the same command
goes on with the next clip.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.transform import Subbands
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.encode import PartEncoder, encode_part
from nerv_codec.representations.warped.fit import ladder
from nerv_codec.representations.warped.tree import evenly
from tools.training import pictures
from tools.training.nodes import PRICES, SPANS

NODES = 3
"""Of an encode that are kept, of those with parents on one side in time and of those with parents on both; and frames
that are coded alone."""
GRAINY = 0.5
"""Share of the encodes that are of clips with noise."""
_SIGMA, _OF_CHROMA = (0.7, 14.0), (0.2, 1.0)
"""Its standard deviation in luma, in code values, and what part of it chroma has."""
_SOFT, _BLUR = 0.3, 0.7
"""Share of the clips whose noise is blurred, as grain is, and by how much, in samples."""
_SCALE = 255 * 16
_SQUARE = 16
"""Samples of the half-size planes a side of the squares that are mended or not."""

Arrays = dict[str, npt.NDArray[np.generic]]
Planes = tuple[pictures.Plane, pictures.Plane, pictures.Plane]


@dataclass(frozen=True)
class Coded:
    """A predicted picture.

    Attributes:
        planes: What it is to show, (1, 6, rows, cols) in 0..1.
        prediction: Of it.
        latents: Integers of every grid.
        index: Lambda index, (1,).
        mended: Where the residual of the network is added, (rows, cols).
    """

    planes: Tensor
    prediction: Prediction
    latents: Subbands
    index: Tensor
    mended: Tensor


def grainy(clip: list[Planes], rng: np.random.Generator) -> list[Planes]:
    """A clip with noise of its own in every frame."""
    sigma, soft = math.exp(rng.uniform(*np.log(_SIGMA))), rng.random() < _SOFT
    sigmas = (sigma, *[sigma * rng.uniform(*_OF_CHROMA)] * 2)

    def noisy(plane: pictures.Plane, sigma: float) -> pictures.Plane:
        noise = rng.standard_normal(plane.shape)
        if soft:
            noise = cv2.GaussianBlur(noise, (0, 0), _BLUR)
            noise /= noise.std()
        return np.clip(np.rint(plane + sigma * noise), 0, 255).astype(np.uint8)

    return [tuple(noisy(*each) for each in zip(planes, sigmas, strict=True)) for planes in clip]


def nodes_of(path: Path, weights: SharedWeights, rng: np.random.Generator) -> list[Arrays]:
    """Some nodes of one encode of a clip, forwards or backwards, at a random price and span, with noise or without."""
    clip = pictures.read_clip(path, tuple(range(17)))[:: int(rng.choice((1, -1)))]
    if rng.random() < GRAINY:
        clip = grainy(clip, rng)
    part = parts([plane.shape for plane in clip[0]])[0]
    prices = ladder(WarpedConfig(), 2 * int(rng.integers(*PRICES)))
    sources, span = [to_canvas(planes, 8, part) for planes in clip], int(rng.choice(SPANS))
    with Workers() as workers:
        encoder = PartEncoder(sources, part, prices, weights, workers)
        coded = [
            (one, sources[one.node.frame])
            for one in encode_part(encoder, evenly(len(sources), span), StreamWriter())
            if one.node.parents
        ]
        for source in (sources[k] for k in rng.permutation(len(sources))[:NODES]):
            (root,) = encode_part(PartEncoder([source], part, prices, weights, workers), evenly(1, 1), StreamWriter())
            coded.append((root, source))
    found = []
    of_sides = [[one for one in coded if one[0].node.sides == sides] for sides in (0, 1, 2)]
    for node, source in (many[k] for many in of_sides for k in rng.permutation(len(many))[:NODES]):
        told = node.told
        known = told.prediction.floating()
        seen = torch.cat([source, known.planes, known.doubt])
        arrays: Arrays = {
            "pictures": torch.round(seen * _SCALE).numpy().astype(np.int16),
            "told": np.array([told.conditions.lambda_index, told.conditions.parents], np.int16),
            "squares": node.decision.mending.squares,
        }
        found.append(arrays | {str(level): node.decision.latents[level].astype(np.int16) for level in LEVELS})
    return found


def keep(path: Path, nodes: list[Arrays]) -> None:
    """Writes them beside and renames."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        arrays = {f"{number}/{name}": array for number, node in enumerate(nodes) for name, array in node.items()}
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def read(path: Path, sides: int) -> list[Coded]:
    """The nodes of an encode that were kept and have parents on so many sides in time."""
    found = []
    with np.load(path) as file:
        for number in range(len([name for name in file.files if name.endswith("told")])):
            if file[f"{number}/told"][1] != sides:
                continue
            arrays = {name.partition("/")[2]: file[name] for name in file.files if name.startswith(f"{number}/")}
            planes, expected, doubt = torch.from_numpy(arrays["pictures"]).float().div(_SCALE)[:, None].unbind()
            index, parents = torch.from_numpy(arrays["told"]).float()
            squares = torch.from_numpy(arrays["squares"].repeat(_SQUARE, 0).repeat(_SQUARE, 1))
            latents = {level: torch.from_numpy(arrays[str(level)])[None].float() for level in LEVELS}
            prediction = Prediction.of(expected, doubt, parents[None])
            rows, cols = planes.shape[-2:]
            found.append(Coded(planes, prediction, latents, index[None], squares[:rows, :cols]))
    return found


def is_held_out(path: Path) -> bool:
    """Whether the clip of a file of nodes serves to judge."""
    return pictures.is_held_out("clip/" + pictures.source_of(Path(path.stem.rpartition("@")[0])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/")
    parser.add_argument("--out", type=Path, default=Path(".training/coded"), help="folder of the nodes")
    parser.add_argument("--rounds", type=int, default=1, help="encodes of each clip")
    parser.add_argument("--part", default="0/1", help="K/N: only every N-th clip, from the K-th on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    start, step = (int(number) for number in options.part.split("/"))
    jobs = [(path, k) for k in range(options.rounds) for path in sorted((options.data / "video").glob("*.mkv"))]
    for number, (path, k) in enumerate(tqdm(jobs[start::step], unit="clip")):
        out = options.out / f"{path.stem}@{k}.npz"
        if not out.exists():
            nodes = nodes_of(path, load_weights(), np.random.default_rng([k, number * step + start]))
            keep(out, nodes)


if __name__ == "__main__":
    main()
