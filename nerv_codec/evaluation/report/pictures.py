"""The pictures of a report: the worst frames beside the original, and a crop enlarged by the function."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av import VideoCodecContext, VideoFrame

from nerv_codec.base.video import PlanarFrame, Plane, VideoInfo
from nerv_codec.evaluation.matching import FrameSource, in_layout, select_frames
from nerv_codec.evaluation.schema import Evaluation
from nerv_codec.media.color import planes_to_rgb
from nerv_codec.representations.rendering import View, view_info

Rgb = npt.NDArray[np.uint8]

NUM_WORST = 3
ZOOM = 4
DIFFERENCE_GAIN = 4
_LOSSLESS_PIXELS = 160_000
"""Larger pictures are stored as JPEG, so that a page stays small enough to send."""
_CROP_COLS, _CROP_ROWS = 72, 54
_MARGIN = 4


@dataclass(frozen=True)
class ComparedFrame:
    """One frame of both videos, as data URIs."""

    number: int
    seconds: float
    figures: str
    reference: str
    target: str
    difference: str


@dataclass(frozen=True)
class ZoomedCrop:
    """A part of one frame at ``ZOOM`` times the scale, as data URIs."""

    number: int
    seconds: float
    source_pixels: str
    """(width, height, left, top) in words."""
    reference: str
    bicubic: str
    function: str


def worst_frames(found: Evaluation, count: int = NUM_WORST) -> list[ComparedFrame]:
    """The frames of least quality, at some distance from each other, worst first."""
    ranking = found.series[0]
    order = np.argsort(np.asarray(ranking.values) * (1 if ranking.higher_is_better else -1), kind="stable")
    apart = max(1, len(order) // 12)
    chosen: list[int] = []
    for place in order.tolist():
        if all(abs(place - other) >= apart for other in chosen):
            chosen.append(place)
        if len(chosen) == count:
            break
    originals = _fetch(found.reference.file, [found.reference_numbers[place] for place in chosen])
    decoded = _fetch(found.target.file, [found.frame_numbers[place] for place in chosen])
    frames = []
    for place in chosen:
        reference = originals[found.reference_numbers[place]]
        target = decoded[found.frame_numbers[place]]
        figures = ", ".join(_figure(s.name, s.values[place]) for s in found.series if s.name in _CAPTION)
        frames.append(
            ComparedFrame(
                found.frame_numbers[place],
                found.frame_seconds[place],
                figures,
                data_uri(reference),
                data_uri(target),
                data_uri(difference(reference, target)),
            )
        )
    return frames


def zoomed_crop(found: Evaluation) -> ZoomedCrop | None:
    """The most detailed part of the middle frame, from the function and by bicubic; None for ordinary videos."""
    if found.target.kind != "nvc":
        return None
    place = len(found.frame_numbers) // 2
    number = found.frame_numbers[place]
    with FrameSource(found.reference.file) as source, FrameSource(found.target.file) as coded:
        info, video = coded.info, coded.nvc
        assert video is not None
        original = next(select_frames(found.reference.file, [found.reference_numbers[place]]))
        planes = in_layout(original.planes, source.info, info.pixel_format)
        crop = _detailed_crop(planes[0])
        top, left, rows, cols = crop
        full = info.pixel_format.unsubsampled
        view = View(info.height * ZOOM, info.width * ZOOM, top * ZOOM, left * ZOOM, rows * ZOOM, cols * ZOOM)
        function = video.render(Fraction(number), view, full)
        function_rgb = _rgb(function.planes, view_info(info, view, full))
        decoded = video.render(Fraction(number), View.whole(info.height, info.width))
        decoded_rgb = _rgb(decoded.planes, info)
        reference_rgb = _rgb(planes, info)
    pixels = reference_rgb[top : top + rows, left : left + cols].repeat(ZOOM, 0).repeat(ZOOM, 1)
    return ZoomedCrop(
        number,
        found.frame_seconds[place],
        f"{cols}x{rows}+{left}+{top}",
        data_uri(pixels),
        data_uri(_bicubic(decoded_rgb, crop)),
        data_uri(function_rgb),
    )


def difference(reference: Rgb, target: Rgb) -> Rgb:
    """``DIFFERENCE_GAIN`` times what the target has more (brighter than gray) or less, (H, W, 3) uint8."""
    error = target.astype(np.int16) - reference.astype(np.int16)
    return np.clip(128 + DIFFERENCE_GAIN * error, 0, 255).astype(np.uint8)


def data_uri(picture: Rgb) -> str:
    """An (H, W, 3) uint8 picture as a ``data:`` address: PNG, or JPEG of high quality where it is large."""
    height, width, _ = picture.shape
    lossless = height * width <= _LOSSLESS_PIXELS
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    options = {} if lossless else {"qmin": "2", "qmax": "3"}
    encoder = VideoCodecContext.create("png" if lossless else "mjpeg", "w")
    encoder.options = options
    encoder.width, encoder.height, encoder.time_base = width, height, Fraction(1, 25)
    encoder.pix_fmt = "rgb24" if lossless else "yuvj444p"
    if not lossless:
        frame = frame.reformat(format="yuvj444p")
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


_CAPTION = ("psnr_y_db", "psnr_rgb_db", "ssim_y", "lpips_alex")


def _figure(name: str, value: float) -> str:
    titles = {"psnr_y_db": "PSNR Y", "psnr_rgb_db": "PSNR RGB", "ssim_y": "SSIM Y", "lpips_alex": "LPIPS"}
    return f"{titles[name]} {value:.2f} dB" if name.endswith("_db") else f"{titles[name]} {value:.4f}"


def _fetch(path: str, numbers: Sequence[int]) -> dict[int, Rgb]:
    """Frames of a file as RGB by their numbers; of a ``.nvc`` without decoding the others."""
    with FrameSource(path) as source:
        if source.nvc is not None:
            video, view = source.nvc, View.whole(source.info.height, source.info.width)
            return {n: _rgb(video.render(Fraction(n), view).planes, source.info) for n in numbers}
        frames: list[PlanarFrame] = list(select_frames(path, numbers))
        return {n: _rgb(frame.planes, source.info) for n, frame in zip(sorted(numbers), frames, strict=True)}


def _rgb(planes: tuple[Plane, ...], info: VideoInfo) -> Rgb:
    result: Rgb = planes_to_rgb(planes, info).permute(1, 2, 0).contiguous().numpy()
    return result


def _detailed_crop(luma: Plane) -> tuple[int, int, int, int]:
    """(top, left, rows, cols) of the window with most detail: many slopes, not a few steep ones."""
    height, width = luma.shape
    values = luma.astype(np.float32)
    slopes = np.sqrt(np.abs(np.diff(values, axis=0, append=values[-1:])))
    slopes += np.sqrt(np.abs(np.diff(values, axis=1, append=values[:, -1:])))
    rows, cols = min(_CROP_ROWS, height), min(_CROP_COLS, width)
    places = [
        (float(slopes[top : top + rows, left : left + cols].mean()), top, left)
        for top in range(0, height - rows + 1, max(1, rows // 3))
        for left in range(0, width - cols + 1, max(1, cols // 3))
    ]
    _, top, left = max(places)
    return top, left, rows, cols


def _bicubic(picture: Rgb, crop: tuple[int, int, int, int]) -> Rgb:
    """A crop enlarged by swscale's bicubic kernel, which also looks at what lies around it."""
    top, left, rows, cols = crop
    first_row, first_col = max(0, top - _MARGIN), max(0, left - _MARGIN)
    part = np.ascontiguousarray(picture[first_row : top + rows + _MARGIN, first_col : left + cols + _MARGIN])
    frame = VideoFrame.from_ndarray(part, format="rgb24")
    size = {"width": part.shape[1] * ZOOM, "height": part.shape[0] * ZOOM}
    made = frame.reformat(**size, interpolation="BICUBIC", threads=1).to_ndarray(format="rgb24")
    down, across = (top - first_row) * ZOOM, (left - first_col) * ZOOM
    return made[down : down + rows * ZOOM, across : across + cols * ZOOM].astype(np.uint8, copy=False)
