"""The README's pictures, drawn from measured files.

    draw_readme.py curves docs/experiments/rd_{warped,baselines}.json docs/pictures/rate_distortion.svg
    draw_readme.py zoom REFERENCE FIT.nvc docs/pictures/zoom.png --frames 9 --frame 4 --crop 48x34+68+40

``zoom`` reduces the reference 2:1, encodes that (unless FIT.nvc is there), and shows a window of one frame
as its decoded pixels, enlarged by bicubic interpolation, as the function itself, and as the reference before it was
reduced; it prints the luma PSNR of both enlargements against the reference, over all frames. ``curves`` needs
matplotlib, which the extra ``eval`` brings.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import nerv_codec
from nerv_codec.base.psnr import plane_psnr_db
from nerv_codec.base.video import PlanarFrame, Plane, VideoInfo
from nerv_codec.cli.arguments import crop
from nerv_codec.encoding.config import EncoderConfig, at_crf
from nerv_codec.evaluation.matching import FrameSource, select_frames
from nerv_codec.evaluation.resample import reduced, reduced_info, scaled
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.rendering import View

FACTOR = 2
OWN = "medium warped"
NAMES = {
    OWN: "nerv-codec, medium",
    "veryslow tune psnr, 1 thread gop 64": "{codec} veryslow, tune psnr",
    "2 gop 64": "SVT-AV1 preset 2",
}
"""Settings that are drawn, and what the legend says."""


def curves(results: Sequence[Path], target: Path) -> None:
    """PSNR over rate, a panel for each clip that has points of ours and is in all files."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nerv-codec", "font.size": 9})
    from matplotlib import pyplot

    files = [json.loads(path.read_text()) for path in results]
    shared = set.intersection(*({point["clip"] for point in file} for file in files))
    points = [p for file in files for p in file if p["settings"] in NAMES and p["clip"] in shared]
    clips = list(dict.fromkeys(point["clip"] for point in points if point["settings"] == OWN))
    codecs = sorted({(point["codec"], point["settings"]) for point in points}, key=lambda one: (one[1] != OWN, one[0]))
    figure, panels = pyplot.subplots(1, len(clips), figsize=(3.4 * len(clips), 3), layout="constrained")
    for panel, clip in zip(panels, clips, strict=True):
        own = [p["metrics"]["psnr_yuv611_db"] for p in points if (p["clip"], p["settings"]) == (clip, OWN)]
        for index, (codec, settings) in enumerate(codecs):
            chosen = sorted(
                (p for p in points if (p["clip"], p["codec"], p["settings"]) == (clip, codec, settings)),
                key=lambda p: p["rate_bpp"],
            )
            chosen = [p for p in chosen if min(own) - 1 < p["metrics"]["psnr_yuv611_db"] < max(own) + 1]
            axes = [p["rate_bpp"] for p in chosen], [p["metrics"]["psnr_yuv611_db"] for p in chosen]
            style = {"marker": "o", "linewidth": 2} if settings == OWN else {"linewidth": 1}
            panel.plot(*axes, label=NAMES[settings].format(codec=codec), color=f"C{index}", zorder=3 - index, **style)
        panel.set(xscale="log", title=clip.split("_")[0], xlabel="bits per pixel (logarithmic)")
        panel.set_xticks([0.02, 0.05, 0.1, 0.2], labels=["0.02", "0.05", "0.1", "0.2"])
        panel.minorticks_off()
        panel.grid(linewidth=0.3)
    panels[0].set_ylabel("PSNR YUV 6:1:1, dB")
    panels[0].legend(loc="lower right", fontsize=8)
    figure.savefig(target, metadata={"Date": None})


