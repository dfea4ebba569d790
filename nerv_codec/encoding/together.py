"""Several videos encoded together: the GOPs of all of them share one engine.

Each video is encoded in a thread of its own, as if it were alone with a share of the engine; the engine itself belongs
to one thread, which starts jobs, hands out what comes from them and opens a video when the others leave room.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nerv_codec.base.batch import BatchProgress, Outcome, one_by_one
from nerv_codec.base.errors import Interrupted
from nerv_codec.base.interruption import StopRequest, stop_on_signals
from nerv_codec.base.progress import Progress, ProgressSink
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.engines.engine import Engine, Message, is_last, open_engine
from nerv_codec.encoding.gop_job import GopJob, JobKey
from nerv_codec.encoding.report import EncodeReport

_OPEN_VIDEOS = 16
"""How many videos are read at a time at the most, whatever the engine has room for: each holds a few GOPs."""
_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 10.0
"""How long threads may take to end once the engine is gone."""
EncodeOne = Callable[[Path, Path, Engine, ProgressSink], EncodeReport]
Ended = Callable[[int, Outcome], None]


def encode_together(
    pairs: Sequence[tuple[Path, Path]],
    *,
    ended: Ended,
    progress: BatchProgress,
    device: str = "auto",
    jobs: int | None = None,
    engine: str = "processes",
    fit_cpus: float | None = None,
    fit_gpus: float | None = None,
    **options: Any,
) -> list[Outcome]:
    """Encodes several videos; an error ends its own video only.

    Args:
        pairs: Videos, and the ``.nvc`` of each.
        ended: Told about each video that has ended, with its number.
        progress: Told how far the whole is.
        device, jobs, engine, fit_cpus, fit_gpus: As for :func:`nerv_codec.encoding.encode.encode`, for all of them.
        options: Further arguments of it, the same for each.

    Returns:
        What became of each, in the order of ``pairs``.

    Raises:
        UsageError: There is no such engine.
        Interrupted: Ctrl-C or SIGTERM; videos that were finished stay, and the work on others has been kept.
    """
    with open_engine(engine, device=device, jobs=jobs, fit_cpus=fit_cpus, fit_gpus=fit_gpus) as (opened, _):
        if opened is None:

            def encode_alone(source: Path, target: Path, tell: ProgressSink) -> EncodeReport:
                return encode(source, target, device=device, progress=tell, **options)

            return one_by_one(pairs, ended, progress, work=encode_alone)

        def encode_one(source: Path, target: Path, share: Engine, tell: ProgressSink) -> EncodeReport:
            return encode(source, target, engine=share, progress=tell, **options)

        with stop_on_signals() as stop:
            return _Together(opened, pairs, encode_one, stop, ended, progress).run()


class _Together:
    """Several encodes, and the engine that they share; see :func:`encode_together`."""

    def __init__(
        self,
        engine: Engine,
        pairs: Sequence[tuple[Path, Path]],
        encode_one: EncodeOne,
        stop: StopRequest,
        ended: Ended,
        progress: BatchProgress,
    ) -> None:
        self.engine = engine
        self.asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What threads want done by the one that the engine belongs to."""
        self.closed = False
        """Whether nothing will be done any more."""
        self._pairs = pairs
        self._encode_one = encode_one
        self._stop = stop
        self._ended = ended
        self._progress = progress
        self._shares: dict[int, _Share] = {}
        """Of videos that are open."""
        self._threads: list[threading.Thread] = []
        self._waiting: deque[GopJob] = deque()
        """Jobs for which there was no room after all."""
        self._fitting: set[JobKey] = set()
        """Jobs that the engine has."""
        self._outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        """Encodes all videos, the first ones first. Raises Interrupted."""
        try:
            while self._shares or (len(self._threads) < len(self._pairs) and not self._stop()):
                if self._wants_more():
                    self._open(len(self._threads))
                for key, message in self.engine.events(_POLL_SECONDS):
                    if is_last(message):
                        self._fitting.discard(key)
                    self._post(key, message)
                with suppress(queue.Empty):
                    while True:
                        self.asked.get_nowait()()
                while self._waiting and self.engine.has_room:
                    job = self._waiting.popleft()
                    self._fitting.add(job.key)
                    self.engine.start(job)
        finally:
            self.closed = True
            for thread in self._threads:
                thread.join(_LEAVE_SECONDS)
        if len(self._outcomes) < len(self._pairs):
            raise Interrupted("interrupted; the same command goes on from here")
        return [self._outcomes[number] for number in range(len(self._pairs))]

    @property
    def has_room(self) -> bool:
        """Whether a job would be started at once."""
        return not self._waiting and self.engine.has_room

    def start(self, job: GopJob) -> None:
        """Starts a job as soon as there is room."""
        self._waiting.append(job)

    def stop(self, key: JobKey) -> None:
        """Lets a job end, which then says so."""
        if key in self._fitting:
            self.engine.stop(key)
        elif self._forget(key):
            self._post(key, Interrupted("interrupted; the same command goes on behind the last whole GOP"))

    def drop(self, key: JobKey) -> None:
        """Ends a job at once."""
        if key in self._fitting:
            self._fitting.remove(key)
            self.engine.drop(key)
        else:
            self._forget(key)

    def _forget(self, key: JobKey) -> bool:
        found = [job for job in self._waiting if job.key == key]
        for job in found:
            self._waiting.remove(job)
        return bool(found)

    def _post(self, key: JobKey, message: Message) -> None:
        if key.video in self._shares:
            self._shares[key.video].inbox.put((key, message))

    def _wants_more(self) -> bool:
        """Whether another video shall be opened: there is room that those which are open leave."""
        if self._stop() or len(self._threads) == len(self._pairs) or len(self._shares) >= _OPEN_VIDEOS:
            return False
        return all(share.leaves_room for share in self._shares.values()) and self.has_room

    def _open(self, number: int) -> None:
        share = self._shares[number] = _Share(self, number)
        thread = threading.Thread(target=self._encode, args=(number, share), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _encode(self, number: int, share: _Share) -> None:
        """The thread of one video."""
        source, target = self._pairs[number]

        def tell(event: Progress) -> None:
            self.asked.put(lambda: self._progress.tell(number, source.name, event))

        try:
            outcome = Outcome(source, target, self._encode_one(source, target, share, tell))
        except KeyboardInterrupt:  # all of them end
            outcome = None
        except Exception as error:
            outcome = Outcome(source, target, error=error)
        self.asked.put(lambda: self._close(number, outcome))

    def _close(self, number: int, outcome: Outcome | None) -> None:
        del self._shares[number]
        if outcome is not None:
            self._outcomes[number] = outcome
            self._ended(number, outcome)


class _Share:
    """The engine as one video sees it, in that video's thread."""

    def __init__(self, together: _Together, video: int) -> None:
        self.inbox: queue.SimpleQueue[tuple[JobKey, Message]] = queue.SimpleQueue()
        self.leaves_room = False
        """Whether the video waits, although there is room: for what others of its GOPs cost, or for the last ones."""
        self._together = together
        self._video = video
        self._refused = False

    @property
    def slots(self) -> int:
        return self._together.engine.slots

    @property
    def device(self) -> torch.device:
        return self._together.engine.device

    @property
    def places(self) -> Mapping[str, int]:
        return self._together.engine.places

    @property
    def has_room(self) -> bool:
        self.leaves_room = False
        self._refused = not self._together.has_room
        return not self._refused

    def start(self, job: GopJob) -> None:
        self._ask(self._together.start, dataclasses.replace(job, video=self._video))

    def events(self, timeout_seconds: float) -> Iterator[tuple[JobKey, Message]]:
        if self._together.closed:
            raise Interrupted("interrupted; the same command goes on behind the last whole GOP")
        self.leaves_room = timeout_seconds > 0 and not self._refused
        self._refused = False
        with suppress(queue.Empty):
            yield self.inbox.get(timeout_seconds > 0, timeout_seconds)
            while True:
                yield self.inbox.get_nowait()

    def stop(self, key: JobKey) -> None:
        self._ask(self._together.stop, self._own(key))

    def drop(self, key: JobKey) -> None:
        self._ask(self._together.drop, self._own(key))

    def _own(self, key: JobKey) -> JobKey:
        return key._replace(video=self._video)

    def _ask(self, what: Callable[..., None], *arguments: Any) -> None:
        self._together.asked.put(partial(what, *arguments))
