"""Fits on a part of the samples, measured on the rest: what only a function can do, against ordinary means.

In time, the fit sees every n-th frame, and the frames between are compared with the function there. In space,
it sees the picture reduced n : 1 (block means), and the full picture is compared with the function at n times
the scale. The ordinary means get the decoded pictures of the same file, so that both know the same bytes; what
they make of the original pictures is listed too, as what a perfect codec would have left them.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from nerv_codec.base.errors import InputError, UsageError
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress, part_of
from nerv_codec.base.video import PlanarFrame, Plane, VideoInfo
from nerv_codec.decoding.video_decoder import VideoDecoder
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.encode import encode
from nerv_codec.evaluation.evaluate import evaluate
from nerv_codec.evaluation.matching import FrameSource, select_frames
from nerv_codec.evaluation.metrics.pair import FramePair
from nerv_codec.evaluation.metrics.suite import MetricChoice, measure
from nerv_codec.evaluation.resample import average_between, interpolate_motion, reduced, reduced_info, scaled
from nerv_codec.evaluation.schema import Holdout, HoldoutMethod
from nerv_codec.media.writer import open_writer
from nerv_codec.representations.rendering import View

_FIT_SHARE = 0.8
_FUNCTION, _DECODED, _ORIGINAL = "the function", "decoded pictures", "original pictures"

Planes = tuple[Plane, ...]
Pictures = Callable[[], Iterable[Planes]]
Resampling = Callable[[Iterable[Planes]], Iterable[Planes]]


@dataclass(frozen=True)
class _Method:
    name: str
    given: str
    pictures: Pictures


def hold_out_frames(
    reference: str | Path,
    numbers: tuple[int, ...],
    factor: int,
    *,
    config: EncoderConfig,
    settings: str,
    choice: MetricChoice,
    device: str = "auto",
    fps: Fraction | None = None,
    progress: ProgressSink = ignore_progress,
) -> Holdout:
    """Fits every ``factor``-th frame and measures those between.

    Args:
        reference: The original.
        numbers: Which of its frames take part, ascending.
        factor: At least 2.
        config: How to fit.
        settings: The same in words, for the report.
        choice: What to measure.
        device: Where to fit and evaluate.
        fps: Frames per second of a reference that is numbered pictures; None is 25.
        progress: Told what happens.

    Raises:
        UsageError: ``factor`` is less than 2. InputError: There are too few frames.
    """
    kept = numbers[:: _checked(factor)]
    if len(kept) < 2:
        raise InputError(f"{reference}: expected at least {factor + 1} frames to hold some out, found {len(numbers)}")
    held = tuple(n for n in numbers if n <= kept[-1] and n not in set(kept))
    with FrameSource(reference, rate=fps) as source:
        info, rate = source.info, source.frame_rate / factor
    times = [frame.pts for frame in select_frames(reference, numbers)]
    places = _places(numbers, times, kept, held)
    view = View.whole(info.height, info.width)

    def seen() -> Iterator[Planes]:
        return (frame.planes for frame in select_frames(reference, kept))

    def truth() -> Iterator[Planes]:
        return (frame.planes for frame in select_frames(reference, held))

    def methods(video: VideoDecoder) -> list[_Method]:
        def decoded() -> Iterator[Planes]:
            return (video.render(Fraction(index), view).planes for index in range(len(kept)))

        return [
            _Method("function between frames", _FUNCTION, lambda: (video.render(p, view).planes for p in places)),
            *_ordinary("average", decoded, seen, lambda pictures: average_between(pictures, places)),
            *_ordinary(
                "minterpolate", decoded, seen, lambda pictures: interpolate_motion(pictures, info, factor, len(held))
            ),
        ]

    experiment = _Experiment("time", factor, info, rate, seen, info, truth, len(held), methods)
    return experiment.run(config=config, settings=settings, choice=choice, device=device, progress=progress)


def hold_out_pixels(
    reference: str | Path,
    numbers: tuple[int, ...],
    factor: int,
    *,
    config: EncoderConfig,
    settings: str,
    choice: MetricChoice,
    device: str = "auto",
    fps: Fraction | None = None,
    progress: ProgressSink = ignore_progress,
) -> Holdout:
    """Fits the picture reduced ``factor`` : 1 and measures the function at the full size.

    What does not fill a block at the right and bottom edge is left out. Arguments are those of
    :func:`hold_out_frames`.

    Raises:
        UsageError: ``factor`` is less than 2, or the pictures are too small.
    """
    _checked(factor)
    with FrameSource(reference, rate=fps) as source:
        info, rate = source.info, source.frame_rate
    small = reduced_info(info, factor)
    full = dataclasses.replace(info, height=small.height * factor, width=small.width * factor)

    def seen() -> Iterator[Planes]:
        return (reduced(frame.planes, info, factor) for frame in select_frames(reference, numbers))

    def truth() -> Iterator[Planes]:
        return (_cropped(frame.planes, full) for frame in select_frames(reference, numbers))

    def methods(video: VideoDecoder) -> list[_Method]:
        def rendered(size: VideoInfo) -> Iterator[Planes]:
            view = View.whole(size.height, size.width)
            return (video.render(Fraction(index), view).planes for index in range(len(numbers)))

        def enlarged(kernel: str) -> Resampling:
            return lambda pictures: (scaled(planes, small, full, kernel) for planes in pictures)

        return [
            _Method("function between pixels", _FUNCTION, lambda: rendered(full)),
            *_ordinary("bicubic", lambda: rendered(small), seen, enlarged("BICUBIC")),
            *_ordinary("Lanczos", lambda: rendered(small), seen, enlarged("LANCZOS")),
        ]

    experiment = _Experiment("space", factor, small, rate, seen, full, truth, len(numbers), methods)
    return experiment.run(config=config, settings=settings, choice=choice, device=device, progress=progress)


@dataclass(frozen=True)
class _Experiment:
    """A fit of a part of the samples, and what makes the other samples."""

    kind: str
    factor: int
    seen_info: VideoInfo
    """Size and layout of the pictures that are fitted."""
    rate: Fraction
    """Pictures a second of what is fitted."""
    seen: Pictures
    truth_info: VideoInfo
    """Size and layout of the pictures that are compared."""
    truth: Pictures
    num_frames: int
    """How many pictures are compared."""
    methods: Callable[[VideoDecoder], list[_Method]]
    """The ways to make them, given the fit."""

    def run(
        self, *, config: EncoderConfig, settings: str, choice: MetricChoice, device: str, progress: ProgressSink
    ) -> Holdout:
        """Fits, and measures every method."""
        with tempfile.TemporaryDirectory(prefix="nerv-codec-holdout-") as folder:
            seen, fit = Path(folder) / "seen.mkv", Path(folder) / "fit.nvc"
            # Times in milliseconds, which Matroska does not round, and evenly spaced: the places between are known.
            even = dataclasses.replace(self.seen_info, time_base=Fraction(1, 1000))
            _write(seen, even, self.rate, self.seen())
            sink = part_of(progress, 0, _FIT_SHARE, "hold out:")
            report = encode(seen, fit, config=config, device=device, progress=sink)
            with VideoDecoder(fit, device=device) as video:
                results = _compare(self.methods(video), self.truth, self.truth_info, choice, progress)
            fitted = evaluate(seen, fit, metrics=choice.names, device=device, lpips_weights=choice.lpips_weights)
        return Holdout(
            kind=self.kind,
            factor=self.factor,
            settings=settings,
            file_bytes=report.file_bytes,
            rate_bpp=report.rate_bpp,
            num_frames=self.num_frames,
            fitted={series.name: series.pooled["mean"] for series in fitted.series},
            methods=results,
            encode_seconds=report.seconds,
        )


def _ordinary(name: str, decoded: Pictures, original: Pictures, make: Resampling) -> list[_Method]:
    """An ordinary means, given what the file decodes to, and given what the file was made from."""
    return [
        _Method(name, _DECODED, lambda: make(decoded())),
        _Method(name, _ORIGINAL, lambda: make(original())),
    ]


def _compare(
    methods: list[_Method], truth: Pictures, info: VideoInfo, choice: MetricChoice, progress: ProgressSink
) -> tuple[HoldoutMethod, ...]:
    found = []
    for index, method in enumerate(methods):
        share = _FIT_SHARE + (1 - _FIT_SHARE) * index / len(methods)
        progress(Progress("progress", share, f"hold out: {method.name} of {method.given}"))
        metrics, _ = choice.make(info)
        pairs = (FramePair(a, b, info, info) for a, b in zip(truth(), method.pictures(), strict=True))
        series, _ = measure(pairs, metrics)
        means = {one.name: one.pooled["mean"] for own in series.values() for one in own}
        found.append(HoldoutMethod(method.name, method.given, means))
    return tuple(found)


def _places(
    numbers: tuple[int, ...], times: list[int], kept: tuple[int, ...], held: tuple[int, ...]
) -> tuple[Fraction, ...]:
    """Where each held-out frame lies among the kept ones, by time: 0 is the first, 1/2 midway to the second."""
    time_of = dict(zip(numbers, times, strict=True))
    places = []
    index = 0
    for number in held:
        while kept[index + 1] < number:
            index += 1
        start, stop = time_of[kept[index]], time_of[kept[index + 1]]
        places.append(index + Fraction(time_of[number] - start, stop - start))
    return tuple(places)


def _write(path: Path, info: VideoInfo, rate: Fraction, pictures: Iterable[Planes]) -> None:
    """A lossless file of pictures at a steady rate."""
    with open_writer(path, "mkv", info, frame_rate=rate) as writer:
        for index, planes in enumerate(pictures):
            writer.write(PlanarFrame(planes, round(index / rate / info.time_base)))


def _cropped(planes: Planes, info: VideoInfo) -> Planes:
    sizes = [info.pixel_format.plane_size(index, info.height, info.width) for index in range(len(planes))]
    return tuple(plane[:rows, :cols] for plane, (rows, cols) in zip(planes, sizes, strict=True))


def _checked(factor: int) -> int:
    if not 2 <= factor <= 16:
        raise UsageError(f"expected to hold out by a factor of 2 to 16, found {factor}")
    return factor