def zoom(options: argparse.Namespace) -> None:
    """The panels side by side, and both figures on stdout."""
    with FrameSource(options.reference) as source:
        info, rate = source.info, source.frame_rate
    small = reduced_info(info, FACTOR)
    full = dataclasses.replace(info, height=small.height * FACTOR, width=small.width * FACTOR)
    original = list(select_frames(options.reference, range(options.frames)))
    if not options.fit.exists():
        _fit(options, dataclasses.replace(small, time_base=Fraction(1, 1000)), rate, original, info)
    width, height, x, y = options.crop
    with nerv_codec.VideoDecoder(options.fit) as video:
        decoded = [video.render(Fraction(i), View.whole(small.height, small.width)).planes for i in range(len(video))]
        function = [video.render(Fraction(i), View.whole(full.height, full.width)).planes for i in range(len(video))]
        bicubic = [scaled(planes, small, full, "BICUBIC") for planes in decoded]
        for name, pictures in (("function", function), ("bicubic", bicubic)):
            print(f"{name}: {statistics.fmean(_luma_db(original, pictures, full)):.2f} dB luma at {FACTOR}x")
        enlarged = Image.fromarray(video.get_frame_at(options.frame, scale=options.scale).data.permute(1, 2, 0).numpy())
    pixels, truth = _picture(decoded[options.frame], small), _picture(original[options.frame].planes, info)
    panels = {
        "decoded pixels": pixels.resize(enlarged.size, Image.Resampling.NEAREST),
        f"bicubic x{options.scale}": pixels.resize(enlarged.size, Image.Resampling.BICUBIC),
        f"the function x{options.scale}": enlarged,
        f"what was there, at {FACTOR}x": truth.resize(enlarged.size, Image.Resampling.NEAREST),
    }
    box = tuple(options.scale * side for side in (x, y, x + width, y + height))
    gap, title = 6, 22
    sheet = Image.new("RGB", (len(panels) * (box[2] - box[0] + gap) - gap, box[3] - box[1] + title), "white")
    for index, (name, picture) in enumerate(panels.items()):
        left = index * (box[2] - box[0] + gap)
        sheet.paste(picture.crop(box), (left, title))
        ImageDraw.Draw(sheet).text((left + 2, 2), name, fill="black", font=ImageFont.load_default(15))
    sheet.save(options.target, optimize=True)


def _fit(
    options: argparse.Namespace, small: VideoInfo, rate: Fraction, original: list[PlanarFrame], info: VideoInfo
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.mkv"
        with open_writer(seen, "mkv", small, frame_rate=rate) as writer:
            for index, frame in enumerate(original):
                planes = reduced(frame.planes, info, FACTOR)
                writer.write(PlanarFrame(planes, round(index / rate / small.time_base)))
        config = at_crf(EncoderConfig(), options.crf)
        print(nerv_codec.encode(seen, options.fit, config=config).summary())


def _luma_db(original: list[PlanarFrame], pictures: list[tuple[Plane, ...]], full: VideoInfo) -> Iterator[float]:
    for frame, planes in zip(original, pictures, strict=True):
        yield plane_psnr_db([frame.planes[0][: full.height, : full.width]], planes[:1], full.pixel_format.max_value)[0]


def _picture(planes: tuple[Plane, ...], info: VideoInfo) -> Image.Image:
    return Image.fromarray(planes_to_rgb(planes, info).permute(1, 2, 0).contiguous().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("curves")
    one.add_argument("results", type=Path, nargs="+")
    one.add_argument("target", type=Path)
    two = kinds.add_parser("zoom")
    for name in ("reference", "fit", "target"):
        two.add_argument(name, type=Path)
    two.add_argument("--frames", type=int, default=9)
    two.add_argument("--frame", type=int, default=4)
    two.add_argument("--scale", type=int, default=8)
    two.add_argument("--crop", type=crop, required=True, help="window of the reduced picture, WxH+X+Y")
    two.add_argument("--crf", type=float, default=22.0)
    options = parser.parse_args()
    if options.kind == "curves":
        curves(options.results, options.target)
    else:
        zoom(options)


if __name__ == "__main__":
    main()
