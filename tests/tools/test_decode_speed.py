"""tools/benchmark/decode_speed.py: what a file holds is counted and timed."""

import json
import subprocess
import sys
from pathlib import Path

from places import ROOT

from nerv_codec.decoding.video_decoder import VideoDecoder


def test_a_file_is_timed_beside_the_floor(tmp_path: Path) -> None:
    source, report = ROOT / "samples" / "golden_warped.nvc", tmp_path / "report.json"
    tool = ROOT / "tools" / "benchmark" / "decode_speed.py"
    said = subprocess.run(
        [sys.executable, tool, source, "--turns", "1", "--json", report], check=True, capture_output=True, text=True
    ).stdout
    (found,) = json.loads(report.read_text()).values()
    with VideoDecoder(source) as video:
        about = video.metadata
        samples = 1.5 * about.num_frames * -(-about.height // 16) * -(-about.width // 16) * 16**2
    assert "golden_warped.nvc" in said and "times the floor" in said
    assert 0 < found["symbols"] <= samples
    assert found["frames_a_second"] > 0 and found["times_the_floor"] > 0.1 and found["times_the_floor_of_symbols"] > 0.1
