from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nerv_codec.base.video import PixelFormat, PlanarFrame
from nerv_codec.encoding.fit_gop import luma_psnr_db
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.sites import distortion_weights, make_sites
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.siren.config import SirenConfig
from nerv_codec.representations.siren.fit import _Sampler, _size, fit_siren
from nerv_codec.representations.siren.network import num_parameters

CPU = torch.device("cpu")


def test_sites_are_the_samples_of_the_frames(tiny_info, tiny_frames):
    frames = tiny_frames[:3]
    sites = make_sites(frames, tiny_info, CPU)
    luma, chroma = sites.groups
    assert (luma.planes, chroma.planes) == ((0,), (1, 2))
    assert (len(luma), len(chroma), sites.pixels) == (3 * 24 * 40, 3 * 12 * 20, 3 * 24 * 40)
    index = torch.tensor([2 * 960 + 5 * 40 + 7, 0])
    coords, values = luma.batch(index, 255)
    assert values[:, 0].tolist() == pytest.approx([frames[2].planes[0][5, 7] / 255, frames[0].planes[0][0, 0] / 255])
    assert coords[0].tolist() == pytest.approx([1, 2 * 5.5 / 24 - 1, 2 * 7.5 / 40 - 1])
    _, values = chroma.batch(torch.tensor([240 + 3 * 20 + 4]), 255)
    assert values[0].tolist() == pytest.approx([plane[3, 4] / 255 for plane in frames[1].planes[1:]])
    expected = [np.mean([frame.planes[p] for frame in frames]) / 255 for p in range(3)]
    assert sites.means().tolist() == pytest.approx(expected, rel=1e-6)


def test_sixteen_bit_sites(tiny_info):
    info = dataclasses.replace(tiny_info, pixel_format=PixelFormat(1, 0, 0, 16))
    plane = np.full((24, 40), 65535, np.uint16)
    sites = make_sites([PlanarFrame((plane,), 0)], info, CPU)
    coords, values = sites.groups[0].batch(torch.tensor([0]), sites.peak)
    assert values.tolist() == [[1.0]] and coords[0, 0] == 0
    assert sites.means().tolist() == [1.0]


def test_distortion_weights(tiny_info):
    assert distortion_weights(tiny_info) == (0.75, 0.125, 0.125)
    rgb = dataclasses.replace(tiny_info, color=dataclasses.replace(tiny_info.color, matrix=0))
    assert sum(distortion_weights(rgb)) == pytest.approx(1)
    assert distortion_weights(dataclasses.replace(tiny_info, pixel_format=PixelFormat(1, 0, 0))) == (1.0,)


@pytest.mark.parametrize("size", [16, 500, 10**6])
def test_sampler_covers_the_gop_and_weighs_the_planes(tiny_info, tiny_frames, size):
    sites = make_sites(tiny_frames[:4], tiny_info, CPU)
    batch = _Sampler(sites, size, torch.Generator().manual_seed(0), CPU).batch()
    assert len(batch.coords) <= size + 2
    assert batch.weights.sum(0).tolist() == pytest.approx([0.75, 0.125, 0.125], rel=1e-4)
    luma, chroma = batch.weights[:, 0] > 0, batch.weights[:, 1] > 0
    assert torch.all(luma ^ chroma)
    if size >= 500:  # stratified along the raster: every frame has its share
        counts = torch.unique(batch.coords[luma, 0], return_counts=True)[1]
        assert len(counts) == 4 and counts.max() - counts.min() <= 2


def test_size_by_target():
    config = SirenConfig(target_bpp=0.5, hidden_layers=3)
    width, layers = _size(config, 33 * 144 * 176, 3)
    budget = 0.5 * 33 * 144 * 176 / 7
    assert layers == 3 and num_parameters(width, 3, 3) <= budget < num_parameters(width + 8, 3, 3)
    assert _size(SirenConfig(width=50), 100, 3)[0] == 50
    assert _size(SirenConfig(target_bpp=64), 1 << 40, 3)[0] == 1024
    assert _size(SirenConfig(target_bpp=1e-9), 100, 3)[0] == 8


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_same_seed_same_bytes(tiny_info, tiny_frames, steps):
    config = SirenConfig(width=16, hidden_layers=1, steps=steps, batch=400)
    told = []
    tasks = [
        GopTask(tuple(tiny_frames[:3]), tiny_info, seed=seed, index=index) for seed, index in ((5, 0), (6, 0), (5, 1))
    ]
    runs = [fit_siren(config, task, told.append, Checkpoint()) for task in tasks]
    assert runs[0].payload != runs[2].payload
    assert runs[1].payload == runs[2].payload
    assert told[-1].step == told[-1].steps == steps
    assert runs[0].estimated_bits == pytest.approx(8 * len(runs[0].payload), rel=0.05)


def test_fitting_lowers_the_error(tiny_info, tiny_frames):
    task = GopTask(tuple(tiny_frames[:3]), tiny_info)
    psnr = []
    for steps in (2, 120):
        config = SirenConfig(width=24, hidden_layers=2, steps=steps, batch=1000)
        fit = fit_siren(config, task, lambda status: None, Checkpoint())
        psnr.append(np.mean(luma_psnr_db(fit.float_function, task.frames, tiny_info)))
    assert psnr[1] > psnr[0] + 6


@pytest.mark.needs_cuda
def test_fits_on_a_gpu(tiny_info, tiny_frames, tiny_config):
    task = GopTask(tuple(tiny_frames[:3]), tiny_info, device=torch.device("cuda"))
    assert fit_siren(tiny_config.siren, task, lambda status: None, Checkpoint()).payload
