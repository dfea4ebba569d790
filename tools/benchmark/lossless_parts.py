"""What each part of the lossless predictor brings: bytes with parts switched off, added one after another.

    python tools/benchmark/lossless_parts.py carphone.mp4:8 foreman.mkv:6

A clip is FILE:FRAMES, its first frames, one GOP. What compiled kernels hold is switched off by other constants, in a
process with a cache of its own; all else by other regressors, vectors and states. Payloads are only encoded: that a
decoder gets the same from them is for the tests.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any
from unittest import mock

_NEVER = -(10**9)
"""How often a bias was seen, so that it stays 0: steps are divided by it."""


@dataclass(frozen=True)
class Parts:
    """What is switched on."""

    past: int = 0
    """Frames before that are looked at."""
    luma: bool = False
    """Whether planes of the frame that were coded before are."""
    bias: bool = False
    mixing: bool = False
    """Whether opinions are mixed by weights that are learnt, with counters; else the last prediction's counts alone."""
    learnt: bool = False
    """Whether states and networks are those that ship."""


ROWS = {
    "neighbours in the plane": (row := Parts()),
    "+ one frame before, where motion leads": (row := replace(row, past=1)),
    "+ two more frames before": (row := replace(row, past=3)),
    "+ luma for chroma": (row := replace(row, luma=True)),
    "+ cancelled bias": (row := replace(row, bias=True)),
    "+ mixing, counters": (row := replace(row, mixing=True)),
    "+ states and networks learnt before": (row := replace(row, learnt=True)),
}


def coded_bytes(parts: Parts, clip: str) -> int:
    """Bytes of the payload of a clip."""
    if not parts.mixing:
        _stop_mixing()
    from nerv_codec.media.reader import open_video
    from nerv_codec.representations.coordinates import GopGeometry
    from nerv_codec.representations.lossless import gop_coder, model, payload, plane_coder, start
    from nerv_codec.representations.lossless.layout import SampleLayout

    file, count = clip.rsplit(":", 1)
    with open_video(file) as reader:
        info, frames = reader.info, [frame.planes for frame in islice(reader, int(count))]
    geometry = GopGeometry(len(frames), info.height, info.width, info.pixel_format.num_planes)
    all_regressors, kernel, inner = model.regressors, plane_coder.code_plane, gop_coder.search_motion

    def regressors(plane: int, *, inter: bool) -> model.Regressors:
        """Those of the parts, in their order; the smaller models shrink with what is taken away."""
        whole = all_regressors(plane if parts.luma else 0, inter=inter and parts.past > 0)
        kept = [tap[1] <= parts.past for tap in whole.taps]
        few, some = sum(kept[: whole.few]), sum(kept[: whole.some])
        return model.Regressors(tuple(tap for tap, keep in zip(whole.taps, kept, strict=True) if keep), few, some)

    def state(plane: int, inter: bool) -> model.PlaneState:
        if parts.learnt:
            return start.load_start().state(plane, inter)
        fresh = model.fresh_state(plane, inter and parts.past > 0)
        if not parts.bias:
            fresh.biases_seen.fill(_NEVER)
        if not parts.mixing:
            fresh.by_node.fill(0)
            fresh.by_node[:, model.NUM_PREDICTIONS - 1] = 1
        return fresh

    def code_plane(*arguments: Any) -> None:
        """Frames that may not be looked at are the one before."""
        changed = list(arguments)
        slots, vectors = (changed[place].copy() for place in (6, 7))
        if parts.past == 1:
            slots[:, 2:], vectors[1:] = slots[:, 1:2], vectors[:1]
        changed[6:8] = slots, vectors
        kernel(*changed)

    def search(lumas: Any, box: GopGeometry) -> Any:
        return inner(lumas, box) if parts.past else (gop_coder.no_vectors(box) for _ in lumas)

    def beside(*arguments: Any) -> list[Any]:
        return gop_coder_beside(*arguments) if parts.luma else []

    gop_coder_beside = gop_coder.beside_plane
    begin: Any = mock.Mock(name="start")
    begin.name, begin.state = start.load_start().name, state
    with (
        mock.patch.object(model, "regressors", regressors),
        mock.patch.object(plane_coder, "regressors", regressors),
        mock.patch.object(plane_coder, "code_plane", code_plane),
        mock.patch.object(payload, "search_motion", search),
        mock.patch.object(gop_coder, "beside_plane", beside),
    ):
        return len(payload.pack_lossless(frames, SampleLayout.of(info), geometry, start=begin).payload)


def _stop_mixing() -> None:
    from nerv_codec.representations.lossless import bit_kernel

    bit_kernel._MIX_RATE = bit_kernel._REFINE_RATE = 0.0


def _set_cache(folder: str) -> None:
    """Before numba is imported: it would take kernels with other constants from its cache."""
    os.environ["NUMBA_CACHE_DIR"] = folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", metavar="FILE:FRAMES")
    clips = parser.parse_args().clips
    before: list[int] = []
    print("| | " + " | ".join(clips) + " | change |", flush=True)
    fresh = partial(ProcessPoolExecutor, 1, multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder:
        pools: dict[bool, ProcessPoolExecutor] = {False: fresh(_set_cache, (folder,)), True: fresh()}
        for name, parts in ROWS.items():
            run: Callable[..., Any] = pools[parts.mixing].submit
            sizes = [run(coded_bytes, parts, clip).result() for clip in clips]
            change = math.prod(new / old for new, old in zip(sizes, before, strict=False)) ** (1 / len(sizes)) - 1
            cells = [f"{size:,}".replace(",", " ") for size in sizes]
            print(f"| {name} | {' | '.join(cells)} | {f'{change:+.1%}' if before else ''} |", flush=True)
            before = sizes
        for pool in pools.values():
            pool.shutdown()


if __name__ == "__main__":
    main()
