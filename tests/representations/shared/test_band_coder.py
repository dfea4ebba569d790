import numpy as np
import pytest
import torch

from nerv_codec.base.errors import BitstreamError
from nerv_codec.entropy.laplace import LATENT_ESCAPE, WINDOW, latent_code_lengths
from nerv_codec.representations.shared.band_coder import (
    Conditions,
    decode_latents,
    encode_latents,
    grid_shapes,
    predicted_indices,
)
from nerv_codec.representations.shared.context import ContextModel, low_pass_shift, predicted_low_pass
from nerv_codec.representations.shared.integer_context import IntegerContext
from nerv_codec.representations.shared.integer_network import INPUT_TABLE
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction
from nerv_codec.representations.shared.integer_synthesis import IntegerSynthesis
from nerv_codec.representations.shared.layout import DESIGNS, LEVELS, PRIOR_FEATURES, PRIOR_HIDDEN, bands
from nerv_codec.representations.shared.low_pass import predict_low_pass, restore_low_pass
from nerv_codec.representations.shared.network_kernel import MARGIN
from nerv_codec.representations.shared.networks import SharedNetworks
from nerv_codec.representations.shared.prepared import blank_features, next_features

TOLD = Conditions(40)


@pytest.fixture(scope="module", params=DESIGNS, ids=lambda design: design.name)
def model(request) -> ContextModel:
    torch.manual_seed(1)
    model = ContextModel(request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def context(model) -> IntegerContext:
    return IntegerContext.from_arrays(IntegerContext.quantised(model).arrays(), model.design)


def latents_of(rows: int, cols: int, spread: float, seed: int = 0) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        level: np.rint(rng.laplace(0, spread, shape)).astype(np.int32)
        for level, shape in grid_shapes(rows, cols).items()
    }


def conditions_of(rows: int, cols: int, index: int, parents: int) -> Conditions:
    """With a prediction to look at, if there are parents."""
    rng = np.random.default_rng(parents)
    shapes = grid_shapes(rows, cols)
    sides = {level: rng.integers(-127, 128, (2 * n, *extent)).astype(np.int8) for level, (n, *extent) in shapes.items()}
    return Conditions(index, parents, sides if parents else None)


def same(a, b) -> bool:
    return all(np.array_equal(a[level], b[level]) for level in LEVELS)


@pytest.mark.parametrize("rows, cols", [(1, 1), (17, 33), (64, 48)])
@pytest.mark.parametrize("spread", [0.2, 2.0, 300.0])
@pytest.mark.parametrize("told", [(0, 0), (37, 1), (80, 2)])
def test_latents_come_back(context, rows, cols, spread, told):
    latents = latents_of(rows, cols, spread)
    conditions = conditions_of(rows, cols, *told)
    data = encode_latents(latents, context, conditions)
    assert same(decode_latents(data, rows, cols, context, conditions), latents)


def test_zeros_are_nearly_free(context):
    latents = latents_of(720, 1280, 0)
    assert len(encode_latents(latents, context, TOLD)) <= 8


def test_gray_has_no_chroma(context):
    latents = latents_of(32, 32, 2)
    latents[16][1:3], latents[16][6:], latents[8][3:], latents[4][3:] = 0, 0, 0, 0
    gray = Conditions(40, components=1)
    data = encode_latents(latents, context, gray)
    assert same(decode_latents(data, 32, 32, context, gray), latents)


def test_extreme_latents_come_back_and_larger_ones_are_refused(context):
    latents = latents_of(16, 16, 1)
    latents[2][0, 0, :2] = 32767, -32767
    latents[16][0] = 16383
    assert same(decode_latents(encode_latents(latents, context, TOLD), 16, 16, context, TOLD), latents)
    latents[2][0, 0, 0] = 32768
    with pytest.raises(ValueError, match="too large"):
        encode_latents(latents, context, TOLD)


@pytest.mark.parametrize("parents", [0, 1, 2])
@pytest.mark.parametrize("spread", [0.3, 3.0, 100.0])
def test_the_compiled_loop_follows_the_reference(context, spread, parents):
    latents, told = latents_of(48, 80, spread), conditions_of(48, 80, 30, parents)
    compiled, reference = (list(predicted_indices(latents, context, told, reference=ref)) for ref in (False, True))
    assert len(compiled) > 20
    for (*_, locations, scales), (*_, locations_too, scales_too) in zip(compiled, reference, strict=True):
        assert np.array_equal(locations, locations_too) and np.array_equal(scales, scales_too)


