"""The format: a pure Python decoder written from docs/format.md reads what the compiled one wrote, bit for bit."""

from __future__ import annotations

import numpy as np
import plain_lossless as plain
import pytest
from moving import moving_texture

from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.bit_kernel import logistic, logit
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.payload import pack_lossless
from nerv_codec.representations.lossless.start import NOTHING, load_start

CASES = {
    "4:2:0, odd, five frames": (PixelFormat(), 7, 9, 5),
    "4:4:4, 10 bits": (PixelFormat(3, 0, 0, 10), 4, 6, 2),
    "gray, 16 bits": (PixelFormat(1, 0, 0, 16), 18, 7, 2),
    "4:1:0, one frame": (PixelFormat(3, 2, 2, 8), 6, 9, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_gives_every_sample(name):
    fmt, height, width, count = CASES[name]
    frames = moving_texture(fmt, height, width, count)
    geometry = GopGeometry(count, height, width, fmt.num_planes)
    payload = pack_lossless(frames, SampleLayout(fmt, 1), geometry).payload
    found = plain.planes(payload, count, height, width)
    assert all(np.array_equal(a, b) for x, y in zip(found, frames, strict=True) for a, b in zip(x, y, strict=True))


def test_noise_from_nothing_is_read_by_the_text():
    rng = np.random.default_rng(9)
    frames = [(rng.integers(0, 256, (4, 7)).astype(np.uint8),) for _ in range(2)]
    layout, start = SampleLayout(PixelFormat(1, 0, 0, 8), 1), load_start(NOTHING)
    payload = pack_lossless(frames, layout, GopGeometry(2, 4, 7, 1), start=start).payload
    assert [np.array(planes[0]).tolist() for planes in plain.planes(payload, 2, 4, 7)] == [
        f[0].tolist() for f in frames
    ]


def test_tables_are_those_of_the_text():
    for z in np.linspace(-25, 25, 300):
        assert logistic(z) == plain.logistic(z)
    assert [logit(i / 999) for i in range(1000)] == [plain.logit(i / 999) for i in range(1000)]
