"""GOP after GOP: fitted, or taken from an earlier run, coded, and measured as a decoder will see it."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch

from nerv_codec.bitstream.container import SECTION_GOP, pack_section
from nerv_codec.bitstream.headers import MAX_DURATION, GopEntry
from nerv_codec.config import EncoderConfig
from nerv_codec.errors import Interrupted
from nerv_codec.interruption import StopRequest
from nerv_codec.media.segment import GopFrames
from nerv_codec.progress import Progress, ProgressSink
from nerv_codec.representations import MODEL_IDS, unpack_gop
from nerv_codec.training.checkpoint import Checkpoint, FileCheckpoint
from nerv_codec.training.fit import FitStatus, fit_gop, luma_psnr_db
from nerv_codec.training.sites import gop_geometry
from nerv_codec.types import PlanarFrame, VideoInfo
from nerv_codec.workspace import Workspace

_FIT_SHARE = 0.97
"""Share of a GOP's progress that its fit takes; decoding it back is the rest."""
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


@dataclass
class GopCoder:
    """Codes GOP after GOP and tells how far the whole is."""

    info: VideoInfo
    frame_rate: Fraction | None
    config: EncoderConfig
    device: torch.device
    expected_frames: int
    progress: ProgressSink
    workspace: Workspace | None
    stop: StopRequest
    gops: int = 0
    frames: int = 0
    bytes: int = 0

    def code(self, gop: GopFrames) -> tuple[CodedGop, bytes]:
        """Fits one GOP, unless an earlier run has done so. Returns it and its section."""
        own = gop.frames[gop.continues :]
        pts = tuple(frame.pts for frame in own)
        total = max(self.expected_frames, self.frames + len(own))
        num_gops = max(self.gops + 1, round((self.gops + 1) * total / (self.frames + len(own))))
        name = f"gop {self.gops + 1}/{num_gops}"
        coded, payload = self._kept(gop, pts) or self._fitted(gop, pts, name, total)
        self.gops += 1
        self.frames += len(own)
        self.bytes += coded.entry.section_bytes
        detail = {"psnr_db": statistics.fmean(coded.psnr_y_db), "bytes": self.bytes}
        self.progress(Progress("gop-done", self.frames / total, f"{name} done", detail))
        return coded, pack_section(SECTION_GOP, payload)

    def _kept(self, gop: GopFrames, pts: tuple[int, ...]) -> tuple[CodedGop, bytes] | None:
        """What an earlier run made of this GOP."""
        found = self.workspace.load_gop(self.gops) if self.workspace else None
        if found is None:
            return None
        facts, payload = found
        entry = GopEntry(len(gop.frames), gop.continues, len(pack_section(SECTION_GOP, payload)))
        lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        coded = CodedGop(**facts | lists, entry=entry, payload_bytes=len(payload))
        return (coded, payload) if coded.pts == pts else None

    def _fitted(self, gop: GopFrames, pts: tuple[int, ...], name: str, total: int) -> tuple[CodedGop, bytes]:
        covered = self.frames + len(pts)
        checkpoint = Checkpoint(self.stop)
        if self.workspace is not None:
            checkpoint = FileCheckpoint(self.workspace.checkpoint_path(self.gops), self.stop)

        def tell(status: FitStatus) -> None:
            if self.stop.seconds_ago() > _PATIENCE_SECONDS:
                raise Interrupted("interrupted; the same command goes on behind the last whole GOP")
            bits = 8 * self.bytes + status.estimated_bits
            rate = bits / (covered * self.info.width * self.info.height)
            detail = {
                "psnr_db": status.psnr_db,
                "rate_bpp": rate,
                **({"bytes": self.bytes} if self.bytes else {}),
                "estimated_bytes": round(bits / 8 * total / covered),
            }
            if self.frame_rate:
                detail["bitrate_bps"] = bits * float(self.frame_rate) / covered
            share = (self.frames + len(pts) * _FIT_SHARE * status.step / status.steps) / total
            stage = f"{name} {status.stage} {status.step}/{status.steps}"
            self.progress(Progress("progress", share, stage, detail))

        began = time.monotonic()
        fitted = fit_gop(
            gop.frames,
            self.info,
            self.config,
            device=self.device,
            seed=self.config.seed + self.gops,
            report=tell,
            checkpoint=checkpoint,
        )
        fit_seconds = time.monotonic() - began
        geometry = gop_geometry(gop.frames, self.info)
        model, digest, _ = unpack_gop(MODEL_IDS[self.config.model], fitted.payload, geometry)
        scores = luma_psnr_db(model.to(self.device), gop.frames, self.info)[gop.continues :]
        coded = CodedGop(
            entry=GopEntry(len(gop.frames), gop.continues, len(pack_section(SECTION_GOP, fitted.payload))),
            pts=pts,
            digest=digest,
            payload_bytes=len(fitted.payload),
            estimated_bits=fitted.estimated_bits,
            psnr_y_db=scores,
            float_psnr_y_db=fitted.float_psnr_y_db[gop.continues :],
            fit_seconds=fit_seconds,
        )
        if self.workspace is not None:
            facts = dataclasses.asdict(coded)
            self.workspace.save_gop(
                self.gops, {k: v for k, v in facts.items() if k not in ("entry", "payload_bytes")}, fitted.payload
            )
        return coded, fitted.payload


class LastDuration:
    """Frames passed through, remembering how long the last one is shown."""

    def __init__(self, frames: Iterable[PlanarFrame], frame_rate: Fraction | None) -> None:
        self._frames = frames
        self._frame_rate = frame_rate
        self._last: PlanarFrame | None = None
        self._delta = 0
        self._truthful = True

    def __iter__(self) -> Iterator[PlanarFrame]:
        for frame in self._frames:
            if self._last is not None:
                self._delta = frame.pts - self._last.pts
                self._truthful = abs(self._last.duration - self._delta) <= 1
            self._last = frame
            yield frame

    def in_ticks(self, time_base: Fraction) -> int:
        """What the source says, else the distance of the last two frames, else one over the frame rate.

        A source that was wrong about the frame before is not asked: MP4 counts durations in decoding order.
        """
        stated = self._last.duration if self._last is not None and self._truthful else 0
        nominal = round(1 / ((self._frame_rate or Fraction(25)) * time_base))
        return min(MAX_DURATION, max(1, stated or self._delta or nominal))
