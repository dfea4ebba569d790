"""What decoding a ``.nvc`` costs, stage by stage, as a whole, and for one frame at the beginning or anywhere."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerv_codec.base.device import choose_device
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.base.video import PlanarFrame, Plane
from nerv_codec.decoding.decode import decode
from nerv_codec.decoding.metadata import own_frames
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.rendering import View, render_planes
from nerv_codec.representations.representation import Representation

try:
    import resource
except ImportError:  # not a Unix: the peak of memory stays unknown
    resource = None  # type: ignore[assignment]

SCHEMA_VERSION = 1
STAGES = ("entropy decoding", "planes", "evaluation", "colour conversion", "writing")
_RANDOM_FRAMES = 5
_FIRST_FRAMES = 3


def benchmark_decode(
    source: str | Path, *, device: str = "auto", seed: int = 0, progress: ProgressSink = ignore_progress
) -> dict[str, Any]:
    """Decodes a file several times and tells where the time goes.

    Stages run one after another here, each on all its threads; a whole decode runs them side by side. ``planes`` is
    what a picture costs the first time beyond what it costs again: what is made once for several pictures.
    ``colour conversion`` is from real values to the file's own layout; ``writing`` makes an mp4, as decode does.

    Args:
        source: The ``.nvc``.
        device: Where the function is evaluated.
        seed: Which frames are taken for the latency.
        progress: Told about each part.

    Returns:
        A report that JSON can hold: seconds, frames a second, and what they were measured on.

    Raises:
        InputError: The file cannot be opened. BitstreamError: It is damaged.
    """
    progress(Progress("start", 0.0, "bench"))
    before = _peak_bytes()
    with VideoDecoder(source, device=device) as video:
        about = video.metadata
        video.render(Fraction(0), View.whole(about.height, about.width))  # compiles and loads what is needed
        stages, gop_seconds, parts = _stages(video, progress)
    progress(Progress("progress", 0.6, "whole decode"))
    whole = _seconds(lambda: decode(source, format="null", device=device))
    progress(Progress("progress", 0.8, "single frames"))
    generator = random.Random(seed)
    chosen = [generator.randrange(about.num_frames) for _ in range(_RANDOM_FRAMES)]
    latencies = [_seconds(partial(_one_frame, source, device, frame)) for frame in chosen]
    latency, gop = statistics.median(latencies), statistics.fmean(gop_seconds)
    first = statistics.median(_seconds(partial(_one_frame, source, device, 0)) for _ in range(_FIRST_FRAMES))
    progress(Progress("done", 1.0))
    return {
        "schema_version": SCHEMA_VERSION,
        "file": str(source),
        "model": about.model,
        "size": [about.width, about.height],
        "num_frames": about.num_frames,
        "num_gops": about.num_gops,
        "macs_per_pixel": about.macs_per_pixel,
        "gop_bytes_by_part": parts,
        "device": str(choose_device(device)),
        "threads": torch.get_num_threads(),
        "stages": {
            name: {"seconds": seconds, "fps": about.num_frames / max(seconds, 1e-9)} for name, seconds in stages.items()
        },
        "decode_to_null": {"seconds": whole, "fps": about.num_frames / whole},
        "first_frame": {"seconds": first},
        "random_frame": {
            "seconds": latency,
            "all_seconds": latencies,
            "gop_decode_seconds": gop,
            "gop_decodes": latency / gop,
        },
        "peak_memory_bytes": _peak_bytes(),
        "peak_memory_above_start_bytes": max(0, _peak_bytes() - before),
    }


def _stages(video: VideoDecoder, progress: ProgressSink) -> tuple[dict[str, float], list[float], dict[str, int]]:
    """Seconds of each stage over the whole file, and of each GOP to be unpacked and evaluated; their bytes by part."""
    info = video.header.info
    view = View.whole(info.height, info.width)
    seconds, parts = dict.fromkeys(STAGES, 0.0), Counter[str]()
    gops = []
    with tempfile.TemporaryDirectory() as folder:
        rate = video.timeline.average_rate.limit_denominator(1001)
        with open_writer(Path(folder) / "out.mp4", "mp4", info, frame_rate=rate) as writer:
            for index in range(len(video.header.gops)):
                began = time.perf_counter()
                function, _, sizes = video.loader.unpack(index, video.device)
                unpacked = time.perf_counter() - began
                model = _Timed(function)
                parts.update(sizes)
                seconds["entropy decoding"] += unpacked
                first, last = own_frames(video.header, index)
                start, gop = video.header.first_frames[index], unpacked
                for frame in range(first, last + 1):
                    t = float(frame - start)
                    fresh, planes = _render(model, t, video, view)
                    again, _ = _render(model, t, video, view)
                    seconds["planes"] += max(0.0, fresh.inside - again.inside)
                    seconds["evaluation"] += min(fresh.inside, again.inside)
                    seconds["colour conversion"] += fresh.total - fresh.inside
                    gop += fresh.total
                    picture = PlanarFrame(planes, video.header.pts[frame], 0)
                    seconds["writing"] += _seconds(partial(writer.write, picture))
                gops.append(gop)
                share = 0.6 * (index + 1) / len(video.header.gops)
                progress(Progress("progress", share, f"gop {index + 1}/{len(video.header.gops)}"))
            began = time.perf_counter()
        seconds["writing"] += time.perf_counter() - began  # what the encoder still held
    return seconds, gops, dict(parts)


class _Spent:
    """Seconds of one picture: in all, and inside of the function."""

    def __init__(self, total: float, inside: float) -> None:
        self.total, self.inside = total, inside


class _Timed:
    """A function that counts the seconds that its evaluation takes."""

    def __init__(self, model: Representation) -> None:
        self._model = model
        self.geometry = model.geometry
        self.band_samples = model.band_samples
        self.seconds = 0.0

    @property
    def macs_per_sample(self) -> int:
        return self._model.macs_per_sample

    def codes(self, t: float, plane: int, rows: Tensor, cols: Tensor, depth: int) -> Plane | None:
        began = time.perf_counter()
        found = self._model.codes(t, plane, rows, cols, depth)
        self.seconds += time.perf_counter() - began
        return found

    def render(self, times: Tensor, rows: Tensor, cols: Tensor, planes: Sequence[int] | None = None) -> Tensor:
        began = time.perf_counter()
        try:
            values = self._model.render(times, rows, cols, planes)
            if values.is_cuda:
                torch.cuda.synchronize(values.device)
            return values
        finally:
            self.seconds += time.perf_counter() - began

    def sample(self, coords: Tensor) -> Tensor:
        return self._model.sample(coords)


def _render(model: _Timed, t: float, video: VideoDecoder, view: View) -> tuple[_Spent, tuple[Any, ...]]:
    info = video.header.info
    model.seconds, began = 0.0, time.perf_counter()
    planes = render_planes(model, t, info, view, info)
    return _Spent(time.perf_counter() - began, model.seconds), planes


def _one_frame(source: str | Path, device: str, frame: int) -> None:
    with VideoDecoder(source, device=device) as video:
        video.get_frame_at(frame)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peak_bytes() -> int:
    """The most memory that this process has held, everything included."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
