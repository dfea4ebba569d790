"""Standard streams that are closed, full or of another encoding: what is said never gets into what is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

INFO_AND_DECODE = """
import sys
from nerv_codec.cli.main import main
for name in sys.argv[1:]:
    for verb in ("info", "decode"):
        try:
            main([verb, name])
        except SystemExit as end:
            assert end.code == 0
"""


@pytest.fixture
def shell(tiny_nvc):
    """Runs a command line in which NVC stands for the program, and IN for a file."""

    def run(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        command = command.replace("NVC", f"{sys.executable} -m nerv_codec").replace("IN", str(tiny_nvc))
        # bash itself, whose streams are all open, closes them for the program alone
        return subprocess.run(["bash", "-c", command], capture_output=True, check=False, env=os.environ | environment)

    return run


def test_an_error_does_not_get_into_the_video(shell, tmp_path):
    whole = shell("NVC decode IN - -q").stdout
    assert whole.startswith(b"YUV4MPEG2")
    for closed in ("2>&-", "<&- 2>&-", "<&-"):
        done = shell(f"NVC decode IN - {closed}")
        assert (done.returncode, done.stdout) == (0, whole)
    done = shell(f"NVC decode {tmp_path}/missing.nvc - 2>&-")
    assert (done.returncode, done.stdout) == (3, b"")


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", ">/dev/full"])
@pytest.mark.parametrize("verb", ["info IN", "info IN --json", "decode IN - -q"])
def test_a_stdout_that_takes_nothing_is_one_error(shell, verb, closed):
    done = shell(f"NVC {verb} {closed}")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done.stderr
    assert done.stderr.startswith(b"nerv-codec: error: ")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_in_another_encoding(tiny_nvc, tmp_path, encoding):
    names = [tmp_path / name for name in ("\N{GRINNING FACE}.nvc", os.fsdecode(b"\xff.nvc"))]
    for name in names:
        shutil.copy(tiny_nvc, name)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", INFO_AND_DECODE, *names], capture_output=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_a_closed_stdin_is_named(shell, tmp_path):
    done = shell(f"NVC encode - {tmp_path}/a.nvc <&-")
    assert done.returncode == 3 and done.stderr.startswith(b"nerv-codec: error: stdin: "), done.stderr
