"""Pictures to train on: frames of the clips and photos of a folder, as 8-bit 4:2:0 planes, kept in one cache file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
FRAMES_OF_A_CLIP = (0, 4, 8, 12, 16)
HELD_OUT_SHARE = 9
"""One source in this many is never trained on."""


@dataclass(frozen=True)
class Picture:
    """Planes Y (even sizes), U and V (half of them), limited range; and the source that it was taken from."""

    planes: tuple[Plane, Plane, Plane]
    source: str

    @property
    def held_out(self) -> bool:
        """Whether it serves to judge, not to train. All windows and crops of a source go the same way."""
        return zlib.crc32(self.source.encode()) % HELD_OUT_SHARE == 0


def source_of(path: Path) -> str:
    """The name without the number of the window or crop."""
    stem, _, number = path.stem.rpartition("-")
    return stem if stem and number.isdigit() else path.stem


def _even(plane: Plane) -> Plane:
    return plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]


def read_clip(path: Path, frames: tuple[int, ...] = FRAMES_OF_A_CLIP) -> list[tuple[Plane, Plane, Plane]]:
    """Some frames of a 4:2:0 clip."""
    found = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in frames:
                found.append(planes_of(frame))
    return found


def planes_of(frame: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
    """The planes of an 8-bit 4:2:0 frame, cut to an even size."""
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        frame = frame.reformat(format="yuv420p")
    rows, cols = frame.height // 2 * 2, frame.width // 2 * 2
    planes = []
    for index, plane in enumerate(frame.planes):
        part = 1 if index == 0 else 2
        pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        planes.append(pixels[: rows // part, : cols // part].copy())
    return planes[0], planes[1], planes[2]


def read_photo(path: Path) -> tuple[Plane, Plane, Plane]:
    """A photo as BT.601 limited range, chroma averaged over 2x2."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    blue, green, red = (_even(pixels[..., channel]).astype(np.float32) for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [(blue - luma) / 1.772, (red - luma) / 1.402]
    half = (luma.shape[1] // 2, luma.shape[0] // 2)
    u, v = (128 + cv2.resize(plane, half, interpolation=cv2.INTER_AREA) * (224 / 255) for plane in chroma)
    y = 16 + luma * (219 / 255)
    planes = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (y, u, v)]
    return planes[0], planes[1], planes[2]


def load(folder: Path, cache: Path) -> list[Picture]:
    """All pictures of ``folder``/video and ``folder``/photo, from the cache if there is one."""
    if not cache.exists():
        arrays = {}
        for path in sorted((folder / "video").glob("*.mkv")):
            for number, planes in enumerate(read_clip(path)):
                arrays.update({f"clip/{path.stem}/{number}/{i}": plane for i, plane in enumerate(planes)})
        for path in sorted((folder / "photo").glob("*.png")):
            arrays.update({f"photo/{path.stem}/0/{i}": plane for i, plane in enumerate(read_photo(path))})
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(cache)
    with np.load(cache) as stored:
        names = sorted({name.rsplit("/", 1)[0] for name in stored.files})
        pictures = []
        for name in names:
            kind, stem, _ = name.split("/")
            y, u, v = (stored[f"{name}/{i}"] for i in range(3))
            pictures.append(Picture((y, u, v), f"{kind}/{source_of(Path(stem))}"))
    return pictures


class Crops:
    """Draws random crops: every source about equally often, flipped, transposed, sometimes reduced or gray."""

    def __init__(self, pictures: list[Picture], size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self._pictures = [picture for picture in pictures if min(picture.planes[0].shape) >= size]
        counts: dict[str, int] = {}
        for picture in self._pictures:
            counts[picture.source] = counts.get(picture.source, 0) + 1
        # a source with many pictures is seen more often, but not in proportion: its pictures look alike
        weights = np.array([counts[picture.source] ** -0.5 for picture in self._pictures])
        self._weights = weights / weights.sum()

    def draw(self, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Luma (count, 1, size, size) and chroma (count, 2, size / 2, size / 2) in 0..1."""
        lumas, chromas = [], []
        for _ in range(count):
            picture = self._pictures[self._rng.choice(len(self._pictures), p=self._weights)]
            y, u, v = self._crop(picture.planes)
            if self._rng.random() < 0.05:
                u, v = np.full_like(u, 128), np.full_like(v, 128)
            lumas.append(y[None])
            chromas.append(np.stack([u, v]))
        return tuple(np.stack(part).astype(np.float32) / 255 for part in (lumas, chromas))  # type: ignore[return-value]

    def _crop(self, planes: tuple[Plane, Plane, Plane]) -> tuple[Plane, Plane, Plane]:
        rng, size = self._rng, self._size
        rows, cols = planes[0].shape
        reach = min(min(rows, cols) / size, 2.0)
        factor = rng.uniform(1, reach) if rng.random() < 0.25 else 1.0
        side = int(size * factor) // 2 * 2
        top, left = (rng.integers(0, (extent - side) // 2 + 1) for extent in (rows, cols))
        mirror, turn = rng.random() < 0.5, rng.random() < 0.2
        cut = []
        for plane, part in zip(planes, (1, 2, 2), strict=True):
            t, left_part, s = 2 * top // part, 2 * left // part, side // part
            piece = plane[t : t + s, left_part : left_part + s]
            if side != size:
                piece = cv2.resize(piece, (size // part, size // part), interpolation=cv2.INTER_AREA)
            piece = piece[:, ::-1] if mirror else piece
            cut.append(piece.T if turn else piece)
        return cut[0], cut[1], cut[2]
