"""Draws the sample clip: ``python tools/make_samples.py [FOLDER]`` writes FOLDER/sample.mp4.

Everything is computed from a seed, so that the clip is nobody's property and can be made anew. It has
what a video codec meets: a pan over texture, shapes that move and hide one another, a scene cut, sound.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float64]

WIDTH, HEIGHT, RATE = 96, 64, 24
MEADOW_FRAMES, NIGHT_FRAMES = 22, 14
SAMPLE_RATE = 44100
OVERSAMPLING = 4
SEED = 20240607


def smooth_noise(rng: np.random.Generator, height: int, width: int, scale: float) -> Picture:
    """Noise of zero mean and unit deviation, periodic, with no detail finer than about ``scale`` pixels."""
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    picture = np.fft.irfft2(spectrum * np.exp(-((frequency * scale) ** 2) * 8), s=(height, width))
    return (picture - picture.mean()) / picture.std()


def gradient(shade: Picture, *stops: tuple[int, int, int]) -> Picture:
    """Colours (..., 3) in [0, 1] for shades in [0, 1], along the given 8-bit colours."""
    places = np.linspace(0, 1, len(stops))
    channels = np.array(stops).T / 255
    return np.stack([np.interp(shade, places, channel) for channel in channels], axis=-1)


def disc(rows: Picture, cols: Picture, center: tuple[float, float], radius: float) -> Picture:
    """Coverage in [0, 1] of a disc with a soft edge."""
    return np.clip(radius - np.hypot(rows - center[0], cols - center[1]) + 0.5, 0, 1)


def box(rows: Picture, cols: Picture, center: tuple[float, float], half: float, angle: float) -> Picture:
    """Coverage in [0, 1] of a square with round corners, turned by ``angle`` radians."""
    down, across = rows - center[0], cols - center[1]
    turned = (
        np.cos(angle) * down - np.sin(angle) * across,
        np.sin(angle) * down + np.cos(angle) * across,
    )
    outside = np.hypot(*(np.maximum(np.abs(part) - half + 2, 0) for part in turned))
    return np.clip(2 - outside + 0.5, 0, 1)


def over(picture: Picture, coverage: Picture, color: tuple[int, int, int]) -> Picture:
    """The picture with a shape of a colour (8-bit) laid over it."""
    return picture + coverage[..., None] * (np.array(color) / 255 - picture)


def grid() -> tuple[Picture, Picture]:
    """Rows and columns of the samples, several a pixel."""
    rows, cols = ((np.arange(size * OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5 for size in (HEIGHT, WIDTH))
    return np.meshgrid(rows, cols, indexing="ij")


def meadow() -> Iterator[Picture]:
    """A pan over a sunlit texture; a disc passes behind a turning square and in front of a small disc."""
    rng = np.random.default_rng(SEED)
    fine = OVERSAMPLING
    ground = smooth_noise(rng, HEIGHT * fine, 2 * WIDTH * fine, 9 * fine)
    ground += 0.45 * smooth_noise(rng, HEIGHT * fine, 2 * WIDTH * fine, 4 * fine)
    colors = gradient(0.5 + 0.2 * ground, (22, 66, 60), (58, 125, 88), (150, 186, 104), (247, 231, 173))
    rows, cols = grid()
    for index in range(MEADOW_FRAMES):
        time = index / RATE
        start = round(30 * time * fine)
        picture = colors[:, start : start + WIDTH * fine]
        shadow = disc(rows, cols, (27 + 10 * np.sin(5 * time), 22 + 62 * time), 12)
        small = disc(rows, cols, (52 - 34 * time, 80 - 48 * time), 7)
        large = disc(rows, cols, (24 + 10 * np.sin(5 * time), 19 + 62 * time), 12)
        square = box(rows, cols, (36, 58 - 14 * time), 10, 0.4 + 1.6 * time)
        picture = picture * (1 - 0.3 * shadow[..., None])
        picture = over(picture, small, (255, 246, 224))
        picture = over(picture, large, (233, 93, 66))
        yield over(picture, square, (38, 84, 152))


def night() -> Iterator[Picture]:
    """Another scene: a moon above hills of which the near ones move faster."""
    rng = np.random.default_rng(SEED + 1)
    fine = OVERSAMPLING
    ridges = [smooth_noise(rng, 1, 3 * WIDTH * fine, scale * fine)[0] for scale in (22, 16, 12)]
    rows, cols = grid()
    sky = gradient(rows / HEIGHT, (24, 20, 58), (98, 52, 110), (240, 138, 106))
    for index in range(NIGHT_FRAMES):
        time = index / RATE
        picture = over(sky, disc(rows, cols, (18 - 6 * time, 68 + 4 * time), 9), (255, 240, 205))
        layers = zip(ridges, (36, 44, 53), (10, 26, 52), [(110, 62, 104), (66, 42, 88), (26, 22, 52)], strict=True)
        for ridge, level, speed, color in layers:
            start = round(speed * time * fine)
            crest = level - 4 * ridge[start : start + WIDTH * fine]
            picture = over(picture, np.clip(rows - crest + 0.5, 0, 1), color)
        yield picture


def reduced(picture: Picture) -> npt.NDArray[np.uint8]:
    """Box means over the samples of each pixel, as 8-bit RGB (H, W, 3)."""
    means = picture.reshape(HEIGHT, OVERSAMPLING, WIDTH, OVERSAMPLING, 3).mean((1, 3))
    return np.round(255 * means.clip(0, 1)).astype(np.uint8)


def sound(seconds: float) -> npt.NDArray[np.float32]:
    """A soft chord on A (440 Hz) that changes with the scene, (1, samples)."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    cut = MEADOW_FRAMES / RATE

    def chord(*pitches: float) -> npt.NDArray[np.float64]:
        return sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches) / len(pitches)

    wave = np.where(time < cut, chord(440, 554.37, 659.26), chord(440, 523.25, 698.46))
    since = np.where(time < cut, time, time - cut)
    left = np.where(time < cut, cut - time, seconds - time)
    envelope = np.clip(since / 0.02, 0, 1) * np.clip(left / 0.05, 0, 1) * np.exp(-1.5 * since)
    return (0.4 * wave * envelope).astype(np.float32)[None]


def write(path: Path) -> int:
    """Writes the clip and returns its size in bytes."""
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as output:
        video = output.add_stream("libx264", rate=RATE, options={"crf": "14", "preset": "slow", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        audio = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 64000
        for index, picture in enumerate([*meadow(), *night()]):
            frame = av.VideoFrame.from_ndarray(reduced(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        wave = sound((MEADOW_FRAMES + NIGHT_FRAMES) / RATE)
        for start in range(0, wave.shape[1], 1024):
            chunk = np.ascontiguousarray(wave[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "samples"
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="where to write (samples/)")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sample.mp4"
    size = write(path)
    frames = MEADOW_FRAMES + NIGHT_FRAMES
    what = f"{WIDTH}x{HEIGHT}, {frames} frames at {RATE}/s, cut at frame {MEADOW_FRAMES}, AAC"
    print(f"{path}: {size} bytes, {what}")


if __name__ == "__main__":
    main()
