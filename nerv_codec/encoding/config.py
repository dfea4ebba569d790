"""Everything a user can set, as frozen dataclasses; presets and ``--set`` only override fields.

Precedence, lowest first: the defaults below, a preset (``configs/NAME.toml``), a ``--config`` file,
``--set key=value``, explicit flags. An unknown key is an error.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nerv_codec.base.errors import UsageError

MODELS = ("siren", "tracked")
REFERENCE_CRF = 28.0
"""The crf at which the defaults stand."""
PRESETS = ("ultrafast", "fast", "medium", "slow", "placebo")


@dataclass(frozen=True)
class SirenConfig:
    """Size and initialisation of the sine network (Sitzmann et al. 2020, section 3.2)."""

    width: int = 0
    """Neurons a layer; 0 sizes the network by ``target_bpp``."""
    hidden_layers: int = 4
    """Sine layers after the first."""
    target_bpp: float = 0.5
    """Bits per pixel that the whole GOP may cost, where ``width`` is 0."""
    omega_space: float = 30.0
    """w0 of the first layer along rows and columns."""
    omega_time: float = 10.0
    """w0 of the first layer along time: a GOP changes less over its length than over a picture's width."""

    def __post_init__(self) -> None:
        _check(0 <= self.width <= 1024, "siren.width in 0..1024 (0: by siren.target_bpp)", self.width)
        _check(1 <= self.hidden_layers <= 16, "siren.hidden_layers in 1..16", self.hidden_layers)
        _check(0 < self.target_bpp <= 64, "siren.target_bpp in (0, 64]", self.target_bpp)
        _check(0 < self.omega_space <= 1000, "siren.omega_space in (0, 1000]", self.omega_space)
        _check(0 < self.omega_time <= 1000, "siren.omega_time in (0, 1000]", self.omega_time)


@dataclass(frozen=True)
class TrackedConfig:
    """Size and fit of the latent pyramids tied together by motion (model/tracked.py)."""

    steps: int = 250
    """Optimiser steps in which all frames move; those in which the fit grows come before."""
    span: int = 8
    """Longest distance of anchors, frames that are predicted from one before only."""
    scales: int = 7
    """Latent grids of a node: from full size down to 1 / 2**(scales - 1); small pictures have fewer."""
    hidden: int = 8
    """Width of the synthesis network, a multiple of 4."""
    rate_hidden: int = 8
    """Width of the latents' entropy model."""
    motion_hidden: int = 4
    """Width of the motion's entropy model."""
    rd_lambda: float = 2e-3
    """Weight of bits per pixel against mean squared error (colour in [0, 1])."""
    prior: bool = True
    """Whether networks begin as the prior has them, and only the difference is stored."""
    share: bool = True
    """Whether the networks of the first GOP serve the others, too, where they suit them."""
    initial_gain: float = 0.04
    """What one step of a latent changes in a feature, before it is fitted, where there is no prior."""
    latent_learning_rate: float = 5e-2
    motion_learning_rate: float = 5e-2
    network_learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        _check(self.steps >= 1, "tracked.steps of at least 1", self.steps)
        _check(1 <= self.span <= 1024, "tracked.span in 1..1024", self.span)
        _check(1 <= self.scales <= 10, "tracked.scales in 1..10", self.scales)
        _check(4 <= self.hidden <= 64 and self.hidden % 4 == 0, "tracked.hidden in 4, 8 .. 64", self.hidden)
        for name in ("rate_hidden", "motion_hidden"):
            _check(1 <= getattr(self, name) <= 32, f"tracked.{name} in 1..32", getattr(self, name))
        _check(0 <= self.rd_lambda < 1, "tracked.rd_lambda in 0..1", self.rd_lambda)
        for name in ("initial_gain", "latent_learning_rate", "motion_learning_rate", "network_learning_rate"):
            _check(0 < getattr(self, name) < 1, f"tracked.{name} in (0, 1)", getattr(self, name))


