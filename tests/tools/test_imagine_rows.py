"""tools/imagine_rows.py: sizes of compressors become distributions, and rows go on."""

from __future__ import annotations

import importlib.util
import random
import sys

import pytest
from places import ROOT


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("imagine_rows", ROOT / "tools" / "imagine_rows.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "imagine_rows", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["gzip_sizes", "lzma_sizes"])
def test_what_repeats_is_expected_to_go_on(tool, name):
    known = bytes(range(40, 80)) * 6 + bytes(range(40, 60))
    own = tool.chances(getattr(tool, name)(known))
    assert sum(own) == pytest.approx(1)
    assert own[60] == max(own)


def test_rows_keep_what_was_given(tool):
    row = bytes(100 + (7 * i) % 13 for i in range(24))
    drawn, spent, true = tool.go_on(row, 20, tool.gzip_sizes, random.Random(1))
    ours, chance, own = tool.go_on_ours(row, 20, 1)
    assert len(drawn) == len(ours) == 24 and drawn[:20] == ours[:20] == row[:20]
    assert min(spent, true, own) > 0 and chance >= 0
