"""Draws clips whose motion and colours are known: ``python tools/benchmark/draw_scenes.py FOLDER [--picture PHOTO]``.

Seventeen frames of 352x288 each, as lossless Matroska, from a picture, or from a texture if none is given: it stands
still, slides by 3.5 and 2.5 samples a frame, on and beside the grid of vectors, or by 20, zooms, turns, is cut to
another part of itself, or fades to black. And small saturated rectangles that move over a gray texture, which
`small_colours.py` measures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from draw_pages import Picture, write

FRAMES = 17
_ROWS, _COLS = 288, 352
_WIDE = (600, 900)
_COLOURS = (
    *((220, 30, 30), (30, 200, 40), (40, 60, 230), (230, 200, 20)),
    *((200, 30, 200), (20, 200, 210), (250, 120, 20), (120, 20, 200)),
)
Scene = npt.NDArray[np.float32]
"""(rows, cols, 3), 0..255."""


def texture(seed: int) -> Scene:
    """Blobs of three sizes and colours."""
    rng, found = np.random.default_rng(seed), np.full((*_WIDE, 3), 128.0)
    for sigma, size in ((1.5, 12), (6, 25), (30, 40)):
        blobs = cv2.GaussianBlur(rng.normal(0, 1, (*_WIDE, 3)), (0, 0), sigma)
        found += size * (0.7 * blobs.mean(2, keepdims=True) + 0.3 * blobs) / blobs.std()
    return found.clip(0, 255).astype(np.float32)


def picture(path: Path) -> Scene:
    """A photo, as large as the texture is; what is missing at one side is its mirror image."""
    found = cv2.imread(str(path))
    if found is None:
        raise SystemExit(f"{path}: no picture")
    scale = _WIDE[0] / found.shape[0]
    small = cv2.resize(found, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]
    return np.pad(small, ((0, 0), (0, max(0, _WIDE[1] - small.shape[1])), (0, 0)), "symmetric").astype(np.float32)


def shown(scene: Scene, left: float, top: float, zoom: float = 1.0, turn: float = 0.0) -> Scene:
    """What is seen ``left`` and ``top`` samples on, times ``zoom``, turned by degrees around the middle."""
    moved = cv2.getRotationMatrix2D((left + _COLS / 2, top + _ROWS / 2), turn, zoom)
    moved[:, 2] -= left, top
    return cv2.warpAffine(scene, moved, (_COLS, _ROWS), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)


CLIPS: dict[str, Callable[[Scene, int], Scene]] = {
    "still": lambda scene, number: shown(scene, 100, 100),
    "pan": lambda scene, number: shown(scene, 20 + 3.5 * number, 100),
    "drift": lambda scene, number: shown(scene, 20 + 2.5 * number, 20 + 0.7 * number),
    "fast": lambda scene, number: shown(scene, 20 + 20 * number, 100),
    "zoom": lambda scene, number: shown(scene, 150, 100, 1.02**number),
    "rotation": lambda scene, number: shown(scene, 150, 100, 1, 1.5 * number),
    "cut": lambda scene, number: shown(scene, 20 + 300 * (number >= FRAMES // 2), 100),
    "fade": lambda scene, number: shown(scene, 100, 100) * (1 - number / (FRAMES - 1)),
}


def rectangles(seed: int) -> tuple[list[Picture], npt.NDArray[np.bool_]]:
    """Eight of 8 to 16 samples, 256x192, and where they are (frames, rows, cols)."""
    rng, rows, cols = np.random.default_rng(seed), 192, 256
    blobs = cv2.GaussianBlur(rng.normal(128, 60, (rows, cols)), (0, 0), 3)
    ground = np.clip(128 + 4 * (blobs - blobs.mean()), 40, 215)
    starts = [(rng.uniform(20, 160), rng.uniform(20, 220)) for _ in _COLOURS]
    speeds = [(rng.uniform(-2.5, 2.5), rng.uniform(-2.5, 2.5)) for _ in _COLOURS]
    sizes = [(int(rng.integers(8, 17)), int(rng.integers(8, 17))) for _ in _COLOURS]
    frames, where = [], np.zeros((FRAMES, rows, cols), np.bool_)
    for number in range(FRAMES):
        frame = np.repeat(ground[..., None], 3, 2).astype(np.uint8)
        for start, speed, (height, width), colour in zip(starts, speeds, sizes, _COLOURS, strict=True):
            y, x = (round(a + v * number) for a, v in zip(start, speed, strict=True))
            y, x = min(max(y, 0), rows - 17), min(max(x, 0), cols - 17)
            frame[y : y + height, x : x + width] = colour
            where[number, y : y + height, x : x + width] = True
        frames.append(frame)
    return frames, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picture", type=Path, help="a photo instead of a texture")
    parser.add_argument("--seed", type=int, default=0, help="of the texture, the rectangles and the noise")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of the noise, of 255")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scene = picture(options.picture) if options.picture else texture(options.seed)
    rng = np.random.default_rng(options.seed)
    for name, drawn in CLIPS.items():
        frames = [drawn(scene, number) for number in range(FRAMES)]
        noisy = [frame + options.noise * rng.standard_normal(frame.shape) for frame in frames]
        write(options.folder / f"{name}.mkv", [np.rint(frame).clip(0, 255).astype(np.uint8) for frame in noisy])
        print(f"{options.folder / name}.mkv")
    write(options.folder / "rectangles.mkv", rectangles(options.seed)[0])
    print(f"{options.folder / 'rectangles'}.mkv")


if __name__ == "__main__":
    main()
