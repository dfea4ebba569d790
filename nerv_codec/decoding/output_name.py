"""The name and the format of what a decode writes, chosen before anything is opened."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nerv_codec.base.errors import UsageError
from nerv_codec.base.files import atomic_numbered, atomic_output, check_numbered, check_output
from nerv_codec.base.numbering import is_pattern, numbered_files

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


def is_one_picture(target: Path, format: Format) -> bool:
    """Whether a single picture is to be written: PNG to a name that ends so and is no pattern."""
    return format == "png" and not _is_folder(target, format) and not _is_pattern(target, format)


def exists(target: Path, format: Format) -> bool:
    """Whether anything is there under the name, or under one of those that a pattern stands for."""
    return bool(numbered_files(target)) if _is_pattern(target, format) else target.exists()


def check_target(target: Path, format: Format, *, source: Path | None, overwrite: bool) -> None:
    """Refuses an output that would destroy something. Raises OutputExistsError, UsageError."""
    if _is_pattern(target, format):
        check_numbered(target, overwrite=overwrite)
        return
    folder = _is_folder(target, format)
    replaced = overwrite or (folder and target.is_dir() and not any(target.iterdir()))
    check_output(target, source=source, overwrite=replaced, directory=folder)


def atomic_target(target: Path, format: Format, *, overwrite: bool) -> AbstractContextManager[Path]:
    """A temporary path to write to, which becomes ``target`` when the block ends without an error."""
    if _is_pattern(target, format):
        return atomic_numbered(target, overwrite=overwrite)
    folder = _is_folder(target, format)
    replaced = overwrite or (folder and target.is_dir())  # an empty one, as check_target has seen
    return atomic_output(target, overwrite=replaced, directory=folder)


def _is_pattern(target: Path, format: Format) -> bool:
    return format == "png" and target.suffix.lower() == ".png" and is_pattern(target)


def _is_folder(target: Path, format: Format) -> bool:
    return format == "png" and (target.suffix.lower() != ".png" or target.is_dir())


def choose_format(target: str | Path | BinaryIO | None, format: Format | None) -> Format:
    """What to write: as asked, else by the suffix; mp4 without a target, y4m to a stream, png to a folder.

    A folder is one that exists, or a name that ends in a slash.

    Raises:
        UsageError: The name does not tell, or there is no such format.
    """
    if format is not None:
        if format not in (*_SUFFIXES.values(), "null"):
            raise UsageError(f"expected a format of {', '.join(_SUFFIXES.values())} or null, found {format!r}")
        return format
    if target is None:
        return "mp4"
    if not isinstance(target, str | Path):
        return "y4m"
    if Path(target).is_dir() or str(target).endswith(("/", os.sep)):
        return "png"
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{target}: expected a name ending in {', '.join(_SUFFIXES)}, a folder, or a format")
    return _SUFFIXES[suffix]
