"""What the verbs share: whether an existing output may be replaced."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_overwrite(group: Any) -> None:
    """Adds ``-y`` and ``-n``."""
    choice = group.add_mutually_exclusive_group()
    choice.add_argument("-y", "--overwrite", action="store_true", help="replace an existing output")
    choice.add_argument("-n", "--no-overwrite", action="store_true", help="leave an existing output, exit 0")


def skip_existing(options: argparse.Namespace, target: Path) -> bool:
    """Whether ``-n`` asks to leave ``target`` alone; says so."""
    if not (options.no_overwrite and target.exists()):
        return False
    if not options.quiet:
        print(f"nerv-codec: {target} exists already, skipped", file=sys.stderr)
    return True
