"""Bytes of lossless files beside those of ordinary codecs at their best settings, on the same frames.

    python tools/benchmark/lossless_table.py results.json carphone.mp4:33 redtree.264:9:480 drawn:33 screen:33

A clip is FILE:FRAMES, its first frames, or FILE:FRAMES:WIDTH, these reduced by area averaging; ``drawn`` and
``screen`` are made here: shapes that move before a gradient, text that scrolls. All codecs have one key frame. Of
ours the whole file counts, of the others packets and parameter sets. Everything is decoded and compared with its
source, sample by sample. A run that was stopped goes on; results of other code are told apart by ``--label``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nerv_codec.base.video import PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.evaluation.baselines import BASELINES
from nerv_codec.evaluation.curves import BaselineRun
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.metrics.pair import Unavailable
from nerv_codec.evaluation.metrics.suite import MetricChoice
from nerv_codec.media.reader import open_video
from nerv_codec.media.writer import open_writer

OURS = "nerv-codec"
BEST = {
    name: replace(BASELINES[name], exact=exact)
    for name, exact in (
        ("ffv1", {"level": "3", "coder": "1", "context": "1", "slices": "4"}),
        ("x264", {"preset": "veryslow", "qp": "0"}),
        ("x265", {"preset": "veryslow", "x265-params": "lossless=1:log-level=none:info=0"}),
        ("svtav1", {"preset": "1", "svtav1-params": "lossless=1"}),
    )
}
MADE = "screen", "drawn"
_SIZE = 288, 352


@dataclass(frozen=True)
class Clip:
    """Some frames of a file, or some that are made."""

    source: str
    frames: int
    width: int | None = None

    @property
    def name(self) -> str:
        size = f", {self.width} wide" if self.width else ""
        return f"{Path(self.source).stem.removeprefix('am_').split('_')[0]} {self.frames} f{size}"

    def path(self, folder: Path) -> Path:
        """The frames as a file of their own, made where there is none yet."""
        path = folder / f"{self.name.replace(' ', '-').replace(',', '')}.mkv"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            info, frames = made(self.source, self.frames) if self.source in MADE else self._read()
            with open_writer(temporary, "mkv", info, frame_rate=Fraction(25)) as writer:
                for number, frame in enumerate(frames):
                    writer.write(replace(frame, pts=40 * number, duration=40))
            temporary.replace(path)
        return path

    def _read(self) -> tuple[VideoInfo, Iterator[PlanarFrame]]:
        with open_video(self.source) as reader:
            info = reader.info
            frames = list(islice(reader, self.frames))
        if self.width:
            height = 2 * round(self.width * info.height / info.width / 2)
            reduced = replace(info, width=self.width, height=height)
            frames = [replace(frame, planes=_reduced(frame, reduced)) for frame in frames]
            info = reduced
        return replace(info, time_base=Fraction(1, 1000)), iter(frames)


def _reduced(frame: PlanarFrame, info: VideoInfo) -> tuple[np.ndarray, ...]:
    sizes = (info.pixel_format.plane_size(number, info.height, info.width) for number in range(len(frame.planes)))
    return tuple(
        cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_AREA)
        for plane, (rows, cols) in zip(frame.planes, sizes, strict=True)
    )


def made(kind: str, count: int) -> tuple[VideoInfo, Iterator[PlanarFrame]]:
    """A clip that nobody filmed, 4:2:0: ``screen``, dark text on white that scrolls by three rows a frame beside a
    menu that stands; ``drawn``, shapes in flat colours with smooth edges that move before a gradient."""
    height, width = _SIZE
    rows, cols = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    page = np.full((height + 3 * count, width, 3), 255, np.uint8)
    for line in range(14, len(page), 16):
        words = " ".join("".join(map(chr, rng.integers(97, 123, rng.integers(2, 9)))) for _ in range(7))
        colour = (40, 40, 40) if line % 5 else (180, 60, 20)
        cv2.putText(page, words, (84, line), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    shapes = rng.uniform(0, 1, (12, 8))

    def picture(t: int) -> np.ndarray:
        if kind == "screen":
            screen = page[3 * t : 3 * t + height].copy()
            screen[:, :76] = (225, 230, 235)
            for item in range(9):
                text = 10, 30 + 28 * item
                cv2.putText(screen, f"item {item}", text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
            return screen
        sky = np.stack([160 + rows * 60 / height, 120 + cols * 50 / width, 90 + rows * 20 / height], -1)
        canvas = np.rint(sky).astype(np.uint8)
        for y, x, down, across, size, *colour in shapes:
            centre = (x * width + 6 * (across - 0.5) * t, y * height + 4 * (down - 0.5) * t)
            at = tuple(round(16 * c) for c in centre)
            rgb = tuple(int(255 * c) for c in colour)
            cv2.circle(canvas, at, int(16 * (10 + 40 * size)), rgb, -1, cv2.LINE_AA, 4)
        return canvas

    def frame(t: int) -> PlanarFrame:
        planes = cv2.cvtColor(picture(t), cv2.COLOR_RGB2YUV_I420)
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        return PlanarFrame((planes[:height], chroma[0], chroma[1]), t, 1)

    return VideoInfo(width, height, PixelFormat(), time_base=Fraction(1, 1000)), map(frame, range(count))


class Results:
    """Sizes in a JSON file, written whole after every addition."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def find(self, clip: str, codec: str) -> dict[str, Any] | None:
        return next((row for row in self.rows if (row["clip"], row["codec"]) == (clip, codec)), None)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text("[\n" + ",\n".join(map(json.dumps, self.rows)) + "\n]\n")
        temporary.replace(self.path)
        print(", ".join(f"{key} {value}" for key, value in row.items() if value is not None), flush=True)


