"""Several videos that share an engine: each as if it were alone."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import write_clip

from nerv_codec.base.batch import BatchProgress
from nerv_codec.base.errors import InputError, Interrupted, NervCodecError
from nerv_codec.base.interruption import StopRequest
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.encoding import scheduler, together
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.source import read_gops
from nerv_codec.encoding.together import encode_together


class Inline:
    """An engine that fits in the thread that asks it for events, the last job first; remembers what ran together."""

    slots = 3
    device = torch.device("cpu")

    def __init__(self, failing=None):
        self.places = {"here": 3}
        self.patience = 20
        self.jobs = []
        self.ended = []
        self.together = []
        self.failing = failing

    @property
    def has_room(self):
        return len(self.jobs) < self.slots

    def start(self, job):
        assert self.has_room
        self.jobs.append(job)
        self.together.append({job.key for job in self.jobs})

    def events(self, timeout_seconds):
        while self.ended:
            yield self.ended.pop(), Interrupted("ended")
        if len(self.jobs) < self.slots and self.patience:
            self.patience -= 1
            time.sleep(0.01)
            return
        self.patience = 20
        if self.jobs:
            job = self.jobs.pop()
            try:
                if job.key == self.failing:
                    raise NervCodecError("out of luck")
                yield job.key, job.run(lambda status: None, StopRequest())
            except NervCodecError as error:
                yield job.key, error

    def stop(self, key):
        self.drop(key)
        self.ended.append(key)

    def drop(self, key):
        self.jobs = [job for job in self.jobs if job.key != key]


@pytest.fixture
def quick(tiny_config):
    return dataclasses.replace(tiny_config, siren=dataclasses.replace(tiny_config.siren, steps=3))


@pytest.fixture
def alone(tiny_clip, tmp_path, quick) -> bytes:
    encode(tiny_clip, tmp_path / "alone.nvc", config=quick, tool_section=False)
    return (tmp_path / "alone.nvc").read_bytes()


@pytest.fixture
def run(tiny_clip, tmp_path, quick, monkeypatch):
    """Encodes videos by the names of their targets; returns outcomes and events."""

    def encoded(engine, *sources: Path, progress=None):
        @contextlib.contextmanager
        def opened(*_, **__):
            yield engine, engine and engine.device

        monkeypatch.setattr(together, "open_engine", opened)
        events, ended = [], []
        pairs = [(source, tmp_path / f"{number}.nvc") for number, source in enumerate(sources)]
        telling = BatchProgress([1.0] * len(pairs), progress or events.append)
        outcomes = encode_together(
            pairs,
            ended=lambda number, outcome: ended.append(outcome),
            progress=telling,
            config=quick,
            tool_section=False,
        )
        assert sorted(ended, key=lambda outcome: outcome.target) == outcomes
        return outcomes, events

    return encoded


@pytest.mark.parametrize("shared", [True, False])
def test_each_video_is_as_if_it_were_alone(run, tiny_clip, tmp_path, alone, shared):
    engine = Inline() if shared else None
    outcomes, events = run(engine, tiny_clip, tmp_path / "missing.mp4", tiny_clip, tiny_clip)
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done", "done"]
    assert isinstance(outcomes[1].error, InputError)
    for number in (0, 2, 3):
        assert (tmp_path / f"{number}.nvc").read_bytes() == alone
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.nvc", "2.nvc", "3.nvc", "alone.nvc"]
    if engine:
        assert any(len({key.video for key in keys}) > 1 for keys in engine.together)  # no slot waits for the last GOP


def test_a_failing_gop_ends_its_video_only(run, tiny_clip, tmp_path, alone):
    engine = Inline(failing=(0, 1))
    outcomes, _ = run(engine, tiny_clip, tiny_clip)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert str(outcomes[0].error) == "out of luck" and not engine.jobs
    assert not (tmp_path / "0.nvc").exists() and (tmp_path / "1.nvc").read_bytes() == alone


def test_a_long_video_is_read_once_and_no_further_ahead_than_the_window(tmp_path, quick, monkeypatch):
    config = dataclasses.replace(quick, gop=1, siren=dataclasses.replace(quick.siren, width=2, steps=1))
    info = VideoInfo(8, 8, PixelFormat(), ColorInfo(1, 1, 1), Fraction(1), Fraction(1, 24))
    planes = [np.full(shape, 100, np.uint8) for shape in ((8, 8), (4, 4), (4, 4))]
    source = write_clip(tmp_path / "long.y4m", info, [PlanarFrame(tuple(planes), pts, 1) for pts in range(25)], 24)
    begun, done, ahead = [], [], []

    def counted(reader, gop):
        gops, last = read_gops(reader, gop)
        return (begun.append(one.first_frame) or one for one in gops), last

    def see(event):
        done.extend([event] * (event.type == "gop-done"))
        ahead.append(len(begun) - len(done))

    monkeypatch.setattr("nerv_codec.encoding.encode.read_gops", counted)
    monkeypatch.setattr(scheduler, "_WINDOW", 4)
    encode(source, tmp_path / "a.nvc", config=config, engine=Inline(), verify=False, progress=see)
    assert begun == list(range(24))
    assert 12 <= max(ahead) <= 12 + 3  # 4 times the slots, and what is read beside


def test_an_interrupted_batch_keeps_what_is_done(run, tiny_clip, tmp_path, alone):
    asked = []

    def interrupt(event):
        if event.type == "progress" and event.fraction > 0 and not asked:
            asked.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        run(Inline(), tiny_clip, tiny_clip, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) == before and not list(tmp_path.glob("[01].nvc"))
    assert list(tmp_path.glob(".[01].nvc.work/*.done"))
    run(Inline(), tiny_clip, tiny_clip)
    assert (tmp_path / "0.nvc").read_bytes() == (tmp_path / "1.nvc").read_bytes() == alone