@dataclass(frozen=True)
class TrainingConfig:
    """How one GOP is fitted."""

    steps: int = 2500
    """Optimiser steps in all, the quantisation-aware last phase included."""
    batch: int = 10000
    """Coordinates a step."""
    learning_rate: float = 5e-2
    """Largest change of a hidden matrix in one step, as a spectral norm."""
    quantised_learning_rate: float = 6e-3
    """The same where the weights are rounded already."""
    quantised_fraction: float = 0.15
    """Share of the steps in which the forward pass sees quantised weights."""
    rd_lambda: float = 5e-4
    """Weight of bits per pixel against mean squared error (colour in [0, 1]) when steps are chosen."""

    def __post_init__(self) -> None:
        _check(self.steps >= 1, "training.steps of at least 1", self.steps)
        _check(16 <= self.batch <= 1 << 24, "training.batch in 16..2**24", self.batch)
        for name in ("learning_rate", "quantised_learning_rate"):
            _check(0 < getattr(self, name) < 1, f"training.{name} in (0, 1)", getattr(self, name))
        _check(0 <= self.quantised_fraction <= 1, "training.quantised_fraction in 0..1", self.quantised_fraction)
        _check(0 <= self.rd_lambda < 1, "training.rd_lambda in 0..1", self.rd_lambda)


@dataclass(frozen=True)
class EncoderConfig:
    """All that determines the bytes that come out, besides the input."""

    model: str = "tracked"
    gop: int = 32
    """Longest distance between the first and the last frame of a GOP, 1..1024."""
    seed: int = 0
    siren: SirenConfig = field(default_factory=SirenConfig)
    tracked: TrackedConfig = field(default_factory=TrackedConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        _check(self.model in MODELS, f"a model of {', '.join(MODELS)}", self.model)
        _check(1 <= self.gop <= 1024, "gop in 1..1024", self.gop)
        _check(0 <= self.seed < 1 << 63, "seed in 0..2**63-1", self.seed)


def at_crf(config: EncoderConfig, crf: float) -> EncoderConfig:
    """``config`` at another point of the rate-distortion curve; lower is better and larger, as for x265.

    REFERENCE_CRF leaves it as it is. Six less double the bits per pixel that a `siren` is sized by; where the
    rate is steered by a lambda, three less halve it.

    Raises:
        UsageError: ``crf`` is not in 0..63.
    """
    _check(0 <= crf <= 63, "crf in 0..63", crf)
    steps = crf - REFERENCE_CRF
    return dataclasses.replace(
        config,
        siren=dataclasses.replace(config.siren, target_bpp=min(64.0, config.siren.target_bpp * 2 ** (-steps / 6))),
        tracked=dataclasses.replace(config.tracked, rd_lambda=min(0.5, config.tracked.rd_lambda * 2 ** (steps / 3))),
        training=dataclasses.replace(config.training, rd_lambda=min(0.5, config.training.rd_lambda * 2 ** (steps / 3))),
    )


def load_preset(name: str, base: EncoderConfig | None = None) -> EncoderConfig:
    """The configuration ``base`` with the fields of a preset laid over it.

    Raises:
        UsageError: There is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"expected a preset of {', '.join(PRESETS)}, found {name!r}")
    return load_toml(_preset_folder() / f"{name}.toml", base)


def load_toml(path: str | Path, base: EncoderConfig | None = None) -> EncoderConfig:
    """The configuration ``base`` with the fields of a TOML file laid over it.

    Raises:
        UsageError: The file cannot be read, is no TOML, or names an unknown key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: expected a readable TOML file ({error})") from error
    return override(base or EncoderConfig(), values)


def parse_assignment(text: str) -> dict[str, Any]:
    """``siren.width=64`` as the nested mapping that :func:`override` takes. Raises UsageError."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"expected key=value, found {text!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    nested: Any = parsed
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


_Config = TypeVar("_Config", EncoderConfig, SirenConfig, TrackedConfig, TrainingConfig)


def override(config: _Config, values: Mapping[str, Any], prefix: str = "") -> _Config:
    """``config`` with some fields replaced, nested mappings for nested dataclasses.

    Raises:
        UsageError: A key is unknown, or a value has the wrong type or is out of range.
    """
    changes: dict[str, Any] = {}
    known = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            raise UsageError(f"unknown setting {name!r}; known here: {', '.join(prefix + k for k in known)}")
        current = known[key]
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise UsageError(f"{name}: expected {name}.FIELD=value, found {value!r}")
            changes[key] = override(current, value, f"{name}.")  # type: ignore[type-var]
        elif isinstance(current, float) and isinstance(value, int | float) and not isinstance(value, bool):
            changes[key] = float(value)
        elif type(current) is type(value):
            changes[key] = value
        else:
            raise UsageError(f"{name}: expected {type(current).__name__}, found {value!r}")
    return dataclasses.replace(config, **changes)


def _preset_folder() -> Path:
    """``configs/`` beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def _check(condition: bool, expected: str, found: object) -> None:
    if not condition:
        raise UsageError(f"expected {expected}, found {found!r}")
