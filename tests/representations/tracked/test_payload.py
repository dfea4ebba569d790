"""A `tracked` GOP as bytes: what goes in comes out, what is damaged is refused, the estimate is right."""

import numpy as np
import pytest
import torch

from nerv_codec.base.byte_io import ByteReader, ByteWriter
from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.context_model import initial_parameters, quantise_parameters
from nerv_codec.entropy.weights import QuantizedTensor
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.tracked.fit.estimate import estimate_payload_bits
from nerv_codec.representations.tracked.function import motion_grids
from nerv_codec.representations.tracked.grid_tables import (
    latent_table,
    motion_indices,
    motion_maps,
    motion_owners,
    motion_table,
    spread_motion,
)
from nerv_codec.representations.tracked.networks import (
    MOTION_CLASSES,
    NOTHING,
    PRIOR,
    SHARED,
    Predictor,
    latent_classes,
    read_head,
    read_shared,
)
from nerv_codec.representations.tracked.parts import share_networks
from nerv_codec.representations.tracked.payload import pack_tracked, read_tracked, unpack_tracked
from nerv_codec.representations.tracked.prior import NetworkSizes
from nerv_codec.representations.tracked.references import reference_maps, whole_motion
from nerv_codec.representations.tracked.shape import MOTION_UNITS, TrackedShape
from nerv_codec.representations.tracked.tree import GopTree

SHAPE = TrackedShape(GopTree(6), 21, 34, 4, 8, 3)
GEOMETRY = GopGeometry(6, 21, 34, 3)
NUM_MOTION = motion_table(SHAPE).size


def _random_parts(seed: int = 0) -> tuple[np.ndarray, np.ndarray, list, list, list]:
    rng = np.random.default_rng(seed)
    nodes = SHAPE.tree.nodes
    latents = np.round(rng.laplace(0, 0.5, (len(nodes), SHAPE.node_latents))).astype(np.int32)
    motion = np.round(rng.laplace(0, 4, NUM_MOTION)).astype(np.int32)
    network = [
        QuantizedTensor(np.round(rng.normal(0, 20, size)).astype(np.int32), -6)
        for size in SHAPE.network_shapes().values()
    ]
    latent_model = quantise_parameters(initial_parameters(8, latent_classes(SHAPE)))
    return latents, motion, network, latent_model, quantise_parameters(initial_parameters(4, MOTION_CLASSES))


def test_a_payload_gives_back_the_function_it_was_made_of() -> None:
    latents, motion, network, latent_model, motion_model = _random_parts()
    payload = pack_tracked(SHAPE, latents, motion, network, latent_model, motion_model)
    model, digest, parts = unpack_tracked(payload, GEOMETRY)
    again, same, _ = unpack_tracked(payload, GEOMETRY)
    assert digest == same
    assert sum(parts.values()) == len(payload)
    axes = torch.tensor([0.0, 2.0, 3.5]).double(), torch.arange(21.0).double(), torch.arange(34.0).double()
    picture = model.render(*axes)
    assert torch.equal(picture, again.render(*axes))
    # The compiled lattice and the plain points are one function.
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    assert (model.sample(points).permute(0, 3, 1, 2) - picture).abs().max() < 1e-4


def test_the_value_of_a_pixel_does_not_depend_on_what_else_is_asked_for() -> None:
    payload = pack_tracked(SHAPE, *_random_parts())
    rows, cols = torch.arange(21.0).double(), torch.arange(34.0).double()
    whole = unpack_tracked(payload, GEOMETRY)[0].render(torch.arange(6.0).double(), rows, cols)
    fresh, _, _ = unpack_tracked(payload, GEOMETRY)
    for t in (5, 0, 3):
        part = fresh.render(torch.tensor([float(t)]).double(), rows[7:12], cols[3:30])
        assert torch.equal(part[0], whole[t, :, 7:12, 3:30])