@pytest.mark.parametrize("level", PRIOR_HIDDEN)
def test_features_are_their_plain_form(context, level):
    rng, network, rows, cols = np.random.default_rng(level), context.priors[level], 5, 13
    planes = np.zeros((len(bands(level)), rows + 2 * MARGIN, cols + 2 * MARGIN), np.int8)
    planes[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = np.clip(rng.laplace(0, 2, (len(planes), rows, cols)), -127, 127)
    told = blank_features(rows, cols, PRIOR_FEATURES.get(level, 0))
    told[: rows * cols] = rng.integers(0, 256, (rows * cols, told.shape[1]))
    inputs = []
    for tap in network.taps:
        seen = planes[tap.source, MARGIN + tap.rows :, MARGIN + tap.cols :][:rows, :cols].astype(np.int64).ravel()
        inputs.append(INPUT_TABLE[np.abs(seen)] * (np.sign(seen) if tap.signed else 1))
    inputs += list(told[: rows * cols].T.astype(np.int64))
    sums = network.first.units.astype(np.int64) @ np.stack(inputs) + network.biases()[:, None]
    hidden = np.clip((sums + 256) >> 9, 0, 255)
    out = network.second.units.astype(np.int64) @ hidden + 8 * network.second_bias[0].astype(np.int64)[:, None]
    expected = np.clip((out + 256) >> 9, 0, 255).reshape(-1, 2, 2, rows, cols).transpose(3, 1, 4, 2, 0)
    found = next_features(network, context.prepared[1][level], planes, told)
    assert np.array_equal(found[: 4 * rows * cols], expected.reshape(4 * rows * cols, -1))


def test_the_bytes_are_what_the_tables_say(context):
    latents = latents_of(96, 96, 0.7)
    bits = 0.0
    for *_, symbols, locations, scales in predicted_indices(latents, context, TOLD):
        rounded = (locations + 8) >> 4
        codes = symbols - rounded + WINDOW
        assert ((codes >= 0) & (codes < LATENT_ESCAPE)).all()
        bits += latent_code_lengths()[scales, locations - 16 * rounded + 8, codes].sum()
    assert 0 <= 8 * (len(encode_latents(latents, context, TOLD)) - 4) - bits <= 80


@pytest.mark.parametrize("parents", [0, 1, 2])
def test_integers_cost_what_floats_cost(model, context, parents):
    latents = latents_of(128, 128, 0.7)
    rng = np.random.default_rng(0)
    planes, doubt = (
        tuple(rng.integers(low, high, shape).astype(np.int16) for shape in ((128, 128), (64, 64), (64, 64)))
        for low, high in ((1900, 2200), (-100, 101))
    )
    prediction = IntegerPrediction.of(planes, doubt, parents) if parents else IntegerPrediction.none(128, 128)
    networks = SharedNetworks(model.design)
    networks.context = model
    tensors = {level: torch.from_numpy(grid)[None].float() for level, grid in latents.items()}
    with torch.no_grad():
        rates = networks.rates(tensors, prediction.floating(), torch.tensor([40.0]))
    steps = IntegerSynthesis.quantised(networks.synthesis).told(40, parents).steps
    told = Conditions(40, parents, prediction.sides(steps))
    ideal = sum(float(grid.sum()) for grid in rates.values())
    assert 8 * len(encode_latents(latents, context, told)) == pytest.approx(ideal, rel=0.01)


def test_floating_and_back(context):
    again = IntegerContext.quantised(context.floating())
    latents = latents_of(32, 32, 1)
    assert encode_latents(latents, again, TOLD) == encode_latents(latents, context, TOLD)


def test_both_forms_of_the_low_pass_prediction_agree():
    values = np.random.default_rng(0).integers(-500, 500, (7, 11)).astype(np.int32)
    out = np.empty_like(values)
    predict_low_pass(values, out)
    expected = predicted_low_pass(torch.from_numpy(values).float())
    assert np.array_equal(values - out, expected.numpy().astype(np.int32))
    restore_low_pass(out)
    assert np.array_equal(out, values)
    shift = low_pass_shift(16, torch.ones(2, 12, 3, 3), torch.tensor([0, 1]))
    assert shift[0, :3].sum() == 24 and not shift[0, 3:].any() and not shift[1].any()


@pytest.mark.parametrize("where", [0, 5, 40, 200])
def test_damage_is_noticed(context, where):
    data = bytearray(encode_latents(latents_of(32, 32, 2), context, TOLD))
    data[where] ^= 0x55
    with pytest.raises(BitstreamError):
        decode_latents(bytes(data), 32, 32, context, TOLD)


def test_rests_are_noticed(context):
    data = encode_latents(latents_of(32, 32, 2), context, TOLD)
    for wrong in (data[:-4], data + b"\1\0\0\0", data[:-1], data[:3], b""):
        with pytest.raises(BitstreamError):
            decode_latents(wrong, 32, 32, context, TOLD)


def test_noise_never_crashes_the_decoder(context):
    rng = np.random.default_rng(0)
    for size in (0, 4, 64, 400):
        with pytest.raises(BitstreamError):
            decode_latents(rng.bytes(4 + size), 40, 40, context, TOLD)
