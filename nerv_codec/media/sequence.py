"""Numbered pictures as a video: a folder of them, or a pattern such as ``frame_%04d.png``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from av.container import InputContainer

from nerv_codec.base.errors import InputError
from nerv_codec.base.numbering import is_pattern, numbered_files
from nerv_codec.base.video import DEFAULT_RATE
from nerv_codec.media.containers import open_input

_KINDS = r"\.(bmp|dpx|exr|j2k|jp2|jpe?g|jxl|p[bgpn]m|png|qoi|tga|tiff?|webp)"


def is_sequence(source: Path) -> bool:
    """Whether a path is a folder, or a pattern that is not the name of a file."""
    return source.is_dir() or is_pattern(source)


def source_files(source: Path) -> Sequence[Path]:
    """Returns the files that an input consists of: its pictures in order, or the file itself.

    Raises:
        InputError: A folder or pattern has no pictures, or pictures of several kinds.
    """
    if not is_sequence(source):
        return [source]
    if source.is_dir():
        found = [path for path in source.iterdir() if re.fullmatch(rf"[^.].*{_KINDS}", path.name, re.IGNORECASE)]
    else:
        found = numbered_files(source)
    if not found:
        raise InputError(f"{source}: expected a video or pictures, found no picture")
    kinds = sorted({path.suffix.lower() for path in found})
    if len(kinds) > 1:
        raise InputError(f"{source}: expected pictures of one kind, found {', '.join(kinds)}")
    return sorted(found, key=_order)


def open_sequence(source: Path, rate: Fraction | None) -> tuple[InputContainer, TemporaryDirectory[str]]:
    """Opens pictures as one video.

    Args:
        source: A folder or a pattern; see :func:`is_sequence`.
        rate: Pictures per second; None is 25.

    Returns:
        The video, and a folder to be cleaned up when it is closed: ffmpeg asks for names that count up without a gap,
        so that it is given links.

    Raises:
        InputError: There are no pictures.
        av.FFmpegError, OSError: They cannot be opened.
    """
    files = source_files(source)
    links = TemporaryDirectory(prefix="nerv-codec-sequence-")
    suffix = files[0].suffix.lower()
    for number, path in enumerate(files):
        link = Path(links.name, f"{number:09}{suffix}")
        if path.stat().st_size:
            link.symlink_to(path.resolve())
        else:  # ffmpeg would take it for the end; this is a damaged picture like others
            link.write_bytes(b"\0")
    options = {"framerate": str(rate or DEFAULT_RATE), "start_number": "0"}
    try:
        container = open_input(f"file:{links.name}/%09d{suffix}", format="image2", options=options)
    except BaseException:
        links.cleanup()
        raise
    return container, links


def missing_numbers(source: Path) -> int:
    """Returns how many pictures are left out of the numbering between the first and the last one."""
    ends = [re.findall(r"\d+", path.stem) for path in source_files(source)]
    if not all(ends):
        return 0
    numbers = [int(found[-1]) for found in ends]
    return max(0, numbers[-1] - numbers[0] + 1 - len(numbers))


def _order(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sorts by name, with runs of digits as numbers: 9 before 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts], path.name
