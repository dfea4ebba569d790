"""A whole GOP: from frames to a payload and back, of every layout; damage; the function between its samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.video import ColorInfo, PixelFormat, PlanarFrame, VideoInfo, plane_dtype
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.status import FittedGop
from nerv_codec.representations.fitting.task import FitTarget, GopTask
from nerv_codec.representations.registry import open_gop, unpack_gop
from nerv_codec.representations.rendering import View, plane_axes, render_planes, view_info
from nerv_codec.representations.warped import decode
from nerv_codec.representations.warped.coding import Ladder, reconstructed
from nerv_codec.representations.warped.config import WarpedConfig
from nerv_codec.representations.warped.fit import fit_warped
from nerv_codec.representations.warped.payload import Head, Layout, Payload, layout_of, split, summarise
from nerv_codec.representations.warped.planes import UNIT
from nerv_codec.representations.warped.tree import Anchors, waves


def drawn(info: VideoInfo, count: int, speed: float = 2.0) -> tuple[PlanarFrame, ...]:
    """A pattern that slides to the right."""
    layout, frames = info.pixel_format, []
    for t in range(count):
        planes = []
        for plane in range(layout.num_planes):
            rows, cols = layout.plane_size(plane, info.height, info.width)
            y = (np.arange(rows) * info.height / rows)[:, None]
            x = (np.arange(cols) * info.width / cols)[None] - speed * t
            value = 0.5 + 0.2 * np.sin(x / 5 + plane) + 0.15 * np.cos(y / 6 + np.sin(x / 11))
            planes.append((value * layout.max_value).astype(plane_dtype(layout.bit_depth)))
        frames.append(PlanarFrame(tuple(planes), t))
    return tuple(frames)


def fitted(info: VideoInfo, frames: tuple[PlanarFrame, ...], **settings: float) -> FittedGop:
    """A fit of few steps: what many gain is test_fit.py's."""
    config = WarpedConfig(**{"steps": 1} | settings)
    return fit_warped(config, GopTask(frames, info), lambda status: None, Checkpoint())


INFO = VideoInfo(48, 32)


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        VideoInfo(47, 33, PixelFormat(3, 1, 1, 10)),
        VideoInfo(40, 24, PixelFormat(1, 0, 0, 8)),
        VideoInfo(36, 20, PixelFormat(3, 0, 0, 12)),
        VideoInfo(36, 20, PixelFormat(3, 0, 1, 8)),
        VideoInfo(1, 1),
        VideoInfo(8, 8, PixelFormat(3, 0, 0, 16)),
    ],
    ids=["4:2:0", "odd 10 bit", "gray", "4:4:4 12 bit", "4:2:2", "one pixel", "16 bit"],
)
@pytest.mark.parametrize("steps", [1, pytest.param(WarpedConfig().steps, marks=pytest.mark.slow)])
def test_what_is_encoded_is_decoded_in_every_layout(info: VideoInfo, steps: int) -> None:
    frames = drawn(info, 4)
    found = fitted(info, frames, steps=steps)
    geometry = GopTask(frames, info).geometry
    function, digest, parts = unpack_gop(4, found.payload, geometry)
    assert sum(parts.values()) == len(found.payload) and digest == summarise(found.payload, geometry).digest
    view, peak = View.whole(info.height, info.width), info.pixel_format.max_value
    for t, frame in enumerate(frames):
        decoded = render_planes(function, float(t), info, view, info)
        again = render_planes(found.float_function, float(t), info, view, info)
        for plane, (one, two, source) in enumerate(zip(decoded, again, frame.planes, strict=True)):
            np.testing.assert_array_equal(one, two)
            assert one.shape == source.shape
            assert psnr_db(mean_squared_error(source, one), peak) > (26 if info.width == 1 else 27), plane


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_frames_are_the_planes_themselves(depth: int) -> None:
    """At the source's lattice nothing is interpolated: samples are shifted, and what is evaluated says the same."""
    info = dataclasses.replace(INFO, pixel_format=PixelFormat(3, 1, 1, depth))
    frames, peak = drawn(info, 3), 2**depth - 1
    found = fitted(info, frames)
    function, _, _ = unpack_gop(4, found.payload, GopTask(frames, info).geometry)
    view = View.whole(info.height, info.width)
    for t in range(3):
        for plane, shown in enumerate(render_planes(function, float(t), info, view, info)):
            true = function.frames[t].planes[plane] * 2.0 ** (depth - 12)
            assert np.array_equal(shown, np.minimum(np.floor(true + 0.5), peak))
            rows, cols = plane_axes(info, plane, view, info)
            values = function.render(torch.tensor([float(t)]), rows, cols, [plane])[0, 0].numpy().astype(float)
            assert np.abs(values * peak - true).max() < 1e-6 * peak


