"""Work that survives: kept GOPs, stale keys, locks, and encodes that are stopped and go on."""

from __future__ import annotations

import os
import signal

import pytest

from nerv_codec.base.errors import Interrupted, OutputExistsError, VerificationError
from nerv_codec.base.interruption import stop_on_signals
from nerv_codec.encoding.encode import encode
from nerv_codec.encoding.workspace import open_workspace, program_digest, source_digest


@pytest.fixture(autouse=True)
def interruptible():
    """A shell's background jobs begin with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Crash(BaseException):
    """As good as kill -9: nobody catches it."""


def crash_in(target, key="key", **gops):
    with pytest.raises(Crash), open_workspace(target, key) as work:
        for name, payload in gops.items():
            work.save_gop(int(name[1:]), {"digest": 7}, payload)
        raise Crash


def test_finished_gops_are_kept_for_the_same_key(tmp_path):
    target = tmp_path / "a.nvc"
    crash_in(target, g0=b"zero\nwith lines\n", g2=b"")
    with pytest.raises(Crash), open_workspace(target, "key") as work:
        assert work.load_gop(0) == ({"digest": 7}, b"zero\nwith lines\n")
        assert work.load_gop(2) == ({"digest": 7}, b"")
        assert work.load_gop(1) is None
        raise Crash
    with open_workspace(target, "another key") as work:
        assert work.load_gop(0) is None
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]\n", b'{"crc32": 1}\nzero', b"\xff\xfe\nzero"])
def test_a_damaged_gop_is_fitted_again(tmp_path, damage):
    crash_in(tmp_path / "a.nvc", g0=b"zero")
    (tmp_path / ".a.nvc.work" / "gop-000000.done").write_bytes(damage)
    with open_workspace(tmp_path / "a.nvc", "key") as work:
        assert work.load_gop(0) is None


def test_one_process_at_a_time(tmp_path):
    target = tmp_path / "a.nvc"
    with pytest.raises(Crash), open_workspace(target, "key") as first:
        first.save_gop(0, {}, b"zero")
        with pytest.raises(OutputExistsError), open_workspace(target, "another"):
            pass
        assert first.load_gop(0) == ({}, b"zero")
        raise Crash
    assert (tmp_path / ".a.nvc.work").is_dir()


def test_nothing_is_left_where_nothing_came_about(tmp_path):
    crash_in(tmp_path / "a.nvc")
    with pytest.raises(VerificationError), open_workspace(tmp_path / "a.nvc", "key") as work:
        work.save_gop(0, {}, b"wrong")
        raise VerificationError
    assert not any(tmp_path.iterdir())


def test_source_digest_sees_a_change_at_either_end(tmp_path):
    path = tmp_path / "a"
    digests = set()
    for content in (b"one", b"two", b"one" * 2):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
        digests.add(source_digest(path))
    os.utime(path, ns=(1, 2))
    assert len(digests | {source_digest(path)}) == 4


def test_signals_are_asked_for_not_thrown():
    with stop_on_signals() as stop:
        assert not stop() and stop.seconds_ago() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("where", ["gop 1", "gop 2", "done"])
def test_a_stopped_encode_goes_on_and_ends_in_the_same_bytes(tiny_clip, tiny_config, tmp_path, where):
    def interrupt(event):
        if event.stage.startswith(where):
            signal.raise_signal(signal.SIGINT)

    options = {"config": tiny_config, "tool_section": False}
    whole = tmp_path / "whole.nvc"
    encode(tiny_clip, whole, **options)
    target = tmp_path / "a.nvc"
    if where == "done":  # too late to stop: the file is there
        with pytest.raises(KeyboardInterrupt):
            encode(tiny_clip, target, **options, progress=interrupt)
    else:
        with pytest.raises(Interrupted, match="goes on"):
            encode(tiny_clip, target, **options, progress=interrupt)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".a.nvc.work", "whole.nvc"]
        steps = []
        encode(tiny_clip, target, **options, progress=lambda event: steps.append(event.stage))
        assert where == "gop 1" or not any(step.startswith("gop 1/3 fit") for step in steps)
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nvc", "whole.nvc"]


def test_program_digest_sees_code_and_networks_but_not_what_was_compiled(tmp_path):
    (tmp_path / "room" / "__pycache__").mkdir(parents=True)
    code, networks = tmp_path / "room" / "code.py", tmp_path / "networks.safetensors"
    code.write_text("a = 1")
    networks.write_bytes(b"1")
    digests = [program_digest(tmp_path)]
    (tmp_path / "room" / "__pycache__" / "code.nbi").write_bytes(b"kernel")
    assert program_digest(tmp_path) == digests[0]
    networks.write_bytes(b"2")
    digests.append(program_digest(tmp_path))
    code.write_text("a = 2")
    digests.append(program_digest(tmp_path))
    code.rename(tmp_path / "room" / "other.py")
    digests.append(program_digest(tmp_path))
    assert len(set(digests)) == 4
    assert program_digest() == program_digest()
