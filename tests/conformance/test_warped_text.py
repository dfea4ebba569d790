"""The format: a decoder written from docs/format.md alone reads what the encoder of `warped` wrote, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import plain_warped as plain
import pytest
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.base.video import PixelFormat, plane_dtype
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.registry import unpack_gop
from nerv_codec.representations.shared.canvas import to_canvas
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.encode import CodedNode, PartEncoder, encode_part
from nerv_codec.representations.warped.global_motion import GlobalMotion
from nerv_codec.representations.warped.motion import Expectation, MotionField, no_corners
from nerv_codec.representations.warped.motion_coder import MotionModels, put_field
from nerv_codec.representations.warped.payload import Head, Layout, Payload
from nerv_codec.representations.warped.split_kernel import SOURCES, is_edge, sources
from nerv_codec.representations.warped.tree import Anchors, evenly, waves

CASES = {
    "one part, 8 bits": (PixelFormat(), Layout(8, 1, 1, 1, 0), 45, 70, 6, 2, 0.1, 30),
    "three parts, 10 bits": (PixelFormat(3, 0, 1, 10), Layout(10, 0, 1, 0, 0), 37, 33, 7, 3, 0.0, 12),
    "a zoom": (PixelFormat(), Layout(8, 1, 1, 1, 0), 96, 128, 3, 2, 0.0, 40),
    "plain chroma": (PixelFormat(), Layout(8, 1, 1, 1, 0, (2048, 2032)), 33, 50, 3, 2, 0.0, 30),
    "gray, one anchor": (PixelFormat(1, 0, 0, 8), Layout(8), 33, 50, 2, 8, 0.0, 50),
    "screen content": (PixelFormat(), Layout(8, 1, 1, 1, 0), 45, 70, 4, 2, 0.0, 40),
    "gray screen content": (PixelFormat(1, 0, 0, 8), Layout(8), 33, 50, 3, 2, 0.0, 30),
}


def _frames(fmt: PixelFormat, height: int, width: int, count: int, fade: float) -> list[list[np.ndarray]]:
    """Waves that drift by fractions of a sample and a square that goes another way, appears and vanishes, in a fade."""
    rng, pictures = np.random.default_rng(1), []
    for t in range(count):
        planes = []
        for plane in range(fmt.num_planes):
            rows, cols = fmt.plane_size(plane, height, width)
            y, x = np.mgrid[:rows, :cols].astype(float)
            y, x = y * height / rows + 1.3 * t, x * width / cols - 2.1 * t
            value = 0.5 + 0.2 * np.sin(x / 5 + plane) * np.cos(y / 7) + 0.2 * np.sin(x * y / 90)
            value += rng.normal(0, 0.02, value.shape)
            if plane == 0 and t % 3 != 2:
                value[4 + t : 16 + t, 8 + 3 * t : 24 + 3 * t] = 0.95
            value = (value - 0.5 * (plane > 0)) * (1 - fade * t) + 0.5 * (plane > 0)
            peak = (1 << fmt.bit_depth) - 1
            planes.append(np.rint(value.clip(0, 1) * peak).astype(plane_dtype(fmt.bit_depth)))
        pictures.append(planes)
    return pictures


def _zoom(fmt: PixelFormat, height: int, width: int, count: int) -> list[list[np.ndarray]]:
    """Blobs that come nearer."""
    blobs, pictures = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (height, width)), (0, 0), 2), []
    for t in range(count):
        near = cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1.06**t)
        luma = 128 + 250 * cv2.warpAffine(
            blobs, near, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        gray = [np.full(fmt.plane_size(plane, height, width), 128, np.uint8) for plane in (1, 2)]
        pictures.append([np.rint(luma.clip(0, 255)).astype(np.uint8), *gray])
    return pictures


def _letters(fmt: PixelFormat, height: int, width: int, count: int) -> list[list[np.ndarray]]:
    """Marks of a few colours that repeat and scroll, on a ground of which a part is not flat."""
    rng = np.random.default_rng(2)
    marks = rng.random((3, 6, 4)) < 0.4
    page = np.concatenate([np.concatenate(list(marks[rng.integers(0, 3, width // 4 + 1)]), 1) for _ in range(20)], 0)
    pictures = []
    for t in range(count):
        luma = np.where(page[2 * t : 2 * t + height, :width], 40, 220)
        luma[:16, :16] = np.mgrid[:16, :16].sum(0) * 6 + rng.integers(0, 9, (16, 16))
        planes = [luma.astype(np.uint8)]
        for plane in range(1, fmt.num_planes):
            rows, cols = fmt.plane_size(plane, height, width)
            planes.append(np.where(luma[::2, ::2][:rows, :cols] < 100, 90 + 60 * plane, 128).astype(np.uint8))
        pictures.append(planes)
    return pictures


def _encoded(name: str) -> tuple[bytes, list[list[CodedNode]], Layout, GopGeometry]:
    """The payload, the coded nodes of every part, and what they belong to."""
    fmt, layout, height, width, count, span, fade, index = CASES[name]
    geometry = GopGeometry(count, height, width, fmt.num_planes)
    screens, zooms = "screen" in name, "zoom" in name
    if screens:
        frames = _letters(fmt, height, width, count)
    else:
        frames = _zoom(fmt, height, width, count) if zooms else _frames(fmt, height, width, count, fade)
    streams, coded, anchors = [], [], evenly(count, span)
    own = {0: -1, anchors.frames[-1]: 5} if fade else {}
    weights, ladder = load_weights(), Ladder(index, (-6, 0, 8, 12), own)
    with Workers() as workers:
        for part in layout.parts(geometry):
            out, canvases = StreamWriter(), [to_canvas(planes, fmt.bit_depth, part) for planes in frames]
            encoder = PartEncoder(canvases, part, ladder, weights, workers)
            coded.append(list(encode_part(encoder, anchors, out, screens=screens)))
            streams.append(out.bytes())
    if fade:
        assert sum(bool(node.decision.brightness) for nodes in coded for node in nodes) > 1
    if fade:
        assert any(node.decision.field is not None and node.decision.field.corners.any() for node in coded[0])
    if zooms:
        assert any(node.decision.field is not None and node.decision.field.whole for node in coded[0])
    if screens:
        assert [node.decision.screen is not None for node in coded[0]].count(True) > 1
    head = Head(weights.digest, layout, ladder, anchors, screens)
    checksum = head.checksum(node.planes for nodes in coded for node in nodes)
    return Payload(head, checksum, tuple(streams)).pack(), coded, layout, geometry


def _corners(field: plain.Field) -> np.ndarray:
    """Sources of corners as numbers: one more than 1 if beside the own block, plus 2 if above or below it."""
    corners = np.zeros((2 * len(field.modes), 2 * len(field.modes[0])), np.uint8)
    for (y, x), (r, c) in field.corners.items():
        corners[y, x] = 1 + (c != x // 2) + 2 * (r != y // 2)
    return corners


@pytest.mark.parametrize("name", CASES)
def test_the_text_gives_every_sample(name):
    payload, coded, layout, geometry = _encoded(name)
    found, first = plain.planes(payload, geometry.num_frames, geometry.height, geometry.width, geometry.num_planes)
    expected = {
        node.node.frame: [plane for part, nodes in zip(layout.parts(geometry), coded, strict=True)
                          for other in nodes if other.node.frame == node.node.frame for plane in other.planes.cut(part)]
                         + layout.uncoded(geometry)
        for node in coded[0]
    }  # fmt: skip
    for frame, planes in enumerate(found):
        assert len(planes) == geometry.num_planes
        assert all(np.array_equal(a, b) for a, b in zip(planes, expected[frame], strict=True))
    for node in coded[0]:
        if node.decision.field is not None:
            field = first.fields[node.node.frame][1]
            assert np.array_equal(field.modes, node.decision.field.modes)
            assert np.array_equal(field.vectors, node.decision.field.vectors)
            assert np.array_equal(_corners(field), node.decision.field.corners)


@pytest.mark.parametrize("name", CASES)
def test_the_text_says_what_lies_between_samples(name):
    payload, _, _, geometry = _encoded(name)
    model, _, _ = unpack_gop(4, payload, geometry)
    rng, networks, index = np.random.default_rng(3), plain.Networks(payload[:8]), CASES[name][-1]
    points = rng.uniform([-0.5, -0.5], [geometry.height - 0.5, geometry.width - 0.5], (40, 2))
    found = model.sample(torch.from_numpy(np.insert(points, 0, 1.0, 1))).double().numpy()
    for number, (plane, lattice) in enumerate(zip(model.frames[1].planes, model.lattices, strict=True)):
        full = lattice.row_step == lattice.col_step == 1
        learnt = plain.coefficients(networks, plane.astype(np.int64), index) if full else None
        places = np.clip(np.stack(lattice.positions(*points.T)), -0.5, np.array([plane.shape]).T - 0.5)
        said = [plain.between(plane, row, col, learnt) for row, col in places.T]
        unit = 16 * (2**model.depth - 1) / 2 ** (model.depth - 8)
        np.testing.assert_allclose(found[:, number] * unit, said, atol=0.02)
        assert full == (learnt is not None and np.abs(learnt).max() > 100)


@pytest.mark.parametrize("name", CASES)
def test_the_text_says_what_lies_between_frames(name):
    payload, _, _, geometry = _encoded(name)
    model, _, _ = unpack_gop(4, payload, geometry)
    planes, first = plain.planes(payload, geometry.num_frames, geometry.height, geometry.width, geometry.num_planes)
    size, rng = (geometry.height, geometry.width), np.random.default_rng(4)
    unit, both = 16 * (2**model.depth - 1) / 2 ** (model.depth - 8), 0
    networks, index = plain.Networks(payload[:8]), CASES[name][-1]
    for frame, way in ((0, 0.5), (geometry.num_frames - 2, 0.3)):
        later = frame in first.fields[frame + 1][0].parents
        node, field = first.fields[frame + later]
        grid = field.vectors[node.parents.index(frame + 1 - later)]
        coded = [[tuple(plain.scaled(v, -1 if later else 1, 2)) for v in row[: -(-size[1] // 8)]]
                 for row in grid[: -(-size[0] // 8)]]  # fmt: skip
        known = plain.moves_between([planes[frame + k][0] for k in range(2)], coded)
        assert np.array_equal(model._moves(frame).moves, known.moves)
        points = rng.uniform([-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5], (25, 2))
        found = model.sample(torch.from_numpy(np.insert(points, 0, frame + way, 1))).double().numpy()
        both += known.moves[0] != known.moves[1]
        for number, lattice in enumerate(model.lattices):
            pair = [planes[frame + k][number].astype(np.int64) for k in range(2)]
            full = lattice.row_step == lattice.col_step == 1
            learnt = [plain.coefficients(networks, plane, index) if full else None for plane in pair]

            def read(k, point, far, number=number, pair=pair, learnt=learnt, lattice=lattice):
                near, whole = (
                    np.clip(lattice.positions(*(point + d)), -0.5, np.array(pair[k].shape) - 0.5)
                    for d in (far, np.rint(far))
                )
                more = [plain.between(pair[k], *whole, one) for one in (learnt[k], None)]
                return plain.between(pair[k], *near, None) + more[0] - more[1]

            for point, value in zip(points, found[:, number], strict=True):
                said = sum(
                    weight * read(place % 2, point, far)
                    for place, (weight, far) in enumerate(plain.readings(known, way, tuple(point), size))
                )
                assert value * unit == pytest.approx(said, abs=0.05)
    assert both


def _random_field(rng: np.random.Generator, shape: tuple[int, int], known: Expectation) -> MotionField:
    """Motion of all modes, in patches that differ by little, by much, or not at all."""
    near, far = known.near, known.far
    modes = rng.choice([0, 1, 2, 3] if far else [0, 3], shape).astype(np.uint8)
    spread = rng.choice([0, 1, 5, 300, 9000], (2, *shape, 1), p=[0.4, 0.3, 0.2, 0.08, 0.02])
    vectors = (known.vectors + np.rint(spread * rng.uniform(-1, 1, (2, *shape, 2)))).astype(np.int32)
    for r, c in np.ndindex(*shape):
        if rng.random() < 0.4 and (r or c):
            y, x = (r, c - 1) if c and (r == 0 or rng.random() < 0.5) else (r - 1, c)
            modes[r, c], vectors[:, r, c] = modes[y, x], vectors[:, y, x]
        first, second = vectors[:, r, c].tolist()
        if modes[r, c] == 0:
            vectors[1, r, c] = plain.scaled(first, -far, near)
        elif modes[r, c] == 1:
            vectors[0, r, c] = plain.scaled(second, -near, far)
        elif modes[r, c] == 3:
            vectors[:, r, c] = known.vectors[:, r, c]
    corners = no_corners(shape)
    for r, c in np.argwhere(rng.random(shape) < 0.3):
        for y, x in np.ndindex(2, 2):
            at = 2 * r + y, 2 * c + x
            count = sources(vectors, modes, *at, room := np.zeros(SOURCES, np.int64))
            corners[at] = room[rng.integers(count)] + 1 if is_edge(vectors, modes, r, c) else 0
    return MotionField(vectors, modes, corners)


def test_motion_of_all_modes_is_read_by_the_text():
    """With one parent, between two, and after two, in one stream, several nodes of each; half of them as a whole."""
    rng, shape, models, out = np.random.default_rng(2), (7, 9), MotionModels(), StreamWriter()
    coded = []
    for near, far in [(2, 0), (1, 3), (3, -5), (2, -2), (3, 1), (1, 0), (2, 2), (4, -7)]:
        vectors = rng.integers(-6, 7, (2, *shape, 2)).astype(np.int32)
        vectors[:, :, :4] = vectors[:, :1, :1]
        if far == 0:
            vectors[1] = 0
        way = tuple(map(tuple, rng.integers(-99, 100, (3, 2)).tolist())) if len(coded) % 3 else None
        known = Expectation(vectors, near, far, way)
        pairs = rng.integers(-40, 41, (6 if far else 3, 2)) * rng.choice([0, 1, 30], (6 if far else 3, 1))
        whole = GlobalMotion(tuple(map(tuple, pairs.tolist()))) if len(coded) % 2 else None
        field = replace(_random_field(rng, shape, known.given(whole)), whole=whole)
        coded.append((known, field))
        put_field(field, known, models, out)
    part = plain.PartDecoder(out.bytes(), plain.Networks(load_weights().digest), (112, 144), False, False)
    decoder, decisions = part.decoder, {sign: plain.Decisions() for sign in (-1, 0, 1)}
    splits, flags = plain.Decisions(plain.kind_of_split), {sign: [0, 0] for sign in (-1, 0, 1)}
    for known, field in coded:
        expected = plain.Expected([[[tuple(v) for v in row] for row in grid] for grid in known.vectors.tolist()],
                                  known.near, known.far, list(known.whole or ()), [])  # fmt: skip
        expected = part.as_a_whole(expected, 2 if known.far else 1)
        found = plain.FieldDecoder(decoder, decisions[np.sign(known.far)], expected).field()
        if decoder.flag(flags[np.sign(known.far)]):
            plain.SplitDecoder(decoder, splits, found).corners()
        assert np.array_equal(_corners(found), field.corners)
        assert np.array_equal(found.modes, field.modes)
        assert np.array_equal(found.vectors, field.vectors)
    decoder.finish()


def test_encoded_clips_hold_anchors_with_two_parents():
    assert [node.parents for wave in plain.waves([0, 2, 3, 5]) for node in wave if node.depth == 1] == [
        (0,),
        (2, 0),
        (3, 2),
    ]
    assert [node.parents for wave in plain.waves([0, 2, 3, 5], 2) for node in wave if node.depth == 1] == [
        (3,),
        (2, 3),
        (3, 2),
    ]


@pytest.mark.parametrize("anchors", [evenly(33, 8), evenly(9, 1), Anchors((0, 1, 4, 5), 5), Anchors((0, 3, 7))])
def test_the_text_gives_the_order(anchors):
    text = plain.waves(anchors.frames, anchors.frames.index(anchors.root))
    assert [[tuple(node) for node in wave] for wave in text] == [
        [(node.frame, node.depth, node.parents) for node in wave] for wave in waves(anchors)
    ]
