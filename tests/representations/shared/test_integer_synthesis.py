import numpy as np
import pytest
import torch
from torch import nn

from nerv_codec.base.errors import BitstreamError
from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.band_coder import grid_shapes
from nerv_codec.representations.shared.integer_convolution import (
    LARGEST_WEIGHT,
    Convolution,
    Range,
    blank,
    inside,
)
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction, six_planes
from nerv_codec.representations.shared.integer_synthesis import (
    FEATURE_BITS,
    LARGEST_FEATURE,
    LARGEST_INPUT,
    IntegerSynthesis,
    power,
)
from nerv_codec.representations.shared.integer_transform import GRAY_SAMPLE, SAMPLE_SCALE, dequantised, inverse
from nerv_codec.representations.shared.layout import DESIGNS, LEVELS
from nerv_codec.representations.shared.networks import SharedNetworks
from nerv_codec.representations.shared.quality import NUM_LAMBDAS, conditions, mixed
from nerv_codec.representations.shared.synthesis import Synthesis

ROWS, COLS = 32, 48


@pytest.fixture(scope="module", params=DESIGNS, ids=lambda design: design.name)
def model(request) -> Synthesis:
    """One whose every weight matters."""
    torch.manual_seed(3)
    model = SharedNetworks(request.param).synthesis
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            wide = 0.002 if name.startswith("out") else 0.02
            parameter.add_(torch.randn_like(parameter) * wide)
    return model


@pytest.fixture(scope="module")
def synthesis(model) -> IntegerSynthesis:
    return IntegerSynthesis.from_arrays(IntegerSynthesis.quantised(model).arrays(), model.design)


def prediction(parents: int) -> IntegerPrediction:
    if not parents:
        return IntegerPrediction.none(ROWS, COLS)
    rng = np.random.default_rng(parents)
    shapes = ((ROWS, COLS), (ROWS // 2, COLS // 2), (ROWS // 2, COLS // 2))
    planes = tuple(rng.integers(1500, 2500, shape).astype(np.int16) for shape in shapes)
    doubt = tuple(rng.integers(-100, 101, shape).astype(np.int16) * (parents - 1) for shape in shapes)
    return IntegerPrediction.of(planes, doubt, parents)


def latents(spread: float) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        level: np.clip(np.rint(rng.laplace(0, spread, shape)), -32767, 32767).astype(np.int32)
        for level, shape in grid_shapes(ROWS, COLS).items()
    }


def convolve(layer: Convolution, x: np.ndarray) -> np.ndarray:
    """int64 (in, rows, cols) to (out, rows, cols), as the docstring of Convolution says it."""
    size = layer.weight.shape[-1]
    around = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2))
    rows, cols = x.shape[1:]
    sums = np.zeros((len(layer.weight), rows, cols), np.int64)
    for i in range(size):
        for j in range(size):
            window = around[:, i : i + rows, j : j + cols]
            sums += np.einsum("oi,irc->orc", layer.weight[..., i, j].astype(np.int64), window)
    shift = layer.shift.astype(np.int64)[:, None, None]
    return (sums + layer.bias[:, None, None] + (1 << (shift - 1))) >> shift


