"""What all tests share: one tiny clip, one ``.nvc`` fitted to it, and rules about randomness and GPUs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import write_clip
from places import beside
from xdist.scheduler import LoadScopeScheduling

from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig, SirenConfig
from nerv_codec.encoding.encode import EncodeReport, encode

WIDTH, HEIGHT, RATE = 40, 24, 24
CUT, FRAMES = 12, 18
"""Frames 0..11 are one scene, 12..17 another: with GOPs of 8 that is 0..8, 8..11 (shared 8), 12..17."""

_SCOPES = {
    "shared": ("warped", "representations/shared"),
    "ray": ("test_ray",),  # one cluster at a time
}
"""Words in the names of tests that one process has, by what these tests share."""


@pytest.fixture(autouse=True)
def restore_random_state() -> Iterator[None]:
    """No test sees what another one drew."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


class _ByKernels(LoadScopeScheduling):
    """Under ``-n`` one process has all tests of the same kernels, so that no two compile them at once.

    The largest scopes go first, beside each other; what other tests need of these kernels is on disk by then.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((scope for scope, words in _SCOPES.items() if any(word in nodeid for word in words)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _ByKernels(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_cuda") and not torch.cuda.is_available():
        if os.environ.get("NERV_CODEC_REQUIRE_CUDA") == "1":
            pytest.fail("NERV_CODEC_REQUIRE_CUDA=1, but there is no GPU")
        pytest.skip("needs a GPU")


@pytest.fixture
def clips() -> Path:
    """The folder of real clips beside the checkout."""
    return beside("clips")


@pytest.fixture(scope="session")
def tiny_info() -> VideoInfo:
    return VideoInfo(WIDTH, HEIGHT, PixelFormat(), ColorInfo(1, 1, 1), Fraction(1), Fraction(1, RATE))


@pytest.fixture(scope="session")
def tiny_frames(tiny_info: VideoInfo) -> list[PlanarFrame]:
    """A pan over one pattern, a cut, and a pan over another."""
    rng = np.random.default_rng(3)
    patterns = [np.kron(rng.integers(20, 236, (6, 16)), np.ones((4, 4))) for _ in range(2)]
    frames = []
    for index in range(FRAMES):
        pattern = patterns[index >= CUT]
        luma = pattern[:, index % CUT : index % CUT + WIDTH].astype(np.uint8)
        chroma = (luma[::2, ::2] // 2 + 64).astype(np.uint8)
        frames.append(PlanarFrame((luma, chroma, 255 - chroma), index, 1))
    return frames


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory, tiny_info: VideoInfo, tiny_frames: list[PlanarFrame]) -> Path:
    """The frames as a y4m file."""
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny.y4m", tiny_info, tiny_frames, RATE)


@pytest.fixture(scope="session")
def tiny_config() -> EncoderConfig:
    """A network and a fit of about a second."""
    siren = SirenConfig(width=16, hidden_layers=2, steps=60, batch=1500)
    return EncoderConfig(model="siren", gop=8, siren=siren)


@pytest.fixture(scope="session")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path, tiny_config: EncoderConfig
) -> tuple[Path, EncodeReport]:
    """A ``.nvc`` of the clip, and the report of the encode."""
    path = tmp_path_factory.mktemp("nvc") / "tiny.nvc"
    return path, encode(tiny_clip, path, config=tiny_config)


@pytest.fixture(scope="session")
def tiny_nvc(tiny: tuple[Path, EncodeReport]) -> Path:
    return tiny[0]
