"""Speed of fitting and decoding `tracked`, each beside plain torch in the same run and beside what the machine allows.

    python tools/benchmark/benchmark.py CLIP [--frames 33] [--steps 20] [--rounds 3] [--nvc FILE.nvc] [--encode]
    python tools/benchmark/benchmark.py CLIP --device cuda --size 1920x1080 [--nvc FILE_OF_1080p.nvc]

A floor is the time that the floating-point operations take at the rate of a large matrix product, or the bytes at the
rate of a large copy, whichever is longer; both are counted from shapes (``floors``) and measured here (``machine``).
Compiled and plain steps are done in turns, a few rounds of each, so that both meet the same load.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_benchmark import Moment, Problem, compiled, load, plain

from nerv_codec.base.device import choose_device
from nerv_codec.base.errors import UsageError
from nerv_codec.cli.settings import add_settings, chosen_settings
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.encode import encode
from nerv_codec.entropy.context_model import NUM_INPUTS
from nerv_codec.evaluation.decode_speed import benchmark_decode
from nerv_codec.representations.rendering import View, plane_axes, plane_groups
from nerv_codec.representations.tracked.shape import CUBIC_DEPTH, FEATURES, TrackedShape

_FLOAT = 4
_FIT_TO_FORWARD = 3
"""Operations of forward and backward against forward alone: gradients of inputs and of weights."""


def main() -> None:
    options = _parser().parse_args()
    keep_memory()
    try:
        device = choose_device(options.device)
    except UsageError as error:
        raise SystemExit(f"nothing to measure: {error}") from error
    config = dataclasses.replace(chosen_settings(options), model="tracked")
    report: dict[str, Any] = {"schema_version": 1, "command": sys.argv, "machine": machine(device)}
    rates = report["machine"]
    speed = f"{rates['matmul_gflops']:.0f} GFLOP/s, copies {rates['copy_gbytes']:.1f} GB/s"
    print(f"machine: {speed}, {rates['threads']} threads", flush=True)
    problem = load(options.clip, options.frames, config.tracked, options.size)
    if options.steps:
        report["fit"] = bench_fit(problem, options.steps, options.rounds, device, rates)
        print(fit_text(report["fit"]), flush=True)
    if options.nvc:
        report["decode"] = bench_decode(options.nvc, device, rates)
        print(decode_text(report["decode"]), flush=True)
    if options.encode:
        report["encode"] = bench_encode(options.clip, options.frames, config, options.device)
        print(f"encode --preset {options.preset}: {report['encode']}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def keep_memory() -> None:
    """Lets the C library use freed memory again instead of asking for new pages: plain torch is slow without."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            library.mallopt(parameter, 1 << 30)


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """Rates of a large matrix product in float32, and of a large copy (read and written bytes)."""

    def best(work: Any) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            wait(device)
            times.append(time.perf_counter() - began)
        return min(times)

    size = 1536 if device.type == "cpu" else 8192
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    source = torch.randn(1 << 26, device=device)
    target = torch.empty_like(source)
    return {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "matmul_gflops": 2 * size**3 / best(lambda: torch.mm(a, b)) / 1e9,
        "copy_gbytes": 2 * _FLOAT * source.numel() / best(lambda: target.copy_(source)) / 1e9,
    }


