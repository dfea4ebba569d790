from types import SimpleNamespace

import numpy as np
import pytest
import torch
from moving import moving_texture

from nerv_codec.base.threads import Workers
from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped import anchors, encode
from nerv_codec.representations.warped.anchors import choose_anchors, cost_of
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.encode import Effort, PartEncoder, encode_part
from nerv_codec.representations.warped.motion import MotionField, no_corners
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.tree import Anchors, Node, evenly


@pytest.mark.parametrize(
    ("gains", "shortest", "expected"),
    [
        ({(0, 8): -0.2}, 1, Anchors((0, 8))),
        ({(0, 8): 0.005}, 1, Anchors((0, 8))),
        ({(0, 8): 0.03, (0, 4): 9.0}, 1, Anchors((0, 4, 8))),
        ({(0, 8): 0.1, (0, 4): 9.0}, 4, Anchors((0, 4, 8))),
        ({(0, 8): 0.1, (4, 8): 0.02}, 1, Anchors((0, 4, 6, 8))),
        ({(0, 8): 0.1, (0, 4): 0.1, (0, 2): 0.02}, 1, Anchors((0, 1, 2, 4, 8))),
        ({}, 1, Anchors((0, 8, 16), 8)),
        ({(8, 0): 0.1, (8, 4): 0.02, (8, 16): 0.03}, 1, Anchors((0, 4, 6, 8, 12, 16), 8)),
    ],
)
def test_spans_are_halved_as_long_as_it_pays(monkeypatch, gains, shortest, expected):
    """Of every interval, from the root on: what two halves gain; what is not named gains nothing."""

    class Encoder:
        canvases = [None] * (expected.frames[-1] + 1)
        ladder = Ladder(40, (-6, 0, 8, 12))

        def wave(self, nodes, behind, effort):
            return [SimpleNamespace(node=node) for node in nodes]

    def tried(self, ways, before):
        """What stands behind a way is told by its nodes, after those before."""
        (end, *_), *halves = ways
        assert [[node.depth for node in way] for way in halves] == [[1, 1]][: len(halves)]
        assert all(node.frame == (end.frame + end.parents[0]) // 2 for node, _ in halves)
        gain = gains.get((end.parents[0], end.frame), 0.0)
        found = [[*before, *(node.frame for node in way if node.depth == 1)] for way in ways]
        return list(zip((gain, 0.0), found, strict=False))

    monkeypatch.setattr(anchors, "Behind", list)
    monkeypatch.setattr(anchors._Lookahead, "_tried", tried)
    assert choose_anchors(Encoder(), evenly(len(Encoder.canvases), 8), shortest, lambda: False) == expected


def test_decisions_give_the_same_bytes_in_the_order_of_the_stream(monkeypatch):
    """And after a stop anywhere, with some of its decisions; planes are those that were decided on."""
    monkeypatch.setattr(anchors, "_GAIN", -9.0)
    monkeypatch.setattr(anchors, "_PROMISE", -9.0)
    fmt = PixelFormat()
    frames = moving_texture(fmt, 32, 48, 8)
    part = parts([plane.shape for plane in frames[0]])[0]
    canvases = [to_canvas(planes, 8, part) for planes in frames]

    with Workers() as workers:
        encoder = PartEncoder(canvases, part, Ladder(40, (-6, 0, 8, 12)), load_weights(), workers)

        found = choose_anchors(encoder, evenly(8, 4), 1, lambda: False)
        assert found == Anchors(tuple(range(8)), 4)

        def decided(known):
            return {one.node.frame: one for one in encode_part(encoder, found, StreamWriter(), Effort(decided=known))}

        def decisions(nodes):
            return {frame: one.decision for frame, one in nodes.items()}

        def stream(nodes):
            out = StreamWriter()
            for one in encode_part(encoder, found, out, Effort(decided=decisions(nodes))):
                assert all(map(np.array_equal, one.planes.cut(part), nodes[one.node.frame].planes.cut(part)))
            return out.bytes()

        nodes = decided({})
        whole = stream(nodes)
        for count in range(1, len(nodes)):
            assert stream(decided(dict(list(decisions(nodes).items())[:count]))) == whole


def coded(frame, words, error, parents=(0,), vector=(0, 0)):
    planes = Planes.rounded(torch.full((1, 6, 8, 8), 0.5 + error))
    field = SimpleNamespace(vectors=np.tile(np.array(vector, np.int32), (2, 2, 2, 1)))
    return SimpleNamespace(
        node=Node(frame, 1 if parents else 0, parents),
        bits=32.0 * words,
        planes=planes,
        decision=SimpleNamespace(field=field),
    )


def test_fewer_bits_or_less_error_cost_less():
    canvases = [torch.full((1, 6, 8, 8), 0.5)] * 5

    def cost(words, error):
        return cost_of([coded(0, 100, 0.1, ()), coded(1, words, error), coded(2, words, error)], canvases)

    assert cost(90, 0.02) < cost(100, 0.02) < cost(100, 0.03)
    assert cost(100, 0.02) == pytest.approx(cost(100, 0.02 * 10 ** (1 / 20)) - 0.184, abs=0.005)  # a dB


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("last", [1, 2])
def test_a_scene_that_moves_as_one_is_coded_so(monkeypatch, apart, last):
    """Vectors that the search took from nowhere are left out, those of a part that moves by itself are not.

    The last node in the order is an anchor, or a frame between two parents.
    """
    fmt = PixelFormat()
    (first,) = moving_texture(fmt, 64, 96, 1)
    second = [plane.copy() for plane in first]
    if apart:
        for plane, shift in zip(second, (6, 3, 3), strict=True):
            plane[: len(plane) // 3] = np.roll(plane[: len(plane) // 3], shift, 1)
    else:
        draw = np.random.default_rng(0)

        def lost(source, parents, price, known, *_):
            shape = known.vectors.shape[1:3]
            vectors = np.zeros((2, *shape, 2), np.int32)
            vectors[:, : shape[0] // 3] = draw.integers(-9, 9, (shape[0] // 3, shape[1], 2))
            return (), MotionField(vectors, np.zeros(shape, np.uint8), no_corners(shape))

        monkeypatch.setattr(encode, "search_changed", lost)
    part = parts([plane.shape for plane in first])[0]
    canvases = [to_canvas(planes, 8, part) for planes in (first, second, first)[: last + 1]]
    with Workers() as workers:
        encoder = PartEncoder(canvases, part, Ladder(48, (0,)), load_weights(), workers)
        *_, node = encode_part(encoder, Anchors((0, last)), StreamWriter())
    assert node.node.frame == 1 and len(node.node.parents) == last
    assert (node.decision.field.vectors == 0).all() != apart
