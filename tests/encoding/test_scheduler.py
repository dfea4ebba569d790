"""GOPs fitted side by side: the same bytes, the same resumption, one progress."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal

import pytest
import torch

from nerv_codec.base.errors import Interrupted, NervCodecError, UsageError
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.engines.processes import FitProcesses, _outcome


@pytest.fixture
def quick(tiny_config):
    return dataclasses.replace(tiny_config, siren=dataclasses.replace(tiny_config.siren, steps=30))


@pytest.fixture
def alone(tiny_clip, tmp_path, quick) -> bytes:
    encode(tiny_clip, tmp_path / "alone.nvc", config=quick, tool_section=False)
    return (tmp_path / "alone.nvc").read_bytes()


@pytest.mark.parametrize("jobs", [2, 5])
def test_jobs_do_not_change_the_bytes(tiny_clip, tmp_path, quick, alone, jobs):
    events = []
    encode(tiny_clip, tmp_path / "a.nvc", config=quick, jobs=jobs, tool_section=False, progress=events.append)
    assert (tmp_path / "a.nvc").read_bytes() == alone
    assert [event.type for event in events if event.type != "progress"] == ["start", *["gop-done"] * 3, "done"]
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert {"psnr_db", "rate_bpp", "estimated_bytes"} <= set(events[1].detail)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_bytes(tiny_clip, tmp_path, quick, alone, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, tool_section=False)
    finally:
        torch.set_num_threads(before)
    assert (tmp_path / "a.nvc").read_bytes() == alone


def test_jobs_go_on_where_they_were_stopped(tiny_clip, tmp_path, quick, alone):
    long = dataclasses.replace(quick, siren=dataclasses.replace(quick.siren, steps=3000))
    target = tmp_path / "a.nvc"

    def interrupt(event):
        if event.type == "progress" and "fit" in event.stage:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="interrupted; the fit is saved"):
        encode(tiny_clip, target, config=long, jobs=2, progress=interrupt)
    kept = {path.name for path in (tmp_path / ".a.nvc.work").iterdir()}
    assert {"key", "lock"} < kept <= {"gop-000000.safetensors", "gop-000001.safetensors", "key", "lock"}
    assert not target.exists()

    def leave(event):
        if event.type == "gop-done":
            raise KeyboardInterrupt

    other = tmp_path / "b.nvc"
    with pytest.raises(KeyboardInterrupt):
        encode(tiny_clip, other, config=quick, jobs=2, tool_section=False, progress=leave)
    assert (tmp_path / ".b.nvc.work").is_dir()
    encode(tiny_clip, other, config=quick, tool_section=False)  # begun by two, ended by one
    assert other.read_bytes() == alone and not (tmp_path / ".b.nvc.work").exists()


def test_a_process_that_dies_is_an_error(tiny_clip, tmp_path, quick, monkeypatch):
    start = FitProcesses.start

    def start_and_kill(self, job):
        start(self, job)
        os.kill(self._busy[job.key]._process.pid, signal.SIGKILL)

    monkeypatch.setattr(FitProcesses, "start", start_and_kill)
    with pytest.raises((NervCodecError, BrokenPipeError)):
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, jobs=2)
    assert not (tmp_path / "a.nvc").exists()


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [UsageError("one line"), Interrupted("saved"), MemoryError(), Unsendable(1, 2)])
def test_an_error_of_a_job_comes_out(error):
    class Job:
        def run(self, report, stop):
            raise error

    here, there = multiprocessing.Pipe()
    here.send(_outcome(Job(), here, None))
    found = there.recv()
    if isinstance(error, Unsendable):
        assert type(found) is RuntimeError and str(found) == "Unsendable: 1 and 2"
    else:
        assert type(found) is type(error) and str(found) == str(error)


def test_no_jobs(tiny_clip, tmp_path, quick):
    with pytest.raises(UsageError, match="1 job or more"):
        encode(tiny_clip, tmp_path / "a.nvc", config=quick, jobs=0)
