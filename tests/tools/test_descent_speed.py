"""tools/benchmark/descent_speed.py: steps are counted and timed, on a CPU and on a GPU."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
from places import ROOT


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def test_steps_and_their_floor(monkeypatch, tmp_path, device):
    spec = importlib.util.spec_from_file_location("descent_speed", ROOT / "tools" / "benchmark" / "descent_speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = ["--size", "40x24", "--steps", "2", "--device", device, "--json", tmp_path / "a.json"]
    monkeypatch.setattr(sys, "argv", ["descent_speed.py", *map(str, words)])
    module.main()
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["size"], found["device"]) == ([40, 24], device)
    assert found["times_the_floor"] > 1 and found["gflop_a_step"] > 1e-3
