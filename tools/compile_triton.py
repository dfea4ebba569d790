"""Compiles the GPU's kernels without a GPU, down to machine code, and tells what each one takes.

    python tools/compile_triton.py [--arch 80 90]

Needs Triton. More than some hundred bytes spilled, or 255 registers, say that a kernel is too large for its blocks.
"""

from __future__ import annotations

import argparse
import glob
import inspect
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nerv_codec.entropy import rate_cuda as triton_rate
from nerv_codec.representations.tracked.cuda import colour as triton_tracked
from nerv_codec.representations.tracked.cuda import planes as triton_planes
from nerv_codec.representations.tracked.cuda import quantise as triton_proxy
from nerv_codec.representations.tracked.cuda import tracks as triton_tracks

REALS, INTEGERS, LONGS, BYTES = "*fp32", "*i32", "*i64", "*u8"
TYPES = {
    **dict.fromkeys(("kinds", "nodes", "places", "firsts", "chain", "moments", "frames", "table", "maps"), INTEGERS),
    **dict.fromkeys(("plane_gradients", "gradient", "gradients", "latent_gradients", "mix_gradient"), REALS),
    **dict.fromkeys(("planes", "tracks", "d_tracks", "rows", "cols", "network", "weights", "sums", "out"), REALS),
    **dict.fromkeys(("coarse", "latents", "mix", "grids", "reals", "y", "dy", "parameters"), REALS),
    **dict.fromkeys(("values", "slopes", "first", "second"), REALS),
    **dict.fromkeys(("inverse_peak", "high_row", "high_col", "factor", "inverse", "scale"), "fp32"),
    **dict.fromkeys(("deviation", "step", "beta1", "beta2", "floor"), "fp32"),
    "codes": BYTES,
    "seeds": LONGS,
}
"""Types of the kernels' arguments by name; others are integers."""
NUMBERS = {"rows": "i32", "cols": "i32"}
TAPS = (0.75, 0.25)
KERNELS: list[tuple[Any, dict[str, Any], dict[str, str], int]] = [
    (triton_tracked.evaluate_kernel, {"WIDTH": 16, "PRECISION": "tf32x3"}, {}, 8),
    (
        triton_tracked.fit_kernel,
        {"WIDTH": 16, "KNOT_ROWS": 16, "KNOT_COLS": 16, "SLOTS": 32, "PRECISION": "tf32"},
        {},
        8,
    ),
    (triton_tracks.forward_kernel, {"BLOCK": 128}, NUMBERS, 4),
    (triton_tracks.backward_kernel, {"BLOCK": 128}, NUMBERS, 4),
    (triton_planes.upsample_kernel, {"COARSE": True, "OTHER": True, "TAPS": TAPS, "BLOCK": 128}, NUMBERS, 4),
    (triton_planes.latent_backward_kernel, {"BLOCK": 1024}, NUMBERS, 4),
    (triton_planes.coarse_backward_kernel, {"TAPS": TAPS, "BLOCK": 128}, NUMBERS, 4),
    (triton_proxy.soft_round_kernel, {"BLOCK": 1024}, {"blocks": LONGS}, 4),
    (triton_proxy.adam_kernel, {"BLOCK": 1024}, {"blocks": LONGS}, 4),
    (triton_rate.rate_kernel, {"HIDDEN": 8, "SLOTS": 64, "BLOCK": 128}, {"blocks": INTEGERS}, 4),
]
"""Each with its constants, types that differ, and warps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, nargs="+", default=[80, 90], help="compute capabilities (80 90)")
    for arch in parser.parse_args().arch:
        for kernel, constants, types, warps in KERNELS:
            print(f"sm_{arch} {kernel.__name__}: {build(kernel, constants, types, warps, arch)}", flush=True)


def build(kernel: Any, constants: dict[str, Any], types: dict[str, str], warps: int, arch: int) -> str:
    """Compiles one kernel. Returns what it takes."""
    names = list(inspect.signature(kernel.fn).parameters)
    signature = {name: "constexpr" if name in constants else (TYPES | types).get(name, "i32") for name in names}
    places = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, constexprs=places)
    built = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": warps})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(built.asm["ptx"])
        assembler = glob.glob(str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas*"))[0]
        name = f"sm_{arch}a" if arch >= 90 else f"sm_{arch}"
        command = [assembler, "-v", f"--gpu-name={name}", str(path), "-o", str(path.with_suffix(".cubin"))]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers, spilled = (re.search(pattern, told) for pattern in (r"(\d+) registers", r"(\d+) bytes spill stores"))
    return (
        f"{registers[1] if registers else '?'} registers, {spilled[1] if spilled else '?'} bytes spilled, "
        f"{built.metadata.shared} bytes shared"
    )


if __name__ == "__main__":
    main()
