"""Rows of a grey picture gone on with by compressors: ``python tools/imagine_rows.py PICTURE page.html [--rows 8]``.

The protocol is that of "Language Modeling Is Compression" (Delétang et al. 2024): grey, the mean of R, G and B, of 290
x 500 pixels; every row for itself; 250 pixels are given, 250 drawn one after another, p(b | x) in proportion to
2 ** (bits(x) - bits(x b)). For gzip and LZMA all 256 values are tried, at every pixel and for the true row, too, so
that only some rows are drawn, spread evenly. Ours says its distribution without being asked 256 times.
"""

from __future__ import annotations

import argparse
import lzma
import math
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from nerv_codec.base.video import PixelFormat, Plane
from nerv_codec.evaluation.report.pictures import data_uri
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.imagine import imagine
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless

HEIGHT, WIDTH, GIVEN = 290, 500, 250
_LAYOUT = SampleLayout(PixelFormat(1, 0, 0, 8), 1)
_LZMA = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 4096}]
Sizes = Callable[[bytes], list[int]]
"""Bytes of what is known with each of the 256 values behind it."""


def gzip_sizes(known: bytes) -> list[int]:
    """By deflate; what is known is compressed once."""
    begun = zlib.compressobj(9)
    first = len(begun.compress(known))
    sizes = []
    for value in range(256):
        tried = begun.copy()
        sizes.append(first + len(tried.compress(bytes([value]))) + len(tried.flush()))
    return sizes


def lzma_sizes(known: bytes) -> list[int]:
    """By LZMA without a container; LZMA2, the same in chunks, takes five times as long to begin."""
    return [len(lzma.compress(known + bytes([value]), lzma.FORMAT_RAW, filters=_LZMA)) for value in range(256)]


def chances(sizes: list[int]) -> list[float]:
    """Probabilities of the next byte; bits(x) is the same for all, and falls out."""
    weights = [2.0 ** (8 * (min(sizes) - size)) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def go_on(row: bytes, given: int, sizes: Sizes, rng: random.Random) -> tuple[bytes, float, float]:
    """A row of the same length that begins alike; bits of what was drawn, and of what was there."""
    found, spent, true = row[:given], 0.0, 0.0
    for place in range(given, len(row)):
        own = chances(sizes(found))
        value = rng.choices(range(256), own)[0]
        found, spent = found + bytes([value]), spent - math.log2(own[value])
        true -= math.log2(chances(sizes(row[:place]))[row[place]])
    return found, spent, true


def go_on_ours(row: bytes, given: int, seed: int) -> tuple[bytes, float, float]:
    """The same from the lossless model; a row stands upright, as a picture of one column."""
    column = np.frombuffer(row, np.uint8)[:, None]
    found = imagine([(column,)], _LAYOUT, known_rows=given, seed=seed)
    true = _bits(column) - _bits(column[:given])
    return found.frames[0][0].tobytes(), float(found.chance_bits), float(true)


def _bits(column: Plane) -> int:
    return 8 * len(pack_lossless([(column,)], _LAYOUT, GopGeometry(1, *column.shape, 1)).payload)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--rows", type=int, default=8, help="so many are drawn, spread evenly (8)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    grey = cv2.imread(str(options.picture), cv2.IMREAD_COLOR).mean(-1).astype(np.uint8)
    grey = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    rows = [grey[place].tobytes() for place in np.linspace(0, HEIGHT - 1, options.rows).astype(int)]
    rng = random.Random(options.seed)
    ways: dict[str, Callable[[bytes, int], tuple[bytes, float, float]]] = {
        "gzip": lambda row, _: go_on(row, GIVEN, gzip_sizes, rng),
        "LZMA": lambda row, _: go_on(row, GIVEN, lzma_sizes, rng),
        "ours": lambda row, number: go_on_ours(row, GIVEN, options.seed + number),
    }
    parts = [("given and true", b"".join(rows), "")]
    for name, way in ways.items():
        made = [way(row, number) for number, row in enumerate(rows)]
        drawn, true = (sum(part[k] for part in made) / (len(rows) * (WIDTH - GIVEN)) for k in (1, 2))
        words = f"bits per pixel: {drawn:.2f} of what was drawn, {true:.2f} of what was there"
        parts.append((name, b"".join(part[0] for part in made), words))
        print(f"{name}: {words}", flush=True)
    shown = []
    for name, pixels, words in parts:
        strip = np.frombuffer(pixels, np.uint8).reshape(len(rows), WIDTH).repeat(8, 0)
        uri = data_uri(np.repeat(strip[..., None], 3, 2))
        shown.append(f'<h2>{name}</h2><p>{words}</p><img src="{uri}" alt="">')
    options.page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Rows gone on with by compressors</title>'
        f"<h1>{options.picture.name}: the right half of some rows, drawn by compressors</h1>{''.join(shown)}</html>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
