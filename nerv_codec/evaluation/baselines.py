"""What ordinary codecs make of the same frames: x264, x265, SVT-AV1 and FFV1 through PyAV, at a row of crf or exactly.

x264 and x265 run with ``tune=psnr``. With their defaults they give away some ten per cent of the rate for what the eye
likes and PSNR does not see, which would flatter whatever is compared with them by PSNR. The price is that their SSIM,
LPIPS and VMAF are not the best that they can do. SVT-AV1's default tune is PSNR, so it keeps its defaults.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.codec import Codec
from av.video.stream import VideoStream

from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import atomic_output
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.evaluation.metrics.pair import Unavailable
from nerv_codec.media import layout


@dataclass(frozen=True)
class Baseline:
    """One encoder and how it is run."""

    name: str
    encoder: str
    """ffmpeg's name."""
    preset: str
    crfs: tuple[int, ...]
    """From much to little quality."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options by ffmpeg's names, as ``{"tune": "psnr"}``."""
    exact: Mapping[str, str] = field(default_factory=dict)
    """All options, instead of those, with which every sample comes back, at the best setting."""

    def settings(self, keyint: int) -> str:
        """The settings in words, for reports."""
        tune = "".join(f", {name} {value}" for name, value in self.options.items() if name == "tune")
        return f"{self.encoder}, preset {self.preset}{tune}, crf {self.crfs[0]}-{self.crfs[-1]}, keyint {keyint}"

    def ffmpeg_options(self, crf: int | None, keyint: int) -> dict[str, str]:
        """Every option of one encode by ffmpeg's names; without a crf, one that gives every sample back."""
        if crf is None:
            return {"g": str(keyint), **self.exact}
        return {"preset": self.preset, "crf": str(crf), "g": str(keyint), **self.options}


_QUIET = {"x265-params": "log-level=none:info=0"}
"""No lines on stderr, and no packet that tells of the encoder."""
BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline(
            *("x264", "libx264", "medium", (18, 23, 28, 33, 38, 43), {"tune": "psnr"}),
            exact={"preset": "veryslow", "qp": "0"},
        ),
        Baseline(
            *("x265", "libx265", "medium", (18, 23, 28, 33, 38, 43), {"tune": "psnr", **_QUIET}),
            exact={"preset": "slower", "x265-params": "lossless=1:log-level=none:info=0"},
        ),
        Baseline(
            *("svtav1", "libsvtav1", "6", (23, 31, 39, 47, 55, 63)),
            exact={"preset": "3", "svtav1-params": "lossless=1"},
        ),
        Baseline("ffv1", "ffv1", "", (), exact={"level": "3", "coder": "1", "context": "1", "slices": "4"}),
    )
}
_X265_SMALLEST = 64
"""Pixels a side, one coding tree unit: with 40x24 x265 4.2 writes past its memory and aborts the process."""


@dataclass(frozen=True)
class EncodedBaseline:
    """One point of a baseline's curve: a file that decodes to its pictures, and what it counts."""

    path: Path
    coded_bytes: int
    """Bytes of all packets and parameter sets, without the container's and without messages about the encoder."""
    num_frames: int
    encode_seconds: float


def baseline(name: str) -> Baseline:
    """A baseline by name. Raises UsageError."""
    if name not in BASELINES:
        raise UsageError(f"expected baselines out of {', '.join(BASELINES)}, found {name!r}")
    return BASELINES[name]


