"""The GPU's kernels of `tracked` against the plain form in torch and the CPU's kernels.

Here they run on a GPU; test_triton_interpreted.py runs this file in Triton's interpreter on the CPU.
"""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
pytestmark = [] if INTERPRETED else [pytest.mark.needs_cuda]

from latent_grids import CLASSES, three_nodes  # noqa: E402

import nerv_codec  # noqa: E402
from nerv_codec.base.video import PlanarFrame, VideoInfo  # noqa: E402
from nerv_codec.encoding.config import EncoderConfig, override  # noqa: E402
from nerv_codec.entropy import rate_cpu as rate_model  # noqa: E402
from nerv_codec.entropy.context_model import RateParameters  # noqa: E402
from nerv_codec.representations.fitting.checkpoint import Checkpoint  # noqa: E402
from nerv_codec.representations.fitting.status import FitStatus  # noqa: E402
from nerv_codec.representations.fitting.task import FitTarget, GopTask  # noqa: E402
from nerv_codec.representations.rendering import View  # noqa: E402
from nerv_codec.representations.tracked.cpu import colour as kernels  # noqa: E402
from nerv_codec.representations.tracked.cpu import planes as plane_kernels  # noqa: E402
from nerv_codec.representations.tracked.fit.targets import Targets  # noqa: E402
from nerv_codec.representations.tracked.function import (  # noqa: E402
    feature_map,
    features,
    knot_tracks,
    motion_grids,
    synthesis,
)
from nerv_codec.representations.tracked.shape import (  # noqa: E402
    CUBIC,
    FEATURES,
    KEPT,
    NETWORK,
    PAD,
    TrackedShape,
)
from nerv_codec.representations.tracked.tree import GopTree  # noqa: E402

SHAPES = [TrackedShape(GopTree(9, 4), 13, 19, 4, 12, 3), TrackedShape(GopTree(4), 7, 34, 3, 8, 1)]
PRECISION = "ieee"


