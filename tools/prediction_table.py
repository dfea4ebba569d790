"""Grey patches of photographs by general compressors, picture codecs and our predictor.

``python tools/prediction_table.py FOLDER [--every N]`` prints the table of docs/prediction.md.

The protocol is that of "Language Modeling Is Compression" (Delétang et al. 2024): a picture's grey is the mean of R, G
and B, cut to a byte; patches are 32 rows of 64 columns, without overlap, row after row, each compressed alone. Rates
are shares of the raw 2048 bytes. Of formats with a head the bytes of an empty input, or of a picture of one sample, are
taken off, as each patch of a stream would not need them; our rate is that of the coded samples. What was learnt before
counts in the adjusted rate: its file's bytes, over the paper's 10**9 bytes of patches. JPEG XL needs imagecodecs.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from nerv_codec.base.video import PixelFormat, Plane
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.parts import split
from nerv_codec.representations.lossless.payload import pack_lossless
from nerv_codec.representations.lossless.start import FILE, NOTHING, Start, load_start

ROWS, COLS = 32, 64
COLD, SHIPPED = "ours, nothing learnt before", "ours, as shipped"
_LAYOUT = SampleLayout(PixelFormat(1, 0, 0, 8), 1)
_GEOMETRY = GopGeometry(1, ROWS, COLS, 1)
_PAPER_BYTES = 10**9
PUBLISHED = {
    "gzip": (68.6, 68.6),
    "LZMA": (62.4, 62.4),
    "PNG": (61.7, 61.7),
    "FLAC": (60.9, 60.9),
    "Llama 2 7B": (53.4, 1453.4),
    "Chinchilla 1B": (62.2, 262.2),
    "Chinchilla 7B": (54.7, 1454.7),
    "Chinchilla 70B": (48.0, 14048.0),
}
"""Per cent of the paper's own 488 281 patches, without and with the model's bytes (its second version; PNG folded)."""


def patches(path: Path) -> list[Plane]:
    """The patches of one picture."""
    grey = cv2.imread(str(path), cv2.IMREAD_COLOR).mean(axis=-1).astype(np.uint8)
    rows, cols = grey.shape[0] // ROWS, grey.shape[1] // COLS
    return [
        np.ascontiguousarray(grey[r * ROWS : (r + 1) * ROWS, c * COLS : (c + 1) * COLS])
        for r in range(rows)
        for c in range(cols)
    ]


def _png(picture: Plane) -> int:
    return len(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _ours(start: Start, patch: Plane) -> int:
    return len(split(pack_lossless([(patch,)], _LAYOUT, _GEOMETRY, start=start).payload, _GEOMETRY).planes[0])


def _jpeg_xl() -> dict[str, Callable[[Plane], int]]:
    """The codec, if it is installed."""
    try:
        from imagecodecs import jpegxl_encode
    except ImportError:
        return {}

    def size(picture: Plane) -> int:
        return len(jpegxl_encode(picture, lossless=True, effort=9))

    return {"JPEG XL, effort 9": lambda patch: size(patch) - size(np.zeros((1, 1), np.uint8))}


_EMPTY_PNG = _png(np.zeros((1, 1), np.uint8))
CODECS: dict[str, Callable[[Plane], int]] = {
    "gzip": lambda patch: len(gzip.compress(patch.tobytes(), 9)) - len(gzip.compress(b"", 9)),
    "LZMA": lambda patch: len(lzma.compress(patch.tobytes())) - len(lzma.compress(b"")),
    "PNG, rows folded in two, as in the paper's code": lambda patch: _png(patch.reshape(COLS, ROWS)) - _EMPTY_PNG,
    "PNG": lambda patch: _png(patch) - _EMPTY_PNG,
    **_jpeg_xl(),
    COLD: partial(_ours, load_start(NOTHING)),
    SHIPPED: partial(_ours, load_start()),
}
"""Bytes of one patch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the photographs are")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take one patch in N (1)")
    options = parser.parse_args()
    every = [patch for path in sorted(options.folder.glob("*.JPEG")) for patch in patches(path)]
    chosen = every[:: options.every]
    print(f"{len(chosen)} patches of {len(every)}\n\n| compressor | % of raw | ± | adjusted | |\n|---|---|---|---|---|")
    for name, size in CODECS.items():
        rates = 100 * np.array([size(patch) for patch in chosen]) / (ROWS * COLS)
        own = 100 * (FILE.stat().st_size if name == SHIPPED else 0) / _PAPER_BYTES
        error = rates.std() / math.sqrt(len(rates))
        print(f"| {name} | {rates.mean():.1f} | {error:.1f} | {rates.mean() + own:.1f} | measured |", flush=True)
    for name, (rate, adjusted) in PUBLISHED.items():
        print(f"| {name} | {rate:.1f} | | {adjusted:.1f} | published, other patches of the same kind |")


if __name__ == "__main__":
    main()
