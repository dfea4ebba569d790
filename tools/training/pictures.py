"""Pictures to train on: frames of the clips and photos of a folder, as 8-bit 4:2:0 planes, kept in one cache file."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nerv_codec.representations.shared.transform import pack, unpack

Plane = npt.NDArray[np.uint8]
FRAMES_OF_A_CLIP = (0, 4, 8, 12, 16)
HELD_OUT_SHARE = 9
"""One source in this many is never trained on."""
_REDUCTIONS = (1.3, 1.6, 2.0)
_REDUCED = 0.25
"""Share of crops that are of reduced pictures."""
_GRAY, _NEUTRAL = 0.05, 128 / 255
"""Share of crops without colour, and what they have instead."""
TONED = 0.5
"""Share of crops whose tones change: few sources are made more."""
CONTRAST, _SATURATION, _MIRRORED = (0.6, 1.15), (0.4, 1.4), 0.25
"""Factors of luma around its mean and of chroma; how often U and V change places or sign."""


@dataclass(frozen=True)
class Picture:
    """Planes Y (even sizes), U and V (half of them), limited range; and the source that it was taken from."""

    planes: tuple[Plane, Plane, Plane]
    source: str

    @property
    def held_out(self) -> bool:
        """Whether it serves to judge, not to train. All windows and crops of a source go the same way."""
        return is_held_out(self.source)


def is_held_out(source: str) -> bool:
    """Whether a source serves to judge, not to train."""
    return zlib.crc32(source.encode()) % HELD_OUT_SHARE == 0


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


def _reduced(planes: tuple[Plane, Plane, Plane], factor: float) -> tuple[Plane, Plane, Plane]:
    rows, cols = (round(extent / 2 / factor) for extent in planes[0].shape)
    y, u, v = (
        cv2.resize(plane, (cols * part, rows * part), interpolation=cv2.INTER_AREA)
        for plane, part in zip(planes, (2, 1, 1), strict=True)
    )
    return y, u, v  # type: ignore[return-value]


def load(folder: Path, more: tuple[Path, ...], cache: Path) -> list[Picture]:
    """All pictures of ``folder``/video, ``folder``/photo and further folders; from the cache if there is one."""
    if not cache.exists():
        arrays = {}
        for path in sorted((folder / "video").glob("*.mkv")):
            for number, planes in enumerate(read_clip(path)):
                arrays.update({f"clip/{path.stem}/{number}/{i}": plane for i, plane in enumerate(planes)})
        photos = [*(folder / "photo").glob("*.png"), *(path for one in more for path in one.glob("*.webp"))]
        for path in sorted(photos):
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
    """Draws random crops: every source about equally often, mirrored, transposed, often reduced, gray or toned.

    Pictures and some reductions of them lie in one row of bytes on a device, and crops are gathered from there.
    """

    def __init__(self, pictures: list[Picture], size: int, rng: torch.Generator, toned: bool = True) -> None:
        self._size, self._rng, self._tones = size, rng, toned
        counts = Counter(picture.source for picture in pictures)
        planes: list[Plane] = []
        places, shares = [], []
        begin = 0
        for picture in pictures:
            versions = [picture.planes, *(_reduced(picture.planes, factor) for factor in _REDUCTIONS)]
            versions = [version for version in versions if min(version[0].shape) >= size]
            for number, version in enumerate(versions):
                rows, cols = version[0].shape
                places.append((begin, rows // 2, cols // 2))
                # a source with many pictures is seen more often, but not in proportion: its pictures look alike
                share = 1.0 if len(versions) == 1 else 1 - _REDUCED if number == 0 else _REDUCED / (len(versions) - 1)
                shares.append(share * counts[picture.source] ** -0.5)
                planes += version
                begin += rows * cols * 3 // 2
        self._samples = torch.from_numpy(np.concatenate([plane.ravel() for plane in planes])).to(rng.device)
        self._places = torch.tensor(places, device=rng.device)
        self._shares = torch.tensor(shares, dtype=torch.float32, device=rng.device)

    def draw(self, count: int) -> Tensor:
        """Six planes (count, 6, size / 2, size / 2) in 0..1."""
        chosen = torch.multinomial(self._shares, count, replacement=True, generator=self._rng)
        begin, rows, cols = self._places[chosen].unbind(1)
        half = self._size // 2
        top, left = ((self._random(count) * (extent - half + 1)).long() for extent in (rows, cols))
        area = rows * cols
        luma = self._gather(begin, 2 * top, 2 * left, 2 * cols, self._size)
        u, v = (self._gather(begin + number * area, top, left, cols, half) for number in (4, 5))
        chroma = torch.stack([u, v], 1)
        gray = self._random(count)[:, None, None, None] < _GRAY
        luma, chroma = luma[:, None], torch.where(gray, _NEUTRAL, chroma)
        return turned(pack(*(self._toned(luma, chroma) if self._tones else (luma, chroma))), self._rng)

    def _toned(self, luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        """Other contrast, brightness and colours, by chance; what would leave 0..1 is cut."""
        count = len(luma)

        def uniform(low: float, high: float) -> Tensor:
            return (self._random(count) * (high - low) + low)[:, None, None, None]

        toned = uniform(0, 1) < TONED
        mean = luma.mean((1, 2, 3), keepdim=True)
        low, high = luma.amin((1, 2, 3), keepdim=True), luma.amax((1, 2, 3), keepdim=True)
        factor = uniform(*CONTRAST)
        # moved by as much as leaves the darkest and the brightest sample in limited range
        down, up = ((16 if side is low else 235) / 255 - (mean + (side - mean) * factor) for side in (low, high))
        moved = mean + (luma - mean) * factor + torch.lerp(down.clamp(max=0), up.clamp(min=0), uniform(0.25, 0.75))
        colours = (chroma - _NEUTRAL) * uniform(*_SATURATION)
        colours = torch.where(uniform(0, 1) < _MIRRORED, colours.flip(1), colours)
        colours = torch.where(uniform(0, 1) < _MIRRORED, -colours, colours)
        luma = torch.where(toned, moved.clamp(0, 1), luma)
        return luma, torch.where(toned, (colours + _NEUTRAL).clamp(0, 1), chroma)

    def _random(self, count: int) -> Tensor:
        return torch.rand(count, device=self._rng.device, generator=self._rng)

    def _gather(self, begin: Tensor, top: Tensor, left: Tensor, pitch: Tensor, side: int) -> Tensor:
        """Squares of planes that begin at ``begin`` and have ``pitch`` columns, (count, side, side)."""
        places = torch.arange(side, device=self._rng.device)
        rows = begin[:, None] + (top[:, None] + places) * pitch[:, None]
        return self._samples[rows[..., None] + (left[:, None] + places)[:, None]].float() / 255


def turned(planes: Tensor, rng: torch.Generator) -> Tensor:
    """Six planes (count, ..., 6, side, side), every other picture mirrored, every fifth transposed, by chance."""
    mirror, turn = (
        (torch.rand(len(planes), device=rng.device, generator=rng) < share).view(-1, *[1] * (planes.dim() - 1))
        for share in (0.5, 0.2)
    )
    sides = planes.shape[:-3]

    def moved(flat: Tensor) -> Tensor:
        plane = flat.unflatten(0, sides)
        plane = torch.where(mirror, plane.flip(-1), plane)
        return torch.where(turn, plane.transpose(-1, -2), plane).flatten(0, -4)

    luma, chroma = unpack(planes.flatten(0, -4))
    return pack(moved(luma), moved(chroma)).unflatten(0, sides)
