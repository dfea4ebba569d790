"""What is imported before there is work to do: a wrong word or a question for help does not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from places import SAMPLES

from nerv_codec.cli import decode, evaluate
from nerv_codec.evaluation.baselines import BASELINES
from nerv_codec.evaluation.metrics.suite import METRICS
from nerv_codec.media import writer

HEAVY = ("torch", "numba", "av", "numpy", "tqdm", "cv2", "constriction")
_RUN = """
import sys
from nerv_codec.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    print("\\nIMPORTED", stop.code, *(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""


def imported(*words: str) -> tuple[int, set[str]]:
    """The exit code of a command, and which of HEAVY it imported."""
    command = [sys.executable, "-c", _RUN.format(heavy=HEAVY), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, code, *names = done.stderr.splitlines()[-1].split()
    return int(code), set(names)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["--print-completion", "bash"]]
    + [[verb, "--help"] for verb in ("encode", "decode", "eval", "info", "bench", "estimate")],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(words):
    assert imported(*words) == (0, set())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["transcode"], 2),
        (["encode", "IN"], 2),
        (["encode", "IN", "new.nvc", "--crf", "99"], 2),
        (["encode", "IN", "new.nvc", "--preset", "veryslow"], 2),
        (["encode", "IN", "new.nvc", "--set", "training.steps=5"], 2),
        (["encode", "IN", "new.nvc", "--config", "missing.toml"], 2),
        (["encode", "IN", "new.nvc", "--json=OLD"], 2),
        (["decode", "NVC", "-", "--json"], 2),
        (["encode", "IN", "-"], 2),
        (["encode", "IN", "IN"], 2),
        (["encode", "IN", "OLD"], 2),
        (["encode", "IN", "OLD", "-n"], 0),
        (["encode", "missing.mp4", "new.nvc"], 3),
        (["decode", "NVC", "OLD"], 2),
        (["decode", "NVC", "OLD", "--format", "mp4"], 2),
        (["decode", "NVC", "OLD", "--format", "mp4", "-n"], 0),
        (["decode", "NVC", "--crop", "1x1"], 2),
        (["decode", "missing.nvc", "new.y4m"], 3),
        (["eval", "IN", "NVC", "--metrics", "beauty"], 2),
        (["eval", "IN", "NVC", "--json=OLD"], 2),
        (["eval", "IN", "NVC", "--set", "warped.stepz=5"], 2),
        (["eval", "IN", "missing.nvc"], 3),
        (["info", "missing.nvc"], 3),
        (["estimate", "missing.mp4"], 3),
        (["estimate", "-"], 2),
        (["bench", "NVC", "--json=OLD"], 2),
        (["bench", "missing.nvc"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_of_usage_import_nothing_heavy(words, code, tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    places = {"IN": SAMPLES / "sample.mp4", "NVC": SAMPLES / "golden.nvc", "OLD": tmp_path / "old"}
    named = (f"--json={places['OLD']}" if word == "--json=OLD" else str(places.get(word, word)) for word in words)
    assert imported(*named) == (code, set())
    assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["golden.nvc", "golden_lossless.nvc"])
def test_info_needs_neither_torch_nor_a_compiler(name):
    code, names = imported("info", str(SAMPLES / name))
    assert code == 0 and not names & {"torch", "numba", "cv2"}


def test_names_on_the_command_line_are_those_of_the_rooms():
    assert get_args(writer.Format) == decode.FORMATS
    assert evaluate.METRICS == METRICS
    assert tuple(BASELINES) == evaluate.BASELINES
