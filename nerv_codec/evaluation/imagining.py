"""What models expect of a picture or video that is partly given, beside what was there, with what both cost."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from nerv_codec.base.errors import InputError, UsageError, expect
from nerv_codec.base.video import Plane, VideoInfo
from nerv_codec.decoding.metadata import stored_geometry
from nerv_codec.evaluation.matching import FrameSource
from nerv_codec.evaluation.report.pictures import data_uri
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.imagine import imagine
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless
from nerv_codec.representations.registry import model_name
from nerv_codec.representations.rendering import View, render_planes, view_info
from nerv_codec.representations.warped.imagine import redraw

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
    """What coding them was expected to take, as they were drawn."""
    drawn_bits: int
    """What coding what was drawn takes: in the lossless model, what drawing took of chance."""
    true_bits: int | None
    """What coding what was there takes; None where it is not known."""
    words: str
    """How it was drawn, a sentence."""

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
        true, count = [], 0
        for number, one in enumerate(source):
            count = number + 1
            true += [one.planes] * (first <= number <= frame + more)
            if number >= frame + more:
                break
    last = frame - first
    if len(true) <= last:
        raise InputError(f"{path}: expected a frame {frame}, found {count} frames")
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
        words=f"Drawn by decoding random bits with the lossless model: {_chance(seed, temperature)}.",
    )


def imagine_grids(
    path: str | Path, grid: int, *, frame: int = 0, seed: int = 0, temperature: float = 1.0
) -> Imagination:
    """Draws the finer grids of latents of a frame, given its coarser ones and the frames that it is predicted from.

    Args:
        path: A ``.nvc`` of ``warped``.
        grid: The coarsest one that is drawn: 16, 8, 4 or 2 pixels between its latents.
        frame: The number of the frame.
        seed, temperature: See :func:`nerv_codec.representations.shared.drawing.draw_latents`.

    Raises:
        UsageError: The file is of another kind. InputError: There is no such frame. BitstreamError: It is damaged.
    """
    with FrameSource(path) as source:
        model = model_name(source.nvc.header.model_id) if source.nvc else "no .nvc"
        if source.nvc is None or model != "warped":
            raise UsageError(f"{path}: grids are drawn from a .nvc of warped, found {model}")
        expect(frame >= 0, "a number of a frame from 0 on", frame)
        if frame >= len(source.nvc):
            raise InputError(f"{path}: expected a frame {frame}, found {len(source.nvc)} frames")
        loader, info = source.nvc.loader, source.info
        gop, place = loader.place(Fraction(frame))
        payload, box = loader.container.read_gop(gop), stored_geometry(loader.header, gop)
    found = redraw(payload, box, int(place), grid, seed=seed, temperature=temperature)
    view = View.whole(info.height, info.width)
    given, true, drawn = (
        (render_planes(one, 0.0, info, view, view_info(info, view)),) for one in (found.given, found.true, found.drawn)
    )
    return Imagination(
        info=info,
        given=given,
        true=true,
        drawn=drawn,
        first=0,
        pixels=info.width * info.height,
        entropy_bits=found.expected_bits,
        drawn_bits=found.drawn_bits,
        true_bits=found.true_bits,
        words=f"Grid {grid} and finer of frame {frame} drawn from the context model that codes them, given what is "
        f"coarser and the frames that it is predicted from: {_chance(seed, temperature)}.",
    )


def _chance(seed: int, temperature: float) -> str:
    return f"seed {seed}, temperature {temperature:g}"


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
    body = f"""<p>{html.escape(found.words)}</p>
<ul>{figures}</ul>
<table><tr><th>given</th><th>true</th><th>drawn</th></tr>
{chr(10).join(rows)}
</table>"""
    return document(title, body)


def document(title: str, body: str) -> str:
    """One page that needs nothing else."""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem;background:#fafafa;color:#222}}
h1{{overflow-wrap:anywhere}}
td,th{{padding:.3rem;text-align:left}}img{{display:block;image-rendering:pixelated}}td img{{max-width:30vw}}</style>
<h1>{html.escape(title)}</h1>
{body}
</html>
"""
