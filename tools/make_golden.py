"""Makes the golden files: ``python tools/make_golden.py [FOLDER]`` writes FOLDER/golden*.nvc and .json of each.

The golden files pin the format, one for each representation, one of screen content, one of split blocks, one of a zoom,
one of anchors with prices of their own, one whose root is in the middle, as it is not in those before, and one without
colour: every later version must decode them to the same integers, and to the same pictures within one code value. They
are made once and again only with a new format version, so what exists is not overwritten.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from nerv_codec import EncoderConfig, VideoDecoder, encode
from nerv_codec.encoding.config import SirenConfig
from nerv_codec.representations.rendering import View
from nerv_codec.representations.warped.config import WarpedConfig

SAMPLES = Path(__file__).parents[1] / "samples"
CONFIGS = {
    "golden": EncoderConfig(model="siren", gop=4, siren=SirenConfig(width=16, hidden_layers=2, steps=400)),
    "golden_lossless": EncoderConfig(model="lossless", gop=4),
    "golden_warped": EncoderConfig(model="warped", gop=4, warped=WarpedConfig(span=2)),
    "golden_screen": EncoderConfig(model="warped", gop=4, warped=WarpedConfig(span=2)),
    "golden_split": EncoderConfig(model="warped", gop=4, warped=WarpedConfig(span=2)),
    "golden_zoom": EncoderConfig(model="warped", gop=4, warped=WarpedConfig(span=2)),
    "golden_priced": EncoderConfig(model="warped", gop=12, warped=WarpedConfig(span=12)),
    "golden_middle": EncoderConfig(model="warped", gop=12, warped=WarpedConfig(span=4)),
    "golden_plain": EncoderConfig(model="warped", gop=4, warped=WarpedConfig(span=2)),
}
FIRST, END = 16, 28
"""Frames of the sample: GOPs that share a frame, and the scene cut."""
PROBES = [(Fraction(0), 1), (Fraction(7, 2), 1), (Fraction(4), 1), (Fraction(21, 4), 2), (Fraction(11), 3)]
"""(frame number, scale): at frames, between them, across the cut, between pixels."""


def page() -> list[np.ndarray]:
    """Letters that scroll, beside a part that is no screen content."""
    rng = np.random.default_rng(0)
    text = np.full((200, 96, 3), 240, np.uint8)
    for line in range(16):
        word = "".join(rng.choice(list("abcdefgh "), 12))
        cv2.putText(text, word, (2, 12 * line + 10), cv2.FONT_HERSHEY_PLAIN, 0.8, (30, 30, 90 * (line % 3)), 1)
    grain = rng.normal(128, 30, (64, 32, 3)).clip(0, 255).astype(np.uint8)
    pictures = [text[3 * t : 3 * t + 64].copy() for t in range(END)]
    for picture in pictures:
        picture[:, 64:] = grain
    return pictures


def things() -> list[np.ndarray]:
    """Rectangles with hard edges that move over a ground that stands and is no screen content."""
    ground = cv2.GaussianBlur(np.random.default_rng(1).normal(110, 60, (64, 96, 3)), (0, 0), 2)
    pictures = [ground.clip(0, 255).astype(np.uint8) for _ in range(END)]
    for t, picture in enumerate(pictures):
        for n, colour in enumerate([(20, 200, 240), (230, 40, 60), (60, 220, 30)]):
            top, left = (7 + 19 * n + (2 - n) * t) % 50, (11 + 30 * n + (3 * n - 2) * t) % 80
            picture[top : top + 13, left : left + 15] = colour
    return pictures


def zoom() -> list[np.ndarray]:
    """Blobs that come nearer and turn: motion of the whole."""
    blobs = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, (64, 96, 3)), (0, 0), 2)
    ground = (128 + 60 * blobs / blobs.std()).clip(0, 255).astype(np.uint8)
    near = [cv2.getRotationMatrix2D((48, 32), 2 * t, 1.04**t) for t in range(END)]
    return [cv2.warpAffine(ground, one, (96, 64), borderMode=cv2.BORDER_REFLECT) for one in near]


def plain() -> list[np.ndarray]:
    """The same without colour."""
    return [np.repeat(picture[..., 1:2], 3, 2) for picture in zoom()]


DRAWN = {
    "golden_screen": page,
    "golden_split": things,
    "golden_zoom": zoom,
    "golden_priced": zoom,
    "golden_middle": zoom,
    "golden_plain": plain,
}


def write(pictures: list[np.ndarray], path: Path) -> None:
    """Pictures in B, G, R as a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def probe(path: Path) -> list[dict[str, object]]:
    """Some code values of each plane at ``PROBES``."""
    values = []
    with VideoDecoder(path, device="cpu") as video:
        info = video.header.info
        for position, scale in PROBES:
            planes = video.render(position, View.whole(info.height * scale, info.width * scale)).planes
            for index, plane in enumerate(planes):
                for row, col in ((0, 0), (plane.shape[0] // 2, plane.shape[1] // 3), (-1, -1)):
                    place = [row % plane.shape[0], col % plane.shape[1]]
                    where = {"frame": str(position), "scale": scale, "plane": index, "place": place}
                    values.append({**where, "code": int(plane[row, col])})
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES, help="where to write (samples/)")
    folder = parser.parse_args().folder
    for name, config in CONFIGS.items():
        if not (folder / f"{name}.nvc").exists():
            make(folder / f"{name}.nvc", config)


def make(path: Path, config: EncoderConfig) -> None:
    """Encodes a part of the sample, and writes down what it decodes to."""
    with TemporaryDirectory() as folder:
        source = SAMPLES / "sample.mp4"
        if path.stem in DRAWN:
            source = Path(folder) / "drawn.mkv"
            write(DRAWN[path.stem](), source)
        report = encode(source, path, config=config, start=FIRST, end=END, tool_section=False)
    with VideoDecoder(path, device="cpu") as video:
        digests = [f"{video.loader.unpack(index)[1]:08x}" for index in range(len(video.header.gops))]
    lines = ",\n    ".join(json.dumps(value) for value in probe(path))
    path.with_suffix(".json").write_text(
        f'{{\n  "digests": {json.dumps(digests)},\n  "codes": [\n    {lines}\n  ]\n}}\n'
    )
    print(f"{path}: {report.file_bytes} bytes, {report.num_gops} GOPs, {report.psnr_y_db:.2f} dB")


if __name__ == "__main__":
    main()