def bench_fit(problem: Problem, steps: int, rounds: int, device: torch.device, rates: dict[str, Any]) -> dict[str, Any]:
    """Steps over all rows of all frames: compiled, plain, and the floor; and whether their losses agree."""
    seconds: dict[str, list[float]] = {"compiled": [], "plain": []}
    curves: dict[str, list[Moment]] = {}
    with compiled(problem, device) as step:
        step(0)  # compiles
    for _ in range(rounds):
        for name, make in (("compiled", compiled(problem, device)), ("plain", plain(problem, device))):
            with make as step:
                moments = []
                for number in range(steps):
                    began = time.perf_counter()
                    moments.append(step(number))
                    wait(device)
                    seconds[name].append(time.perf_counter() - began)
                curves[name] = moments
    median = {name: statistics.median(times) for name, times in seconds.items()}
    losses = {name: [problem.loss(moment) for moment in curve] for name, curve in curves.items()}
    goal = losses["plain"][-1]
    needed = next((n + 1 for n, loss in enumerate(losses["compiled"]) if loss <= goal * (1 + 1e-3)), None)
    flops, moved = fit_floor(problem)
    floor = max(flops / rates["matmul_gflops"], moved / rates["copy_gbytes"]) / 1e9
    return {
        "frames": len(problem.frames),
        "size": [problem.info.width, problem.info.height],
        "coordinates": problem.coordinates,
        "steps": steps,
        "rounds": rounds,
        **{
            name: {
                "seconds_per_step": median[name],
                "steps_per_second": 1 / median[name],
                "coordinates_per_second": problem.coordinates / median[name],
                "luma_psnr_db": [round(moment.psnr_db, 5) for moment in curves[name]],
                "bits": [round(moment.bits, 1) for moment in curves[name]],
            }
            for name in seconds
        },
        "compiled_is_faster_by": median["plain"] / median["compiled"],
        "largest_difference_db": max(abs(a.psnr_db - b.psnr_db) for a, b in zip(*curves.values(), strict=True)),
        "largest_difference_of_loss": max(abs(a / b - 1) for a, b in zip(*losses.values(), strict=True)),
        "to_the_loss_of_plain": {
            "loss": goal,
            "compiled_seconds": None if needed is None else needed * median["compiled"],
            "plain_seconds": steps * median["plain"],
        },
        "floor": {
            "flops": flops,
            "bytes": moved,
            "seconds_per_step": floor,
            "compiled_over_floor": median["compiled"] / floor,
        },
    }


def colour_macs(shape: TrackedShape) -> float:
    """Multiplications for one coordinate, mean over the frames: tracks between knots, reads of planes, network."""
    hidden, outputs = shape.hidden, shape.outputs
    network = FEATURES * hidden + hidden * hidden + hidden * outputs + FEATURES * outputs
    reads = []
    for frame in range(shape.tree.num_frames):
        chain = shape.tree.chain(float(frame))
        cubic = sum(shape.tree.nodes[sample.node].depth <= CUBIC_DEPTH for sample in chain)
        reads.append(FEATURES * (16 * cubic + 4 * (len(chain) - cubic) + len(chain)) + 4 * 3 * len(chain))
    return network + statistics.fmean(reads)


def fit_floor(problem: Problem) -> tuple[float, float]:
    """Floating-point operations and bytes that no way to do a step can avoid.

    Bytes: each node's plane and its gradient written once and read once; of each latent and motion symbol its value,
    both moments, proxy, slope and gradient read and written once; the code values read once.
    """
    shape, config = problem.shape, problem.config
    nodes = len(shape.tree.nodes)
    latents = nodes * shape.node_latents
    planes = nodes * shape.height * shape.width * FEATURES
    motion = len(problem.state().motion.values)
    contexts = sum(
        count * (hidden * (NUM_INPUTS + 2) + 2 * NUM_INPUTS)
        for count, hidden in ((latents, config.rate_hidden), (motion, config.motion_hidden))
    )
    upsampling = nodes * 4 * FEATURES * sum(np.prod(shape.size_at(scale)) for scale in range(shape.scales))
    macs = problem.coordinates * colour_macs(shape) + contexts + upsampling
    samples = sum(plane.nbytes for frame in problem.frames for plane in frame.planes)
    moved = _FLOAT * (4 * planes + 2 * 6 * (latents + motion)) + samples
    return float(2 * _FIT_TO_FORWARD * macs), float(moved)


