"""Fitting what decodes to nodes as the encoder codes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerv_codec.representations.shared.band_coder import Conditions, flag_counts, put_latents
from nerv_codec.representations.shared.layout import ALONE, LEVELS, ONE_SIDED
from nerv_codec.representations.shared.quality import conditions
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.shared.weights import arrays_of, from_bytes, load_weights, shipped, to_bytes
from tools.training import checkpoint, coded
from tools.training.train_decoder import CONTEXTS, MOVED, Run, costs


@pytest.fixture
def nodes(tmp_path, tiny_clip):
    """Files of one clip, of which `bear` is trained on and `dusk` judged on."""
    for name in ("bear", "dusk"):
        found = coded.nodes_of(tiny_clip, load_weights(), np.random.default_rng(5))
        for one in found:
            # so small a clip may need no mending and leaves bands empty, and what they teach would be missing
            one["squares"][:] = True
            for level in LEVELS:
                one[str(level)][:, 0, 0] = 1
        coded.keep(tmp_path / f"{name}@0.npz", found)
    return tmp_path


def test_nodes_are_what_the_encoder_coded(nodes):
    """Bits are those of the integer context model, nearly; latents and squares are as they were."""
    found = {sides: coded.read(nodes / "bear@0.npz", sides) for sides in (0, 1, 2)}
    assert all(found.values())
    for sides, one in [(number, one) for number, nodes_of in found.items() for one in nodes_of]:
        assert one.planes.shape == one.prediction.planes.shape and one.mended.shape == one.planes.shape[-2:]
        assert all(torch.equal(grid, grid.round()) for grid in one.latents.values())
        assert one.prediction.parents == sides
        networks, integers = load_weights().of(sides).floating, load_weights().of(sides).context
        bits, wrong = costs(networks, one)
        given = conditions(one.index, one.prediction.parents)
        shown = {level: one.prediction.quantised(level, networks.synthesis.steps(level, given))[0] for level in LEVELS}
        seen = {level: grid.clamp(-127, 127).numpy().astype(np.int8) for level, grid in shown.items()}
        told = Conditions(int(one.index), int(one.prediction.parents), seen)
        latents = {level: grid[0].numpy().astype(np.int32) for level, grid in one.latents.items()}
        out = StreamWriter()
        put_latents(latents, integers, told, flag_counts(), out)
        assert float(bits) * 4 * one.planes[0, 0].numel() == pytest.approx(32 * out.used, rel=0.05, abs=64)
        assert wrong >= 0


def test_grain_is_new_in_every_frame_and_less_in_chroma():
    gray = tuple(np.full(shape, 128, np.uint8) for shape in ((64, 64), (32, 32), (32, 32)))
    one, two = coded.grainy([gray, gray], np.random.default_rng(5))
    assert not np.array_equal(one[0], two[0])
    assert one[0].std() > max(one[1].std(), one[2].std(), 0.5) and abs(one[0].mean() - 128) < 1


@pytest.mark.parametrize(
    ("design", "contexts", "fitted"), [(ONE_SIDED, False, MOVED), (ONE_SIDED, True, CONTEXTS), (ALONE, True, CONTEXTS)]
)
def test_only_what_no_analysis_looks_at_moves_and_a_run_goes_on(nodes, design, contexts, fitted):
    run = Run(design, nodes, nodes / "checkpoint.pt", 5, contexts)
    assert run.known and run.held_out
    before = {name: value.clone() for name, value in run.networks.named_parameters()}
    run.log.append([0, 0.0, *run.judge()])
    run.advance()
    moved = {name for name, value in run.networks.named_parameters() if not torch.equal(before[name], value)}
    assert moved == {name for name in before if fitted.match(name)}
    run.save()
    again = Run(design, nodes, nodes / "checkpoint.pt", 5, contexts)
    assert again.step == 1
    assert all(torch.equal(value, again.networks.state_dict()[n]) for n, value in run.networks.state_dict().items())
    averaged = checkpoint.averaged_networks(nodes / "checkpoint.pt")
    assert from_bytes(to_bytes({**shipped(), **arrays_of(averaged)})).digest
