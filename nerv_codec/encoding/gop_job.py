"""One GOP as a job: a pure function of its frames, the configuration and a seed, in this process or another."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import torch

from nerv_codec.base.errors import Interrupted
from nerv_codec.base.interruption import StopRequest
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.bitstream.container import SECTION_GOP, pack_section
from nerv_codec.bitstream.headers import GopEntry
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.fit_gop import fit_gop, luma_psnr_db
from nerv_codec.encoding.workspace import Workspace
from nerv_codec.representations.fitting.checkpoint import Checkpoint, FileCheckpoint
from nerv_codec.representations.fitting.sites import gop_geometry
from nerv_codec.representations.fitting.status import FitStatus, FitTarget, Report
from nerv_codec.representations.registry import MODEL_IDS, share, shares, unpack_gop

_PATIENCE_SECONDS = 5.0
"""How long a stop waits for a fit that does not save its state."""


@dataclass(frozen=True)
class CodedGop:
    """One GOP as it stands in the file, and what was measured on it. Its own frames are all but a shared first."""

    entry: GopEntry
    pts: tuple[int, ...]
    digest: int
    payload_bytes: int
    estimated_bits: float
    psnr_y_db: tuple[float, ...]
    float_psnr_y_db: tuple[float, ...]
    fit_seconds: float
    shared: bytes = b""
    """What the first GOP puts into the header for all of them."""


@dataclass(frozen=True)
class GopJob:
    """All that a fit of one GOP depends on."""

    index: int
    frames: tuple[PlanarFrame, ...]
    continues: bool
    """Whether the first frame is the last one of the GOP before."""
    info: VideoInfo
    config: EncoderConfig
    device: torch.device
    target: FitTarget | None
    workspace: Workspace | None
    prepared: Any = None
    """What ``prepare_gop`` gave, where it was made ahead, or what an earlier encode came to."""
    shared: bytes = b""
    """What the first GOP has put into the header, where this is a later one."""

    @property
    def pts(self) -> tuple[int, ...]:
        """Of the GOP's own frames."""
        return tuple(frame.pts for frame in self.frames[self.continues :])

    def kept(self) -> tuple[CodedGop, bytes] | None:
        """What an earlier run made of this GOP: it, and its payload."""
        found = self.workspace.load_gop(self.index) if self.workspace else None
        if found is None:
            return None
        facts, payload = found
        lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        kept = {"shared": bytes.fromhex(facts["shared"]), "entry": self._entry(payload), "payload_bytes": len(payload)}
        coded = CodedGop(**facts | lists | kept)
        return (coded, payload) if coded.pts == self.pts else None

    def run(self, report: Report, stop: StopRequest) -> tuple[CodedGop, bytes]:
        """Fits the GOP, measures it as a decoder will see it, and keeps it for a later run.

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

        began = time.monotonic()
        fitted = fit_gop(
            self.frames,
            self.info,
            self.config,
            device=self.device,
            seed=self.config.seed + self.index,
            report=tell,
            checkpoint=checkpoint,
            target=self.target,
            prepared=self.prepared,
            shared=self.shared,
        )
        fit_seconds = time.monotonic() - began
        model_id, geometry = MODEL_IDS[self.config.model], gop_geometry(self.frames, self.info)
        kept, payload = b"", fitted.payload
        if self.index == 0 and shares(self.config):
            kept, payload = share(payload, geometry)
        model, digest, _ = unpack_gop(model_id, payload, geometry, kept or self.shared, self.device)
        coded = CodedGop(
            entry=self._entry(payload),
            pts=self.pts,
            digest=digest,
            payload_bytes=len(payload),
            estimated_bits=fitted.estimated_bits,
            psnr_y_db=luma_psnr_db(model, self.frames, self.info)[self.continues :],
            float_psnr_y_db=fitted.float_psnr_y_db[self.continues :],
            fit_seconds=fit_seconds,
            shared=kept,
        )
        if self.workspace is not None:
            self.workspace.save_gop(self.index, _facts(coded), payload)
        return coded, payload

    def _entry(self, payload: bytes) -> GopEntry:
        return GopEntry(len(self.frames), self.continues, len(pack_section(SECTION_GOP, payload)))


def _facts(coded: CodedGop) -> dict[str, Any]:
    """What the payload and the frames do not tell."""
    facts = dataclasses.asdict(coded) | {"shared": coded.shared.hex()}
    return {name: value for name, value in facts.items() if name not in ("entry", "payload_bytes")}
