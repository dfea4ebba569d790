"""What drawn pictures to train on are made with: a canvas, colours, words, shapes and smooth noise."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import cache
from math import tau
from pathlib import Path
from random import Random
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

ROWS, COLS = 384, 512
_SOFT, _JAGGED = 1 / 3, 0.15
"""Shares of pictures reduced from twice the size, and with hard edges of shapes and letters."""
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
Array = npt.NDArray[Any]
ALL: Box = (0, 0, COLS, ROWS)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
MONO = ("DejaVuSansMono", "DejaVuSansMono-Bold")
SANS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique")
SERIF = ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic")
_TEXT = """the of and a to in is it frame value picture over under light, river. Quick brown fox jumps while (seven)
quiet machines count every 12 7.5% 2048 1:30 $19.99 #4 x+1 = f(t) — “shown” here; Größe élan señal naïve быстрый лес и
речка γραμμή λόγος NOTE WARNING: http://a.org/b?c=1 user@host under_score CamelCase 3/4 & [0] <b> 100 °C"""
_WORDS = _TEXT.split()
_LETTERS = "eeeeettttaaaaooooiiiinnnnsssshhhrrrddllluuccmmffwwyyppvvbbggkkxqjz"
"""As often as in English."""


class Canvas:
    """A picture while it is drawn, measured in its final pixels: until it is done it may be twice as large."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.scale = 2 if rng.random() < _SOFT else 1
        self.pixels: Array = np.zeros((ROWS * self.scale, COLS * self.scale, 3), np.uint8)
        self._jagged = rng.random() < _JAGGED
        self._edges = cv2.LINE_8 if self._jagged else cv2.LINE_AA

    def done(self) -> Array:
        """The picture in its final size."""
        return np.asarray(cv2.resize(self.pixels, (COLS, ROWS), interpolation=cv2.INTER_AREA))

    def view(self, box: Box) -> Array:
        """The pixels in a box; what is written to them is drawn."""
        left, top, right, bottom = (max(round(edge * self.scale), 0) for edge in box)
        return self.pixels[top:bottom, left:right]

    def frame(self, box: Box, colour: Colour, fill: Colour | None = None, width: float = 1) -> None:
        """A box with an edge of some width inside of it."""
        left, top, right, bottom = box
        inside = self.view((left + width, top + width, right - width, bottom - width))
        kept = inside.copy()
        self.view(box)[:] = colour
        inside[:] = kept if fill is None else fill

    def polygon(self, points: Array, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [self._fixed(points)], colour, self._edges, 4)

    def line(self, points: Sequence[Any] | Array, colour: Colour, width: float = 1, closed: bool = False) -> None:
        thickness = max(round(width * self.scale), 1)
        cv2.polylines(self.pixels, [self._fixed(points)], closed, colour, thickness, self._edges, 4)

    def text(
        self, place: tuple[float, float], words: str, font: str, size: float, ink: Colour, halo: Colour | None = None
    ) -> float:
        """Words with their upper left corner at a place, perhaps with a halo; where they end."""
        image = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(image)
        draw.fontmode = "1" if self._jagged else "L"
        left, top = (round(edge * self.scale) for edge in place)
        stroke = 0 if halo is None else max(round(size * self.scale / 14), 1)
        draw.text((left, top), words, ink, letters(font, size * self.scale), stroke_width=stroke, stroke_fill=halo)
        self.pixels[:] = np.asarray(image)
        return place[0] + letters(font, size).getlength(words)

    def places(self, box: Box) -> tuple[Array, Array]:
        """Row and column of every pixel in a box, from its corner."""
        rows, cols = self.view(box).shape[:2]
        down, right = np.mgrid[:rows, :cols] / self.scale
        return down, right

    def shade(self, box: Box, weights: Array, colours: Sequence[Colour], noise: float = 0) -> None:
        """Blends a row of colours by weights of 0 to 1, and adds gray noise."""
        stops = np.linspace(0, 1, len(colours))
        blend = np.stack([np.interp(weights, stops, channel) for channel in zip(*colours, strict=True)], -1)
        blend += noise * np.random.default_rng(self.rng.getrandbits(32)).standard_normal((*weights.shape, 1))
        self.view(box)[:] = np.clip(np.rint(blend), 0, 255)

    def _fixed(self, points: Sequence[Any] | Array) -> Array:
        return np.rint(np.asarray(points, np.float64) * self.scale * 16).astype(np.int32)


@cache
def letters(font: str, size: float) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def colour(rng: Random, saturation: tuple[float, float] = (0, 1), value: tuple[float, float] = (0, 1)) -> Colour:
    blue, green, red = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return round(blue * 255), round(green * 255), round(red * 255)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Some of the other colour in the first."""
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return blue, green, red


