"""tools/benchmark/lossless_table.py: sizes are made once, of frames that came back, and clips are made alike."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest
from places import ROOT


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("lossless_table", ROOT / "tools" / "benchmark" / "lossless_table.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lossless_table", module)
    spec.loader.exec_module(module)
    return module


def test_sizes_are_made_once(tool, tiny_clip, tmp_path, capsys, monkeypatch):
    results = tmp_path / "r.json"
    words = ["lossless_table.py", str(results), f"{tiny_clip}:3", f"{tiny_clip}:2:16", "--codecs", "nerv-codec,ffv1"]
    monkeypatch.setattr(sys, "argv", words)
    tool.main()
    rows = json.loads(results.read_text())
    assert [row["codec"] for row in rows] == ["nerv-codec", "ffv1"] * 2 and all(row["bytes"] > 0 for row in rows)
    share = f"{rows[0]['bytes'] / rows[1]['bytes']:.3f}"
    assert f"| {share} | {share} |" in capsys.readouterr().out
    monkeypatch.setattr(tool, "measure_ours", None)
    tool.main()
    assert json.loads(results.read_text()) == rows


@pytest.mark.parametrize("kind", ["screen", "drawn"])
def test_made_clips_are_the_same_each_time(tool, kind):
    first, again = ([frame.planes for frame in tool.made(kind, 3)[1]] for _ in range(2))
    assert all(np.array_equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not np.array_equal(first[0][0], first[1][0]) and first[0][0].shape == (288, 352)
