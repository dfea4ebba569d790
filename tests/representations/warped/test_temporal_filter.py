import numpy as np
import pytest
import torch

from nerv_codec.base.threads import Workers
from nerv_codec.representations.warped import search
from nerv_codec.representations.warped.temporal_filter import filtered

PRICE = 4e-4


def clip(noise, frames=5, pan=2):
    """A texture that moves by whole pixels, with noise in every frame: canvases, and the first's truth."""
    rng = np.random.default_rng(3)
    base = rng.normal(0, 1, (40, 90, 6))
    for _ in range(4):
        base = (base + np.roll(base, 1, 0) + np.roll(base, 1, 1) + np.roll(base, (1, 1), (0, 1))) / 4
    base = np.repeat(np.clip(0.5 + 0.6 * base[..., :1], 0.1, 0.9), 6, 2)
    clean = [base[:32, 4 + pan * k : 68 + pan * k] for k in range(frames)]
    noisy = [frame + rng.normal(0, noise, frame.shape) for frame in clean]
    return [torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)[None] for frame in noisy], clean[0]


def test_noise_goes_where_neighbours_agree():
    canvases, truth = clip(0.015)
    with Workers() as workers:
        found = filtered(canvases, 0, 0.4, PRICE, workers)
    before, after = ((one[0].permute(1, 2, 0).numpy() - truth)[4:-4, 8:-8] for one in (canvases[0], found))
    assert (after**2).mean() < 0.7 * (before**2).mean()


@pytest.mark.parametrize(("noise", "share"), [(0.05, 0.6), (0.3, 0.98)])
def test_noise_beyond_the_price_goes_unless_it_is_worth_its_bits(noise, share):
    """Louder than errors at this price are; so loud that every frame is to show its own."""
    canvases, truth = clip(noise)
    with Workers() as workers:
        found = filtered(canvases, 0, 0.4, PRICE, workers)
    before, after = ((one[0].permute(1, 2, 0).numpy() - truth)[4:-4, 8:-8] for one in (canvases[0], found))
    ratio = (after**2).mean() / (before**2).mean()
    assert ratio < share if noise < 0.1 else ratio > share


def test_noise_goes_in_flickering_light(monkeypatch):
    canvases, truth = clip(0.015)
    canvases[1:] = [gain * frame for gain, frame in zip((0.7, 1.25, 0.75, 1.2), canvases[1:], strict=True)]

    def left():
        with Workers() as workers:
            found = filtered(canvases, 0, 0.4, PRICE, workers)
        error = (found[0].permute(1, 2, 0).numpy() - truth)[4:-4, 8:-8]
        return (error[..., :4] ** 2).mean()

    before = (canvases[0][0].permute(1, 2, 0).numpy() - truth)[4:-4, 8:-8, :4]
    with_it = left()
    monkeypatch.setattr(search, "estimated", lambda source, parents: ())
    assert with_it < 0.75 * (before**2).mean() < 0.9 * left()


def test_what_neighbours_do_not_have_stays():
    canvases, _ = clip(0.0)
    canvases[0] = canvases[0].clone()
    canvases[0][..., 12:20, 28:36] = 0.95
    with Workers() as workers:
        found = filtered(canvases, 0, 0.4, PRICE, workers)
    assert (found - canvases[0])[..., 14:18, 30:34].abs().max() < 0.005


@pytest.mark.parametrize(("frames", "strength"), [(1, 0.4), (5, 0.0)])
def test_nothing_to_do(frames, strength):
    canvases, _ = clip(0.02, frames)
    with Workers() as workers:
        assert torch.equal(filtered(canvases, 0, strength, PRICE, workers), canvases[0])
