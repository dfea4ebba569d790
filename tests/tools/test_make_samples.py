from __future__ import annotations

import runpy
from pathlib import Path

import av
import pytest

from nerv_codec.encoding.segmentation import segment
from nerv_codec.media.reader import open_video

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["drawn", "kept"])
def sample(request, tmp_path) -> Path:
    """The clip as the tool draws it now, and as the repository has it."""
    if request.param == "kept":
        return ROOT / "samples/sample.mp4"
    runpy.run_path(str(ROOT / "tools/make_samples.py"))["write"](tmp_path / "sample.mp4")
    return tmp_path / "sample.mp4"


def test_sample_is_what_the_tests_count_on(sample):
    assert sample.stat().st_size < 100_000
    with open_video(sample) as reader:
        parts = list(segment(reader, gop=64))
        info = reader.info
    assert (info.width, info.height, info.color.matrix, reader.frame_rate) == (96, 64, 1, 24)
    assert [(part.first_frame, len(part.frames), part.continues) for part in parts] == [
        (0, 22, False),
        (22, 14, False),
    ]
    assert reader.warnings == []
    with av.open(str(sample)) as container:
        audio = container.streams.audio[0]
        assert audio.codec_context.name == "aac"
        assert audio.duration * audio.time_base == pytest.approx(1.5, abs=0.05)
