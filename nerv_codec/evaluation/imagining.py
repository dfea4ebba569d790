"""The rest of a picture or of a video as the lossless model expects it, beside what was there, with what both cost."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerv_codec.base.errors import InputError, expect
from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.evaluation.matching import FrameSource
from nerv_codec.evaluation.report.pictures import data_uri
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.imagine import imagine
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless

PAST = 7
"""Frames before the last given one that are learnt from."""
Planes = tuple[Plane, ...]


@dataclass(frozen=True)
class Imagination:
    """What was given, what was there, and what was drawn: frames as planes."""

    info: VideoInfo
    given: tuple[Planes, ...]
    """What is not given is grey."""
    true: tuple[Planes, ...]
    """May be fewer: a video ends."""
    drawn: tuple[Planes, ...]
    first: int
    """The first frame of which something is drawn."""
    pixels: int
    """How many were drawn."""
    entropy_bits: float
    """What they were expected to cost, at the temperature at which they were drawn."""
    drawn_bits: int
    """What drawing took of chance, which is what coding what was drawn takes."""
    true_bits: int | None
    """What coding what was there takes; None where it is not known."""
    words: str
    """How it was drawn."""

    def figures(self) -> dict[str, float]:
        """Bits per pixel by name."""
        bits = {"expected": self.entropy_bits, "drawn": self.drawn_bits, "true": self.true_bits}
        return {name: value / self.pixels for name, value in bits.items() if value is not None}


def imagine_rest(
    path: str | Path,
    *,
    frame: int = 0,
    share: float = 0.5,
    more: int = 0,
    seed: int = 0,
    temperature: float = 1.0,
) -> Imagination:
    """Draws the lower part of one frame, or the frames behind it.

    Args:
        path: A picture, or anything else that PyAV opens, or a ``.nvc``.
        frame: The number of the frame.
        share: How much of its rows is given, 0 to less than 1, from the top on; with ``more`` all are.
        more: So many frames behind it are drawn, of which nothing is given; the ``PAST`` before it are learnt from.
        seed, temperature: See :func:`nerv_codec.representations.lossless.imagine.imagine`.

    Raises:
        UsageError: An argument is out of its range. InputError: There is no such frame.
    """
    expect(0 <= share < 1, "a share of rows from 0 to less than 1", share)
    expect(frame >= 0 and more >= 0, "numbers of frames from 0 on", min(frame, more))
    first = max(0, frame - PAST) if more else frame
    with FrameSource(path) as source:
        info = source.info
        true = []
        for number, one in enumerate(source):
            true += [one.planes] * (first <= number <= frame + more)
            if number >= frame + more:
                break
    last = frame - first
    if len(true) <= last:
        raise InputError(f"{path}: expected a frame {frame}, found {first + len(true)} frames")
    layout = SampleLayout.of(info)
    unit = 1 << info.pixel_format.chroma_row_shift
    known = info.height if more else round(share * info.height) // unit * unit
    found = imagine(true[: last + 1], layout, known_rows=known, more=more, seed=seed, temperature=temperature)
    top = [
        *true[:last],
        tuple(plane[:rows] for plane, rows in zip(true[last], _rows(known, info), strict=True)),
    ]
    return Imagination(
        info=info,
        given=(*true[:last], _hidden(true[last], known, info), *[_hidden(true[0], 0, info)] * more),
        true=tuple(true),
        drawn=found.frames,
        first=last + 1 if more else last,
        pixels=info.width * (info.height * more if more else info.height - known),
        entropy_bits=found.entropy_bits,
        drawn_bits=found.chance_bits,
        true_bits=_bits(true, layout) - _bits(top if known else top[:-1], layout) if len(true) > last + more else None,
        words=f"seed {seed}, temperature {temperature:g}",
    )


def _rows(known: int, info: VideoInfo) -> list[int]:
    fmt = info.pixel_format
    return [known if plane == 0 else -(-known >> fmt.chroma_row_shift) for plane in range(fmt.num_planes)]


def _hidden(planes: Planes, known: int, info: VideoInfo) -> Planes:
    """A frame with grey below the known rows."""
    grey = 1 << info.pixel_format.bit_depth - 1
    return tuple(
        np.where(np.arange(len(plane))[:, None] < rows, plane, grey).astype(plane.dtype)
        for plane, rows in zip(planes, _rows(known, info), strict=True)
    )


def _bits(frames: Sequence[Planes], layout: SampleLayout) -> int:
    if not frames:
        return 0
    height, width = frames[0][0].shape
    geometry = GopGeometry(len(frames), height, width, layout.pixel_format.num_planes)
    return 8 * len(pack_lossless(frames, layout, geometry).payload)


def page(found: Imagination, title: str) -> str:
    """One page that needs nothing else: frames from the last given one on, as given, true and drawn."""

    def shown(frames: Sequence[Planes], number: int) -> str:
        if number >= len(frames):
            return "<td></td>"
        rgb = planes_to_rgb(frames[number], found.info).permute(1, 2, 0).contiguous().numpy()
        return f'<td><img src="{data_uri(rgb)}" alt=""></td>'

    rows = [
        "<tr>" + "".join(shown(frames, number) for frames in (found.given, found.true, found.drawn)) + "</tr>"
        for number in range(max(0, found.first - 1), len(found.drawn))
    ]
    told = {
        "expected": "expected by the model",
        "drawn": "of what was drawn",
        "true": "of what was there",
    }
    figures = "".join(
        f"<li><b>{value:.3f}</b> bits per pixel {told[name]}</li>" for name, value in found.figures().items()
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem;background:#fafafa;color:#222}}
td,th{{padding:.3rem;text-align:left}}img{{display:block;max-width:30vw;image-rendering:pixelated}}</style>
<h1>{html.escape(title)}</h1>
<p>Drawn by decoding random bits with the lossless model: {html.escape(found.words)}.</p>
<ul>{figures}</ul>
<table><tr><th>given</th><th>true</th><th>drawn</th></tr>
{chr(10).join(rows)}
</table></html>
"""