@pytest.fixture(autouse=True)
def seeded_and_in_large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes as long for a small program as for a large one."""
    from nerv_codec.entropy import rate_cuda as triton_rate
    from nerv_codec.representations.tracked.cuda import planes as triton_planes
    from nerv_codec.representations.tracked.cuda import tracks as triton_tracks

    torch.manual_seed(0)
    if INTERPRETED:
        for module in (triton_planes, triton_rate, triton_tracks):
            monkeypatch.setattr(module, "BLOCK", 512)


def _device(values: object, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.as_tensor(values).detach().to(DEVICE, dtype).contiguous()


def _integers(values: object) -> torch.Tensor:
    return _device(np.asarray(values), torch.int32)


def _relative(found: torch.Tensor, expected: torch.Tensor | None) -> float:
    found = found.cpu().double()
    if expected is None:
        return float(found.abs().max())
    return float((found - expected).abs().max() / (1e-12 + expected.abs().max()))


def _share_that_differs(found: torch.Tensor, expected: torch.Tensor) -> float:
    """At the edge of a pixel the slope jumps, and a rounding error decides which side a place is on."""
    return float(((found.cpu() - expected).abs() > 1e-3 * expected.abs().max()).double().mean())


def _padded(planes: torch.Tensor) -> torch.Tensor:
    edges = [(0, 0)] * (planes.ndim - 3) + [(PAD, PAD)] * 2 + [(0, 0)]
    return torch.from_numpy(np.pad(planes.detach().float().numpy(), edges, mode="edge"))


def _random_network(shape: TrackedShape) -> dict[str, torch.Tensor]:
    return {
        name: (torch.randn(size, dtype=torch.float64) * 0.3).requires_grad_(True)
        for name, size in shape.network_shapes().items()
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_planes_and_their_gradient(shape: TrackedShape) -> None:
    from nerv_codec.representations.tracked.render_cuda import make_pyramid

    nodes = [2, 0]
    count, grids = 3, len(shape.grid_scales)
    latents = torch.randn(count, shape.node_latents, dtype=torch.float64, requires_grad=True)
    mix = torch.randn(count, grids, FEATURES, dtype=torch.float64, requires_grad=True)
    starts = [slice(start, start + r * c) for start, (r, c) in zip(shape.grid_offsets, shape.grid_sizes, strict=True)]
    expected = torch.stack(
        [
            feature_map(
                shape,
                [latents[n, part].reshape(size) for part, size in zip(starts, shape.grid_sizes, strict=True)],
                mix[n],
            )
            for n in nodes
        ]
    )
    slope = torch.randn(expected.shape, dtype=torch.float64)
    expected.backward(slope)
    pyramid, pad = make_pyramid(shape), PAD
    planes = torch.zeros(count, shape.height + 2 * pad, shape.width + 2 * pad, FEATURES, device=DEVICE)
    arguments = (_integers(nodes), _device(latents), _device(mix))
    pyramid.build_planes(*arguments, planes, _integers(nodes))
    assert (planes[nodes].cpu() - _padded(expected)).abs().max() < 1e-5
    half = torch.zeros(2, *planes.shape[1:], device=DEVICE, dtype=torch.float16)
    pyramid.build_planes(*arguments, half, _integers([1, 0]))
    assert (half[[1, 0]].float().cpu() - _padded(expected)).abs().max() < 0.01
    gradients = torch.zeros_like(planes)
    gradients[nodes] = _device(_padded(slope))
    # The border of a gradient counts for the edge: take away what the edge has too much.
    gradients[:, :pad] = gradients[:, -pad:] = 0
    gradients[:, :, :pad] = gradients[:, :, -pad:] = 0
    gradients[nodes[0], pad, pad] -= 1
    gradients[nodes[0], 1, 2] = 1
    found = torch.zeros(count, shape.node_latents, device=DEVICE)
    mix_gradient = pyramid.backward(*arguments[:1], gradients, *arguments[1:], found)
    assert _relative(found, latents.grad) < 1e-5
    assert _relative(mix_gradient, mix.grad) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_colour_and_its_gradient(shape: TrackedShape) -> None:
    from nerv_codec.representations.tracked.cuda import colour as triton_tracked
    from nerv_codec.representations.tracked.cuda import tracks as triton_tracks
    from nerv_codec.representations.tracked.render_cuda import Chains

    times = [float(shape.tree.num_frames - 1), 2.0, 1.25]
    used, stride, begin = [0, 2], 2, 1
    count = len(shape.tree.nodes)
    planes = torch.randn(count, shape.height, shape.width, FEATURES, dtype=torch.float64, requires_grad=True)
    # Motion of several pixels also leads beyond the border, and blends beyond their range.
    kept = [torch.randn(count, *size, KEPT, dtype=torch.float64) for size in shape.motion_sizes]
    grids = motion_grids(shape, kept).detach().requires_grad_(True)
    network = _random_network(shape)
    kinds = np.arange(count) % 3
    kinds[0] = CUBIC
    rows = torch.arange(0, shape.height - 1, 1.5, dtype=torch.float64)
    cols = torch.arange(shape.width, dtype=torch.float64)
    codes = torch.randint(0, 255, (len(times), len(rows), len(cols), shape.outputs), dtype=torch.uint8)
    weights = torch.arange(1, shape.outputs + 1, dtype=torch.float64) / 1000
    places = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
    loss, colours, knots = torch.zeros((), dtype=torch.float64), [], []
    for index, t in enumerate(times):
        chain = shape.tree.chain(t)
        knots.append(knot_tracks(shape, grids, chain))
        if knots[-1].requires_grad:
            knots[-1].retain_grad()
        z = features(planes, kinds.tolist(), chain, knots[-1], places)
        colours.append(synthesis(z, network).unflatten(0, (len(rows), len(cols))))
        if index in used:
            error = colours[-1][begin::stride] - codes[index, begin::stride] / 255
            loss = loss + (error**2 * weights).sum()
    loss.backward()

    size = (shape.height, shape.width)
    chains = Chains.at(shape, times, DEVICE)
    chain = (chains.chain, chains.reals, chains.firsts)
    tracks = chains.tracks(_device(grids), shape, _integers(range(len(times))))
    expected_tracks = torch.cat(knots).detach().permute(0, 3, 1, 2)
    assert (tracks.cpu() - expected_tracks).abs().max() < 1e-4
    nodes = chains.chain[:, kernels.NODE].contiguous()
    packed = triton_tracked.pack_network({name: _device(network[name]) for name in NETWORK}, shape.hidden)
    shared = (_device(_padded(planes)), _integers(kinds), nodes, chains.firsts, tracks)
    out = torch.empty(len(times), shape.outputs, len(rows), len(cols), device=DEVICE)
    triton_tracked.evaluate(*shared, _device(rows), _device(cols), packed, shape.hidden, out, PRECISION)
    expected = torch.stack(colours).detach().permute(0, 3, 1, 2)
    assert (out.cpu() - expected).abs().max() < 2e-4

    plane_gradients, d_tracks = torch.zeros_like(shared[0]), torch.zeros_like(tracks)
    slots = triton_tracked.network_size(shape.hidden) + triton_tracked.LANES
    sums = torch.zeros(triton_tracked.SLOTS, slots, device=DEVICE)
    windows = tuple(
        triton_tracked.knot_window(axis, knots)
        for axis, knots in zip((rows[begin::stride], cols), shape.knots, strict=True)
    )
    triton_tracked.fit(
        *shared, _device(rows), begin, stride, _device(cols), packed, shape.hidden, _integers(used),
        codes.to(DEVICE), 255, _device(weights), windows, plane_gradients, d_tracks, sums, PRECISION,
    )  # fmt: skip
    sums = sums.sum(0).cpu()
    assert float(sums[-triton_tracked.LANES :].sum()) == pytest.approx(float(loss.detach()), rel=1e-5)
    found = triton_tracked.unpack_network(sums, {name: shape.network_shapes()[name] for name in NETWORK}, shape.hidden)
    for name in NETWORK:
        assert _relative(found[name], network[name].grad) < 1e-4, name
    folded = plane_gradients.cpu().numpy()
    for gradient in folded:
        plane_kernels.fold_edges(gradient)
    pad = PAD
    assert _relative(torch.from_numpy(folded)[:, pad:-pad, pad:-pad], planes.grad) < 1e-4
    for index, part in enumerate(d_tracks.cpu().split([len(shape.tree.chain(t)) for t in times])):
        if index in used:
            assert _share_that_differs(part, knots[index].grad.permute(0, 3, 1, 2)) < 0.01
    gradients = torch.zeros_like(_device(grids))
    triton_tracks.backward(_device(grids), *chain, _integers(used), size, tracks, d_tracks, gradients)
    assert _share_that_differs(gradients, grids.grad) < 0.03


@pytest.mark.parametrize("wide", [False, True])
def test_knots_far_apart_and_close_together(wide: bool) -> None:
    from nerv_codec.representations.tracked.cuda.colour import knot_window

    assert knot_window(torch.arange(0, 200, 9 if wide else 1), 52) == (64 if wide else 16)


@pytest.mark.parametrize(("hidden", "classwise"), [(1, False), (5, True)])
def test_bits_and_gradients(hidden: int, classwise: bool) -> None:
    from nerv_codec.entropy import rate_cuda as triton_rate

    sizes = ((5, 14), (3, 7), (2, 4))
    rng = np.random.default_rng(hidden)
    table, maps = three_nodes(rng, sizes)
    table.active[4] = 0
    y = rng.laplace(0, 4.0, table.size).astype(np.float32)
    y[table[4].part] = 0
    shapes = ((hidden, 14), (CLASSES if classwise else 1, hidden), (2, hidden), (CLASSES, 2), (2, 14))
    parameters = RateParameters(*(rng.normal(0, 0.3 / size[-1] ** 0.5, size).astype(np.float32) for size in shapes))
    y[::11] *= 20
    expected = rate_model.rate_forward_backward(y, table, maps, parameters)
    gradient = torch.ones(len(y), device=DEVICE)
    bits, found = triton_rate.rate(
        _device(y),
        triton_rate.make_blocks(table, DEVICE),
        _integers(table.array),
        _integers(maps),
        parameters,
        2.0,
        gradient,
    )
    assert bits == pytest.approx(expected.bits.sum(), rel=1e-4)
    for one, other in zip((gradient.cpu().numpy() - 1, *found), (expected.latents, *expected.parameters), strict=True):
        close = np.abs(one - 2 * other) < 2e-4 * np.abs(2 * other).max() + 1e-3 * np.abs(other)
        assert close.mean() > 0.995


def test_soft_rounding_and_adam() -> None:
    from nerv_codec.representations.tracked.cpu import quantise as proxy
    from nerv_codec.representations.tracked.cuda import quantise as triton_proxy

    rng = np.random.default_rng(0)
    values, gradients, first = (rng.normal(0, 2, 3000).astype(np.float32) for _ in range(3))
    second = first**2
    spans = np.array([[10, 1500], [1600, 2999]])
    out, slopes = np.zeros_like(values), np.ones_like(values)
    tensors = [_device(array.copy()) for array in (values, gradients, slopes, first, second)]
    blocks, found = triton_proxy.make_blocks(spans, DEVICE), _device(out.copy())
    seed = 0xDEADBEEF
    proxy.soft_round(values, spans, np.float32(0.3), np.float32(0.2), np.uint32(seed), out, slopes)
    triton_proxy.soft_round(tensors[0], blocks, 0.3, 0.2, seed, found, tensors[2])
    assert np.abs(found.cpu().numpy() - out).max() < 1e-3
    assert np.abs(tensors[2].cpu().numpy() - slopes).max() < 1e-3 * slopes.max()
    reals = [np.float32(v) for v in (0.01, 0.9, 0.99, 1 - 0.9**7, 1 - 0.99**7, 0.001)]
    proxy.adam(values, gradients, slopes, first, second, spans, *reals)
    triton_proxy.adam(tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], blocks, 0.01, (0.9, 0.99), 7, 0.001)
    for tensor, array in zip((tensors[0], tensors[3], tensors[4]), (values, first, second), strict=True):
        assert np.abs(tensor.cpu().numpy() - array).max() < 1e-3


def _video(shape: TrackedShape, dtype: type) -> list[Targets]:
    """Targets as those of 4:2:0: the last two outputs have half the rows and columns."""
    rng = np.random.default_rng(4)
    height, width, outputs = shape.height, shape.width, shape.outputs
    weights = np.array([0.75, 0.125, 0.125], np.float32)[:outputs]
    groups = []
    for step, chosen in ((1, [True, False, False]), (2, [False, True, True])):
        rows, cols = (np.arange(0, size, step, dtype=np.float32) for size in (height, width))
        codes = rng.integers(0, 200, (shape.tree.num_frames, len(rows), len(cols), outputs)).astype(dtype)
        groups.append(Targets(rows, cols, codes, weights * np.array(chosen[:outputs])))
    return groups if outputs > 1 else groups[:1]


@pytest.mark.parametrize(("frames", "stride", "dtype"), [(None, 1, np.uint8), ((0, 3), 2, np.uint16)])
def test_a_pass_says_what_the_cpu_says(frames: tuple[int, ...] | None, stride: int, dtype: type) -> None:
    from nerv_codec.base.threads import Workers
    from nerv_codec.representations.tracked.fit.backend_cpu import CpuBackend
    from nerv_codec.representations.tracked.fit.backend_cuda import CudaBackend
    from nerv_codec.representations.tracked.fit.vector import QuantisedVector
    from nerv_codec.representations.tracked.grid_tables import latent_table, motion_table

    shape = TrackedShape(GopTree(4), 14, 16, 3, 8, 3)
    rng = np.random.default_rng(0)
    tables = latent_table(shape), motion_table(shape)
    network = {name: tensor.detach().float() for name, tensor in _random_network(shape).items()}
    mix = torch.from_numpy(rng.normal(size=(4, len(shape.grid_scales), FEATURES)).astype(np.float32))

    def vectors() -> list[QuantisedVector]:
        found = []
        for seed, table in enumerate(tables):
            draw = np.random.default_rng(seed)
            vector = QuantisedVector(draw.normal(0, 1.5, table.size), table)
            vector.wake(draw.random(len(table)) < 0.8)
            found.append(vector)
        return found

    results = []
    with Workers() as workers:
        targets = _video(shape, dtype)
        cpu = CpuBackend(shape, targets, 255, workers)
        for backend in (cpu, CudaBackend(shape, targets, 255, DEVICE, PRECISION)):
            latents, motion = (backend.vector(vector) for vector in vectors())
            for vector in (latents, motion):
                vector.soften(0.3, 0.2, 12345678901)
            found = backend.gradient(latents, motion, network, mix, frames=frames, stride=stride, phase=3)
            latents.step(found.latents, 0.01, 1, 1e-6)
            motion.step(found.motion, 0.01, 1, 1e-6)
            motion.show_rounded()
            latents.prune()
            latents.round()
            results.append((found, latents, motion))
    (expected, *states), (found, *others) = results
    assert found.distortion == pytest.approx(expected.distortion, rel=1e-3)
    alive = np.flatnonzero(np.concatenate([np.repeat(grid.active, grid.size) for grid in states[0].table]))

    def close(one: object, other: np.ndarray) -> bool:
        return _relative(torch.as_tensor(one), torch.from_numpy(np.asarray(other, np.float64))) < 2e-3

    assert close(found.latents.cpu()[alive], expected.latents[alive])
    assert close(found.motion, expected.motion)
    assert close(found.mix, expected.mix)
    for name in NETWORK:
        assert close(found.network[name], expected.network[name]), name
    for one, other in zip(others, states, strict=True):
        assert (one.symbols != other.symbols).mean() < 1e-3
        assert np.array_equal(one.table.array, other.table.array)
        saved = one.arrays()
        one.restore(saved)
        assert all(np.array_equal(saved[name], array) for name, array in one.arrays().items())


def test_motion_is_made_by_one_matrix() -> None:
    from nerv_codec.representations.tracked.fit.backend_cuda import Motion
    from nerv_codec.representations.tracked.grid_tables import motion_indices
    from nerv_codec.representations.tracked.shape import MOTION_UNITS

    shape = TrackedShape(GopTree(9, 4), 19, 37, 4, 12, 3)
    indices = [torch.from_numpy(index) for index in motion_indices(shape)]
    symbols = torch.randn(max(int(index.max()) for index in indices), requires_grad=True)
    padded = torch.cat((symbols, torch.zeros(1)))
    expected = motion_grids(shape, [padded[index] * torch.tensor(MOTION_UNITS) for index in indices])
    slope = torch.randn(expected.shape)
    expected.backward(slope)
    motion = Motion(shape, DEVICE)
    assert _relative(motion.forward(_device(symbols)), expected.detach().double()) < 1e-5
    found = motion.backward(_device(slope))[: len(symbols)]
    assert _relative(found, symbols.grad.double()) < 1e-5


def test_a_decoder_shows_what_the_cpu_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    from nerv_codec.representations.coordinates import GopGeometry
    from nerv_codec.representations.tracked import render_cuda as tracked_cuda
    from nerv_codec.representations.tracked.render_cpu import Tracked

    shape = TrackedShape(GopTree(6, 2), 14, 30, 3, 8, 3)
    rng = np.random.default_rng(3)
    latents = rng.integers(-3, 4, (6, shape.node_latents)).astype(np.int32)
    latents[2] = 0
    motion = [rng.integers(-3, 4, (6, *size, KEPT)).astype(np.int32) for size in shape.motion_sizes]
    network = {name: tensor.detach().float() for name, tensor in _random_network(shape).items()}
    geometry = GopGeometry(6, shape.height, shape.width, 3)
    cpu = Tracked(geometry, shape, latents, motion, network)
    monkeypatch.setattr(tracked_cuda, "MAP_BYTES", 0)
    gpu = tracked_cuda.TrackedCuda(geometry, shape, latents, cpu.motion_grids, network, DEVICE)
    times = torch.tensor([0.0, 4.5, 1.0], dtype=torch.float64)
    rows, cols = (torch.arange(0, size, 0.75, dtype=torch.float64) for size in (shape.height, shape.width))
    expected = cpu.render(times, rows, cols)
    assert (gpu.render(times, rows, cols).cpu() - expected).abs().max() < 1e-3
    assert gpu.macs_per_sample == cpu.macs_per_sample
    coords = torch.tensor([[4.5, 3.25, 7.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    assert (gpu.sample(coords).cpu() - cpu.sample(coords)).abs().max() < 1e-4


def test_a_whole_fit(monkeypatch: pytest.MonkeyPatch, tiny_frames: list[PlanarFrame], tiny_info: VideoInfo) -> None:
    from nerv_codec.representations.tracked.fit import optimise as tracked_fit
    from nerv_codec.representations.tracked.fit import phases, rounding
    from nerv_codec.representations.tracked.fit.backend_cuda import CudaBackend

    def backend(shape: TrackedShape, targets: list[Targets], peak: int, *_: object) -> CudaBackend:
        return CudaBackend(shape, targets, peak, DEVICE)

    monkeypatch.setattr(tracked_fit, "make_backend", backend)
    monkeypatch.setattr(rounding, "choose_steps", lambda tensors, *_: [-6] * len(tensors))
    for name, value in (("_CONTROL_STEPS", 2), ("_REPORT_STEPS", 1)):
        monkeypatch.setattr(tracked_fit, name, value)
    for name, value in (("_GROWTH", (0.5, 0.5)), ("_HARD_FRACTION", 0.5)):
        monkeypatch.setattr(phases, name, value)
    info = dataclasses.replace(tiny_info, width=16, height=16)
    frames = [
        dataclasses.replace(
            frame, planes=tuple(p[: 16 >> (n > 0), : 16 >> (n > 0)] for n, p in enumerate(frame.planes))
        )
        for frame in tiny_frames[:2]
    ]
    config = override(EncoderConfig(), {"model": "tracked", "tracked": {"scales": 1, "steps": 2}})
    told: list[FitStatus] = []
    task = GopTask(tuple(frames), info, target=FitTarget(psnr_db=30.0))
    fitted = tracked_fit.fit_tracked(config.tracked, task, told.append, Checkpoint())
    assert 8 * len(fitted.payload) == pytest.approx(fitted.estimated_bits, rel=0.05)
    assert len(told) == 3
    assert all(np.isfinite(status.psnr_db) and status.estimated_bits >= 0 for status in told)
    assert fitted.float_function.geometry.num_frames == 2


@pytest.mark.skipif(INTERPRETED, reason="a video is too long for the interpreter")
def test_files_are_the_same_on_either_device(tmp_path: Path, tiny_clip: Path, tiny_frames: list[PlanarFrame]) -> None:
    config = override(EncoderConfig(), {"model": "tracked", "gop": 8, "tracked": {"scales": 4, "steps": 40}})
    for made in ("cpu", "cuda"):
        nerv_codec.encode(tiny_clip, tmp_path / "a.nvc", config=config, device=made, audio=False)
        with (
            nerv_codec.VideoDecoder(tmp_path / "a.nvc", device="cpu") as cpu,
            nerv_codec.VideoDecoder(tmp_path / "a.nvc", device="cuda") as cuda,
        ):
            view = View.whole(cpu.metadata.height, cpu.metadata.width)
            assert cpu.loader.unpack(0)[1:] == cuda.loader.unpack(0)[1:]
            for index in range(len(cpu)):
                one, other = (video.render(Fraction(index), view).planes for video in (cpu, cuda))
                for a, b in zip(one, other, strict=True):
                    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
