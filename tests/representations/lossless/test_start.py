"""What is known at the start: a small file, states that are the caller's own, and names that are checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from moving import moving_texture
from safetensors.numpy import load, save

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless import start
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless
from nerv_codec.representations.registry import unpack_gop

GRAY = PixelFormat(1, 0, 0, 8)


def test_the_file_is_small_and_says_the_same_again():
    data = start.FILE.read_bytes()
    assert len(data) < 1.1e6
    assert start.to_bytes(start.from_bytes(data).states) == data


def test_states_are_the_callers_own():
    for name in (None, start.NOTHING):
        known = start.load_start(name)
        first = known.state(0, True)
        before = [array.copy() for array in first]
        for array in first:
            array.fill(1)
        assert all(np.array_equal(a, b) for a, b in zip(before, known.state(0, True), strict=True))


def test_small_pictures_gain_from_what_is_known():
    """A ball with a soft edge before a slope, with a little noise."""
    rng, (rows, cols) = np.random.default_rng(3), np.mgrid[:32, :64]
    ball = 70 * np.clip(12 - np.hypot(rows - 14, cols - 30), 0, 2)
    picture = np.rint(60 + rows + 0.5 * cols + ball + rng.normal(0, 1, (32, 64))).astype(np.uint8)
    frames, geometry, layout = [(picture,)], GopGeometry(1, 32, 64, 1), SampleLayout(GRAY, 1)
    known, nothing = (
        len(pack_lossless(frames, layout, geometry, start=start.load_start(name)).payload)
        for name in (None, start.NOTHING)
    )
    assert known < 0.98 * nothing


def test_a_file_of_other_states_is_refused():
    frames, geometry = moving_texture(GRAY, 6, 7, 1), GopGeometry(1, 6, 7, 1)
    payload = bytearray(pack_lossless(frames, SampleLayout(GRAY, 1), geometry).payload)
    payload[3] ^= 1
    with pytest.raises(BitstreamError, match="does not have the lossless states"):
        unpack_gop(3, bytes(payload), geometry, torch.device("cpu"))


@pytest.mark.parametrize("change", ["missing", "shape", "type", "none"])
def test_files_that_lack_something_are_refused(change):
    arrays = load(start.FILE.read_bytes())
    key = "2.later.biases"
    if change == "missing":
        del arrays[key]
    elif change == "shape":
        arrays[key] = arrays[key][1:]
    elif change == "type":
        arrays[key] = arrays[key].astype(np.float64)
    with pytest.raises(BitstreamError, match=f"lack a good {key}" if change != "none" else "not a file"):
        start.from_bytes(save(arrays) if change != "none" else b"none")
