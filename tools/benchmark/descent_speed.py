"""How fast the fit of `warped` descends: steps a second on a drawn picture, beside the floor of its operations.

    python tools/benchmark/descent_speed.py [--size 352x288] [--steps 20] [--device cuda] [--json F.json]

The floor is the time that the operations of a step (of convolutions and products, counted by torch) take at the rate of
a large matrix product, measured here. On a CPU one thread works, as in an encode, where several nodes take steps side
by side. ``nerv-codec bench`` has the speed of decoding.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import UsageError
from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.refining import refined
from nerv_codec.representations.shared.weights import load_weights

_LAMBDA_INDEX = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="352x288", help="WIDTHxHEIGHT")
    parser.add_argument("--steps", type=int, default=20, help="2 or more")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        device = choose_device(options.device)
    except UsageError as error:
        parser.error(str(error))
    width, height = map(int, options.size.split("x"))
    with Workers():
        report = measured(width, height, options.steps, device)
    print(
        f"{options.size} on {device}: {report['steps_per_second']:.2f} steps a second, "
        f"{report['gflop_a_step']:.1f} GFLOP each; at {report['matmul_gflops']:.0f} GFLOP/s of a matrix product they "
        f"would take {1 / report['times_the_floor']:.0%} of that time"
    )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def measured(width: int, height: int, steps: int, device: torch.device) -> dict[str, Any]:
    """Steps of descent on a picture without parents, and what they are made of."""
    rows, cols = np.mgrid[:height, :width]
    luma = np.clip(110 + 60 * np.sin((rows**2 + cols**2) / 400) + 40 * (rows > cols), 0, 255).astype(np.uint8)
    planes, weights = [luma, luma[::2, ::2], 255 - luma[::2, ::2]], load_weights()
    part = parts([plane.shape for plane in planes])[0]
    canvas, told = to_canvas(planes, 8, part), Conditions(_LAMBDA_INDEX, components=part.components)
    prediction = IntegerPrediction.none(2 * canvas.shape[2], 2 * canvas.shape[3])
    real, start = analysed(canvas, prediction, told, weights)
    stamps: list[float] = []

    def stop() -> bool:
        """Asked before each step."""
        wait(device)
        stamps.append(time.perf_counter())
        return False

    def descend() -> None:
        refined(canvas, real, start, prediction, told, weights, steps, stop, device)

    with FlopCounterMode(display=False) as counter:
        descend()  # the first time, which also prepares what the device keeps
    stamps.clear()
    descend()
    seconds = (stamps[-1] - stamps[0]) / (steps - 1)
    gflop, rate = counter.get_total_flops() / steps / 1e9, matmul_gflops(device)
    return {
        "size": [width, height],
        "device": str(device),
        "steps_per_second": 1 / seconds,
        "gflop_a_step": gflop,
        "matmul_gflops": rate,
        "times_the_floor": seconds * rate / gflop,
    }


def matmul_gflops(device: torch.device) -> float:
    """The rate of a large matrix product in float32."""
    size = 1536 if device.type == "cpu" else 8192
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    times = []
    for _ in range(5):
        wait(device)
        began = time.perf_counter()
        torch.mm(a, b)
        wait(device)
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times) / 1e9


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
