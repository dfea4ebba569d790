"""Rows of a grey picture gone on with by compressors: whatever compresses can draw.

The protocol is that of "Language Modeling Is Compression" (Delétang et al. 2024): grey, the mean of R, G and B, of
290 x 500 pixels; every row for itself; 250 pixels are given and 250 drawn, one after another, each value b behind what
is known, x, with a probability in proportion to 2 ** (bits(x) - bits(x b)).
"""

from __future__ import annotations

import html
import lzma
import math
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerv_codec.base.errors import InputError, expect
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.base.video import PixelFormat, Plane, VideoInfo
from nerv_codec.evaluation.imagining import document
from nerv_codec.evaluation.matching import FrameSource
from nerv_codec.evaluation.report.pictures import data_uri
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.imagine import imagine
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless

HEIGHT, WIDTH, GIVEN = 290, 500, 250
_GREY = PixelFormat(1, 0, 0, 8)
_LAYOUT = SampleLayout(_GREY, 1)
_LZMA = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 4096}]
_LEAST_SHOWN = 192
"""Rows of pixels that a page shows at least: fewer rows are repeated."""
Sizes = Callable[[bytes], list[int]]
"""Bytes of what is known with each of the 256 values behind it."""


@dataclass(frozen=True)
class ImaginedRows:
    """What one compressor made of some rows."""

    name: str
    rows: Plane
    """(N, WIDTH); what was given stands in them as it was."""
    drawn_bits: float
    """What coding what was drawn takes."""
    true_bits: float
    """What coding what was there takes."""


@dataclass(frozen=True)
class ComparedRows:
    """The same rows gone on with by several compressors."""

    true: Plane
    """(N, WIDTH)."""
    made: tuple[ImaginedRows, ...]

    def figures(self) -> dict[str, float]:
        """Bits per pixel by name."""
        pixels = len(self.true) * (WIDTH - GIVEN)
        pairs = [(one.name, kind, bits) for one in self.made
                 for kind, bits in (("drawn", one.drawn_bits), ("true", one.true_bits))]  # fmt: skip
        return {f"{name} {kind}": bits / pixels for name, kind, bits in pairs}

    def picture(self) -> tuple[VideoInfo, list[tuple[Plane, ...]]]:
        """All of them below each other as one grey frame, what was there on top."""
        whole = np.concatenate([_strip(rows) for rows in (self.true, *(one.rows for one in self.made))])
        return VideoInfo(WIDTH, len(whole), _GREY), [(whole,)]


def imagine_rows(
    path: str | Path, *, frame: int = 0, count: int = 8, seed: int = 0, progress: ProgressSink = ignore_progress
) -> ComparedRows:
    """Goes on with rows of a picture by gzip, by LZMA and by the lossless model.

    gzip and LZMA are asked for all 256 values, at every pixel and for the true row, too, which takes seconds a row.
    Both say only whole bytes. The model says its distribution without being asked.

    Args:
        path: A picture, or anything else that PyAV opens, or a ``.nvc``; it is brought to HEIGHT x WIDTH.
        frame: The number of the frame.
        count: So many rows, 1..HEIGHT, spread evenly.
        seed: Where chance begins.
        progress: Told row by row.

    Raises:
        UsageError: An argument is out of its range. InputError: There is no such frame.
    """
    expect(1 <= count <= HEIGHT, f"a number of rows in 1..{HEIGHT}", count)
    expect(frame >= 0, "a number of a frame from 0 on", frame)
    true = _grey(path, frame)[np.linspace(0, HEIGHT - 1, count).astype(int)]
    ways: dict[str, Callable[[bytes, int], tuple[bytes, float, float]]] = {
        "gzip": lambda row, number: _go_on(row, gzip_sizes, random.Random(HEIGHT * seed + number)),
        "LZMA": lambda row, number: _go_on(row, lzma_sizes, random.Random(HEIGHT * seed + number)),
        "ours": lambda row, number: _go_on_ours(row, HEIGHT * seed + number),
    }
    progress(Progress("start"))
    parts: dict[str, list[tuple[bytes, float, float]]] = {name: [] for name in ways}
    for number, row in enumerate(true):
        for place, (name, way) in enumerate(ways.items()):
            progress(Progress("progress", (number + place / len(ways)) / count, f"row {number + 1}/{count} {name}"))
            parts[name].append(way(row.tobytes(), number))
    progress(Progress("done", 1.0))
    made = [
        ImaginedRows(
            name,
            np.frombuffer(b"".join(one[0] for one in found), np.uint8).reshape(true.shape),
            sum(one[1] for one in found),
            sum(one[2] for one in found),
        )
        for name, found in parts.items()
    ]
    return ComparedRows(true, tuple(made))