def shuffle(x: np.ndarray) -> np.ndarray:
    channels, rows, cols = x.shape
    return x.reshape(channels // 4, 2, 2, rows, cols).transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * rows, -1)


def unshuffle(x: np.ndarray) -> list[np.ndarray]:
    return [x[i::2, j::2] for i in range(2) for j in range(2)]


def cut(x: np.ndarray, low: int = -LARGEST_FEATURE) -> np.ndarray:
    return np.clip(x, low, LARGEST_FEATURE)


def seen(values: np.ndarray, bits: int) -> np.ndarray:
    return np.clip((values.astype(np.int64) + (1 << bits - 1)) >> bits, -LARGEST_INPUT, LARGEST_INPUT)


def reference(synthesis: IntegerSynthesis, integers, known: IntegerPrediction, index: int) -> list[np.ndarray]:
    """The whole of the synthesis in int64."""
    features, grids = None, {}
    input_bits = {16: 5, 8: 4, 4: 4, 2: 4}
    for level in LEVELS:
        steps = [power(int(e)) for e in mixed(synthesis.gains[level], index, known.parents)]
        grids[level] = dequantised(integers[level], np.array(steps, np.int32))
        shown = [grids[level], known.subbands[level], known.doubt_subbands[level]]
        predicted = synthesis.design.predicted
        inputs = list(seen(np.concatenate(shown if predicted else shown[:1]), input_bits[level]))
        if level == LEVELS[-1]:
            restored = [
                plane + 16 * (expected.astype(np.int64) - GRAY_SAMPLE)
                for plane, expected in zip(inverse(grids), known.planes, strict=True)
            ]
            inputs += [*unshuffle(seen(restored[0], 4)), *(seen(plane, 4) for plane in restored[1:])]
            if predicted:
                inputs += [*unshuffle(known.doubt[0].astype(np.int64)), *known.doubt[1:]]
        stage = synthesis.stages[level]
        x = convolve(stage.merge, np.stack(inputs).astype(np.int64))
        if features is not None:
            x = x + shuffle(cut(convolve(stage.above, features)))
        scale, shift = np.split(mixed(stage.modulation, index, known.parents), 2)
        moved = cut(x) * (scale + 1024)[:, None, None] + (shift << FEATURE_BITS[level])[:, None, None]
        x = cut((moved + 512) >> 10)
        for first, second in stage.blocks:
            x = cut(convolve(second, cut(convolve(first, x), 0)) + x)
        features = x
    residual = convolve(synthesis.out, features)
    residuals = [shuffle(residual[:4])[0], residual[4], residual[5]]
    return [
        np.clip(((plane + more + 8) >> 4) + GRAY_SAMPLE, 0, 4095)
        for plane, more in zip(restored, residuals, strict=True)
    ]


@pytest.mark.parametrize("parents", [0, 1, 2])
@pytest.mark.parametrize("spread, index", [(0.5, 0), (2.0, 33), (1.0, 80), (9e3, 60)])
def test_the_same_samples_in_every_way(synthesis, parents, spread, index):
    integers, known = latents(spread), prediction(parents)
    expected = reference(synthesis, integers, known, index)
    found = synthesis(integers, known, index)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_the_residual_only_where_it_is_wanted(synthesis, share):
    integers, known = latents(2.0), prediction(2)
    wanted = np.random.default_rng(5).random((ROWS // 2, COLS // 2)) < share
    found = synthesis(integers, known, 33, wanted)
    plain, mended = synthesis.unmended(integers, known, 33), synthesis(integers, known, 33)
    for got, one, two, side in zip(found, plain, mended, (2, 1, 1), strict=True):
        where = wanted.repeat(side, 0).repeat(side, 1)
        assert np.array_equal(got, np.where(where, two, one))


@pytest.mark.parametrize("parents", [0, 1, 2])
@pytest.mark.parametrize("index", [0, 20, 40])  # random features outgrow their range where steps are large
def test_the_float_synthesis_is_near(model, synthesis, parents, index):
    integers, known = latents(0.5), prediction(parents)
    tensors = {level: torch.from_numpy(grid)[None].float() for level, grid in integers.items()}
    with torch.no_grad():
        at = conditions(torch.tensor([index]), torch.tensor([parents]))
        expected = model(tensors, known.floating(), at).clamp(0, 4095 / SAMPLE_SCALE)
    error = six_planes(synthesis(integers, known, index)) / SAMPLE_SCALE - expected
    assert 255 * float(error.square().mean().sqrt()) < 0.2


def test_steps_are_those_of_the_float_synthesis(model, synthesis):
    for index in (0, 17, 80):
        for parents in range(3):
            steps = synthesis.told(index, parents).steps
            at = conditions(torch.tensor([index]), torch.tensor([parents]))
            for level in LEVELS:
                expected = model.steps(level, at)[0].detach().double().numpy() * 255 * 65536
                assert np.allclose(steps[level], expected, rtol=3e-4)


def test_powers_of_two():
    assert [power(octave << 16) for octave in (0, 1, 9, 27)] == [1, 2, 512, 1 << 27]
    exponents = np.arange(16 << 16, 17 << 16, 97)
    found = np.array([power(int(exponent)) for exponent in exponents])
    assert np.abs(found / np.exp2(exponents / 65536) - 1).max() < 2e-5


def test_mixed_is_what_networks_are_told():
    rng = np.random.default_rng(0)
    values = rng.integers(-30000, 30000, (5, 7)).astype(np.int32)
    for index in range(0, NUM_LAMBDAS, 8):
        for parents in range(3):
            at = conditions(torch.tensor([index]), torch.tensor([parents]))[0].double().numpy()
            assert np.abs(mixed(values, index, parents) - at @ values).max() <= 0.5


def test_floating_and_back(synthesis):
    again = IntegerSynthesis.quantised(synthesis.floating())
    for index, parents in ((0, 0), (55, 2)):
        integers, known = latents(2.0), prediction(parents)
        pairs = zip(again(integers, known, index), synthesis(integers, known, index), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_rows_take_the_finest_step_that_is_allowed():
    layer = nn.Conv2d(2, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.25], [8.0, 16.0]])[..., None, None])
        layer.bias.copy_(torch.tensor([0.25, -1.0]))
    given = Range(4095)
    made = Convolution.quantised(layer, 1.0, 1.0, given)
    assert made.shift.tolist() == [12, 7]  # 3640 is the largest weight
    made.check_exact("it", given)
    for damaged in (
        Convolution(2 * made.weight, made.shift, made.bias),
        Convolution(made.weight, made.shift * 0, made.bias),
        Convolution(made.weight, made.shift + np.int8(9), made.bias),
        Convolution(made.weight, made.shift, made.bias + (1 << 28)),
    ):
        with pytest.raises(BitstreamError, match="too large"):
            damaged.check_exact("it", given)


@pytest.mark.parametrize("name, match", [("gains", "out of range"), ("modulation", "modulation")])
def test_conditions_out_of_range_are_refused(synthesis, name, match):
    arrays = synthesis.arrays()
    arrays[f"synthesis.8.{name}"] = arrays[f"synthesis.8.{name}"] + np.int32(1 << 22)
    with pytest.raises(BitstreamError, match=match):
        IntegerSynthesis.from_arrays(arrays, synthesis.design)


def features(x: np.ndarray) -> np.ndarray:
    """(channels, rows, cols) as convolutions take it."""
    found = blank(x.shape[1:], len(x))
    inside(found)[:] = x
    return found


@pytest.mark.parametrize("rows, cols", [(1, 1), (5, 7), (4, 40)])
@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("count", [6, 24, 48])
def test_convolutions_are_their_plain_form(rows, cols, share, count):
    """Weights as large as loaders let through, inputs as large as features are."""
    rng = np.random.default_rng(rows)
    weight = rng.integers(-11, 12, (count, 24, 3, 3)).astype(np.int16)
    weight[0] = 0
    weight[0, 3, 1, 1] = LARGEST_WEIGHT
    weight[1] = 0
    weight[1, 7] = LARGEST_WEIGHT
    weight[2] = rng.choice([-400, 400], weight[2].shape)  # sums near the largest
    layer = Convolution(weight, np.full(count, 5, np.int8), rng.integers(-999, 1000, count).astype(np.int32))
    layer.check_exact("it", Range(LARGEST_FEATURE))
    x = rng.choice([-LARGEST_FEATURE, LARGEST_FEATURE, 5], (24, rows, cols)).astype(np.int64)
    wanted, expected = rng.random((rows, cols)) < share, convolve(layer, x)
    assert np.array_equal(inside(layer.residual(features(x), wanted))[:count, wanted], expected[:, wanted])
    cut_off = layer(features(x), wanted, (0, LARGEST_FEATURE))
    assert np.array_equal(inside(cut_off)[:count, wanted], cut(expected, 0)[:, wanted])
    if count == 24:
        added = layer(features(x), wanted, (-LARGEST_FEATURE, LARGEST_FEATURE), into=features(x[::-1]))
        assert np.array_equal(inside(added)[:, wanted], cut(expected + x[::-1])[:, wanted])
        outside = added.copy()
        inside(outside)[:] = 0
        assert not outside.any()


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_on_threads_give_the_same(synthesis, threads):
    integers, known = latents(2.0), prediction(2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with Workers() as workers:
        found = synthesis(integers, known, 33, workers=workers)
    torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(found, synthesis(integers, known, 33), strict=True))
