"""Screen content: what is written is read, what it costs is known, and it is chosen where it pays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from moving import moving_texture

from nerv_codec.base.threads import Workers
from nerv_codec.base.video import PixelFormat
from nerv_codec.representations.fitting.checkpoint import FileCheckpoint
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.stream import StreamReader, StreamWriter
from nerv_codec.representations.shared.weights import load_weights
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.decisions import Decision, Decisions
from nerv_codec.representations.warped.encode import Behind, CodedNode, PartEncoder, encode_part
from nerv_codec.representations.warped.mending import everywhere
from nerv_codec.representations.warped.motion import MotionField, joined
from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.screen import SQUARE, Screen, ScreenModels, codes_of, put, take
from nerv_codec.representations.warped.screen_choice import no_palette, remember, without
from nerv_codec.representations.warped.squares import errors
from nerv_codec.representations.warped.tree import Node, evenly

ROWS, COLS = 64, 96
EVERYWHERE = np.ones((2, ROWS // SQUARE, COLS // SQUARE), np.bool_)


def page(shift: int = 0, rows: int = ROWS, cols: int = COLS, seed: int = 0) -> list[np.ndarray]:
    """Dark letters on light ground, in two colours, 4:2:0."""
    picture = np.full((rows + 40, cols, 3), 235, np.uint8)
    for line in range(rows // 12 + 3):
        word = "".join(np.random.default_rng(line + seed).choice(list("abcdefgh "), 14))
        colour = (20, 20, 160 * (line % 2))
        cv2.putText(picture, word, (2, 12 * line + 10), cv2.FONT_HERSHEY_PLAIN, 0.8, colour, 1, cv2.LINE_AA)
    yuv = cv2.cvtColor(picture[shift : shift + rows], cv2.COLOR_RGB2YUV_I420)
    y, u, v = yuv[:rows], *yuv[rows:].reshape(2, rows // 2, cols // 2)
    return [y, u, v]


def as_known(planes: list[np.ndarray], parents: int) -> IntegerPrediction:
    """What is expected: a picture, whose samples are code values and a little more."""
    y, u, v = (plane.astype(np.int16) * 16 + 5 for plane in planes)
    return IntegerPrediction.of((y, u, v), tuple(np.zeros_like(plane) for plane in (y, u, v)), parents)


@pytest.mark.parametrize("components", [3, 1])
def test_what_is_written_is_read(components):
    shown, models = tuple(page())[:components], ScreenModels()
    squares = np.random.default_rng(0).random((min(components, 2), ROWS // SQUARE, COLS // SQUARE)) < 0.7
    known = [IntegerPrediction.none(ROWS, COLS), as_known(page(3), 1), as_known(page(1), 2)]
    out = StreamWriter()
    for depth, (prediction, flags) in enumerate(zip(known, (squares, ~squares, squares), strict=True)):
        put(Screen(flags, shown), prediction, depth, models, out)
        put(None, prediction, depth, models, out)
    source, models = StreamReader(out.bytes()), ScreenModels()
    for depth, (prediction, flags) in enumerate(zip(known, (squares, ~squares, squares), strict=True)):
        found = take((ROWS, COLS), prediction, depth, components, models, source)
        assert found is not None and np.array_equal(found.squares, flags) and len(found.planes) == components
        blank = Planes(*(np.zeros(plane.shape, np.int16) for plane in page()))
        one, two = found.over(blank), Screen(flags, shown).over(blank)
        assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in "yuv")
        assert one.y.any() and one.u.any() == (components == 3)
        assert take((ROWS, COLS), prediction, depth, components, models, source) is None
    source.check_end()


def test_costs_are_what_the_stream_takes():
    out = StreamWriter()
    costs = put(Screen(EVERYWHERE, tuple(page())), IntegerPrediction.none(ROWS, COLS), 0, ScreenModels(), out)
    assert costs.sum() == pytest.approx(8 * len(out.bytes()), rel=0.02)


def test_a_page_known_already_takes_next_to_nothing():
    models, out, screen = ScreenModels(), StreamWriter(), Screen(EVERYWHERE, tuple(page()))
    first = put(screen, IntegerPrediction.none(ROWS, COLS), 0, models, out).sum()
    assert put(screen, as_known(page(), 2), 1, models, out).sum() < 0.05 * first


def test_damage_is_read_to_its_end():
    rng = np.random.default_rng(3)
    for _ in range(20):
        source = StreamReader(rng.integers(0, 256, 400, np.uint8).tobytes())
        found = take((ROWS, COLS), as_known(page(), 1), 0, 3, ScreenModels(), source)
        assert found is None or found.planes[0].shape == (ROWS, COLS)


def coded(planes: list[np.ndarray], index: int, behind: Behind) -> tuple[CodedNode, Planes]:
    """A picture without parents, and what it was to show."""
    part, canvas = (
        parts([plane.shape for plane in planes])[0],
        to_canvas(planes, 8, parts([p.shape for p in planes])[0]),
    )
    with Workers() as workers:
        encoder = PartEncoder([canvas], part, Ladder(index, (0,)), load_weights(), workers)
        (node,) = encoder.wave([Node(0, 0, ())], behind)
    return node, Planes.rounded(canvas)


@pytest.mark.parametrize("index", [20, 50])
def test_letters_take_fewer_bits_and_err_by_a_quarter(index):
    with_it, source = coded(page(), index, Behind())
    without, _ = coded(page(), index, Behind(screens=None))
    assert with_it.decision.screen is not None and without.decision.screen is None
    assert with_it.bits < 0.6 * without.bits
    assert errors(source, with_it.planes, SQUARE).sum() < errors(source, without.planes, SQUARE).sum() / 4


def test_beside_a_texture_only_letters_are_screen_content():
    texture, planes = next(iter(moving_texture(PixelFormat(), ROWS, COLS, 1))), page()
    mixed = [np.concatenate([one, two], 1) for one, two in zip(texture, planes, strict=True)]
    node, source = coded(mixed, 30, Behind())
    assert node.decision.screen is not None
    squares = node.decision.screen.squares[0]
    assert squares[:, : COLS // SQUARE].mean() < 0.1 and squares[:, COLS // SQUARE :].mean() > 0.7
    shown = node.decision.screen.planes[0].astype(int)
    inside = squares.repeat(SQUARE, 0).repeat(SQUARE, 1)
    assert np.array_equal(node.planes.y[inside], 16 * shown[inside])
    assert np.array_equal(codes_of([source.y])[0].shape, shown.shape)


def test_new_letters_are_not_pieced_together_from_old_ones():
    """Squares that are coded sample by sample need no motion, unless it shows what is there already."""
    part, frames = parts([plane.shape for plane in page()])[0], [page(), page(seed=100)]
    canvases, bits = [to_canvas(planes, 8, part) for planes in frames], []
    for behind in (Behind(), Behind(screens=None)):
        with Workers() as workers:
            encoder = PartEncoder(canvases, part, Ladder(30, (0,)), load_weights(), workers)
            encoder.wave([Node(0, 0, ())], behind)
            (node,) = encoder.wave([Node(1, 1, (0,))], behind)
            bits.append(node.motion_bits)
    assert node.decision.screen is None
    assert bits[0] < bits[1] / 2


def test_values_become_the_same_in_every_frame():
    """What is drawn again, merged into other values, would no longer be the same."""
    part, frames = parts([plane.shape for plane in page()])[0], [page(), page(seed=100)]
    canvases, behind = [to_canvas(planes, 8, part) for planes in frames], Behind()

    def became(node: CodedNode) -> dict[int, int]:
        luma = codes_of([Planes.rounded(canvases[node.node.frame]).y])[0]
        inside = node.decision.screen.squares[0].repeat(SQUARE, 0).repeat(SQUARE, 1)
        return dict(zip(luma[inside].tolist(), node.decision.screen.planes[0][inside].tolist(), strict=True))

    with Workers() as workers:
        encoder = PartEncoder(canvases, part, Ladder(60, (0,)), load_weights(), workers)
        nodes = [encoder.wave([Node(number, 0, ())], behind)[0] for number in range(2)]
        alone = encoder.wave([Node(1, 0, ())], Behind())[0]
    first, second, other = map(became, (*nodes, alone))
    both = first.keys() & second.keys()
    assert len(set(first.values())) < len(first) and len(both) > 10
    assert all(first[value] == second[value] for value in both)
    assert any(first[value] != other[value] for value in both)


def test_what_a_value_became_first_stays():
    palette = no_palette()
    y = np.tile(np.array([10, 12, 200, 201], np.uint8), (SQUARE, SQUARE // 4))
    for made in (11, 99):
        shown = np.where(y < 100, made, y).astype(np.uint8)
        source = Planes(y.astype(np.int16) * 16, *(np.zeros((8, 8), np.int16) for _ in "uv"))
        remember(palette, source, Screen(np.ones((1, 1, 1), np.bool_), (shown,)))
    assert palette[0, [10, 12, 200, 201]].tolist() == [11, 11, 200, 201]
    assert (palette >= 0).sum() == 4


def test_blocks_join_those_beside_them():
    vectors = np.arange(2 * 4 * 4 * 2, dtype=np.int32).reshape(2, 4, 4, 2)
    modes, corners = np.arange(16, dtype=np.uint8).reshape(4, 4) % 3, np.ones((8, 8), np.uint8)
    blocks = np.zeros((4, 4), np.bool_)
    blocks[0, 0] = blocks[1, 0] = blocks[1, 2] = blocks[1, 3] = True
    found = joined(MotionField(vectors, modes, corners), blocks)
    for (r, c), (y, x) in {(0, 0): (0, 0), (1, 0): (0, 0), (1, 2): (1, 1), (1, 3): (1, 1), (2, 3): (2, 3)}.items():
        assert np.array_equal(found.vectors[:, r, c], vectors[:, y, x]) and found.modes[r, c] == modes[y, x]
    assert not found.corners[:6].any() and found.corners[6:].all()  # of these and of those around them


def test_chroma_may_be_screen_content_alone():
    texture, planes = next(iter(moving_texture(PixelFormat(), ROWS, COLS, 1))), page()
    marks = [np.where(plane == plane[0, 0], 128, 200).astype(np.uint8) for plane in planes[1:]]
    node, _ = coded([texture[0], *marks], 30, Behind())
    assert node.decision.screen is not None
    luma, chroma = node.decision.screen.squares
    assert luma.mean() < 0.1 and chroma.mean() > 0.5


def test_all_of_luma_and_none_of_chroma_may_be_hidden():
    flags = np.stack([EVERYWHERE[0], ~EVERYWHERE[0]])
    canvas = torch.rand(1, 6, ROWS // 2, COLS // 2, generator=torch.Generator().manual_seed(0))
    left = without(canvas, IntegerPrediction.none(ROWS, COLS), Screen(flags, tuple(page())))
    assert torch.equal(left[:, 4:], canvas[:, 4:])
    assert torch.allclose(left[:, :4], torch.tensor(2040 / 4080), atol=1e-6)


def test_what_is_hidden_goes_on_smoothly():
    flags = np.zeros_like(EVERYWHERE)
    flags[0, 1:3, 2:4] = True
    ramp = torch.linspace(0, 1, COLS // 2).expand(1, 6, ROWS // 2, COLS // 2).contiguous()
    left = without(ramp, IntegerPrediction.none(ROWS, COLS), Screen(flags, tuple(page())))
    assert (left - ramp).abs().max() < 0.2 and torch.equal(left[:, 4:], ramp[:, 4:])


def test_a_texture_has_none():
    node, _ = coded(next(iter(moving_texture(PixelFormat(), ROWS, COLS, 1))), 30, Behind())
    assert node.decision.screen is None


@pytest.mark.parametrize(("index", "sigma"), [(20, 6), (36, 14)])
def test_noise_has_none(index, sigma):
    """Neither in frames that the temporal filter frees of it, nor where errors of chroma are large."""
    rng, shapes = np.random.default_rng(2), [(ROWS, COLS), (ROWS // 2, COLS // 2), (ROWS // 2, COLS // 2)]
    ramp = [np.linspace(90, 160, cols)[None] + np.zeros((rows, 1)) for rows, cols in shapes]
    frames = [[np.rint(plane + rng.normal(0, sigma, plane.shape)).astype(np.uint8) for plane in ramp] for _ in range(9)]
    part = parts(shapes)[0]
    with Workers() as workers:
        canvases = [to_canvas(planes, 8, part) for planes in frames]
        encoder = PartEncoder(canvases, part, Ladder(index, (0, 16, 24)), load_weights(), workers)
        nodes = list(encode_part(encoder, evenly(9, 4), StreamWriter()))
    assert all(node.decision.screen is None for node in nodes)


def test_decisions_keep_it(tmp_path):
    latents = {2: np.zeros((3, 1, 1), np.int32)}
    screen = Screen(np.array([[[True, False]], [[False, True]]]), tuple(plane[:16, :32] for plane in page()))
    kept = Decisions(FileCheckpoint(tmp_path / "state", lambda: False, 0.0))
    for frame, one in ((0, screen), (1, None), (2, Screen(screen.squares[:1], screen.planes[:1]))):
        kept.add("a", Decision(Node(frame, 0, ()), (), None, latents, everywhere((16, 32)), one))
    again = Decisions(FileCheckpoint(tmp_path / "state", lambda: False, 0.0)).of("a")
    assert again[1].screen is None and [len(again[frame].screen.planes) for frame in (0, 2)] == [3, 1]
    assert np.array_equal(again[0].screen.squares, screen.squares)
    assert all(np.array_equal(a, b) for a, b in zip(again[0].screen.planes, screen.planes, strict=True))
