import pytest
import torch

from nerv_codec.representations.shared import transform
from nerv_codec.representations.shared.layout import LEVELS, bands


@pytest.mark.parametrize("rows, cols", [(8, 8), (16, 8), (48, 72)])
def test_inverse_restores_the_picture(rows, cols):
    planes = torch.rand(2, 6, rows, cols, generator=torch.Generator().manual_seed(rows))
    subbands = transform.forward(planes)
    assert {level: grid.shape[1] for level, grid in subbands.items()} == {level: len(bands(level)) for level in LEVELS}
    assert torch.allclose(transform.inverse(subbands), planes, atol=2e-6)


def test_a_constant_has_low_pass_only():
    subbands = transform.forward(torch.full((1, 6, 16, 24), 0.5))
    assert torch.allclose(subbands[16][:, :1], torch.tensor(0.5 * 16), atol=1e-4)
    assert torch.allclose(subbands[16][:, 1:3], torch.tensor(0.5 * 8), atol=1e-4)
    assert all(grid[:, 3 if level == 16 else 0 :].abs().max() < 1e-5 for level, grid in subbands.items())


def test_orientations_are_what_they_are_called():
    luma = torch.zeros(1, 1, 32, 32)
    luma[..., ::2] = 1  # stripes: detail across columns
    finest = transform.forward(transform.pack(luma, torch.full((1, 2, 16, 16), 0.5)))[2]
    energy = finest.square().sum((0, 2, 3))
    assert energy[0] > 100 * energy[1] and energy[0] > 100 * energy[2]


def test_pack_and_unpack():
    luma, chroma = torch.rand(1, 1, 8, 12), torch.rand(1, 2, 4, 6)
    again = transform.unpack(transform.pack(luma, chroma))
    assert torch.equal(again[0], luma) and torch.equal(again[1], chroma)
