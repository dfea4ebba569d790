import numpy as np
import pytest
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.representations.shared.analysing import analysed
from nerv_codec.representations.shared.band_coder import Conditions, encode_latents
from nerv_codec.representations.shared.canvas import parts, to_canvas
from nerv_codec.representations.shared.integer_prediction import IntegerPrediction, six_planes
from nerv_codec.representations.shared.integer_transform import SAMPLE_SCALE
from nerv_codec.representations.shared.layout import bands
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import lambda_value
from nerv_codec.representations.shared.refining import _Moving, refined
from nerv_codec.representations.shared.weights import load_weights

INDEX, SIZE = 24, 96


@pytest.fixture
def one_thread():
    """As in an encode."""
    with Workers():
        yield


def picture(shapes):
    """Rings and steps, with edges that a wavelet does not meet."""
    rows, cols = np.mgrid[:SIZE, :SIZE]
    wave = 110 + 60 * np.sin(((rows - 40) ** 2 + (cols - 50) ** 2) / 160) + 40 * (rows + cols > 100)
    full = np.clip(wave, 0, 255).astype(np.uint8)
    return [full[:: SIZE // rows, :: SIZE // cols] for rows, cols in shapes]


COLOUR, GRAY = [(SIZE, SIZE), (SIZE // 2, SIZE // 2), (SIZE // 2, SIZE // 2)], [(SIZE, SIZE)]


@pytest.mark.parametrize(
    ("shapes", "device"),
    [(COLOUR, "cpu"), (GRAY, "cpu"), pytest.param(COLOUR, "cuda", marks=pytest.mark.needs_cuda)],
)
def test_steps_save_what_they_say_in_real_bytes(shapes, device, one_thread):
    weights, planes = load_weights(), picture(shapes)
    part = parts([plane.shape for plane in planes])[0]
    canvas, told = to_canvas(planes, 8, part), Conditions(INDEX, components=part.components)
    prediction = IntegerPrediction.none(SIZE, SIZE)
    real, start = analysed(canvas, prediction, told, weights)
    latents = refined(canvas, real, start, prediction, told, weights, 20, device=torch.device(device))

    def cost(integers):
        samples = six_planes(weights.alone.synthesis(integers, prediction, INDEX)) / SAMPLE_SCALE
        if part.components == 1:
            samples[:, 4:] = canvas[:, 4:]
        error = float(distortion(canvas, samples))
        return error / lambda_value(INDEX) + 8 * len(encode_latents(integers, weights.alone.context, told)) / SIZE**2

    assert cost(latents) < 0.99 * cost(start)
    if part.components == 1:
        assert not any(grid[band].any() for grid, band in _chroma(latents))


def _chroma(latents):
    return [(grid, k) for level, grid in latents.items() for k, band in enumerate(bands(level)) if band.component]


def test_the_same_latents_again_and_none_moved_without_a_step(one_thread):
    weights, planes = load_weights(), picture([(SIZE, SIZE)] * 3)
    part = parts([(SIZE, SIZE)])[0]
    canvas, told = to_canvas(planes[:1], 8, part), Conditions(INDEX, components=1)
    prediction = IntegerPrediction.none(SIZE, SIZE)
    real, start = analysed(canvas, prediction, told, weights)
    assert refined(canvas, real, start, prediction, told, weights, 0) is start
    first, again = (refined(canvas, real, start, prediction, told, weights, 3) for _ in range(2))
    assert all(np.array_equal(first[level], again[level]) for level in first)
    assert torch.is_grad_enabled()


def test_bands_go_equally_far_and_what_is_steeper_in_them_further():
    grid = torch.zeros(1, 2, 1, 2)
    moving = _Moving(grid)
    slope = torch.tensor([[[[1.0, 7.0]], [[-1e-4, 7e-4]]]])
    for _ in range(3):
        moving.step(slope, 0.5)
    assert torch.allclose(grid, torch.tensor([[[[-1.0, -7.0]], [[1.0, -7.0]]]]) * 1.5 / 5, rtol=1e-4)
    for _ in range(3):  # and nothing is not divided by nothing
        _Moving(grid).step(torch.zeros_like(grid), 0.5)
    assert torch.isfinite(grid).all()
