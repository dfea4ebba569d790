"""One GOP as a job: a pure function of its frames, the configuration and a seed, in this process or another."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.interruption import StopRequest
from nerv_codec.bitstream.container import SECTION_GOP, pack_section
from nerv_codec.bitstream.headers import GopEntry
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.fit_gop import fit_gop, luma_psnr_db
from nerv_codec.encoding.workspace import Workspace
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FileCheckpoint
from nerv_codec.representations.fitting.status import FitReporter, FitStatus
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.registry import MODELS, summarise_gop, unpack_gop

_PATIENCE_SECONDS = 5.0
"""How long a stop waits for a fit that does not save its state."""


@dataclass(frozen=True)
class CodedGop:
    """One GOP as it stands in the file, and what was measured on it. Its own frames are all but a shared first."""

    entry: GopEntry
    pts: tuple[int, ...]
    """Presentation times of its own frames, in ticks."""
    digest: int
    """CRC-32 of the integers that were coded."""
    payload_bytes: int
    estimated_bits: float
    """What the entropy model's tables say that the payload costs."""
    psnr_y_db: tuple[float, ...]
    """Luma PSNR of its own frames as the payload decodes to them."""
    float_psnr_y_db: tuple[float, ...]
    """Luma PSNR of its own frames before the weights were quantised."""
    fit_seconds: float


class JobKey(NamedTuple):
    """Tells jobs apart that share an engine."""

    video: int
    gop: int


@dataclass(frozen=True)
class GopJob:
    """A GOP to fit, and where its work is kept."""

    task: GopTask
    continues: bool
    """Whether the first frame is the last one of the GOP before."""
    config: EncoderConfig
    workspace: Workspace | None
    """None keeps nothing."""
    video: int = 0
    """Which one, of several videos that are encoded together."""

    @property
    def key(self) -> JobKey:
        """The job's name."""
        return JobKey(self.video, self.index)

    @property
    def index(self) -> int:
        """The GOP's place in the file."""
        return self.task.index

    @property
    def pts(self) -> tuple[int, ...]:
        """Presentation times of the GOP's own frames, in ticks."""
        return tuple(frame.pts for frame in self.task.frames[self.continues :])

    def kept(self) -> tuple[CodedGop, bytes] | None:
        """What an earlier run made of this GOP: it, and its payload. None where there is nothing."""
        found = self.workspace.load_gop(self.index) if self.workspace else None
        if found is None:
            return None
        facts, payload = found
        lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        coded = CodedGop(**facts | lists, entry=self._entry(payload), payload_bytes=len(payload))
        return (coded, payload) if coded.pts == self.pts else None

    def run(self, report: FitReporter, stop: StopRequest) -> tuple[CodedGop, bytes]:
        """Fits the GOP, measures it as a decoder will see it, and keeps it for a later run.

        Returns:
            The GOP as it stands in the file, and its payload.

        Raises:
            Interrupted: ``stop`` asked for that.
        """
        checkpoint = Checkpoint(stop)
        if self.workspace is not None:
            checkpoint = FileCheckpoint(self.workspace.checkpoint_path(self.index), stop)

        def tell(status: FitStatus) -> None:
            if stop.seconds_ago() > _PATIENCE_SECONDS:
                raise Interrupted("interrupted; the same command goes on behind the last whole GOP")
            report(status)

        began, task = time.monotonic(), self.task
        fitted = fit_gop(self.config, task, tell, checkpoint)
        float_psnr = luma_psnr_db(fitted.float_function, task.frames, task.info)
        fit_seconds = time.monotonic() - began
        payload, model = fitted.payload, MODELS[self.config.model]
        # An exact one is the same function; that it is decoded is for who verifies the file, as it takes as long again.
        if model.is_exact:
            digest, psnr = summarise_gop(model.model_id, payload, task.geometry).digest, float_psnr
        else:
            function, digest, _ = unpack_gop(model.model_id, payload, task.geometry, task.device)
            psnr = luma_psnr_db(function, task.frames, task.info)
        coded = CodedGop(
            entry=self._entry(payload),
            pts=self.pts,
            digest=digest,
            payload_bytes=len(payload),
            estimated_bits=fitted.estimated_bits,
            psnr_y_db=psnr[self.continues :],
            float_psnr_y_db=float_psnr[self.continues :],
            fit_seconds=fit_seconds,
        )
        self.keep(coded, payload)
        return coded, payload

    def keep(self, coded: CodedGop, payload: bytes) -> None:
        """Keeps what this GOP came to for a later run, where there is a workspace. Raises OSError."""
        if self.workspace is not None:
            self.workspace.save_gop(self.index, _facts(coded), payload)

    def _entry(self, payload: bytes) -> GopEntry:
        return GopEntry(len(self.task.frames), self.continues, len(pack_section(SECTION_GOP, payload)))


def _facts(coded: CodedGop) -> dict[str, Any]:
    """What a kept GOP needs beside its payload and its frames, as JSON holds it."""
    return {name: value for name, value in dataclasses.asdict(coded).items() if name not in ("entry", "payload_bytes")}
