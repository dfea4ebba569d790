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

from nerv_codec.base.errors import UsageError, expect
from nerv_codec.representations.registry import MODELS
from nerv_codec.representations.siren.config import SirenConfig
from nerv_codec.representations.warped.config import WarpedConfig

REFERENCE_CRF = 28.0
"""The crf at which the defaults stand."""
PRESETS = ("instant", "ultrafast", "fast", "medium", "slow", "placebo")


@dataclass(frozen=True)
class EncoderConfig:
    """All that determines the bytes that come out, besides the input."""

    model: str = "warped"
    """Which representation: a name in ``registry.MODELS``."""
    gop: int = 64
    """Longest distance between the first and the last frame of a GOP, 1..1024; less where pictures are so large that a
    representation takes no more of them."""
    seed: int = 0
    """Where all randomness begins, 0..2**63-1."""
    siren: SirenConfig = field(default_factory=SirenConfig)
    warped: WarpedConfig = field(default_factory=WarpedConfig)

    def __post_init__(self) -> None:
        expect(self.model in MODELS, f"a model of {', '.join(MODELS)}", self.model)
        expect(1 <= self.gop <= 1024, "gop in 1..1024", self.gop)
        expect(0 <= self.seed < 1 << 63, "seed in 0..2**63-1", self.seed)


def at_crf(config: EncoderConfig, crf: float) -> EncoderConfig:
    """The configuration at another point of the rate-distortion curve; lower is better and larger, as for x265.

    REFERENCE_CRF leaves it as it is. Six less double the bits per pixel that a `siren` is sized by; three less halve
    the lambda by which it weighs rate against distortion, 2.8 that of `warped`, whose PSNR then follows x265's.

    Raises:
        UsageError: ``crf`` is not in 0..63, or there is no quality to choose.
    """
    expect(0 <= crf <= 63, "crf in 0..63", crf)
    expect(not MODELS[config.model].is_exact, f"no crf with {config.model}, which gives every sample back", crf)
    steps = crf - REFERENCE_CRF
    return dataclasses.replace(
        config,
        siren=dataclasses.replace(
            config.siren,
            target_bpp=min(64.0, config.siren.target_bpp * 2 ** (-steps / 6)),
            rd_lambda=min(0.5, config.siren.rd_lambda * 2 ** (steps / 3)),
        ),
        warped=dataclasses.replace(config.warped, rd_lambda=min(0.5, config.warped.rd_lambda * 2 ** (steps / 2.8))),
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
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
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


_Config = TypeVar("_Config", EncoderConfig, SirenConfig, WarpedConfig)


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
            raise UsageError(f"unknown setting {name!r}; {_hint(key, value, known, prefix)}")
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


def _hint(key: str, value: object, known: Mapping[str, Any], prefix: str) -> str:
    """Where a setting of this name stands, else what can be set in its place."""
    wanted = list(value) if isinstance(value, Mapping) else [key]
    sections = [section for section, current in known.items() if dataclasses.is_dataclass(current)]
    found = [f"{section}.{name}" for name in wanted for section in sections if hasattr(known[section], name)]
    if found:
        return f"did you mean {' or '.join(found)}?"
    return f"known here: {', '.join(prefix + name for name in known)}"


def _preset_folder() -> Path:
    """``configs/`` beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"
