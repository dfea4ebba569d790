"""The README's examples run as they stand, with a fit of a second instead of minutes."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nerv_codec.base.errors import BitstreamError, InputError, NervCodecError
from nerv_codec.cli.main import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_config):
    monkeypatch.setattr("nerv_codec.encoding.encode.load_preset", lambda name: tiny_config)
    monkeypatch.setattr("nerv_codec.cli.settings.load_preset", lambda name: tiny_config)
    shutil.copy(ROOT / "samples/sample.mp4", tmp_path / "video.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_commands(folder, capsys):
    (block,) = blocks("sh")
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "nerv-codec"
        assert run(words) == 0, capsys.readouterr().err
    made = {path.name for path in folder.iterdir()}
    assert made == {"video.mp4", "out.nvc", "out.mp4", "out.60fps.x2.mp4", "zoom.png"}


def test_library(folder):
    names: dict[str, object] = {}
    library, loading = blocks("python")
    exec(library, names)
    assert names["frame"].shape == (3, 64, 96)
    assert names["batch"].data.shape == (30, 3, 128, 192)
    assert names["rgb"].shape == (1, 3)
    exec(loading, names)
    assert names["seen"] == len(names["video"])


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_exit_codes_are_those_of_the_errors():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    classes = [NervCodecError, *NervCodecError.__subclasses__(), InputError, BitstreamError]
    assert {error.exit_code for error in classes} | {0, 130} == told