def test_the_estimate_is_within_one_percent_of_the_bytes() -> None:
    latents, motion, network, latent_model, motion_model = _random_parts(1)
    payload = pack_tracked(SHAPE, latents, motion, network, latent_model, motion_model)
    estimate = estimate_payload_bits(SHAPE, latents, motion, network, latent_model, motion_model)
    assert estimate == pytest.approx(8 * len(payload), rel=0.01)


def test_damage_to_motion_or_latents_is_refused_or_changes_nothing() -> None:
    payload = pack_tracked(SHAPE, *_random_parts())
    _, digest, parts = unpack_tracked(payload, GEOMETRY)
    coded = parts["motion"] + parts["latents"]
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(payload) - coded, len(payload), 300):
        damaged = bytearray(payload)
        damaged[position] ^= 1 << rng.integers(8)
        try:
            assert unpack_tracked(bytes(damaged), GEOMETRY)[1] == digest  # low bits of a coder's last word
        except BitstreamError:
            refused += 1
    assert refused > 290


def test_without_motion_references_lie_at_the_same_place() -> None:
    maps = reference_maps(SHAPE, np.zeros(NUM_MOTION, np.int32)).reshape(2, 6, -1)
    own = np.arange(SHAPE.node_latents)
    for index, node in enumerate(SHAPE.tree.nodes):
        for number, parent in enumerate(node.parents):
            assert np.array_equal(maps[number, index], parent * SHAPE.node_latents + own)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_motion_of_whole_cells_moves_the_references_by_them(scale: int) -> None:
    motion = np.zeros(NUM_MOTION, np.int32)
    motion[motion_indices(SHAPE)[scale][1, :, :, 1]] = 4 * 2  # two pixels to the right, for frame N only
    maps = reference_maps(SHAPE, motion).reshape(2, 6, -1)
    start = SHAPE.grid_offsets[-1]
    finest = maps[0, 1, start : start + 21 * 34].reshape(21, 34) - start
    assert np.array_equal(finest[:, :32], (np.arange(21)[:, None] * 34 + np.arange(32) + 2))


def test_integer_motion_is_the_functions_rounded_down() -> None:
    rng = np.random.default_rng(3)
    motion = rng.integers(-40, 40, NUM_MOTION).astype(np.int32)
    units = torch.tensor(MOTION_UNITS)
    exact = motion_grids(SHAPE, [torch.from_numpy(part).float() * units for part in spread_motion(SHAPE, motion)])
    found = whole_motion(SHAPE, motion) / 256
    assert np.abs(found - exact[..., :4].numpy()).max() < 0.05


def test_tables_satisfy_the_coder_whatever_the_motion() -> None:
    motion = np.random.default_rng(0).integers(-4000, 4000, NUM_MOTION).astype(np.int32)
    table = latent_table(SHAPE)
    table.check(6 * SHAPE.node_latents, reference_maps(SHAPE, motion), latent_classes(SHAPE))
    motion_table(SHAPE).check(NUM_MOTION, motion_maps(SHAPE), MOTION_CLASSES)
    assert len(motion_owners(SHAPE)) == len(motion_table(SHAPE))


def test_every_motion_symbol_has_one_place() -> None:
    places = np.concatenate([index.ravel() for index in motion_indices(SHAPE)])
    assert np.array_equal(np.sort(places[places < NUM_MOTION]), np.arange(NUM_MOTION))
    spread = spread_motion(SHAPE, np.arange(1, NUM_MOTION + 1, dtype=np.int32))
    assert all(
        np.array_equal(part == 0, index == NUM_MOTION)
        for part, index in zip(spread, motion_indices(SHAPE), strict=True)
    )


