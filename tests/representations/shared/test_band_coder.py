import numpy as np
import pytest
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.latents import symbol_bits
from nerv_codec.representations.shared.band_coder import (
    decode_latents,
    encode_latents,
    grid_shapes,
    predicted_indices,
)
from nerv_codec.representations.shared.context import ContextModel, low_pass_shift, predicted_low_pass
from nerv_codec.representations.shared.integer_context import IntegerContext
from nerv_codec.representations.shared.layout import LEVELS
from nerv_codec.representations.shared.low_pass import predict_low_pass, restore_low_pass
from nerv_codec.representations.shared.networks import SharedNetworks


@pytest.fixture(scope="module")
def model() -> ContextModel:
    torch.manual_seed(1)
    model = ContextModel()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def context(model) -> IntegerContext:
    return IntegerContext.from_arrays(IntegerContext.quantised(model).arrays())


def latents_of(rows: int, cols: int, spread: float, seed: int = 0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        level: np.rint(rng.laplace(0, spread, shape)).astype(np.int32)
        for level, shape in grid_shapes(rows, cols).items()
    }


def same(a, b) -> bool:
    return all(np.array_equal(a[level], b[level]) for level in LEVELS)


@pytest.mark.parametrize("rows, cols", [(1, 1), (17, 33), (64, 48)])
@pytest.mark.parametrize("spread", [0.2, 2.0, 300.0])
@pytest.mark.parametrize("index", [0, 37, 80])
def test_latents_come_back(context, rows, cols, spread, index):
    latents = latents_of(rows, cols, spread)
    data = encode_latents(latents, index, context)
    assert same(decode_latents(data, rows, cols, index, context), latents)


def test_zeros_are_nearly_free(context):
    latents = latents_of(720, 1280, 0)
    assert len(encode_latents(latents, 40, context)) <= 8


def test_gray_has_no_chroma(context):
    latents = latents_of(32, 32, 2)
    latents[16][1:3], latents[16][6:], latents[8][3:], latents[4][3:] = 0, 0, 0, 0
    data = encode_latents(latents, 40, context, components=1)
    assert same(decode_latents(data, 32, 32, 40, context, components=1), latents)


def test_extreme_latents_come_back_and_larger_ones_are_refused(context):
    latents = latents_of(16, 16, 1)
    latents[2][0, 0, :2] = 32767, -32767
    latents[16][0] = 16383
    assert same(decode_latents(encode_latents(latents, 40, context), 16, 16, 40, context), latents)
    latents[2][0, 0, 0] = 32768
    with pytest.raises(ValueError, match="too large"):
        encode_latents(latents, 40, context)


@pytest.mark.parametrize("spread", [0.3, 3.0, 100.0])
def test_the_compiled_loop_follows_the_reference(context, spread):
    latents = latents_of(48, 80, spread)
    compiled, reference = (list(predicted_indices(latents, 30, context, reference=ref)) for ref in (False, True))
    assert len(compiled) > 20
    for (*_, locations, scales), (*_, locations_too, scales_too) in zip(compiled, reference, strict=True):
        assert np.array_equal(locations, locations_too) and np.array_equal(scales, scales_too)


def test_the_bytes_are_what_the_tables_say(context):
    latents = latents_of(96, 96, 0.7)
    coded = predicted_indices(latents, 40, context)
    bits = sum(symbol_bits(s.ravel(), p.ravel(), q.ravel()).sum() for *_, s, p, q in coded)
    assert 0 <= 8 * (len(encode_latents(latents, 40, context)) - 4) - bits <= 80


def test_integers_cost_what_floats_cost(model, context):
    latents = latents_of(128, 128, 0.7)
    networks = SharedNetworks()
    networks.context = model
    tensors = {level: torch.from_numpy(grid)[None].float() for level, grid in latents.items()}
    with torch.no_grad():
        ideal = sum(float(grid.sum()) for grid in networks.rates(tensors, torch.tensor([40.0])).values())
    assert 8 * len(encode_latents(latents, 40, context)) == pytest.approx(ideal, rel=0.01)


def test_floating_and_back(context):
    again = IntegerContext.quantised(context.floating())
    latents = latents_of(32, 32, 1)
    assert encode_latents(latents, 40, again) == encode_latents(latents, 40, context)


def test_both_forms_of_the_low_pass_prediction_agree():
    values = np.random.default_rng(0).integers(-500, 500, (7, 11)).astype(np.int32)
    out = np.empty_like(values)
    predict_low_pass(values, out)
    expected = predicted_low_pass(torch.from_numpy(values).float())
    assert np.array_equal(values - out, expected.numpy().astype(np.int32))
    restore_low_pass(out)
    assert np.array_equal(out, values)
    shift = low_pass_shift(16, torch.ones(1, 12, 3, 3))
    assert shift[:, :3].sum() == 24 and not shift[:, 3:].any()


@pytest.mark.parametrize("where", [0, 5, 40, 200])
def test_damage_is_noticed(context, where):
    data = bytearray(encode_latents(latents_of(32, 32, 2), 40, context))
    data[where] ^= 0x55
    with pytest.raises(BitstreamError):
        decode_latents(bytes(data), 32, 32, 40, context)


def test_rests_are_noticed(context):
    data = encode_latents(latents_of(32, 32, 2), 40, context)
    for wrong in (data[:-4], data + b"\1\0\0\0", data[:-1], data[:3], b""):
        with pytest.raises(BitstreamError):
            decode_latents(wrong, 32, 32, 40, context)


def test_noise_never_crashes_the_decoder(context):
    rng = np.random.default_rng(0)
    for size in (0, 4, 64, 400):
        with pytest.raises(BitstreamError):
            decode_latents(rng.bytes(4 + size), 40, 40, 40, context)
