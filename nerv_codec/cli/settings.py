"""The settings of a fit from words on a command line, in one order for every verb and tool that fits.

Lowest first: the preset, the ``--config`` file, ``--set`` from left to right, flags such as ``--gop``, ``--crf``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nerv_codec.base.errors import UsageError
from nerv_codec.cli.arguments import count
from nerv_codec.encoding.config import (
    PRESETS,
    EncoderConfig,
    at_crf,
    load_preset,
    load_toml,
    override,
    parse_assignment,
)
from nerv_codec.representations.registry import MODELS

_FLAGS = ("model", "gop", "seed")


def add_settings(group: Any) -> None:
    """Adds the flags that :func:`chosen_settings` reads to a parser or a group of one."""
    group.add_argument("--preset", choices=PRESETS, default="medium", help="how long to fit (medium)")
    group.add_argument("--config", type=Path, metavar="F.toml", help="settings from a file")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. warped.steps=500"
    )
    model = group.add_mutually_exclusive_group()
    model.add_argument(
        "--model",
        choices=MODELS,
        help="warped (default), siren (a plain coordinate network), lossless",
    )
    model.add_argument(
        "--lossless", action="store_const", const="lossless", dest="model", help="every sample back: --model lossless"
    )
    group.add_argument("--gop", type=count, metavar="N", help="frames from one key frame to the next, at most (64)")
    group.add_argument("--seed", type=int, metavar="N", help="where all randomness begins (0)")


def chosen_settings(options: argparse.Namespace, crf: float | None = None) -> EncoderConfig:
    """The configuration that the flags of :func:`add_settings` describe, at a crf if one is given.

    Raises:
        UsageError: A setting is unknown, out of its range, or would do nothing; the file cannot be read.
    """
    config = load_preset(options.preset)
    if options.config:
        config = load_toml(options.config, config)
    for assignment in options.set:
        config = override(config, parse_assignment(assignment))
    flags = {name: getattr(options, name) for name in _FLAGS}
    config = override(config, {name: value for name, value in flags.items() if value is not None})
    for assignment in options.set:
        section = assignment.partition(".")[0]
        if section in MODELS and section != config.model:
            raise UsageError(f"{assignment} does nothing to model {config.model}; --model {section} goes with it")
    return config if crf is None else at_crf(config, crf)


def settings_words(options: argparse.Namespace) -> list[str]:
    """The flags that describe the same settings, as words of a command line."""
    named = [(f"--{name}", getattr(options, name)) for name in ("preset", "config", *_FLAGS)]
    given = [*((flag, value) for flag, value in named if value is not None), *(("--set", one) for one in options.set)]
    return [str(word) for pair in given for word in pair]


def describe_settings(options: argparse.Namespace) -> str:
    """The same in words, for a report: ``preset fast, warped.steps=500, gop 16``."""
    flags = [f"{name} {getattr(options, name)}" for name in _FLAGS if getattr(options, name) is not None]
    return ", ".join(
        [f"preset {options.preset}", *([str(options.config)] if options.config else []), *options.set, *flags]
    )
