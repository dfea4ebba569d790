"""Makes the prior of `tracked`: the networks from which fits start and from which files store the difference.

    python tools/training/train_prior.py prior.json CLIP:FIRST[:WIDTHxHEIGHT] ... --rounds 24 --steps 80

Clip after clip is fitted, each at a rate and length drawn by chance, and the prior moves a part of the way to what
the fit came to (Nichol et al. 2018, "On First-Order Meta-Learning Algorithms": Reptile). The clips must not be those
that the codec is measured on. The result stands in the given file after every round; it is meant to become
``nerv_codec/representations/tracked/prior.json``, which changes the format.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import random
import re
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.media.reader import open_video
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.sites import gop_geometry
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.tracked import prior
from nerv_codec.representations.tracked.config import TrackedConfig
from nerv_codec.representations.tracked.fit.optimise import fit_tracked
from nerv_codec.representations.tracked.fit.state import PRIOR_LAMBDA
from nerv_codec.representations.tracked.payload import read_tracked

LAMBDAS = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
LENGTHS = (9, 12, 17)
LEAST_STEP = 0.2
"""Share of the way to a fit's networks that the prior moves at least; in the first rounds it is their mean."""
DEPTHS = 5

Numbers = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("clips", nargs="+", metavar="CLIP:FIRST[:WIDTHxHEIGHT]")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=80, help="with all frames, in each fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--go-on", action="store_true", help="start from the prior in use")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    numbers: Numbers | None = None
    if options.go_on:
        numbers = {name: values * 2.0**prior.UNIT_LOG2 for name, values in prior._numbers().items()}
    began = time.monotonic()
    for number in range(options.rounds):
        clip = options.clips[number % len(options.clips)]
        rd_lambda, length = rng.choice(LAMBDAS), rng.choice(LENGTHS)
        frames, info = load(clip, rng.choice((0, 3, 6)), length)
        if numbers is not None:
            use(numbers)
        tracked = TrackedConfig(
            steps=options.steps,
            rd_lambda=rd_lambda,
            prior=numbers is not None,
            initial_gain=TrackedConfig.initial_gain * math.sqrt(rd_lambda / PRIOR_LAMBDA),
        )
        task = GopTask(tuple(frames), info, index=number, seed=options.seed)
        payload = fit_tracked(tracked, task, lambda status: None, Checkpoint()).payload
        found = networks(payload, frames, info, rd_lambda, numbers)
        share = max(LEAST_STEP, 1 / (number + 1))
        numbers = {name: value + share * (found[name] - value) for name, value in (numbers or found).items()}
        options.target.write_text(dump(numbers))
        seconds = time.monotonic() - began
        print(f"{number}: {clip}, {length} frames, {rd_lambda}: {len(payload)} bytes, {seconds:.0f} s", flush=True)


def networks(
    payload: bytes, frames: list[PlanarFrame], info: VideoInfo, rd_lambda: float, before: Numbers | None
) -> Numbers:
    """What a fit came to, in the form of the prior."""
    gop = read_tracked(payload, gop_geometry(frames, info))
    found = {name: part.values for name, part in zip(gop.shape.network_shapes(), gop.network, strict=True)}
    gain = found["gain"] / math.sqrt(rd_lambda / PRIOR_LAMBDA)
    rest = before["gain"][len(gain) :] if before is not None else np.repeat(gain[-1:], max(0, DEPTHS - len(gain)), 0)
    found["gain"] = np.concatenate([gain, rest])[:DEPTHS]
    for name, model in (("latents", gop.latent_model), ("motion", gop.motion_model)):
        found |= {f"{name}.{index}": part.values for index, part in enumerate(model)}
    return found


def dump(numbers: Numbers) -> str:
    """One tensor a line, in units of 2**-12."""
    lines = [f"{json.dumps(name)}: {json.dumps(values.tolist())}" for name, values in integers(numbers).items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def integers(numbers: Numbers) -> Numbers:
    return {name: np.rint(values / 2.0**prior.UNIT_LOG2).astype(np.int64) for name, values in numbers.items()}


def use(numbers: Numbers) -> None:
    """Lets fits in this process start there."""
    known = integers(numbers)
    prior._numbers = lambda: known  # type: ignore[assignment]


def load(text: str, skip: int, length: int) -> tuple[list[PlanarFrame], VideoInfo]:
    """Frames of a clip, reduced to a size."""
    match = re.fullmatch(r"(.+?):(\d+)(?::(\d+)x(\d+))?", text)
    if not match:
        raise SystemExit(f"expected CLIP:FIRST[:WIDTHxHEIGHT], found {text!r}")
    path, first, width, height = match.groups()
    with open_video(path) as reader:
        info = reader.info
        frames = list(itertools.islice(reader, int(first) + skip, int(first) + skip + length))
    if width is None:
        return frames, info
    reduced = dataclasses.replace(info, width=int(width), height=int(height))
    sizes = [info.pixel_format.plane_size(plane, reduced.height, reduced.width) for plane in range(3)]

    def shrink(frame: PlanarFrame) -> PlanarFrame:
        planes = [
            cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_AREA)
            for plane, (rows, cols) in zip(frame.planes, sizes, strict=True)
        ]
        return dataclasses.replace(frame, planes=tuple(planes))

    return [shrink(frame) for frame in frames], reduced


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
