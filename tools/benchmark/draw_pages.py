"""Draws clips of pages that move, which no camera takes: ``python tools/benchmark/draw_pages.py FOLDER``.

Sixteen frames each, as lossless Matroska, from a seed: text that scrolls by two samples a frame, an editor in
which somebody types and lines move on, a page that is scrolled to its end, lines of a terminal, and a slide that pushes
another away. `rd_sweep.py` measures them as it does other clips; its codec ``svtav1-screen`` has SVT-AV1's tools for
such content.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
"""(rows, cols, 3), RGB."""
Colour = tuple[int, int, int]
_TEXT = """the codec fits one network to a film and writes what it learnt in few bytes so that a reader may ask for any
frame between pixels and moments lines move on while letters stay sharp under a price of bits"""
_WORDS = _TEXT.split()
_RATE = 25
_INK, _PAPER = (10, 10, 20), (255, 255, 255)
_SCROLLED = (0, 4, 14, 34, 64, 104, 154, 214, 284, 359, 434, 504, 564, 610, 640, 655)
"""Rows, as a page that is pushed speeds up and comes to rest."""
_LINES = (0, 1, 1, 2, 5, 9, 9, 9, 14, 20, 26, 27, 27, 33, 40, 41)
"""Of a terminal, that have gone by."""


def page(cols: int, rows: int, seed: int, size: int = 12, ink: Colour = _INK, paper: Colour = _PAPER) -> Picture:
    """Lines of words with smooth edges."""
    rng, image, font = np.random.default_rng(seed), Image.new("RGB", (cols, rows), paper), _font(size)
    pen = ImageDraw.Draw(image)
    for y in range(4, rows - size, int(size * 1.4)):
        x = 6.0
        while x < cols - 30:
            word = _WORDS[rng.integers(len(_WORDS))]
            pen.text((x, y), word, font=font, fill=ink)
            x += pen.textlength(word, font=font) + 5
    return np.array(image)


def rich(cols: int, rows: int, seed: int) -> Picture:
    """A page with coloured boxes, titles and rings on it."""
    rng, image = np.random.default_rng(seed), Image.fromarray(page(cols, rows, seed, 11))
    pen = ImageDraw.Draw(image)
    for number in range(rows // 160):
        y, x = number * 160 + int(rng.integers(0, 60)), int(rng.integers(0, cols - 160))
        red, green, blue = (int(value) for value in rng.integers(60, 250, 3))
        pen.rectangle((x, y, x + 140, y + 70), fill=(red, green, blue))
        pen.text((x + 10, y + 10), _WORDS[int(rng.integers(len(_WORDS)))], font=_font(20), fill=(255, 255, 255))
        pen.ellipse((x + 90, y + 30, x + 130, y + 66), outline=(20, 20, 20), width=2)
    return np.array(image)


def text(seed: int) -> list[Picture]:
    """Text that scrolls by two samples a frame, 176x144."""
    whole = page(176, 400, seed)
    return [whole[2 * number : 2 * number + 144] for number in range(16)]


def editor(seed: int) -> list[Picture]:
    """Somebody types a line, then all lines move on, 640x368."""
    light, dark = (220, 220, 220), (30, 30, 40)
    frames, typed = [], "def decode(stream): return network(stream)"
    for number in range(16):
        image = Image.fromarray(page(640, 368, seed + 3, 11, light, dark))
        pen = ImageDraw.Draw(image)
        pen.rectangle((40, 180, 600, 196), fill=dark)
        pen.text((42, 181), typed[: 3 * number], font=_font(12), fill=(250, 180, 60))
        gone = 15 * max(0, number - 10)
        frames.append(np.concatenate([np.array(image)[gone:], page(640, gone, seed + 9, 11, light, dark)]))
    return frames


def web(seed: int) -> list[Picture]:
    """A page under a bar that stays, 640x368, by up to 75 samples a frame."""
    long, frames = rich(640, 3000, seed + 11), []
    for row in _SCROLLED:
        frame = long[row : row + 368].copy()
        frame[:32] = (50, 60, 90)
        frames.append(frame)
    return frames


def terminal(seed: int) -> list[Picture]:
    """Lines that come in at the bottom, several at once, 480x272."""
    long = page(480, 2000, seed + 61, 11, (210, 210, 210), (10, 10, 14))
    return [long[15 * line : 15 * line + 272] for line in _LINES]


def push(seed: int) -> list[Picture]:
    """A slide that another pushes to the left, 480x272."""
    both = np.concatenate([rich(480, 272, seed + 41), rich(480, 272, seed + 51)], 1)
    return [both[:, 40 * gone : 40 * gone + 480] for gone in (min(12, max(0, number - 2)) for number in range(16))]


CLIPS: dict[str, Callable[[int], list[Picture]]] = {
    "text": text,
    "editor": editor,
    "web": web,
    "terminal": terminal,
    "push": push,
}


def write(path: Path, frames: list[Picture]) -> None:
    """A lossless 4:2:0 clip."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=_RATE)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode())


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="another one draws other words, colours and places")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in CLIPS.items():
        write(options.folder / f"{name}.mkv", drawn(options.seed))
        print(f"{options.folder / name}.mkv")


if __name__ == "__main__":
    main()
