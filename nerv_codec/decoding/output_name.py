"""The name and the format of what a decode writes, chosen before anything is opened."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nerv_codec.base.errors import UsageError

if TYPE_CHECKING:
    from nerv_codec.media.writer import Format

_SUFFIXES: dict[str, Format] = {".mp4": "mp4", ".mkv": "mkv", ".y4m": "y4m", ".png": "png", ".md5": "md5"}


def default_target(
    source: Path,
    format: Format,
    *,
    fps: Fraction | float | None = None,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> Path:
    """``clip.nvc`` at 60 fps and scale 2 becomes ``clip.60fps.x2.mp4`` beside it."""
    parts = [source.stem]
    if fps is not None:
        parts.append(f"{float(fps):g}fps")
    if scale is not None:
        parts.append(f"x{scale:g}")
    if size is not None:
        parts.append(f"{size[0]}x{size[1]}")
    if crop is not None:
        parts.append("crop{}x{}+{}+{}".format(*crop))
    return source.with_name(".".join([*parts, "frames" if format == "png" else format]))


def is_folder(target: str | Path, format: Format) -> bool:
    """Whether a folder of numbered pictures is to be written: PNG to a name that is not one picture's."""
    return format == "png" and Path(target).suffix.lower() != ".png"


def choose_format(target: str | Path | BinaryIO | None, format: Format | None) -> Format:
    """What to write: as asked, else by the suffix; mp4 without a target, y4m to a stream. Raises UsageError."""
    if format is not None:
        return format
    if target is None:
        return "mp4"
    if not isinstance(target, str | Path):
        return "y4m"
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{target}: expected a name ending in {', '.join(_SUFFIXES)}, or a format")
    return _SUFFIXES[suffix]