def test_only_what_is_asked_for_at_samples_is_taken_from_them() -> None:
    info = VideoInfo(47, 33, color=ColorInfo(chroma_location=6))  # whose last row of chroma lies below the picture
    frames = drawn(info, 2)
    function, _, _ = unpack_gop(4, fitted(info, frames).payload, GopTask(frames, info).geometry)
    view = View.whole(info.height, info.width)
    luma, chroma = (plane_axes(info, plane, view, info) for plane in (0, 1))
    whole = function.codes(1.0, 0, *luma, 8)
    assert whole is not None and function.codes(-1.0, 0, *luma, 8) is function.codes(2.0, 0, *luma, 8) is None
    assert np.array_equal(function.codes(1.0, 0, luma[0][3:], luma[1][::2], 8), whole[3:, ::2])
    assert function.codes(0.5, 0, *luma, 8) is None
    assert function.codes(1.0, 0, *luma, 10) is None
    assert function.codes(1.0, 0, luma[0] + 0.25, luma[1], 8) is None
    assert function.codes(1.0, 1, *chroma, 8) is None


def test_crops_and_other_layouts_have_the_samples_of_the_whole() -> None:
    frames = drawn(INFO, 2)
    function, _, _ = unpack_gop(4, fitted(INFO, frames).payload, GopTask(frames, INFO).geometry)
    view = View.whole(INFO.height, INFO.width)
    whole = render_planes(function, 1.0, INFO, view, INFO)
    window = View(INFO.height, INFO.width, 6, 10, 20, 30)
    crop = render_planes(function, 1.0, INFO, window, view_info(INFO, window))
    assert np.array_equal(crop[0], whole[0][6:26, 10:40]) and np.array_equal(crop[1], whole[1][3:13, 5:20])
    full = view_info(INFO, view, PixelFormat(3, 0, 0, 8))  # luma is kept, chroma has to be evaluated
    luma, *chroma = render_planes(function, 1.0, INFO, view, full)
    assert np.array_equal(luma, whole[0])
    for plane, shown in enumerate(chroma, 1):
        values = function.render(torch.tensor([1.0]), *plane_axes(full, plane, view, INFO), [plane])[0, 0].numpy()
        assert np.array_equal(shown, np.clip(np.rint(values * np.float32(255)), 0, 255))


def test_between_frames_motion_is_followed() -> None:
    info = VideoInfo(96, 64)
    frames = drawn(info, 5, speed=4.0)
    function, _, _ = unpack_gop(4, fitted(info, frames, rd_lambda=5e-5).payload, GopTask(frames, info).geometry)
    view = View.whole(info.height, info.width)
    truth = drawn(info, 9, speed=2.0)[5].planes[0][:, 16:-16]
    between = render_planes(function, 2.5, info, view, info)[0][:, 16:-16]
    blend = np.mean([frames[t].planes[0][:, 16:-16].astype(float) for t in (2, 3)], 0)
    assert mean_squared_error(truth, between) < 0.3 * float(((truth - blend) ** 2).mean())


