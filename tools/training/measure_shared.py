"""Measures shared networks with real bytes: ``python -m tools.training.measure_shared clip.mkv ...``.

Frame 0 of each clip (8-bit 4:2:0), coded at a row of lambdas and decoded from the bytes, against x264, x265, SVT-AV1.
``--held-out`` judges on pictures of the training set that were not trained on instead, and what 8 bits cost.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerv_codec.evaluation.metrics.bd_rate import bjontegaard_deltas
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions, encode_latents
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.codec import analyse, decode_picture, pack_picture
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction, six_planes
from nerv_codec.representations.shared.integer_transform import SAMPLE_SCALE
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.networks import SharedNetworks, distortion
from nerv_codec.representations.shared.prediction import Prediction
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.refining import refined
from nerv_codec.representations.shared.transform import pack
from nerv_codec.representations.shared.weights import (
    SharedWeights,
    arrays_of,
    from_bytes,
    load_weights,
    shipped,
    to_bytes,
)
from tools.training import anchors, checkpoint
from tools.training.pictures import Picture, load, read_clip

INDICES = (20, 28, 36, 44, 52)
"""8.6e-5 to 1.4e-3."""
HELD_OUT_INDICES = (16, 32, 48, 64)
_HELD_OUT_SIDE = 160


def measure(planes: anchors.Planes, index: int, weights: SharedWeights, steps: int) -> tuple[int, float, float, float]:
    """Bytes, YUV PSNR, and seconds of encoding and of decoding; the picture is decoded from the bytes."""
    begun = time.perf_counter()
    if steps:
        canvas, told = to_canvas(planes, 8, parts([plane.shape for plane in planes])[0]), Conditions(index)
        nothing = IntegerPrediction.none(2 * canvas.shape[2], 2 * canvas.shape[3])
        latents = [refined(canvas, *analysed(canvas, nothing, told, weights), nothing, told, weights, steps)]
    else:
        latents = analyse(planes, 8, index, weights)
    data = pack_picture(latents, [plane.shape for plane in planes], 8, index, weights)
    coded = time.perf_counter()
    decoded = decode_picture(data, weights)
    ended = time.perf_counter()
    return len(data), anchors.yuv_psnr(planes, decoded), coded - begun, ended - coded


def compare(path: Path, weights: SharedWeights, cache: Path, steps: int) -> list[float]:
    """Prints the points of a clip's frame 0 and gives its BD-rates against the anchors, in per cent."""
    planes = read_clip(path, (0,))[0]
    name = path.name.split("_")[0]
    measure(planes, INDICES[0], weights, 0)  # compiles
    points = [measure(planes, index, weights, steps) for index in INDICES]
    rates, quality = [point[0] for point in points], [point[1] for point in points]
    deltas = []
    for curve in anchors.curves(name, planes, cache).values():
        pairs = [pair for k, pair in enumerate(curve) if k == 0 or pair[0] < curve[k - 1][0]]
        deltas.append(bjontegaard_deltas(rates, quality, *zip(*pairs, strict=True)).bd_rate_percent)
    listed = ", ".join(f"{size} B {psnr:.2f} dB" for size, psnr, _, _ in points)
    encoding, decoding = (1000 * float(np.mean([point[k] for point in points])) for k in (2, 3))
    print(f"{name}: {listed}; encoding {encoding:.0f} ms, decoding {decoding:.0f} ms")
    print(f"  BD-rate: {_listed(deltas)}")
    return deltas


def _listed(deltas: Iterable[float]) -> str:
    return ", ".join(f"{anchor} {delta:+.1f} %" for anchor, delta in zip(anchors.ANCHORS, deltas, strict=True))


@dataclass(frozen=True)
class HeldOut:
    """One picture at one lambda: float networks (as trained) and those that ship.

    Attributes:
        cost: D / lambda + R in floats, ideal code length.
        bits: Ideal bits of each grid in floats, over luma samples.
        coding: Real bytes over ideal ones, same latents.
        error: Distortion of the integer synthesis over that of the float one, same latents.
    """

    cost: float
    bits: tuple[float, ...]
    coding: float
    error: float


@torch.no_grad()
def held_out(networks: SharedNetworks, weights: SharedWeights, picture: Picture, index: int) -> HeldOut:
    """Measures on a square of the picture, with plain rounding."""
    y, u, v = (torch.from_numpy(plane.astype(np.float32) / 255) for plane in picture.planes)
    side, half = _HELD_OUT_SIDE, _HELD_OUT_SIDE // 2
    planes = pack(y[None, None, :side, :side], torch.stack([u, v])[None, :, :half, :half])
    at = torch.tensor([float(index)])
    prediction = Prediction.none(planes)
    coded = networks(planes, prediction, at)
    bits = tuple(float(grid) / side**2 for grid in coded.bits.values())
    integers = {level: grid[0].numpy().astype(np.int32) for level, grid in coded.latents.items()}
    size = len(encode_latents(integers, weights.alone.context, Conditions(index)))
    error = distortion(planes, coded.planes)
    samples = weights.alone.synthesis(integers, IntegerPrediction.none(side, side), index)
    shipped = distortion(planes, six_planes(samples) / SAMPLE_SCALE)
    return HeldOut(
        float(error) / lambda_value(index) + sum(bits), bits, 8 * size / side**2 / sum(bits), float(shipped / error)
    )


def report_held_out(networks: SharedNetworks, weights: SharedWeights, pictures: list[Picture]) -> None:
    """Prints means for each lambda; geometric where differences are relative gains."""
    logs = []
    for index in HELD_OUT_INDICES:
        found = [held_out(networks, weights, picture, index) for picture in pictures]
        logs.append(np.mean([math.log(one.cost) for one in found]))
        shares = np.sum([one.bits for one in found], 0)
        listed = ", ".join(f"1/{level} {s:.0%}" for level, s in zip(LEVELS, shares / shares.sum(), strict=True))
        coding, error = (np.median([getattr(one, name) for one in found]) for name in ("coding", "error"))
        print(
            f"lambda {lambda_value(index):.2e}: D / lambda + R {math.exp(logs[-1]):.4f}, bits: {listed}; real bytes "
            f"{coding - 1:+.2%} on ideal ones (median), integer synthesis {error - 1:+.2%} squared error (median)"
        )
    print(f"geometric mean of all: {math.exp(np.mean(logs)):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=0, help="refine the latents of each picture by so many steps")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--checkpoint", action="store_true", help="weights of the checkpoint, not those of the package")
    parser.add_argument("--every", type=int, default=1, help="only each n-th picture held out")
    parser.add_argument("--out", type=Path, default=Path(".training/shared"), help="folder of the checkpoint")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    networks = (
        checkpoint.averaged_networks(options.out / "checkpoint.pt")
        if options.checkpoint
        else load_weights().alone.floating
    )
    weights = from_bytes(to_bytes({**shipped(), **arrays_of(networks)})) if options.checkpoint else load_weights()
    if options.held_out:
        pictures = load(Path(), (), options.out.parent / "pictures.npz")
        chosen = [p for p in pictures if p.held_out and min(p.planes[0].shape) >= _HELD_OUT_SIDE][:: options.every]
        report_held_out(networks, weights, chosen)
    if options.clips:
        cache = options.out.parent / "anchors.json"
        deltas = np.mean([compare(path, weights, cache, options.steps) for path in options.clips], 0)
        print(f"mean BD-rate: {_listed(deltas)}")


if __name__ == "__main__":
    main()
