"""Crops of large photos to train on: ``python -m tools.training.photos --out .training/photos NAME=FOLDER ...``.

Photos are reduced by area averaging until the marks of their compression are gone; crops do not overlap within one
reduction, and those with more detail are taken more often. Of pictures that lie there in several sizes the largest
counts. Sources that were used are named in the card of the weights.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

Image = npt.NDArray[np.uint8]
ROWS, COLS = 384, 512
REDUCTIONS = (2, 3, 4, 6)
_KINDS = {".jpg", ".jpeg", ".png", ".webp"}
_SAME = 0.97
"""Thumbnails that are more alike are of one picture."""
_LEAST = 30_000
"""Bytes of a crop, without loss; below it is a plain surface."""


def thumbnail(image: Image) -> npt.NDArray[np.float32]:
    """A picture as a vector of mean 0 and length 1."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (16, 9), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    small -= small.mean()
    return small.ravel() / max(float(np.linalg.norm(small)), 1e-6)


def crops(image: Image, number: int, rng: np.random.Generator) -> list[Image]:
    """Up to so many crops of a photo, at several reductions."""
    found: list[Image] = []
    for factor in REDUCTIONS:
        size = image.shape[1] // factor, image.shape[0] // factor
        if size[0] < COLS or size[1] < ROWS:
            break
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        down, right = rng.integers(0, size[1] % ROWS + 1), rng.integers(0, size[0] % COLS + 1)
        found += [
            small[top : top + ROWS, left : left + COLS]
            for top in range(down, size[1] - ROWS + 1, ROWS)
            for left in range(right, size[0] - COLS + 1, COLS)
        ]
    if not found:
        return []
    detail = np.array([cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.CV_32F).std() for crop in found])
    shares = (detail + 1) ** 0.5
    chosen = rng.choice(len(found), min(number, len(found)), replace=False, p=shares / shares.sum())
    return [found[index] for index in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--number", type=int, default=4, help="crops of a photo at the most")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for source in options.sources:
        name, _, folder = source.partition("=")
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in _KINDS and path.is_file()]
        images = [image for path in paths if (image := cv2.imread(str(path), cv2.IMREAD_COLOR)) is not None]
        images.sort(key=lambda image: -image.size)
        known: list[npt.NDArray[np.float32]] = []
        for image in tqdm(images, desc=name):
            seen = thumbnail(image)
            if any(float(seen @ other) > _SAME for other in known):
                continue
            known.append(seen)
            rng = np.random.default_rng(zlib.crc32(seen.tobytes()))
            for number, crop in enumerate(crops(image, options.number, rng)):
                _, encoded = cv2.imencode(".webp", crop, [cv2.IMWRITE_WEBP_QUALITY, 101])
                if encoded.size >= _LEAST:
                    (options.out / f"{name}{len(known):03d}-{number}.webp").write_bytes(encoded.tobytes())


if __name__ == "__main__":
    main()
