"""How fast pictures of `warped` come out of their stream on one thread, beside the floor of their multiplications.

    python tools/benchmark/decode_speed.py FILE.nvc ... [--turns 5] [--json F.json]

The floor is the time that multiplications of the networks, for symbols in coded bands and in squares that are mended,
take at twice the rate of a large matrix product in float32, measured here, as numbers of 16 bits are half as wide. It
counts nothing of motion, wavelets and memory, and nothing of what minimal filtering saves. Symbols are read again by
themselves, each picture's from a stream of its own. ``nerv-codec bench`` has whole decodes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from descent_speed import matmul_gflops

from nerv_codec.base.errors import InputError, NervCodecError
from nerv_codec.base.threads import Workers
from nerv_codec.decoding.metadata import stored_geometry
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.representations.shared.band_coder import decode_latents, encode_latents
from nerv_codec.representations.shared.layout import LEVELS, Design, bands, macs_per_pixel, macs_per_symbol
from nerv_codec.representations.shared.stream import StreamReader
from nerv_codec.representations.shared.weights import SharedWeights, load_weights
from nerv_codec.representations.warped.decode import ReadNode, read_nodes
from nerv_codec.representations.warped.payload import split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--turns", type=int, default=5, help="the fastest counts")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        reports = [measured(path, options.turns) for path in options.files]
    except NervCodecError as error:
        parser.error(str(error))
    for path, found in zip(options.files, reports, strict=True):
        print(
            f"{path.name}: {found['frames_a_second']:.1f} frames a second on one thread, "
            f"{found['times_the_floor']:.1f} times the floor of {found['gmacs']:.1f} GMAC; "
            f"{found['symbols'] / 1e6:.2f} M symbols, {found['msymbols_a_second']:.1f} M a second, "
            f"{found['times_the_floor_of_symbols']:.1f} times theirs"
        )
    if options.json:
        options.json.write_text(json.dumps(dict(zip(map(str, options.files), reports, strict=True)), indent=2) + "\n")


def measured(path: Path, turns: int) -> dict[str, Any]:
    """The first GOP of a file. Raises InputError if it is none of `warped`, BitstreamError if it is damaged."""
    with VideoDecoder(path) as video:
        if video.metadata.model != "warped":
            raise InputError(f"{path}: a file of {video.metadata.model}, not of warped")
        geometry = stored_geometry(video.loader.header, 0)
        payload = split(video.loader.container.read_gop(0), geometry)
    head = payload.head
    weights, parts = load_weights(head.networks), head.layout.parts(geometry)

    def nodes() -> list[ReadNode]:
        with Workers() as workers:
            streams = [StreamReader(stream) for stream in payload.streams]
            both = zip(parts, streams, strict=True)
            return [node for part, source in both for node in read_nodes(part, head, weights, source, workers)]

    read = nodes()
    streams = [encode_latents(node.latents, _context(node, weights), node.told.conditions) for node in read]

    def symbols() -> None:
        for node, stream in zip(read, streams, strict=True):
            rows, cols = (LEVELS[-1] * extent for extent in node.latents[LEVELS[-1]].shape[1:])
            decode_latents(stream, rows, cols, _context(node, weights), node.told.conditions)

    whole, alone = _least(nodes, turns), _least(symbols, turns)
    rate = matmul_gflops(torch.device("cpu"))  # of float32 half as many multiplications, of 16 bits twice those
    coded, learned, mended = (sum(part) for part in zip(*(_macs(node, weights) for node in read), strict=True))
    return {
        "frames_a_second": geometry.num_frames / whole,
        "gmacs": (learned + mended) / 1e9,
        "gmacs_a_second_at_the_floor": rate,
        "times_the_floor": whole * rate * 1e9 / (learned + mended),
        "symbols": coded,
        "msymbols_a_second": coded / alone / 1e6,
        "times_the_floor_of_symbols": alone * rate * 1e9 / learned,
    }


def _context(node: ReadNode, weights: SharedWeights) -> Any:
    return weights.of(node.told.conditions.parents).context


def _macs(node: ReadNode, weights: SharedWeights) -> tuple[int, float, float]:
    """Symbols that a picture's stream has, and multiplications for them and for what is mended."""
    design: Design = weights.of(node.told.conditions.parents).synthesis.design
    coded = sum(grid[0].size * int(grid.any((1, 2)).sum()) for grid in node.latents.values())
    samples = node.latents[LEVELS[-1]][0].size * LEVELS[-1] ** 2
    everything = sum(len(bands(level)) / level**2 for level in LEVELS) * macs_per_symbol(design)
    return (
        coded,
        coded * macs_per_symbol(design),
        samples * float(node.chosen.squares.mean()) * (macs_per_pixel(design) - everything),
    )


def _least(function: Callable[[], object], turns: int) -> float:
    function()
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
