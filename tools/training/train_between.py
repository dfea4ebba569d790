"""Trains what planes show between samples: ``python -m tools.training.train_between --data <folder> --minutes 20``.

Pictures are reduced by means over squares, coded by the shared networks at random prices, and read more densely again.
May be killed at any time; the same command goes on from the last checkpoint. Export with ``export_shared``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from nerv_codec.representations.shared.between import Between, details
from nerv_codec.representations.shared.codec import analyse, synthesise
from nerv_codec.representations.shared.integer_transform import GRAY_SAMPLE
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped.interpolate import KERNEL
from nerv_codec.representations.warped.interpolate_kernel import read_lattice
from nerv_codec.representations.warped.planes import UNIT
from tools.training import checkpoint
from tools.training.optimiser import Average
from tools.training.pictures import Picture, load

FACTORS = (2, 3)
_SHARE_OF_THREE = 0.25
_PRICES, _CLEAN = (4, 60), 0.15
"""Lambda indices, and the share of pictures that are not coded, which pass as the cheapest."""
_SIDE, _EDGE = 36, 4
"""Of crops of the reduced pictures, and what is not judged around them."""
_SCALE = 128 * UNIT
_BATCH = {2: 24, 3: 12}
_RATE, _FLAT, _LEAST = 2e-3, 0.3, 0.02
_FLOOR = 2 / 128**2
"""Squared error that is added to that of the kernel, against which the loss is measured."""


@dataclass(frozen=True)
class Pair:
    """A picture, what became of it at a size ``factor`` times smaller, and what a kernel reads from that."""

    factor: int
    index: int
    small: npt.NDArray[np.int16]
    true: npt.NDArray[np.uint8]
    read: npt.NDArray[np.float16]


def pair(luma: npt.NDArray[np.uint8], factor: int, weights: SharedWeights, rng: np.random.Generator) -> Pair | None:
    """A pair at a random price, None if the picture is too small."""
    rows, cols = (side // (16 * factor) * 16 for side in luma.shape)
    if min(rows, cols) < _SIDE:
        return None
    true = luma[: rows * factor, : cols * factor]
    small = np.rint(true.reshape(rows, factor, cols, factor).mean((1, 3))).astype(np.uint8)
    index = int(rng.integers(*_PRICES))
    if rng.random() < _CLEAN:
        index = 0
    else:
        small = synthesise(analyse([small], 8, index, weights), [small.shape], 8, index, weights)[0]
    samples, read = small.astype(np.int16) * UNIT, np.empty(true.shape, np.float32)
    places = [((np.arange(n * factor) + 0.5) / factor - 0.5).clip(0, n - 1) for n in (rows, cols)]
    read_lattice(samples, *places, KERNEL, read)
    return Pair(factor, index, samples, true, read.astype(np.float16))


def pairs(pictures: Sequence[Picture], held_out: bool, rng: np.random.Generator) -> dict[int, list[Pair]]:
    """Pairs of all pictures, or of those that are held out, by factor."""
    weights, found = load_weights(), defaultdict(list)
    chosen = [picture for picture in pictures if picture.held_out == held_out]
    for picture in tqdm(chosen, unit="picture", leave=False):
        for factor in FACTORS:
            made = pair(picture.planes[0], factor, weights, rng)
            if made is not None:
                found[factor].append(made)
    return found


def tensors(chosen: Sequence[Pair], rng: np.random.Generator | None) -> tuple[Tensor, ...]:
    """Planes, prices, truth and what the kernel read, in 128 code values: whole, or crops turned at random."""
    found: list[list[npt.NDArray[np.float32]]] = [[], [], []]
    for one in chosen:
        grids: list[npt.NDArray[np.generic]] = [one.small, one.true, one.read]
        if rng is not None:
            top, left = (int(rng.integers(side - _SIDE + 1)) for side in one.small.shape)
            turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
            for number, grid in enumerate(grids):
                k = one.factor if number else 1
                crop = grid[k * top : k * (top + _SIDE), k * left : k * (left + _SIDE)]
                grids[number] = np.rot90(crop.T if mirrored else crop, turns)
        for grid, into in zip(grids, found, strict=True):
            into.append(np.ascontiguousarray(grid, np.float32))
    small, true, read = (torch.from_numpy(np.stack(grids)) for grids in found)
    index = torch.tensor([float(one.index) for one in chosen])
    return (small[:, None] - GRAY_SAMPLE) / _SCALE, index, true / 128, read / _SCALE


def gained(network: Between, chosen: Sequence[Pair]) -> dict[str, float]:
    """dB over the kernel, means by factor and by lambda index."""
    found = defaultdict(list)
    for one in chosen:
        plane, index, true, read = tensors([one], None)
        with torch.no_grad():
            more = details(network(plane, index), one.factor)
        before, after = ((there - true).square().mean() for there in (read, (read + more).clamp(0, 255 / 128)))
        lowest = one.index // 20 * 20
        found[f"x{one.factor} at {lowest}..{lowest + 19}"].append(10 * math.log10(float(before / after)))
    return {name: round(float(np.mean(values)), 3) for name, values in sorted(found.items())}


def loss_of(network: Between, chosen: Sequence[Pair], rng: np.random.Generator) -> Tensor:
    """Squared error of crops of pairs of one factor, as shares of the kernel's own, averaged."""
    plane, index, true, read = tensors(chosen, rng)
    factor = chosen[0].factor
    more, edge = details(network(plane, index), factor), _EDGE * factor
    before, after = ((there - true)[:, edge:-edge, edge:-edge].square().mean((1, 2)) for there in (read, read + more))
    return (after / (before + _FLOOR)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with video/ and photo/")
    parser.add_argument("--out", type=Path, default=Path(".training/between"), help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=20.0, help="of all runs together, without preparation")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    path, rng = options.out / "checkpoint.pt", np.random.default_rng(0)
    pictures = load(options.data, options.out.parent / "pictures.npz")
    known, unknown = (pairs(pictures, held_out, rng) for held_out in (False, True))
    chances = {factor: np.sqrt([one.small.size for one in group]) for factor, group in known.items()}
    network, seconds = Between(), 0.0
    optimiser, average = torch.optim.Adam(network.parameters(), _RATE, (0.9, 0.99)), Average(network, 0.999)
    if path.exists():
        state = checkpoint.load(path)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights, average.steps, seconds = state["average"], state["step"], state["seconds"]
        rng = np.random.default_rng(average.steps)

    def save() -> None:
        judged = Between()
        judged.load_state_dict(average.weights)
        gains = gained(judged, [one for group in unknown.values() for one in group])
        state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average.weights}
        state |= {"step": average.steps, "seconds": seconds, "minutes": options.minutes, "gains": gains}
        checkpoint.save(path, state)
        with path.with_name("log.jsonl").open("a") as log:
            log.write(json.dumps({"step": average.steps, "seconds": round(seconds, 1), **gains}) + "\n")

    begun, saved = time.monotonic() - seconds, seconds
    with tqdm(total=round(60 * options.minutes), unit="s", initial=round(seconds)) as bar:
        while seconds < 60 * options.minutes:
            fall = max(0.0, (seconds / (60 * options.minutes) - _FLAT) / (1 - _FLAT))
            optimiser.param_groups[0]["lr"] = _RATE * (_LEAST + (1 - _LEAST) * 0.5 * (1 + math.cos(math.pi * fall)))
            factor = 3 if rng.random() < _SHARE_OF_THREE else 2
            numbers = rng.choice(len(known[factor]), _BATCH[factor], p=chances[factor] / chances[factor].sum())
            loss = loss_of(network, [known[factor][number] for number in numbers], rng)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            average.update(network)
            seconds = time.monotonic() - begun
            bar.update(round(seconds) - bar.n)
            if seconds - saved > 60:
                save()
                saved = seconds
    save()


if __name__ == "__main__":
    main()