def measure_ours(clip: Clip, path: Path, folder: Path) -> dict[str, Any]:
    """One encode of ours; refused unless it is identical."""
    target = folder / f"{path.stem}.nvc"
    config = EncoderConfig(model="lossless", gop=max(1, clip.frames - 1))
    began = time.monotonic()
    encode(path, target, config=config, audio=False, overwrite=True, jobs=1, verify=False)
    encoded = time.monotonic()
    found = evaluate(path, target)
    if not found.is_identical or len(found.frame_seconds) != clip.frames:
        raise SystemExit(f"{clip.name}: {target} is not identical")
    return {
        "bytes": target.stat().st_size,
        "encode_seconds": round(encoded - began, 2),
        "decode_seconds": round(found.decode_seconds, 2),
    }


def measure_classic(name: str, clip: Clip, path: Path, folder: Path) -> dict[str, Any]:
    """One encode by another codec, decoded and compared; without bytes where it cannot do that."""
    codec = BEST[name]
    run = BaselineRun(codec, path, range(clip.frames), Fraction(25), clip.frames, MetricChoice(()), folder)
    settings = " ".join(f"{key}={value}" for key, value in codec.ffmpeg_options(None, clip.frames).items())
    try:
        coded = run.exact()
    except Unavailable as reason:
        return {"bytes": None, "settings": settings, "reason": str(reason)}
    return {"bytes": coded.coded_bytes, "settings": settings, "encode_seconds": round(coded.encode_seconds, 2)}


def table(results: Results, label: str, clips: list[str]) -> str:
    """All sizes as Markdown, and ours as a share of the best other one."""
    lines = ["| clip | " + " | ".join([*BEST, "ours", "ours / best", "ours / FFV1"]) + " |", "|---" * 7 + "|"]
    shares = []
    for clip in clips:
        sizes = [(results.find(clip, name) or {}).get("bytes") for name in (*BEST, label)]
        *others, own = sizes
        known = [size for size in others if size]
        cells = [f"{size:,}".replace(",", " ") if size else "-" for size in sizes]
        if own and known:
            shares.append(own / min(known))
            cells += [f"{shares[-1]:.3f}", f"{own / others[0]:.3f}" if others[0] else "-"]
        lines.append(f"| {clip} | " + " | ".join(cells) + " |")
    if shares:
        mean = math.exp(sum(map(math.log, shares)) / len(shares))
        lines.append(f"\ngeometric mean of ours / best: {mean:.3f}; greatest {max(shares):.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON of all sizes; files lie in a folder beside it")
    parser.add_argument("clips", nargs="+", metavar="CLIP:FRAMES[:WIDTH]")
    parser.add_argument("--codecs", default=",".join([OURS, *BEST]), help="some of these, with commas between")
    parser.add_argument("--label", default=OURS, help="name of our column, to tell versions of the code apart")
    options = parser.parse_args()
    results, folder = Results(options.results), options.results.with_suffix(".files")
    clips = []
    for text in options.clips:
        source, frames, *width = text.split(":")
        clips.append(Clip(source, int(frames), int(width[0]) if width else None))
    for clip in clips:
        path = clip.path(folder)
        for name in options.codecs.split(","):
            label = options.label if name == OURS else name
            if results.find(clip.name, label) is None:
                ours = name == OURS
                found = measure_ours(clip, path, folder) if ours else measure_classic(name, clip, path, folder)
                results.add({"clip": clip.name, "frames": clip.frames, "codec": label, **found})
    print(table(results, options.label, [clip.name for clip in clips]))


if __name__ == "__main__":
    main()
