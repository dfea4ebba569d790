"""Names that stand for numbered files, such as ``frame_%04d.png``."""

from __future__ import annotations

import re
from pathlib import Path

_NUMBER = re.compile(r"%(?:0(\d{1,2}))?d")


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern; one that is the name of something that exists is not."""
    return _NUMBER.search(path.name) is not None and not path.exists()


def numbered(pattern: Path, number: int) -> Path:
    """The path of one number."""
    return pattern.with_name(_NUMBER.sub(lambda found: f"{number:0{found[1] or 0}}", pattern.name))


def numbered_files(pattern: Path) -> list[Path]:
    """What exists under the names of a pattern, in no order."""
    name = re.escape(_NUMBER.sub("\0", pattern.name)).replace(re.escape("\0"), r"\d+")
    return [path for path in pattern.parent.glob("*") if re.fullmatch(name, path.name)]
