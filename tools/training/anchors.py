"""One frame through x264, x265 and SVT-AV1 at their slowest sensible presets: bytes and quality, for comparison."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tools.training.pictures import Plane, planes_of

Planes = tuple[Plane, Plane, Plane]
_DECODERS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "libdav1d"}
ANCHORS = {
    "x264 tune=psnr": ("libx264", {"preset": "veryslow", "tune": "psnr"}, range(16, 46, 3)),
    "x265 tune=psnr": ("libx265", {"preset": "veryslow", "tune": "psnr"}, range(14, 47, 3)),
    "SVT-AV1": ("libsvtav1", {"preset": "2", "svtav1-params": "lp=1"}, range(8, 63, 6)),
}
"""Name to ffmpeg's encoder, its options and a row of crf."""


def yuv_psnr(a: Sequence[Plane], b: Sequence[Plane]) -> float:
    """PSNR of 8-bit planes, weighted 6:1:1."""
    errors = [((x.astype(np.float64) - y) ** 2).mean() for x, y in zip(a, b, strict=True)]
    psnr = [10 * np.log10(255**2 / max(error, 1e-9)) for error in errors]
    return float((6 * psnr[0] + psnr[1] + psnr[2]) / 8)


def _without_sei(data: bytes) -> int:
    """Bytes of H.264 NAL units but for SEI, in which x264 lists its options."""
    units = re.split(b"\x00\x00\x00\x01|\x00\x00\x01", data)
    return sum(len(unit) + 4 for unit in units if unit and unit[0] & 31 != 6)


def encode(planes: Planes, encoder: str, options: dict[str, str], crf: int) -> tuple[int, float]:
    """Bytes of the packet and YUV PSNR of a single key frame."""
    rows, cols = planes[0].shape
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = cols, rows, "yuv420p"
    context.time_base, context.framerate, context.thread_count = Fraction(1, 30), Fraction(30, 1), 1
    options = {**options, "crf": str(crf)}
    if encoder == "libx265":
        options["x265-params"] = "log-level=none:info=0:pools=1:frame-threads=1"
    context.options = options
    frame = av.VideoFrame(cols, rows, "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    for plane, pixels in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = pixels
        plane.update(padded.tobytes())
    packets = [*context.encode(frame), *context.encode(None)]
    data = b"".join(bytes(packet) for packet in packets)
    decoder = av.CodecContext.create(_DECODERS[encoder], "r")
    decoder.thread_count = 1
    decoded = [out for packet in packets for out in decoder.decode(packet)]
    decoded += decoder.decode(None)
    size = _without_sei(data) if encoder == "libx264" else len(data)
    return size, yuv_psnr(planes, planes_of(decoded[0]))


def curves(name: str, planes: Planes, cache: Path) -> dict[str, list[tuple[int, float]]]:
    """(bytes, PSNR) of every anchor, computed once."""
    stored = json.loads(cache.read_text()) if cache.exists() else {}
    if name not in stored:
        os.environ.setdefault("SVT_LOG", "0")
        stored[name] = {
            anchor: [encode(planes, encoder, options, crf) for crf in crfs]
            for anchor, (encoder, options, crfs) in ANCHORS.items()
        }
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(stored, indent=1))
    return {anchor: [(int(size), float(psnr)) for size, psnr in points] for anchor, points in stored[name].items()}
