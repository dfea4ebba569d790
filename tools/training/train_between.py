"""Trains what planes show between samples: ``python -m tools.training.train_between --data <folder> --minutes 30``.

Pictures are reduced by means over squares, coded by the shared networks at random prices, and read more densely again,
edges included. Begins with what ships. May be killed at any time; the same command goes on from the last checkpoint.
Pairs are made once and kept. Export with ``export_shared``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.representations.shared.between import REACH, Between, details, extended
from nerv_codec.representations.shared.codec import analyse, synthesise
from nerv_codec.representations.shared.integer_transform import GRAY_SAMPLE
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped.interpolate import KERNEL
from nerv_codec.representations.warped.interpolate_kernel import read_lattice
from nerv_codec.representations.warped.planes import UNIT
from tools.training import checkpoint
from tools.training.optimiser import Average
from tools.training.pictures import Picture, is_held_out, load

_DEPTH = 12
"""Bits at which a sample is one of a plane, unrounded."""
_PRICES, _CLEAN = (4, 60), 0.12
"""Lambda indices, and the share of pictures that are not coded, which pass as the cheapest."""
_BARRED, _BARS, _SHARP, _SOFTEST = 0.3, (1, 1, 2, 3, 4, 6), 0.4, 7
"""The share of pictures to train on that get dark bars, as films and digitised tapes have; rows of a bar; how many of
them begin at once, and over how many rows others do at the most."""
_SIDE = 30
"""Of crops of the reduced pictures."""
_AT_EDGE = 0.3
"""How often a crop lies at an edge, on each axis: few of all places do, and what a picture does there is its own."""
_AROUND = REACH + 1
_SCALE = 128 * UNIT
_BATCH = {2: 16, 3: 10}
_SHARE_OF_THREE = 0.2
_RATE, _FLAT, _LEAST = 2e-3, 0.4, 0.02
_FLOOR = 2 / 128**2
"""Squared error that is added to that of the kernel, against which the loss is measured."""
_LEAST_ERROR = 1e-6
"""Squared error that is added where gains are measured: 0.016 of code values."""
_BETWEEN_SAVES = 180
"""Seconds."""
Luma = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture and what became of it at a size ``factor`` times smaller.

    Attributes:
        source: Where it is from.
        factor: 2 or 3.
        index: Lambda index at which the small one was coded.
        small: Samples of a plane, (rows, cols).
        true: (factor * rows, factor * cols).
    """

    source: str
    factor: int
    index: int
    small: npt.NDArray[np.int16]
    true: Luma

    @cached_property
    def around(self) -> npt.NDArray[np.int16]:
        """The small one with as many samples on each side as crops need."""
        return np.pad(self.small, _AROUND, mode="edge")

    @cached_property
    def read(self) -> npt.NDArray[np.float16]:
        """What the kernel reads from it."""
        places = [(np.arange(n * self.factor) + 0.5) / self.factor - 0.5 for n in self.small.shape]
        out = np.empty(self.true.shape, np.float32)
        read_lattice(self.small, *places, KERNEL, out)
        return out.astype(np.float16)


def barred(luma: Luma, rng: np.random.Generator) -> Luma:
    """A picture with dark bars at one or more sides."""
    out, dark = luma.copy(), float(rng.choice([16, 16, 0, rng.integers(0, 40)]))
    for side in rng.permutation(4)[: rng.choice([1, 1, 2, 4])]:
        turned, width = np.rot90(out, side), int(rng.choice(_BARS))
        sharp, rows = rng.random() < _SHARP, width + _SOFTEST
        middle, soft = (width, 0.01) if sharp else (width + rng.uniform(-0.5, 1), rng.uniform(0.5, _SOFTEST))
        shown = ((np.arange(rows) + 0.5 - middle) / soft + 0.5).clip(0, 1)[:, None]
        if rng.random() < 0.5:
            shown = shown**2 * (3 - 2 * shown)
        turned[:rows] = np.rint(dark + (turned[:rows] - dark) * shown)
    return out


