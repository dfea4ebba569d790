"""Schedules the fits of GOPs, one after another or several side by side, and tells about them as one job."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import torch

from nerv_codec.base.background import read_ahead
from nerv_codec.base.errors import Interrupted
from nerv_codec.base.interruption import StopRequest
from nerv_codec.base.progress import Progress, ProgressSink
from nerv_codec.base.video import VideoInfo
from nerv_codec.bitstream.container import SECTION_GOP, pack_section
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.engines.engine import Engine, Message, is_last
from nerv_codec.encoding.gop_job import CodedGop, GopJob, JobKey
from nerv_codec.encoding.segmentation import GopFrames
from nerv_codec.encoding.target import Steering
from nerv_codec.encoding.workspace import Workspace
from nerv_codec.representations.fitting.status import FitStatus
from nerv_codec.representations.fitting.task import GopTask

_FIT_SHARE = 0.97
"""Share of a GOP's progress that its fit takes; decoding it back is the rest."""
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 30.0
"""How long fits that were asked to stop may take to save their work."""
_WINDOW = 8
"""A GOP starts only while the oldest that is not done is fewer than this many times the slots before it, so that what
waits for its turn in the file stays bounded."""
_NAMED_GOPS = 4
"""How many GOPs are named at the most where several run."""


@dataclass
class _Running:
    """A GOP between its start and its turn in the file."""

    own_frames: int
    status: FitStatus | None = None


