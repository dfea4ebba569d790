"""The format: a decoder written from docs/format.md alone reads what the encoder wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import plain_decoder as plain
import pytest
import torch

from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig, TrackedConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.rendering import View

COARSE = TrackedConfig(steps=8, scales=4, motion_learning_rate=0.9, latent_learning_rate=0.5)
"""Few steps, but long ones: motion and latents take many values."""
COLOUR, GRAY = PixelFormat(), PixelFormat(num_planes=1, chroma_row_shift=0, chroma_col_shift=0)
CASES = {
    "two GOPs of the header's networks": (39, 23, 9, COLOUR, EncoderConfig(model="tracked", gop=4, tracked=COARSE)),
    "gray, five depths, a gain": (
        *(69, 53, 9, GRAY),
        EncoderConfig(
            model="tracked", gop=8, tracked=dataclasses.replace(COARSE, steps=4, share=False, rd_lambda=5e-4)
        ),
    ),
    "no prior, three anchors, large latents": (
        *(40, 24, 6, COLOUR),
        EncoderConfig(
            model="tracked",
            gop=5,
            tracked=dataclasses.replace(COARSE, prior=False, span=3, rd_lambda=1e-6, initial_gain=2e-3),
        ),
    ),
}


def _clip(target: Path, width: int, height: int, frames: int, fmt: PixelFormat) -> None:
    """Texture that moves by (2, -3) pixels a frame, a square that moves the other way."""
    rng = np.random.default_rng(1)
    texture = np.kron(rng.integers(30, 200, (20, 28)), np.ones((4, 4), int))
    texture = (texture + np.roll(texture, 1, 0) + np.roll(texture, 1, 1) + np.roll(texture, 2, 1)) // 4
    info = VideoInfo(width, height, fmt, ColorInfo(chroma_location=1), time_base=Fraction(1, 24))
    with open_writer(target, "y4m", info, frame_rate=Fraction(24)) as writer:
        for t in range(frames):
            luma = texture[2 * t : 2 * t + height, 40 - 3 * t : 40 - 3 * t + width].astype(np.uint8)
            luma[6:14, 4 + 2 * t : 12 + 2 * t] = 230
            chroma = luma[::2, ::2]
            writer.write(PlanarFrame((luma, chroma // 2 + 64, 200 - chroma // 3)[: fmt.num_planes], t, 1))


@pytest.fixture(scope="module", params=CASES)
def decoded(request, tmp_path_factory) -> tuple[Path, plain.Header, Sequence[plain.Gop]]:
    """A file with what the plain decoder has of it; that it parses says that all digests agree."""
    *clip, config = CASES[request.param]
    folder = tmp_path_factory.mktemp("text")
    _clip(folder / "a.y4m", *clip)
    encode(folder / "a.y4m", folder / "a.nvc", config=config, audio=False, tool_section=False)
    return folder / "a.nvc", *plain.parse((folder / "a.nvc").read_bytes())


def test_pictures_agree(decoded):
    path, header, gops = decoded
    with VideoDecoder(path, device="cpu") as video:
        for frame in {0, 1, len(video) // 2, len(video) - 2, len(video) - 1}:
            shown = video.render(Fraction(frame), View.whole(header.height, header.width)).planes
            for own, other in zip(plain.picture(header, gops, frame), shown, strict=True):
                assert abs(np.rint(own.clip(0, 255)) - other).max() <= 1


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0, 1.75, 2.25, 3.0])
def test_functions_agree(decoded, t):
    """From border to border, at frames and between them."""
    path, header, gops = decoded
    axes = [np.linspace(-0.5, size - 0.5, 20) for size in (header.height, header.width)]
    coords = torch.from_numpy(np.stack(np.meshgrid([t], *axes, indexing="ij"), -1).reshape(-1, 3))
    with VideoDecoder(path, device="cpu") as video:
        for index, gop in enumerate(gops):
            shown = video.loader.gop(index).sample(coords).double().numpy()
            assert abs(plain.value(gop, t, *axes).reshape(shown.shape) - shown).max() < 0.02 / 255