def pair(picture: Picture, factor: int, weights: SharedWeights, rng: np.random.Generator) -> Pair | None:
    """A pair at a random price, None if the picture is too small."""
    luma = picture.planes[0]
    rows, cols = (side // factor for side in luma.shape)
    if min(rows, cols) < _SIDE:
        return None
    if not picture.held_out and rng.random() < _BARRED:
        luma = barred(luma, rng)
    top, left = (int(rng.integers(side % factor + 1)) for side in luma.shape)
    true = luma[top : top + rows * factor, left : left + cols * factor]
    means = np.rint(true.reshape(rows, factor, cols, factor).mean((1, 3))).astype(np.uint16) * UNIT
    index = 0 if rng.random() < _CLEAN else int(rng.integers(*_PRICES))
    if index:
        means = synthesise(analyse([means], _DEPTH, index, weights), [means.shape], _DEPTH, index, weights)[0]
    return Pair(picture.source, factor, index, means.astype(np.int16), true)


def pairs(pictures: Sequence[Picture], weights: SharedWeights, rng: np.random.Generator) -> list[Pair]:
    """Two pairs of every picture, one in eight at a third of the size; of those that are held out one at each size."""
    found = []
    for number, picture in enumerate(tqdm(pictures, unit="picture", leave=False)):
        for factor in (2, 3 if picture.held_out or number % 4 == 3 else 2):
            made = pair(picture, factor, weights, rng)
            if made is not None:
                found.append(made)
    return found


def keep(path: Path, made: Sequence[Pair]) -> None:
    """Writes pairs beside and renames."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for number, one in enumerate(made):
        name = f"{number}/{one.factor}/{one.index}/{one.source}"
        arrays |= {f"small/{name}": one.small, f"true/{name}": one.true}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def kept(path: Path) -> list[Pair]:
    """The inverse of :func:`keep`."""
    found = []
    with np.load(path) as file:
        for name in (name.partition("/")[2] for name in file.files if name.startswith("small")):
            _, factor, index, source = name.split("/", 3)
            found.append(Pair(source, int(factor), int(index), file[f"small/{name}"], file[f"true/{name}"]))
    return found


def tensors(small: npt.NDArray[np.generic], true: Luma, read: npt.NDArray[np.float16]) -> tuple[Tensor, ...]:
    """The three in 128 code values, a plane less mid-gray."""
    plane, truth, seen = (torch.from_numpy(np.ascontiguousarray(grid, np.float32)) for grid in (small, true, read))
    return (plane - GRAY_SAMPLE) / _SCALE, truth / 128, seen / _SCALE


def crop(one: Pair, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """A crop, turned at random, often at an edge, and what is around the small one: beyond edges, their samples.

    Returns:
        The plane (_SIDE + 2 * _AROUND, ...), the truth and what the kernel read (factor * _SIDE, ...).
    """
    top, left = (_begin(side, rng) for side in one.small.shape)
    side, k = _SIDE + 2 * _AROUND, one.factor
    inside = slice(k * top, k * (top + _SIDE)), slice(k * left, k * (left + _SIDE))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    grids = (one.around[top : top + side, left : left + side], one.true[inside], one.read[inside])
    return tensors(*(np.rot90(grid.T if mirrored else grid, turns) for grid in grids))  # type: ignore[arg-type]


def _begin(side: int, rng: np.random.Generator) -> int:
    last = side - _SIDE
    return int(rng.choice([0, last]) if rng.random() < _AT_EDGE else rng.integers(last + 1))


def gained(network: Between, chosen: Sequence[Pair]) -> dict[str, float]:
    """dB over the kernel, whole pictures, means by factor and by lambda index."""
    found = defaultdict(list)
    for one in chosen:
        plane, true, read = tensors(one.small, one.true, one.read)
        with torch.no_grad():
            more = details(network(extended(plane[None, None]), torch.tensor([float(one.index)])), one.factor)[0]
        seen = (there.clamp(0, 255 / 128) for there in (read, read + more))
        before, after = (float((there - true).square().mean()) + _LEAST_ERROR for there in seen)
        lowest = one.index // 20 * 20
        found[f"x{one.factor} at {lowest}..{lowest + 19}"].append(10 * math.log10(before / after))
    return {name: round(float(np.mean(values)), 3) for name, values in sorted(found.items())}


def loss_of(network: Between, chosen: Sequence[Pair], rng: np.random.Generator) -> Tensor:
    """Squared error of crops of pairs of one factor, as shares of the kernel's own, averaged."""
    plane, true, read = (torch.stack(parts) for parts in zip(*(crop(one, rng) for one in chosen), strict=True))
    index = torch.tensor([float(one.index) for one in chosen])
    more = details(network(plane[:, None], index), chosen[0].factor)
    before, after = ((there - true).square().mean((1, 2)) for there in (read, read + more))
    return (after / (before + _FLOOR)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/ and photo/")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="folders of further pictures, *.webp")
    parser.add_argument("--out", type=Path, default=Path(".training/between"), help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=30.0, help="of all runs together, without preparation")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    path, rng = options.out / "checkpoint.pt", np.random.default_rng(0)
    known, unknown = _prepared(options, rng)
    chances = {factor: _chances(group) for factor, group in known.items()}
    network, seconds = load_weights().between.floating(), 0.0
    optimiser, average = torch.optim.Adam(network.parameters(), _RATE, (0.9, 0.99)), Average(network, 0.998)
    if path.exists():
        state = checkpoint.load(path)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights, average.steps, seconds = state["average"], state["step"], state["seconds"]
        rng = np.random.default_rng(average.steps)

    def save() -> None:
        judged = Between()
        judged.load_state_dict(average.weights)
        state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average.weights}
        state |= {"step": average.steps, "seconds": seconds, "minutes": options.minutes}
        state["gains"] = gained(judged, unknown)
        checkpoint.save(path, state)
        with path.with_name("log.jsonl").open("a") as log:
            log.write(json.dumps({"step": average.steps, "seconds": round(seconds, 1), **state["gains"]}) + "\n")

    begun, saved = time.monotonic() - seconds, seconds
    with tqdm(total=round(60 * options.minutes), unit="s", initial=round(seconds)) as bar:
        while seconds < 60 * options.minutes:
            fall = max(0.0, (seconds / (60 * options.minutes) - _FLAT) / (1 - _FLAT))
            optimiser.param_groups[0]["lr"] = _RATE * (_LEAST + (1 - _LEAST) * 0.5 * (1 + math.cos(math.pi * fall)))
            factor = 3 if rng.random() < _SHARE_OF_THREE else 2
            numbers = rng.choice(len(known[factor]), _BATCH[factor], p=chances[factor])
            loss = loss_of(network, [known[factor][number] for number in numbers], rng)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            average.update(network)
            seconds = time.monotonic() - begun
            bar.update(round(seconds) - bar.n)
            if seconds - saved > _BETWEEN_SAVES:
                save()
                saved = seconds
    save()


def _prepared(options: argparse.Namespace, rng: np.random.Generator) -> tuple[dict[int, list[Pair]], list[Pair]]:
    """Pairs to train on, by factor, and those to judge on; made if they are not there yet."""
    stored = options.out / "pairs.npz"
    if not stored.exists():
        pictures = load(options.data, tuple(options.more), options.out.parent / "pictures.npz")
        keep(stored, pairs(pictures, load_weights(), rng))
    known: dict[int, list[Pair]] = defaultdict(list)
    unknown = []
    for one in kept(stored):
        (unknown if is_held_out(one.source) else known[one.factor]).append(one)
    return known, unknown


def _chances(group: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """Large pictures are drawn more often, those of a source with many less often."""
    counts = Counter(one.source for one in group)
    chances = np.array([math.sqrt(one.small.size / counts[one.source]) for one in group])
    return chances / chances.sum()


if __name__ == "__main__":
    main()