def encode_baseline(
    codec: Baseline,
    crf: int | None,
    frames: Callable[[], Iterable[PlanarFrame]],
    info: VideoInfo,
    *,
    rate: Fraction,
    keyint: int,
    identity: str,
    folder: Path,
    tick: Callable[[], None] = lambda: None,
) -> EncodedBaseline:
    """Encodes frames with one codec at one crf, or finds that this was done before.

    Args:
        codec: The encoder and how it is run.
        crf: Quality on that encoder's own scale; None gives every sample back.
        frames: Opens the frames to encode.
        info: Size, layout and colour of the frames.
        rate: Frames a second.
        keyint: Largest distance between key frames.
        identity: Says which frames of which file these are; part of the cache's key.
        folder: Where encodes are kept.
        tick: Called for every frame.

    Raises:
        Unavailable: PyAV lacks the encoder, or it does not take such pictures.
    """
    options = codec.ffmpeg_options(crf, keyint)
    key = json.dumps([av.__version__, str(info), str(rate), codec.encoder, options, identity])
    quality = "exact" if crf is None else f"crf{crf}"
    stem = f"{codec.name}-{quality}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    path, note = folder / f"{stem}.mkv", folder / f"{stem}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(note.read_text())
        if path.stat().st_size == known["file_bytes"]:
            return EncodedBaseline(path, known["coded_bytes"], known["num_frames"], known["encode_seconds"])
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_output(path, overwrite=True) as temporary, _silent_svt():
        coded_bytes, count, seconds = _encode(codec.encoder, options, frames(), info, rate, temporary, tick)
    found = EncodedBaseline(path, coded_bytes, count, seconds)
    known = {"coded_bytes": coded_bytes, "num_frames": count, "encode_seconds": seconds}
    with atomic_output(note, overwrite=True) as temporary:
        temporary.write_text(json.dumps(known | {"file_bytes": path.stat().st_size}))
    return found


def _encode(
    encoder: str,
    options: dict[str, str],
    frames: Iterable[PlanarFrame],
    info: VideoInfo,
    rate: Fraction,
    target: Path,
    tick: Callable[[], None],
) -> tuple[int, int, float]:
    """Bytes, frames and seconds of one encode; the seconds are the encoder's alone, not those of reading."""
    if encoder == "libx265" and min(info.height, info.width) < _X265_SMALLEST:
        raise Unavailable(f"x265 needs pictures of at least {_X265_SMALLEST}x{_X265_SMALLEST} pixels")
    form = _pixel_format(encoder, info)
    total, count, seconds = 0, 0, 0.0
    try:
        with av.open(f"file:{target}", "w", format="matroska") as container:
            stream = container.add_stream(encoder, rate=rate, options=options)
            assert isinstance(stream, VideoStream)  # all encoders of BASELINES are
            context = stream.codec_context
            context.width, context.height, context.pix_fmt = info.width, info.height, form
            context.time_base = 1 / rate
            context.colorspace, context.color_range = info.color.matrix, 2 if info.color.full_range else 1
            context.color_primaries, context.color_trc = info.color.primaries, info.color.transfer
            container.start_encoding()
            # x264 writes its version and options into the first packet, some 700 bytes: no part of the pictures.
            strip = BitStreamFilterContext("filter_units=remove_types=6", stream) if encoder == "libx264" else None
            for frame in chain(frames, [None]):
                picture = None if frame is None else _picture(frame, count, info, form)
                began = time.perf_counter()
                packets = stream.encode(picture)
                seconds += time.perf_counter() - began
                for packet in packets:
                    for kept in strip.filter(packet) if strip else [packet]:
                        total += kept.size
                        kept.stream = stream
                        container.mux(kept)
                if picture is not None:
                    count += 1
                    tick()
            total += len(context.extradata or b"")
    except av.FFmpegError as error:
        what = f"{info.width}x{info.height} {form}"
        raise Unavailable(f"{encoder} does not take {what} ({error.strerror})") from error
    return total, count, seconds


@contextlib.contextmanager
def _silent_svt() -> Iterator[None]:
    """SVT-AV1 prints its settings on stderr, past ffmpeg's log, unless its own variable says otherwise."""
    before = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SVT_LOG"]
        else:
            os.environ["SVT_LOG"] = before


def _pixel_format(encoder: str, info: VideoInfo) -> str:
    """The encoder's pixel format that is the source's, else 4:2:0 of at most 10 bits. Raises Unavailable."""
    try:
        formats = {known.name for known in Codec(encoder, "w").video_formats or ()}
    except ValueError:
        raise Unavailable(f"this PyAV has no encoder {encoder}") from None
    own = layout.format_name(info.pixel_format, rgb=info.color.matrix == 0 and info.pixel_format.num_planes == 3)
    if own is not None and own in formats:
        return own
    return "yuv420p" if info.pixel_format.bit_depth == 8 or "yuv420p10le" not in formats else "yuv420p10le"


def _picture(frame: PlanarFrame, number: int, info: VideoInfo, form: str) -> av.VideoFrame:
    picture = layout.planes_frame(frame.planes, info.pixel_format, info.color)
    if picture.format.name != form:
        picture = layout.convert(picture, form, width=info.width, height=info.height)
    picture.pts = number
    return picture
