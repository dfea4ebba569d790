"""More points of our own curve: the reference encoded at several crf, and kept for the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import Progress, ProgressSink, ignore_progress
from nerv_codec.encoding.config import EncoderConfig, at_crf
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.workspace import source_digest


def encode_points(
    reference: str | Path,
    numbers: Sequence[int],
    crfs: Sequence[float],
    *,
    config: EncoderConfig,
    work: Path,
    device: str = "auto",
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
        progress: Told what happens.

    Raises:
        UsageError: The frames are no run.
        InputError: The reference cannot be read.
    """
    first, count = numbers[0], len(numbers)
    if list(numbers) != list(range(first, first + count)):
        raise UsageError("expected a file of frames without gaps, to encode the same ones at other crf")
    folder = work / "ours"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, crf in enumerate(crfs):
        own = at_crf(config, crf)
        key = hashlib.sha256(repr((source_digest(Path(reference)), first, count, own, device)).encode()).hexdigest()
        path = folder / f"{Path(reference).stem}.crf{crf:g}.{key[:16]}.nvc"

        def tell(event: Progress, index: int = index, crf: float = crf) -> None:
            if event.type == "progress":
                fraction = (index + event.fraction) / len(crfs)
                progress(Progress("progress", fraction, f"crf {crf:g} {event.stage}", event.detail))

        if not path.exists():
            encode(
                reference,
                path,
                config=own,
                start=first,
                frames=count,
                audio=False,
                drop_alpha=True,
                scale_to_first=True,
                device=device,
                progress=tell,
            )
        paths.append(path)
    return tuple(paths)