def test_widths_that_the_kernels_cannot_take_are_refused() -> None:
    """Found by fuzzing: with 47 neurons they read past the end of their arrays."""
    payload = bytearray(pack_tracked(SHAPE, *_random_parts()))
    place = payload.index(SHAPE.hidden, 2)  # behind the distance of anchors and the number of scales
    for hidden in (3, 5, 47, 65):
        payload[place] = hidden
        with pytest.raises(BitstreamError, match="width"):
            unpack_tracked(bytes(payload), GEOMETRY)


def test_entropy_models_wider_than_the_format_says_are_refused() -> None:
    """docs/format.md allows 32 neurons; the synthesis network may have 64."""
    for place in (2, 3):  # behind the number of scales and the width of the synthesis network
        for width, refused in ((32, False), (33, True), (64, True)):
            out = ByteWriter()
            for index, number in enumerate((NOTHING, 4, 8, 8, 4)):
                out.varint(width if index == place + 1 else number)
            head = out.getvalue()
            reader = ByteReader(head)
            if refused:
                with pytest.raises(BitstreamError, match="entropy model's width"):
                    read_head(reader, None, SHAPE.depths, 3)
                with pytest.raises(BitstreamError, match="entropy model's width"):
                    read_shared(bytes([SHAPE.depths]) + head, 3)
            else:
                _, sizes = read_head(reader, None, SHAPE.depths, 3)
                assert width in (sizes.latent_hidden, sizes.motion_hidden)
                assert read_shared(bytes([SHAPE.depths]) + head, 3) is not None


