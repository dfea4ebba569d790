"""A GOP coded losslessly: the fit that leaves nothing over."""

from __future__ import annotations

from nerv_codec.base.psnr import MAX_DB
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FitState
from nerv_codec.representations.fitting.status import FitReporter, FitStatus, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless


def fit_lossless(task: GopTask, report: FitReporter, checkpoint: Checkpoint) -> FittedGop:
    """Codes one GOP so that every sample comes back.

    Args:
        task: The GOP.
        report: Called after every frame.
        checkpoint: Keeps nothing of a GOP that is under way, which takes seconds; it is asked whether to stop.

    Raises:
        Interrupted: The checkpoint was asked to stop.
    """
    frames = [frame.planes for frame in task.frames]

    def tell(count: int, num_bytes: int) -> None:
        checkpoint.offer(lambda: FitState({}))
        bits = 8.0 * num_bytes * len(frames) / count
        report(FitStatus(count, len(frames), "code", MAX_DB, bits))

    packed = pack_lossless(frames, SampleLayout.of(task.info), task.geometry, tell=tell)
    return FittedGop(packed.payload, 8.0 * len(packed.payload), packed.function)
