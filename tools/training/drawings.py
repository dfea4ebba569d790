"""Draws pictures to train on that no camera takes: ``python -m tools.training.drawings --out <folder>``.

Text, slides, screens, charts, cartoons, gradients, test patterns, maps, subtitles and nearly empty pictures, all from
a seed, as lossless WebP. Every picture is a source of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import cv2

from tools.training import screens, shapes
from tools.training.canvas import Array, Canvas

_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]
"""More than 100 is lossless."""
KINDS = {
    "page": screens.draw_page,
    "slide": screens.draw_slide,
    "screen": screens.draw_screen,
    "chart": screens.draw_charts,
    "subtitle": screens.draw_subtitle,
    "shapes": shapes.draw_shapes,
    "gradient": shapes.draw_gradient,
    "test": shapes.draw_test,
    "map": shapes.draw_map,
    "plain": shapes.draw_plain,
}
"""Names such that some of the first 24 pictures of each kind are held out (`pictures.Picture`)."""


def drawing(kind: str, seed: int, number: int) -> Array:
    """One picture, BGR; another number is another picture."""
    canvas = Canvas(Random(f"{seed} {kind} {number}"))
    KINDS[kind](canvas)
    return canvas.done()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".training/drawings"), help="folder of the pictures")
    parser.add_argument("--count", type=int, default=240, help="pictures, equally many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for index in range(options.count):
        kind, number = list(KINDS)[index % len(KINDS)], index // len(KINDS)
        cv2.imwrite(str(options.out / f"{kind}{number:03d}-0.webp"), drawing(kind, options.seed, number), _WEBP)


if __name__ == "__main__":
    main()