def vivid(rng: Random) -> Colour:
    return colour(rng, (0.5, 1), (0.5, 1))


def pair(rng: Random) -> tuple[Colour, Colour]:
    """Paper and ink that can be told apart."""
    dark, light = colour(rng, (0, 0.8), (0, 0.3)), colour(rng, (0, 0.2), (0.85, 1))
    strong = colour(rng, (0.6, 1), (0.3, 0.65))
    return rng.choice(
        [
            (light, dark),
            (dark, light),
            (WHITE, BLACK),
            (BLACK, WHITE),
            (strong, light),
            (light, strong),
            (dark, vivid(rng)),
        ]
    )


def size_of_text(rng: Random, low: float = 7, high: float = 60) -> int:
    """Small ones more often."""
    return round(float(low * (high / low) ** rng.random()))


def word(rng: Random) -> str:
    """A known one, or letters."""
    made = "".join(rng.choices(_LETTERS, k=rng.randint(1, 10)))
    return rng.choice(
        (rng.choice(_WORDS), made, made, rng.choice((made.title(), made.upper(), f"{rng.randint(0, 99999)}")))
    )


def words_within(rng: Random, font: str, size: float, width: float) -> str:
    """As many words as fit."""
    words = ""
    while letters(font, size).getlength(longer := f"{words} {word(rng)}".strip()) <= width:
        words = longer
    return words


def paragraph(canvas: Canvas, box: Box, font: str, size: float, ink: Colour, spacing: float = 1.35) -> float:
    """Fills a box with lines of words, the last one shorter; where they end."""
    left, top, right, bottom = box
    while top + size * spacing <= bottom:
        last = top + 2 * size * spacing > bottom
        width = (right - left) * (canvas.rng.uniform(0.2, 0.8) if last else 1)
        canvas.text((left, top), words_within(canvas.rng, font, size, width), font, size, ink)
        top += size * spacing
    return top


def fractal(rng: Random, shape: tuple[int, ...], cells: int = 2, octaves: int = 4, fading: float = 0.5) -> Array:
    """Smooth noise of 0 to 1, each octave twice as fine."""
    noise, total = np.random.default_rng(rng.getrandbits(32)), np.zeros(shape[:2])
    for octave in range(octaves):
        coarse = noise.random((cells * 2**octave + 2, cells * 2**octave + 3)) * fading**octave
        total += cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.min()) / (np.ptp(total) + 1e-9))


def photo(canvas: Canvas, box: Box) -> None:
    """Blurred noise in a few colours, about as smooth as a photo out of focus."""
    rng, shape = canvas.rng, canvas.view(box).shape
    colours = [colour(rng, (0, 0.7), (level, level + 0.35)) for level in (0.05, 0.3, 0.6)]
    rng.shuffle(colours)
    canvas.shade(box, fractal(rng, shape, rng.randint(1, 4), rng.randint(3, 5), rng.uniform(0.3, 0.5)), colours)


def ring(
    x: float, y: float, width: float, height: float, span: float = 1, begin: float = 0, wobble: float = 0
) -> Array:
    """Points around a centre: an ellipse, an arc of one, or a blob."""
    angles = tau * (begin + np.linspace(0, span, 72))
    radii = 1 + wobble * (np.sin(2 * angles + x) + np.sin(3 * angles + y) + 0.5 * np.sin(5 * angles))
    return np.stack([x + width * radii * np.cos(angles), y + height * radii * np.sin(angles)], -1)


def star(rng: Random, x: float, y: float, radius: float) -> Array:
    """A polygon or a star, turned at random."""
    corners, turn, inner = rng.randint(3, 8), rng.random(), rng.choice((1, 1, 0.5, 0.75))
    angles = tau * (turn + np.arange(2 * corners) / (2 * corners))
    radii = radius * np.where(np.arange(2 * corners) % 2, inner * np.cos(tau / 4 / corners) ** (inner == 1), 1)
    return np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], -1)


def curve(rng: Random, spread: float = 150) -> Array:
    """A smooth line across the picture, in any direction."""
    nodes = np.cumsum([[rng.uniform(-1, 1) * spread, rng.uniform(-1, 1) * spread] for _ in range(6)], 0)
    steps = np.linspace(0, 5, 90)
    smooth = [cv2.GaussianBlur(np.interp(steps, range(6), nodes[:, i])[None], (0, 0), 7)[0] for i in range(2)]
    return np.asarray(np.stack(smooth, -1) + np.array(place(rng)))


def place(rng: Random, margin: float = 0) -> tuple[float, float]:
    return rng.uniform(margin, COLS - margin), rng.uniform(margin, ROWS - margin)
