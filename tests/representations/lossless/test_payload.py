"""GOPs to bytes and back: every sample, every layout, and damage that is found."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from moving import moving_texture

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.video import ColorInfo, PixelFormat, VideoInfo
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.lossless.layout import SampleLayout
from nerv_codec.representations.lossless.parts import split, summarise
from nerv_codec.representations.lossless.payload import PackedGop, pack_lossless
from nerv_codec.representations.lossless.plane_kernel import code_plane
from nerv_codec.representations.registry import open_gop, unpack_gop
from nerv_codec.representations.rendering import View, render_planes

CPU = torch.device("cpu")
LAYOUTS = {
    "4:2:0": (PixelFormat(), 20, 36, 5),
    "4:2:0 odd": (PixelFormat(), 9, 17, 3),
    "4:2:2, 10 bits": (PixelFormat(3, 0, 1, 10), 12, 22, 4),
    "4:4:4, 16 bits": (PixelFormat(3, 0, 0, 16), 8, 13, 3),
    "4:1:0": (PixelFormat(3, 2, 2, 8), 7, 19, 2),
    "gray, 12 bits": (PixelFormat(1, 0, 0, 12), 16, 40, 3),
    "one sample": (PixelFormat(), 1, 1, 2),
    "a column": (PixelFormat(3, 1, 0, 9), 33, 1, 3),
}


SMALL = PixelFormat(), 6, 7, 2


def packed(fmt: PixelFormat, height: int, width: int, frames: int, location: int = 1) -> tuple[PackedGop, GopGeometry]:
    geometry = GopGeometry(frames, height, width, fmt.num_planes)
    gop = pack_lossless(moving_texture(fmt, height, width, frames), SampleLayout(fmt, location), geometry)
    return gop, geometry


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("location", [1, 6])
def test_every_sample_comes_back(name, location):
    fmt, height, width, frames = LAYOUTS[name]
    gop, geometry = packed(fmt, height, width, frames, location)
    function, digest, parts = unpack_gop(3, gop.payload, geometry, CPU)
    assert sum(parts.values()) == len(gop.payload)
    assert summarise(gop.payload, geometry).digest == digest
    info = VideoInfo(width, height, fmt, ColorInfo(chroma_location=location))
    for t, planes in enumerate(moving_texture(fmt, height, width, frames)):
        found = render_planes(function, float(t), info, View.whole(height, width), info)
        assert all(np.array_equal(a, b) for a, b in zip(planes, found, strict=True))


def test_frames_are_decoded_as_far_as_they_are_asked_for():
    gop, geometry = packed(PixelFormat(), 16, 24, 6)
    found, whole = open_gop(3, gop.payload, geometry, CPU), unpack_gop(3, gop.payload, geometry, CPU)[0]
    info, view = VideoInfo(24, 16), View.whole(16, 24)
    for t in (2.0, 0.0, 4.5, 5.0):
        one, other = (render_planes(function, t, info, view, info) for function in (found.function, whole))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    wrong = replace(split(gop.payload, geometry), digest=1).pack()
    found = open_gop(3, wrong, geometry, CPU)
    assert np.array_equal(render_planes(found.function, 4.0, info, view, info)[0], gop.function._frames[4][0])
    with pytest.raises(BitstreamError, match="digest"):
        render_planes(found.function, 5.0, info, view, info)


@pytest.mark.parametrize("depth", [8, 16])
def test_noise_over_the_whole_range_comes_back(depth):
    fmt, geometry = PixelFormat(1, 0, 0, depth), GopGeometry(2, 6, 11, 1)
    rng = np.random.default_rng(4)
    frames = [(rng.integers(0, 1 << depth, (6, 11)).astype(np.uint16 if depth > 8 else np.uint8),) for _ in range(2)]
    frames[0][0][0, :4] = [0, fmt.max_value, 0, fmt.max_value]
    payload = pack_lossless(frames, SampleLayout(fmt, 1), geometry).payload
    function, _, _ = unpack_gop(3, payload, geometry, CPU)
    values = function.render(torch.arange(2).double(), torch.arange(6).double(), torch.arange(11).double())
    assert np.array_equal(np.rint(values[:, 0].numpy() * fmt.max_value), np.stack([frame[0] for frame in frames]))


def test_what_stands_still_costs_next_to_nothing():
    fmt, geometry = PixelFormat(1, 0, 0, 8), GopGeometry(9, 32, 48, 1)
    first = moving_texture(fmt, 32, 48, 1)[0]
    alone = len(pack_lossless([first], SampleLayout(fmt, 1), GopGeometry(1, 32, 48, 1)).payload)
    assert len(pack_lossless([first] * 9, SampleLayout(fmt, 1), geometry).payload) < 1.4 * alone


def test_a_changed_byte_is_found_or_changes_no_sample():
    """The last bits of a stream may say the same in another way; the checksum of the section sees these, too."""
    gop, geometry = packed(*SMALL)
    harmless = 0
    for position in range(3, len(gop.payload)):  # before stands the layout, for which the header answers
        broken = bytearray(gop.payload)
        broken[position] ^= 1 << position % 8
        try:
            _, digest, _ = unpack_gop(3, bytes(broken), geometry, CPU)
        except BitstreamError:
            continue
        harmless += 1
        assert digest == summarise(gop.payload, geometry).digest
    assert harmless <= 4 * geometry.num_planes


def test_any_truncation_is_found():
    gop, geometry = packed(*SMALL)
    for size in range(len(gop.payload)):
        with pytest.raises(BitstreamError):
            unpack_gop(3, gop.payload[:size], geometry, CPU)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [(0, 0, "layout"), (0, 7, "layout"), (0, 33, "layout"), (1, 7, "bits"), (1, 17, "bits"), (2, 7, "location")],
)  # fmt: skip
def test_heads_that_make_no_sense_are_refused(position, value, message):
    gop, geometry = packed(*LAYOUTS["one sample"])
    hostile = bytearray(gop.payload)
    hostile[position] = value
    with pytest.raises(BitstreamError, match=message):
        split(bytes(hostile), geometry)


def test_motion_that_leads_away_is_refused():
    gop, geometry = packed(*LAYOUTS["4:2:0"])
    parts = split(gop.payload, geometry)
    with pytest.raises(BitstreamError, match="motion"):
        unpack_gop(3, replace(parts, motion=bytes(range(1, 200))).pack(), geometry, CPU)


def test_the_machine_contracts_no_operations():
    packed(*LAYOUTS["one sample"])
    if not any(map(_multiplies, _machine_code())):  # it came from the cache, where its machine code cannot be read
        code_plane.recompile()
    texts = _machine_code()
    assert any(map(_multiplies, texts))
    assert not any("fmadd" in text or "fmla" in text for text in texts)


def _machine_code():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return list(code_plane.inspect_asm().values())


def _multiplies(text):
    return "mulsd" in text or "mulpd" in text or "fmul" in text
