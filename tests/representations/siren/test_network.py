from __future__ import annotations

import math

import pytest
import torch

from nerv_codec.base.errors import CoordinateRangeError
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.siren.network import (
    CHUNK,
    Siren,
    initial_tensors,
    num_parameters,
    siren_forward,
    tensor_shapes,
)

BOX = GopGeometry(num_frames=5, height=70, width=90, num_planes=3)


def network(width: int = 40, layers: int = 3, box: GopGeometry = BOX, seed: int = 0) -> Siren:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.full((box.num_planes,), 0.5)
    return Siren(box, initial_tensors(width, layers, omega=(10, 30, 30), mean=mean, generator=generator))


def places(count: int, seed: int = 1) -> torch.Tensor:
    unit = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    low, high = torch.tensor(BOX.bounds, dtype=torch.float64).unbind(1)
    return low + unit * (high - low)


@pytest.mark.parametrize("width", [7, 40, 64])
def test_the_value_at_a_point_does_not_depend_on_the_others(width):
    model, coords = network(width), places(2 * CHUNK + 77)
    together = model.sample(coords)
    for index in (0, 1, 76, CHUNK - 1, CHUNK, 2 * CHUNK, 2 * CHUNK + 76):
        assert torch.equal(model.sample(coords[index]), together[index])
    assert torch.equal(model.sample(coords.flip(0)).flip(0), together)
    assert torch.equal(model.sample(coords[1234:]), together[1234:])


def test_the_value_does_not_depend_on_the_number_of_threads():
    model, coords = network(), places(3 * CHUNK)
    before, values = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            values.append(model.sample(coords))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


def test_render_is_sample_on_a_lattice():
    model = network()
    times, rows, cols = (torch.tensor(v, dtype=torch.float64) for v in ([0, 1.25, 4], [-0.5, 3, 69.5], [0.0, 7.75]))
    picture = model.render(times, rows, cols)
    assert picture.shape == (3, 3, 3, 2)
    points = torch.cartesian_prod(times, rows, cols).reshape(3, 3, 2, 3)
    assert torch.equal(picture, model.sample(points).movedim(-1, 1))


def test_it_is_the_function_of_the_specification():
    """docs/format.md, section 5, in double precision."""
    model, coords = network(), places(50)
    low, high = torch.tensor(BOX.bounds, dtype=torch.float64).unbind(1)
    tensors = [tensor.detach().double() for tensor in model.tensors]
    h = 2 * (coords - low) / (high - low) - 1
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        h = torch.sin(h @ weight + bias)
    expected = h @ tensors[-2] + tensors[-1]
    assert torch.allclose(model.sample(coords).double(), expected, atol=2e-5)


@pytest.mark.parametrize("bad", [(4.01, 0, 0), (0, 69.6, 0), (0, 0, -0.51), (0, 0, float("nan"))])
def test_outside_of_the_box_raises(bad):
    with pytest.raises(CoordinateRangeError):
        network().sample(torch.tensor(bad))


def test_shapes_and_sizes():
    model = network(width=8, layers=2)
    shapes = tensor_shapes(8, 2, 3)
    assert shapes == [(3, 8), (8,), (8, 8), (8,), (8, 8), (8,), (8, 3), (3,)]
    assert [tuple(tensor.shape) for tensor in model.tensors] == shapes
    assert num_parameters(8, 2, 3) == sum(tensor.numel() for tensor in model.tensors)
    assert (model.width, model.hidden_layers, model.macs_per_sample) == (8, 2, 24 + 128 + 24)


def test_initialisation_keeps_the_distribution_of_every_layer():
    """Sitzmann et al., section 3.2: inputs of sines have unit deviation, outputs are arcsine distributed."""
    generator = torch.Generator().manual_seed(4)
    tensors = initial_tensors(256, 4, omega=(10, 30, 30), mean=torch.tensor([0.3, 0.5, 0.6]), generator=generator)
    x = 2 * torch.rand(2000, 3, generator=generator) - 1
    for layer, (weight, bias) in enumerate(zip(tensors[:-2:2], tensors[1:-2:2], strict=True)):
        pre = x @ weight
        if layer:
            assert float(pre.std()) == pytest.approx(1, abs=0.1)
        x = torch.sin(pre + bias)
        assert float(x.mean()) == pytest.approx(0, abs=0.08)
        assert float(x.var()) == pytest.approx(0.5, abs=0.03)
    assert tensors[0].abs().amax(1).tolist() == pytest.approx([10 / 3, 10, 10], rel=0.05)
    assert float(tensors[2].abs().max()) == pytest.approx(math.sqrt(6 / 256), rel=0.01)
    assert torch.equal(tensors[-1], torch.tensor([0.3, 0.5, 0.6]))


def test_initialisation_is_the_generators():
    first, again, other = (list(network(seed=seed).tensors) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.needs_cuda
def test_gpu_agrees_within_one_code_value():
    model, coords = network(), places(9000)
    values = model.sample(coords)
    assert (model.cuda().sample(coords) - values).abs().max() < 0.5 / 255


def test_forward_is_the_plain_function():
    model, x = network(), 2 * torch.rand(10, 3) - 1
    assert torch.equal(model(x), siren_forward(list(model.tensors), x))


def test_a_picture_can_be_rendered_in_inference_mode() -> None:
    tensors = initial_tensors(8, 1, omega=(1, 1, 1), mean=torch.zeros(3), generator=torch.Generator())
    model = Siren(GopGeometry(2, 5, 7, 3), tensors)
    axes = torch.zeros(1).double(), torch.arange(5.0).double(), torch.arange(7.0).double()
    with torch.inference_mode():
        inside = model.render(*axes)
    assert torch.equal(inside, model.render(*axes))
