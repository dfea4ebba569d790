"""The order of settings: preset, --config, --set, flags, --crf; the same whichever verb fits."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from nerv_codec.base.errors import UsageError
from nerv_codec.cli import main as cli
from nerv_codec.cli.settings import add_settings, chosen_settings, describe_settings, settings_words
from nerv_codec.encoding.config import EncoderConfig, at_crf, load_preset

FILE = "gop = 4\nseed = 4\nmodel = 'siren'\n[siren]\nsteps = 4\nbatch = 404\nrd_lambda = 0.004\n"


class Reached(Exception):
    """Carries the configuration out of the verb that got it."""


def encode_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]) -> EncoderConfig:
    """The configuration with which ``encode`` fits."""
    found = []

    def encode(source, target, *, config, **_):
        found.append(config)
        raise Reached

    monkeypatch.setattr("nerv_codec.encoding.encode.encode", encode)
    (tmp_path / "in.y4m").write_bytes(b"")
    assert cli.run(["encode", str(tmp_path / "in.y4m"), str(tmp_path / "a.nvc"), "-q", *words]) == 1
    return found[0]


def eval_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]) -> EncoderConfig:
    """The configuration with which ``eval`` fits at the one crf that it is given."""
    found = []

    def study(reference, target, plan, *, progress):
        found.append([at_crf(plan.config, crf) for crf in plan.crfs] or [plan.config])
        raise Reached

    monkeypatch.setattr("nerv_codec.evaluation.study.study", study)
    (tmp_path / "in.y4m").write_bytes(b"")
    assert cli.run(["eval", str(tmp_path / "in.y4m"), str(tmp_path / "in.y4m"), "-q", *words]) == 1
    return found[0][0]


@pytest.mark.parametrize("config_of", [encode_config, eval_config], ids=["encode", "eval"])
def test_each_kind_of_setting_wins_over_those_before_it(config_of, monkeypatch, tmp_path):
    file = tmp_path / "f.toml"
    file.write_text(FILE)
    words = ["--preset", "fast"]
    config = config_of(monkeypatch, tmp_path, words)
    assert config == load_preset("fast") and config.siren.steps == 1000
    words += ["--config", str(file)]
    config = config_of(monkeypatch, tmp_path, words)
    assert (config.gop, config.seed, config.siren.steps, config.siren.batch) == (4, 4, 4, 404)
    words = ["--set", "siren.steps=5", "--set", "gop=5", "--set", "seed=5", "--set", "siren.rd_lambda=0.005", *words]
    config = config_of(monkeypatch, tmp_path, words)
    assert (config.gop, config.seed, config.siren.steps, config.siren.batch) == (5, 5, 5, 404)
    words = ["--gop", "6", *words]
    config = config_of(monkeypatch, tmp_path, words)
    assert (config.gop, config.seed, config.siren.steps) == (6, 5, 5)
    words = ["--crf", "31", "--seed", "7", *words]
    config = config_of(monkeypatch, tmp_path, words)
    assert (config.gop, config.seed) == (6, 7)
    assert config.siren.rd_lambda == pytest.approx(2 * 0.005)


def chosen(*words: str) -> EncoderConfig:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return chosen_settings(parser.parse_args(words))


def test_a_setting_that_would_do_nothing_is_an_error():
    with pytest.raises(UsageError, match=r"siren.steps=5 does nothing to model warped; --model siren goes with it"):
        chosen("--set", "siren.steps=5")
    assert chosen("--set", "siren.steps=5", "--model", "siren").siren.steps == 5
    assert chosen("--set", "siren.steps=5", "--set", "model=siren").siren.steps == 5
    with pytest.raises(UsageError, match=r"unknown setting 'training'; did you mean siren.steps or warped.steps\?"):
        chosen("--set", "training.steps=5")


def test_settings_in_words():
    parser = argparse.ArgumentParser()
    add_settings(parser)
    words = ["--preset", "fast", "--config", "f.toml", "--set", "gop=3", "--model", "siren", "--seed", "2"]
    assert describe_settings(parser.parse_args(words)) == "preset fast, f.toml, gop=3, model siren, seed 2"
    assert describe_settings(parser.parse_args([])) == "preset medium"
    again = settings_words(parser.parse_args(words))
    assert parser.parse_args(again) == parser.parse_args(words)
