"""More points of our own curve: the reference encoded at several crf, and kept for the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import ProgressSink, ignore_progress, part_of
from nerv_codec.encoding.config import EncoderConfig, at_crf
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.workspace import program_digest, source_digest


def encode_points(
    reference: str | Path,
    numbers: Sequence[int],
    crfs: Sequence[float],
    *,
    config: EncoderConfig,
    work: Path,
    device: str = "auto",
    fps: Fraction | None = None,
    progress: ProgressSink = ignore_progress,
) -> tuple[Path, ...]:
    """Encodes the same frames of a reference at each crf, unless an earlier call has done so.

    Args:
        reference: The original.
        numbers: Which of its frames: a run without gaps.
        crfs: Qualities, see :func:`nerv_codec.encoding.config.at_crf`.
        config: How to fit, before the crf.
        work: Folder in which the files are kept.
        device: Where to fit.
        fps: Frames per second of a reference that is numbered pictures; None is 25.
        progress: Told what happens.

    Raises:
        UsageError: The frames are no run.
        InputError: The reference cannot be read.
    """
    first, count = numbers[0], len(numbers)
    if list(numbers) != list(range(first, first + count)):
        raise UsageError("expected a file of frames without gaps, to encode the same ones at other crf")
    paths = []
    for index, crf in enumerate(crfs):
        sink = part_of(progress, index / len(crfs), 1 / len(crfs), f"crf {crf:g}")
        point = encode_point(
            reference, first, count, crf, config=config, work=work, device=device, fps=fps, progress=sink
        )
        paths.append(point)
    return tuple(paths)


def encode_point(
    reference: str | Path,
    first: int,
    count: int,
    crf: float,
    *,
    config: EncoderConfig,
    work: Path,
    device: str = "auto",
    fps: Fraction | None = None,
    progress: ProgressSink = ignore_progress,
) -> Path:
    """Encodes a run of frames, unless an earlier call has done so; returns the file.

    Args:
        reference: The original.
        first: Number of the first frame.
        count: How many frames.
        crf: Quality, see :func:`nerv_codec.encoding.config.at_crf`.
        config: How to fit, before the crf.
        work: Folder in which the file is kept, named after all that decides about its bytes.
        device: Where to fit.
        fps: Frames per second of a reference that is numbered pictures; None is 25.
        progress: Told what happens.

    Raises:
        InputError: The reference cannot be read.
    """
    folder = work / "ours"
    folder.mkdir(parents=True, exist_ok=True)
    config = at_crf(config, crf)
    key = repr((program_digest(), source_digest(Path(reference)), first, count, config, device, fps))
    path = folder / f"{Path(reference).stem}.crf{crf:g}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.nvc"
    if not path.exists():
        encode(
            reference,
            path,
            config=config,
            start=first,
            frames=count,
            audio=False,
            drop_alpha=True,
            scale_to_first=True,
            device=device,
            fps=fps,
            progress=progress,
        )
    return path
