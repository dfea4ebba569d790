"""Whether small coloured things keep their colour: ``python tools/benchmark/small_colours.py --seeds 5,6,7 --crf 34``.

Eight saturated rectangles of 8 to 16 samples move over a gray texture (see `draw_scenes.py`). Printed is the mean
CIEDE2000 over their samples at each crf, and that of x265 veryslow, tune psnr, one key frame, at as many bytes, between
its points by the logarithm of bytes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from draw_pages import write
from draw_scenes import FRAMES, rectangles
from rd_sweep import SLOWEST

import nerv_codec
from nerv_codec.cli.arguments import crfs
from nerv_codec.encoding.config import load_preset
from nerv_codec.evaluation.curves import BaselineRun
from nerv_codec.evaluation.metrics.suite import MetricChoice
from nerv_codec.evaluation.own_points import encode_point

_Values = npt.NDArray[np.float64]
_PRIMARIES = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(rgb: _Values) -> _Values:
    """CIELAB (..., 3) of sRGB (..., 3) in 0..255, white D65."""
    shares = rgb / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _PRIMARIES.T / _WHITE
    x, y, z = np.moveaxis(np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def ciede2000(one: _Values, two: _Values) -> _Values:
    """Colour difference of CIELAB (..., 3), shape (...) (G. Sharma, W. Wu, E. Dalal 2005)."""
    mean_chroma = (np.hypot(*np.moveaxis(one, -1, 0)[1:]) + np.hypot(*np.moveaxis(two, -1, 0)[1:])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))

    def parts(colour: _Values) -> tuple[_Values, _Values, _Values]:
        light, a, b = np.moveaxis(colour, -1, 0)
        return light, np.hypot(stretch * a, b), np.degrees(np.arctan2(b, stretch * a)) % 360

    (light1, chroma1, hue1), (light2, chroma2, hue2) = parts(one), parts(two)
    gray = chroma1 * chroma2 == 0
    turn = np.where(gray, 0.0, (hue2 - hue1 + 180) % 360 - 180)
    turn = np.where((turn == -180) & (hue2 > hue1), 180.0, turn)
    hue = np.where(gray, hue1 + hue2, (hue1 + turn / 2) % 360)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2

    def cosine(times: float, degrees: float) -> _Values:
        return np.asarray(np.cos(np.radians(times * hue + degrees)))

    t = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0) + 0.32 * cosine(3, 6) - 0.2 * cosine(4, -63)
    by_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    d_light = (light2 - light1) / by_light
    d_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    d_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation = -rotation * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.sqrt(d_light**2 + d_chroma**2 + d_hue**2 + rotation * d_chroma * d_hue)


def _pictures(path: Path) -> list[_Values]:
    with av.open(str(path)) as container:
        return [lab(frame.to_ndarray(format="rgb24").astype(np.float64)) for frame in container.decode(video=0)]


def measured(seed: int, chosen: list[float], preset: str, work: Path) -> list[dict[str, float]]:
    """For each crf: bytes, CIEDE2000, and x265's at as many bytes."""
    frames, where = rectangles(seed)
    clip = work / f"rectangles-{seed}.mkv"
    write(clip, frames)
    reference = _pictures(clip)

    def wrong(path: Path) -> float:
        pairs = zip(reference, _pictures(path), where, strict=True)
        return float(np.concatenate([ciede2000(one, two)[flags] for one, two, flags in pairs]).mean())

    codec = SLOWEST["x265"]
    run = BaselineRun(codec, clip, range(FRAMES), Fraction(25), FRAMES, MetricChoice(), work)
    others = sorted((coded.coded_bytes, wrong(coded.path)) for coded, _ in map(run.encoded, codec.crfs))
    found = []
    for crf in chosen:
        own = encode_point(clip, 0, FRAMES, crf, config=load_preset(preset), work=work)
        shown = work / f"{own.stem}.mkv"
        nerv_codec.decode(own, shown, overwrite=True)
        size = own.stat().st_size
        other = np.interp(np.log(size), np.log([point[0] for point in others]), [point[1] for point in others])
        found.append({"seed": seed, "crf": crf, "bytes": size, "ciede2000": wrong(shown), "x265": float(other)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="5,6,7", help="of the drawings")
    parser.add_argument("--crf", type=crfs, default=[34.0])
    parser.add_argument("--preset", default="instant")
    parser.add_argument("--json", type=Path, help="where figures go")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, options.seeds.split(",")):
            for row in measured(seed, options.crf, options.preset, Path(folder)):
                print(
                    "seed {seed}, crf {crf:g}: {bytes} bytes, {ciede2000:.2f}, x265 {x265:.2f}".format(**row),
                    flush=True,
                )
                found.append(row)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