def rows_page(found: ComparedRows, title: str) -> str:
    """One page that needs nothing else: the rows as they were, and as each compressor went on with them."""

    def shown(name: str, rows: Plane, words: str) -> str:
        picture = data_uri(np.repeat(_strip(rows)[..., None], 3, 2))
        return f'<h2>{html.escape(name)}</h2><p>{words}</p><img src="{picture}" alt="">'

    figures = found.figures()
    parts = [shown("true", found.true, f"The left half of each of {len(found.true)} rows is given.")]
    for one in found.made:
        drawn, true = (figures[f"{one.name} {kind}"] for kind in ("drawn", "true"))
        words = f"<b>{drawn:.2f}</b> bits per pixel of what was drawn, <b>{true:.2f}</b> of what was there"
        parts.append(shown(one.name, one.rows, words))
    return document(title, "\n".join(parts))


def gzip_sizes(known: bytes) -> list[int]:
    """By deflate at its highest level; what is known, at most 500 bytes, is compressed once.

    A window of 1 KiB and a small memory hold all of it, so that they change no size, and are quick to copy.
    """
    begun = zlib.compressobj(9, zlib.DEFLATED, 10, 3)
    first = len(begun.compress(known))
    sizes = []
    for value in range(256):
        tried = begun.copy()
        sizes.append(first + len(tried.compress(bytes([value]))) + len(tried.flush()))
    return sizes


def lzma_sizes(known: bytes) -> list[int]:
    """By LZMA without a container; LZMA2, the same in chunks, takes five times as long to begin."""
    return [len(lzma.compress(known + bytes([value]), lzma.FORMAT_RAW, filters=_LZMA)) for value in range(256)]


def chances(sizes: Sequence[int]) -> list[float]:
    """Probabilities of the next byte; bits(x) is the same for all, and falls out."""
    weights = [2.0 ** (8 * (min(sizes) - size)) for size in sizes]
    return [weight / sum(weights) for weight in weights]


def _grey(path: str | Path, number: int) -> Plane:
    """The mean of R, G and B of a frame, (HEIGHT, WIDTH) uint8."""
    with FrameSource(path) as source:
        planes = next((one.planes for place, one in enumerate(source) if place == number), None)
        if planes is None:
            raise InputError(f"{path}: expected a frame {number}")
        grey = planes_to_rgb(planes, source.info).float().mean(0, keepdim=True)[None]
    sized = torch.nn.functional.interpolate(grey, (HEIGHT, WIDTH), mode="bilinear", antialias=True)
    found: Plane = sized[0, 0].round().clamp(0, 255).byte().numpy()
    return found


def _strip(rows: Plane) -> Plane:
    return rows.repeat(-(-_LEAST_SHOWN // len(rows)), 0)


def _go_on(row: bytes, sizes: Sizes, rng: random.Random) -> tuple[bytes, float, float]:
    """A row of the same length that begins alike; bits of what was drawn, and of what was there."""
    found, spent, true = row[:GIVEN], 0.0, 0.0
    for place in range(GIVEN, len(row)):
        own = chances(sizes(found))
        value = rng.choices(range(256), own)[0]
        found, spent = found + bytes([value]), spent - math.log2(own[value])
        true -= math.log2(chances(sizes(row[:place]))[row[place]])
    return found, spent, true


def _go_on_ours(row: bytes, seed: int) -> tuple[bytes, float, float]:
    """The same from the lossless model; a row stands upright, as a picture of one column."""
    column = np.frombuffer(row, np.uint8)[:, None]
    found = imagine([(column,)], _LAYOUT, known_rows=GIVEN, seed=seed)
    return found.frames[0][0].tobytes(), float(found.chance_bits), float(_bits(column) - _bits(column[:GIVEN]))


def _bits(column: Plane) -> int:
    return 8 * len(pack_lossless([(column,)], _LAYOUT, GopGeometry(1, len(column), 1, 1)).payload)