@dataclass
class GopScheduler:
    """Has a row of GOPs coded, in order, and tells how far the whole is."""

    info: VideoInfo
    frame_rate: Fraction | None
    """Frames a second, as far as the source says; only progress depends on it."""
    config: EncoderConfig
    device: torch.device
    expected_frames: int
    """How many frames there will be, as far as the source says; only progress depends on it."""
    progress: ProgressSink
    workspace: Workspace | None
    """Where finished GOPs are kept; None keeps nothing."""
    stop: StopRequest
    steering: Steering = field(default_factory=Steering)
    engine: Engine | None = None
    """What fits GOPs side by side; None fits one after another in this process."""
    _spent_bits: list[float] = field(default_factory=list)
    """Bits of each GOP that is done, from the first on."""
    _frames: int = 0
    _running: dict[int, _Running] = field(default_factory=dict)
    """Those that have been started and not yet handed out."""
    _fitting: dict[int, JobKey] = field(default_factory=dict)
    """Those that the engine has."""
    _done: dict[int, tuple[CodedGop, bytes]] = field(default_factory=dict)
    """Those that wait for their turn."""

    @property
    def slots(self) -> int:
        """How many GOPs are fitted side by side."""
        return 1 if self.engine is None else self.engine.slots

    def code(self, gops: Iterable[GopFrames]) -> Generator[tuple[CodedGop, bytes], None, None]:
        """Each GOP as it is coded, and its section, in order. Beside a fit the next one is read."""
        with read_ahead(self._jobs(gops)) as jobs:
            yield from self._one_by_one(jobs) if not self.engine else self._side_by_side(jobs, self.engine)

    def _jobs(self, gops: Iterable[GopFrames]) -> Iterator[GopJob]:
        """A job for each GOP."""
        for index, gop in enumerate(gops):
            task = GopTask(gop.frames, self.info, index, self.config.seed, self.device)
            yield GopJob(task, gop.continues, self.config, self.workspace)
            del task, gop

    def _one_by_one(self, jobs: Iterator[GopJob]) -> Iterator[tuple[CodedGop, bytes]]:
        for waiting in jobs:
            job = self._ready(waiting)
            self._running[job.index] = _Running(len(job.pts))
            coded, payload = job.kept() or job.run(partial(self._tell, job.index), self.stop)
            yield self._finished(job.index, coded, payload)

    def _side_by_side(self, jobs: Iterator[GopJob], engine: Engine) -> Iterator[tuple[CodedGop, bytes]]:
        more = True
        try:
            while more or self._running:
                starts = more and self._may_start(len(self._spent_bits) + len(self._running)) and engine.has_room
                if starts:
                    more = self._start_next(jobs, engine)
                for key, message in engine.events(0 if starts else _POLL_SECONDS):
                    self._hear(key, message)
                while (turn := len(self._spent_bits)) in self._done:
                    yield self._finished(turn, *self._done.pop(turn))
                if self.stop():
                    self._wind_down(engine, self._fitting)
        finally:
            for key in self._fitting.values():
                engine.drop(key)

    def _start_next(self, jobs: Iterator[GopJob], engine: Engine) -> bool:
        """Starts the next job, or takes what an earlier run has made of it. False where there is none."""
        waiting = next(jobs, None)
        if waiting is None:
            return False
        job = self._ready(waiting)
        self._running[job.index] = _Running(len(job.pts))
        if found := job.kept():
            self._done[job.index] = found
        else:
            engine.start(job)
            self._fitting[job.index] = job.key
        return True

    def _hear(self, key: JobKey, message: Message) -> None:
        """Takes in what has come from a fit. Raises the error that ended it."""
        if isinstance(message, FitStatus):
            self._tell(key.gop, message)
        elif isinstance(message, Progress):
            total = max(1, self.expected_frames, self._frames)
            self.progress(dataclasses.replace(message, fraction=self._fraction(total)))
        else:
            del self._fitting[key.gop]
            if isinstance(message, BaseException):
                raise message
            self._done[key.gop] = message

    @staticmethod
    def _wind_down(engine: Engine, fitting: dict[int, JobKey]) -> None:
        """Lets all fits save their work and end. Raises Interrupted."""
        for key in fitting.values():
            engine.stop(key)
        until = time.monotonic() + _GRACE_SECONDS
        reason = Interrupted("interrupted; the same command goes on behind the last whole GOP")
        while fitting and time.monotonic() < until:
            for key, message in engine.events(_POLL_SECONDS):
                if is_last(message):
                    fitting.pop(key.gop, None)
                if isinstance(message, Interrupted):
                    reason = message
        raise reason

    def _may_start(self, index: int) -> bool:
        """Whether all is known that a GOP depends on: under a budget, what others have cost."""
        return index < len(self._spent_bits) + self.slots * (1 if self.steering.budget else _WINDOW)

    def _ready(self, job: GopJob) -> GopJob:
        """The job with what the GOPs before it leave to it, where bits are to be shared out."""
        known = self._spent_bits[: max(0, job.index - self.slots + 1)]
        target = self.steering.target(job.index, known)
        return dataclasses.replace(job, task=dataclasses.replace(job.task, target=target))

    def _finished(self, index: int, coded: CodedGop, payload: bytes) -> tuple[CodedGop, bytes]:
        self._frames += self._running.pop(index).own_frames
        self._spent_bits.append(8 * len(payload))
        total = max(self.expected_frames, self._frames)
        detail = {"psnr_db": statistics.fmean(coded.psnr_y_db), "bytes": self._bytes}
        name = f"gop {index + 1}/{self._num_gops(index, total, self._frames)}"
        self.progress(Progress("gop-done", self._fraction(total), f"{name} done", detail))
        return coded, pack_section(SECTION_GOP, payload)

    def _tell(self, index: int, status: FitStatus) -> None:
        """Passes on where a fit stands: the figures of all fits that are running, as one."""
        self._running[index].status = status
        running = {number: one for number, one in sorted(self._running.items()) if one.status}
        states = [(one.own_frames, one.status) for one in running.values() if one.status]
        own = sum(frames for frames, _ in states)
        covered = self._frames + own
        total = max(self.expected_frames, covered)
        bits = sum(self._spent_bits) + sum(state.estimated_bits for _, state in states)
        detail: dict[str, Any] = {
            "psnr_db": sum(frames * state.psnr_db for frames, state in states) / own,
            "rate_bpp": bits / (covered * self.info.width * self.info.height),
            **({"bytes": self._bytes} if self._bytes else {}),
            "estimated_bytes": round(bits / 8 * total / covered),
        }
        if self.frame_rate:
            detail["bitrate_bps"] = bits * float(self.frame_rate) / covered
        if self.engine and self.engine.places:
            detail["places"] = dict(self.engine.places)
        last = max(running)
        numbers = [number + 1 for number in running]
        names = "+".join(map(str, numbers)) if len(running) <= _NAMED_GOPS else f"{numbers[0]}..{numbers[-1]}"
        steps = f"{sum(state.step for _, state in states)}/{sum(state.steps for _, state in states)}"
        stage = f"gop {names}/{self._num_gops(last, total, covered)} {status.stage} {steps}"
        self.progress(Progress("progress", self._fraction(total), stage, detail))

    def _fraction(self, total: int) -> float:
        states = [(one.own_frames, one.status) for one in self._running.values() if one.status]
        return (self._frames + _FIT_SHARE * sum(frames * state.step / state.steps for frames, state in states)) / total

    @property
    def _bytes(self) -> int:
        return round(sum(self._spent_bits) / 8)

    @staticmethod
    def _num_gops(index: int, total: int, covered: int) -> int:
        """How many there will be, if all are as long as those up to ``index``."""
        return max(index + 1, round((index + 1) * total / covered))
