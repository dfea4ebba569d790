"""A short fit of `tracked`: it learns, it repeats itself, and its estimate is what it writes."""

from pathlib import Path

import pytest

import nerv_codec
from nerv_codec.config import EncoderConfig, override

SAMPLE = Path(__file__).parents[2] / "samples" / "sample.mp4"


def _encode(target: Path, steps: int) -> nerv_codec.EncodeReport:
    settings = {"model": "tracked", "tracked": {"scales": 4, "hidden": 8}, "training": {"steps": steps}}
    config = override(EncoderConfig(), settings)
    return nerv_codec.encode(SAMPLE, target, config=config, frames=4, audio=False, tool_section=False, resume=False)


def test_a_fit_learns_and_writes_what_it_estimates(tmp_path: Path) -> None:
    short = _encode(tmp_path / "short.nvc", 5)
    long = _encode(tmp_path / "long.nvc", 120)
    assert long.psnr_y_db > short.psnr_y_db + 3
    assert long.estimated_bits == pytest.approx(long.coded_bits, rel=0.01)
    with nerv_codec.VideoDecoder(tmp_path / "long.nvc") as video:
        assert video.metadata.model == "tracked"
        assert video.get_frames_played_in_range(0, 0.1, fps=60, scale=2).data.shape == (6, 3, 128, 192)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nvc", "b.nvc"):
        _encode(tmp_path / name, 12)
    assert (tmp_path / "a.nvc").read_bytes() == (tmp_path / "b.nvc").read_bytes()