def test_the_function_is_pointwise() -> None:
    frames = drawn(INFO, 4)
    function, _, _ = unpack_gop(4, fitted(INFO, frames).payload, GopTask(frames, INFO).geometry)
    rng = np.random.default_rng(0)
    times = torch.tensor([0.0, 1.25, 3.0], dtype=torch.float64)
    rows = torch.from_numpy(np.sort(rng.uniform(-0.5, 31.5, 5)))
    cols = torch.from_numpy(np.sort(rng.uniform(-0.5, 47.5, 6)))
    lattice = function.render(times, rows, cols)
    for k, t in enumerate(times):
        for i, row in enumerate(rows):
            points = torch.stack([t.expand(6), row.expand(6), cols], -1)
            torch.testing.assert_close(function.sample(points).T, lattice[k, :, i], atol=1e-5, rtol=0)


def test_lower_lambda_more_bytes_and_better() -> None:
    frames = drawn(INFO, 4)
    sizes = [len(fitted(INFO, frames, rd_lambda=price).payload) for price in (4e-3, 5e-4, 6e-5)]
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[2]


def test_a_still_scene_costs_little_after_its_first_frame() -> None:
    still = drawn(VideoInfo(96, 64), 1)
    frames = tuple(PlanarFrame(still[0].planes, t) for t in range(9))
    one, nine = (len(fitted(VideoInfo(96, 64), part).payload) for part in (still, frames))
    assert nine < one + 80


def test_the_same_bytes_whatever_the_number_of_threads() -> None:
    frames, payloads = drawn(INFO, 9), []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        payloads.append(fitted(INFO, frames).payload)
        torch.set_num_threads(before)
    assert payloads[0] == payloads[1]


def test_damage_is_seen() -> None:
    frames = drawn(INFO, 3)
    geometry, payload = GopTask(frames, INFO).geometry, fitted(INFO, frames).payload
    rng, right = np.random.default_rng(1), unpack_gop(4, payload, geometry)[0]
    for place in rng.integers(0, len(payload), 60):
        wrong = bytearray(payload)
        wrong[place] ^= 1 << int(rng.integers(0, 8))
        try:
            function = unpack_gop(4, bytes(wrong), geometry)[0]
        except BitstreamError:
            continue
        assert place >= len(payload) - 8, "only bits at the end, which no symbol needs, may be any"
        for number, frame in right.frames.items():
            assert all((a == b).all() for a, b in zip(function.frames[number].planes, frame.planes, strict=True))
    for size in range(0, len(payload), 7):
        with pytest.raises(BitstreamError):
            unpack_gop(4, payload[:size], geometry)


def _shown(function: object, frame: int) -> list[bytes]:
    return [plane.tobytes() for plane in function.frames[frame].planes]