def test_references_follow_the_rule() -> None:
    """In plain array arithmetic: centre plus motion at the nearest sample, and the cell that holds the sum."""
    motion = np.random.default_rng(5).integers(-300, 300, NUM_MOTION).astype(np.int32)
    whole = whole_motion(SHAPE, motion)
    maps = reference_maps(SHAPE, motion).reshape(2, 6, -1)
    for index, node in enumerate(SHAPE.tree.nodes):
        for number, parent in enumerate(node.parents):
            for size, start, scale in zip(SHAPE.grid_sizes, SHAPE.grid_offsets, SHAPE.grid_scales, strict=True):
                centres = [(2 * np.arange(count) + 1) * (1 << scale) - 1 for count in size]
                nearest = [
                    np.clip((centre + 8) >> 4, 0, knots - 1)
                    for centre, knots in zip(centres, SHAPE.motion_sizes[0], strict=True)
                ]
                moved = whole[index][np.ix_(*nearest)][..., 2 * number : 2 * number + 2]
                rows = np.clip((centres[0][:, None] * 128 + 128 + moved[..., 0]) // (256 << scale), 0, size[0] - 1)
                cols = np.clip((centres[1][None, :] * 128 + 128 + moved[..., 1]) // (256 << scale), 0, size[1] - 1)
                expected = parent * SHAPE.node_latents + start + rows * size[1] + cols
                assert np.array_equal(maps[number, index, start : start + expected.size], expected.ravel())


def _with_prior(exponent: int) -> tuple[bytes, list[np.ndarray]]:
    """A payload whose networks are the prior's, moved a little, and their values."""
    predictor = Predictor(PRIOR, exponent)
    bases = predictor.predicted(NetworkSizes(SHAPE.depths, SHAPE.scales, 3, 8, 8, 4)).all
    rng = np.random.default_rng(5)
    tensors = [QuantizedTensor(rng.integers(-3, 4, np.shape(base)).astype(np.int32), -6, base) for base in bases]
    names = len(SHAPE.network_shapes())
    latents, motion, *_ = _random_parts()
    parts = tensors[:names], tensors[names : names + 6], tensors[names + 6 :]
    return pack_tracked(SHAPE, latents, motion, *parts, predictor), [tensor.values for tensor in tensors]


@pytest.mark.parametrize("exponent", [-7, 0, 64])
def test_networks_are_stored_as_differences_from_the_prior(exponent: int) -> None:
    payload, values = _with_prior(exponent)
    gop = read_tracked(payload, GEOMETRY)
    assert all(np.array_equal(one.values, other) for one, other in zip(gop.tensors, values, strict=True))
    assert gop.predictor.gain_quarters == exponent
    assert all(np.array_equal(one, other) for one, other in zip(gop.latents, _random_parts()[0], strict=True))


def test_an_unknown_predictor_or_exponent_is_refused() -> None:
    payload, _ = _with_prior(0)
    assert payload[1:3] == b"\x01\x00"
    for wrong in (b"\x02", b"\x03"):  # 2: what the header keeps, where it keeps nothing
        with pytest.raises(BitstreamError, match="what networks are expected"):
            read_tracked(payload[:1] + wrong + payload[2:], GEOMETRY)
    with pytest.raises(BitstreamError, match="gains within"):
        read_tracked(payload[:2] + b"\x82\x01" + payload[3:], GEOMETRY)  # 65


@pytest.mark.parametrize("exponent", [None, 0, -7])
def test_networks_in_the_header_leave_the_function_as_it_was(exponent: int | None) -> None:
    payload = pack_tracked(SHAPE, *_random_parts()) if exponent is None else _with_prior(exponent)[0]
    kept, rest = share_networks(payload, GEOMETRY)
    shared = read_shared(kept, 3)
    before, after = read_tracked(payload, GEOMETRY), read_tracked(rest, GEOMETRY, shared)
    assert after.predictor.gain_quarters == exponent
    assert after.part_bytes["weights"] == 0
    assert len(kept) + len(rest) <= len(payload) + 4
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert np.array_equal(one.values, other.values)
    assert np.array_equal(before.latents, after.latents)
    assert np.array_equal(before.motion, after.motion)
    axes = torch.tensor([2.5]).double(), torch.arange(21.0).double(), torch.arange(34.0).double()
    pictures = [unpack_tracked(data, GEOMETRY, one)[0].render(*axes) for data, one in ((payload, None), (rest, shared))]
    assert torch.equal(*pictures)


def test_a_gop_with_other_depths_stores_what_differs_from_the_header() -> None:
    kept, _ = share_networks(_with_prior(3)[0], GEOMETRY)
    expected = Predictor(SHARED, -2, read_shared(kept, 3))
    for frames in (1, 2, 40):
        shape, geometry = TrackedShape(GopTree(frames), 21, 34, 4, 8, 3), GopGeometry(frames, 21, 34, 3)
        bases = expected.predicted(NetworkSizes(shape.depths, 4, 3, 8, 8, 4)).all
        rng = np.random.default_rng(frames)
        tensors = [QuantizedTensor(rng.integers(-3, 4, np.shape(base)).astype(np.int32), -6, base) for base in bases]
        motion = np.zeros(motion_table(shape).size, np.int32)
        latents = rng.integers(-1, 2, (frames, shape.node_latents)).astype(np.int32)
        payload = pack_tracked(shape, latents, motion, tensors[:9], tensors[9:15], tensors[15:], expected)
        gop = read_tracked(payload, geometry, read_shared(kept, 3))
        assert all(np.array_equal(one.values, other.values) for one, other in zip(gop.tensors, tensors, strict=True))
        assert gop.predictor.gain_quarters == 1
        assert np.array_equal(gop.latents, latents)


def test_damaged_networks_in_the_header_are_refused() -> None:
    kept, _ = share_networks(_with_prior(3)[0], GEOMETRY)
    assert read_shared(b"", 3) is None
    assert kept[0] == SHAPE.depths
    for damaged, message in (
        (b"\x00" + kept[1:], "depths"),
        (b"\x11" + kept[1:], "depths"),
        (kept[:1] + b"\x02" + kept[2:], "what networks are expected"),
        (kept[:-1], "entropy-coded|ends|words"),
        (kept[:9] + bytes([kept[9] ^ 1]) + kept[10:], "digest"),
    ):
        with pytest.raises(BitstreamError, match=message):
            read_shared(damaged, 3)
