"""Where tests find what is not theirs: the checkout, and the real clips that may lie beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
_SHARED = ROOT.parent / "shared"


def files_beside(*paths: str) -> list[Path]:
    """The files in folders of ``shared/``, for parameters of tests; none where there is no such folder."""
    return sorted(file for path in paths for file in (_SHARED / path).glob("*"))


def beside(path: str) -> Path:
    """A folder of ``shared/`` beside the checkout, which not everybody has.

    Without it the test is skipped, or fails where NERV_CODEC_REQUIRE_CLIPS=1 asks for real clips.
    """
    folder = _SHARED / path
    if not folder.exists():
        if os.environ.get("NERV_CODEC_REQUIRE_CLIPS") == "1":
            pytest.fail(f"NERV_CODEC_REQUIRE_CLIPS=1, but there is no shared/{path} beside the checkout")
        pytest.skip(f"needs shared/{path} beside the checkout")
    return folder