@pytest.mark.parametrize("layout", [PixelFormat(), PixelFormat(3, 0, 0, 8)], ids=["one part", "three parts"])
def test_frames_are_decoded_as_far_as_they_are_asked_for(layout: PixelFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    info = dataclasses.replace(INFO, pixel_format=layout)
    frames = drawn(info, 14)
    geometry, payload = GopTask(frames, info).geometry, fitted(info, frames, steps=0).payload
    whole, _, parts = unpack_gop(4, payload, geometry)
    shown: list[object] = []
    monkeypatch.setattr(decode, "reconstructed", lambda *given: shown.append(given) or reconstructed(*given))
    before = 0 if layout == PixelFormat() else 28  # frames of the other parts
    order = [node.frame for wave in waves(split(payload, geometry).head.anchors) for node in wave]
    for number, most in zip(order, (1, 2, *[13] * 7), strict=False):  # what threads make ahead may be most of it
        found = open_gop(4, payload, geometry)
        assert _shown(found.function, number) == _shown(whole, number)
        assert before < len(shown) <= before + most
        for other in (5, 0, 12):
            assert _shown(found.function, other) == _shown(whole, other)
        found.rest()
        assert found.part_bytes == parts and len(shown) == before + 14
        shown.clear()


def test_what_a_gop_decodes_to_is_compared_before_its_last_frame_is_shown() -> None:
    frames = drawn(INFO, 9)
    geometry, payload = GopTask(frames, INFO).geometry, fitted(INFO, frames, steps=0).payload
    right = split(payload, geometry)
    wrong = dataclasses.replace(right, checksum=right.checksum ^ 1).pack()
    found = open_gop(4, wrong, geometry)
    assert _shown(found.function, 0) == _shown(unpack_gop(4, payload, geometry)[0], 0)
    with pytest.raises(BitstreamError, match="checksum"):
        [_shown(found.function, number) for number in range(9)]
    with pytest.raises(BitstreamError, match="checksum"):
        found.rest()


def _with_anchors(*numbers: int) -> bytes:
    """A payload of ten frames whose pairs of distances and times are these."""
    empty = Payload(Head(bytes(8), Layout(8), Ladder(40, (0,)), Anchors((0,))), 0, (b"",)).pack()
    return empty[:-4] + bytes(numbers) + empty[-4:]


@pytest.mark.parametrize("frames", [(0, 9), (0, 4, 8, 9), (0, 1, 2, 6, 7, 8, 9), tuple(range(10))])
def test_anchors_lie_anywhere_and_each_may_be_the_root(frames: tuple[int, ...]) -> None:
    sizes = []
    for root in frames:
        head = Head(bytes(8), Layout(8), Ladder(40, (0,)), Anchors(frames, root))
        packed = Payload(head, 0, (b"",)).pack()
        assert split(packed, GopGeometry(10, 32, 48, 1)).head == head
        sizes.append(len(packed))
    assert sizes == [sizes[0], *[sizes[0] + 1] * (len(frames) - 1)]


@pytest.mark.parametrize("number", [0, 2, 127])
def test_a_root_that_is_no_anchor_is_refused(number: int) -> None:
    """Or frame 0, which needs no word."""
    packed = Payload(Head(bytes(8), Layout(8), Ladder(40, (0,)), Anchors((0, 9), 9)), 0, (b"",)).pack()
    with pytest.raises(BitstreamError, match="root"):
        split(packed[:-5] + bytes([number]) + packed[-4:], GopGeometry(10, 32, 48, 1))


@pytest.mark.parametrize("numbers", [(0, 9), (9, 0), (10, 1), (1, 10), (4, 2, 2, 1), (1, 4, 1, 5), (3, 2), ()])
def test_anchors_that_lead_nowhere_are_refused(numbers: tuple[int, ...]) -> None:
    """Nowhere, beyond the last frame, or one way said in two."""
    with pytest.raises(BitstreamError):
        split(_with_anchors(*numbers), GopGeometry(10, 32, 48, 1))


def test_anchors_have_prices_of_their_own() -> None:
    anchors, geometry = (0, 4, 8, 9), GopGeometry(10, 32, 48, 1)

    def packed(own: dict[int, int]) -> bytes:
        head = Head(bytes(8), Layout(8), Ladder(40, (-6, 0, 8), own), Anchors(anchors))
        return Payload(head, 0, (b"",)).pack()

    own = {0: -3, 4: 0, 8: -128, 9: 127}
    assert split(packed(own), geometry).head.ladder == Ladder(40, (-6, 0, 8), own)
    assert packed({4: 0}) == packed({}) and split(packed({}), geometry).head.ladder.own == {}
    assert len(packed(own)) == len(packed({})) + len(anchors)
    none = packed({9: 1})
    with pytest.raises(BitstreamError, match="are none"):
        split(none[:-5] + b"\0" + none[-4:], geometry)
    with pytest.raises(BitstreamError, match="damaged"):
        split(none[:14] + bytes([none[14] + 128]) + none[15:], geometry)


@pytest.mark.parametrize("mark", [0, 64, 96])
def test_motion_of_an_older_format_is_refused_in_one_line(mark: int) -> None:
    packed = bytearray(Payload(Head(bytes(8), Layout(8), Ladder(40, (0,)), Anchors((0,))), 0, (b"",)).pack())
    packed[8] = 8 + mark
    with pytest.raises(BitstreamError, match="older codec"):
        split(bytes(packed), GopGeometry(1, 32, 48, 1))


def test_another_order_of_nodes_is_refused_in_one_line() -> None:
    head = Head(bytes(8), Layout(8), Ladder(40, (0,)), Anchors((0, 4, 8), 4))
    packed = bytearray(Payload(head, 0, (b"",)).pack())
    assert split(bytes(packed), GopGeometry(9, 32, 48, 1)).head.anchors.root == 4
    packed[14] += 32 - 64
    with pytest.raises(BitstreamError, match="older codec"):
        split(bytes(packed), GopGeometry(9, 32, 48, 1))


def test_layout_keeps_where_chroma_sits() -> None:
    info = dataclasses.replace(INFO, color=dataclasses.replace(INFO.color, chroma_location=2))
    assert [layout_of(one).col_place for one in (INFO, info)] == [0, 1]
    lattice = layout_of(info).lattices(GopTask(drawn(info, 1), info).geometry)[1]
    assert (lattice.row, lattice.col, lattice.row_step, lattice.col_step) == (0.5, 0.5, 2, 2)


@pytest.mark.parametrize("info", [INFO, VideoInfo(36, 20, PixelFormat(3, 0, 0, 12))], ids=["4:2:0", "4:4:4 12 bit"])
def test_films_without_colour_keep_none(info: VideoInfo) -> None:
    """Chroma that is the same everywhere, or nearly so, is not coded and stays so; where one sample differs, all is."""
    one, view = 1 << info.pixel_format.bit_depth - 8, View.whole(info.height, info.width)
    frames = [
        PlanarFrame((frame.planes[0], *(np.full_like(frame.planes[k], (129 - k) * one) for k in (1, 2))), frame.pts)
        for frame in drawn(info, 3)
    ]
    frames[1].planes[2][0, 0] += 3 * one
    frames[2].planes[2][0, 0] += 4 * one
    for count in (2, 3):
        found, geometry = fitted(info, tuple(frames[:count])), GopTask(tuple(frames[:count]), info).geometry
        assert split(found.payload, geometry).head.layout.plain == ((128 * UNIT, 127 * UNIT) if count == 2 else ())
        function = unpack_gop(4, found.payload, geometry)[0]
        for way in (function, found.float_function):
            planes = render_planes(way, 0.0, info, view, info)
            assert psnr_db(mean_squared_error(planes[0], frames[0].planes[0]), info.pixel_format.max_value) > 25
            assert count == 3 or all((planes[k] == (129 - k) * one).all() for k in (1, 2))
        if count == 2:
            between = render_planes(function, 0.5, info, View.whole(2 * info.height, 2 * info.width), info)
            assert all((between[k] == (129 - k) * one).all() for k in (1, 2))
            with pytest.raises(BitstreamError, match="damaged"):
                split(found.payload, GopGeometry(2, info.height, info.width, 1))
            with pytest.raises(BitstreamError, match="plain chroma"):
                split(found.payload.replace(b"\x80\x10", b"\x80\x20", 1), geometry)


@pytest.mark.parametrize("target", [FitTarget(bits=2000.0), FitTarget(psnr_db=36.0)], ids=["bits", "PSNR"])
def test_a_target_is_met(target: FitTarget) -> None:
    frames = drawn(INFO, 5)
    task = GopTask(frames, INFO, target=target)
    found = fit_warped(WarpedConfig(steps=3), task, lambda status: None, Checkpoint())
    if target.bits is not None:
        assert abs(8 * len(found.payload) / target.bits - 1) < 0.1
    else:
        view = View.whole(INFO.height, INFO.width)
        shown = [render_planes(found.float_function, float(t), INFO, view, INFO)[0] for t in range(5)]
        pairs = zip(frames, shown, strict=True)
        assert abs(np.mean([psnr_db(mean_squared_error(f.planes[0], one), 255) for f, one in pairs]) - 36) < 0.4