def bench_decode(path: Path, device: torch.device, rates: dict[str, Any]) -> dict[str, Any]:
    """The stages of a decode, its evaluation in plain torch on one frame, and the floor of the evaluation."""
    report = benchmark_decode(path, device=str(device))
    with VideoDecoder(path, device=str(device)) as video:
        info, model = video.header.info, video.loader.gop(0)
        frame = video.header.gops[0].num_frames // 2
        view = View.whole(info.height, info.width)
        parts = []
        for group in plane_groups(info.pixel_format):
            rows, cols = plane_axes(info, group[0], view, info)
            parts.append(torch.cartesian_prod(torch.tensor([float(frame)], dtype=torch.float64), rows, cols))
        coords = torch.cat(parts)
        model.sample(coords)
        wait(device)
        began = time.perf_counter()
        model.sample(coords)
        wait(device)
        plain_seconds = time.perf_counter() - began
        macs = model.macs_per_sample
    pixels = info.height * info.width
    evaluation = report["stages"]["evaluation"]["seconds"] / report["num_frames"]
    # A frame's own plane is written and read, its code values are written; the others are there already.
    moved = _FLOAT * 2 * pixels * FEATURES + len(coords)
    floor = max(2 * macs * len(coords) / rates["matmul_gflops"], moved / rates["copy_gbytes"]) / 1e9
    report["evaluation_of_one_frame"] = {
        "seconds": evaluation,
        "plain_torch_seconds": plain_seconds,
        "faster_by": plain_seconds / evaluation,
        "floor_seconds": floor,
        "over_floor": evaluation / floor,
    }
    return report


def bench_encode(clip: Path, frames: int, config: Any, device: str) -> dict[str, Any]:
    """Wall time of a whole encode."""
    with tempfile.TemporaryDirectory() as folder:
        report = encode(clip, Path(folder) / "a.nvc", config=config, frames=frames, audio=False, device=device)
    return {
        "seconds": report.seconds,
        "fit_seconds": report.fit_seconds,
        "psnr_y_db": report.psnr_y_db,
        "file_bytes": report.file_bytes,
    }


def fit_text(fit: dict[str, Any]) -> str:
    lines = [
        f"fit: {fit['frames']} frames of {fit['size'][0]}x{fit['size'][1]}, {fit['coordinates']} coordinates a step"
    ]
    for name in ("compiled", "plain"):
        one = fit[name]
        lines.append(
            f"  {name:9} {1000 * one['seconds_per_step']:9.1f} ms a step, {one['coordinates_per_second'] / 1e6:.2f} M "
            f"coordinates/s"
        )
    floor, goal = fit["floor"], fit["to_the_loss_of_plain"]
    reached = "not reached" if goal["compiled_seconds"] is None else f"{goal['compiled_seconds']:.2f} s"
    lines += [
        f"  floor     {1000 * floor['seconds_per_step']:9.1f} ms a step: {floor['flops'] / 1e9:.1f} GFLOP, "
        f"{floor['bytes'] / 1e9:.2f} GB; compiled takes {floor['compiled_over_floor']:.1f} times that",
        f"  compiled is {fit['compiled_is_faster_by']:.2f} times as fast as plain torch",
        f"  over {fit['steps']} steps their losses differ by {100 * fit['largest_difference_of_loss']:.3f} % at the "
        f"most, luma by {fit['largest_difference_db']:.4f} dB",
        f"  to D + lambda R = {goal['loss']:.6f} (luma): {reached} against {goal['plain_seconds']:.2f} s",
    ]
    return "\n".join(lines)


def decode_text(report: dict[str, Any]) -> str:
    one = report["evaluation_of_one_frame"]
    stages = ", ".join(f"{name} {stage['fps']:.1f}" for name, stage in report["stages"].items())
    return (
        f"decode: fps by stage: {stages}; whole {report['decode_to_null']['fps']:.1f}\n"
        f"  evaluation {1000 * one['seconds']:.1f} ms a frame, plain torch {1000 * one['plain_torch_seconds']:.1f} ms, "
        f"floor {1000 * one['floor_seconds']:.2f} ms\n"
        f"  one random frame {1000 * report['random_frame']['seconds']:.0f} ms = "
        f"{report['random_frame']['gop_decodes']:.2f} GOP decodes"
    )


def size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=33, help="of one GOP (33)")
    parser.add_argument("--steps", type=int, default=20, help="of a fit in a round; 0: no fit (20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nvc", type=Path, help="a file to decode")
    parser.add_argument("--encode", action="store_true", help="also the wall time of a whole encode")
    add_settings(parser)
    parser.add_argument("--device", default="cpu", help="cuda: compiled and plain torch on the GPU (cpu)")
    parser.add_argument("--size", type=size, metavar="WxH", help="stretch the clip for the fit, to 1920x1080, say")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
