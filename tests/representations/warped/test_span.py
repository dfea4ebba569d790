from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nerv_codec.representations.warped.planes import Planes
from nerv_codec.representations.warped.span import chosen, cost_of, first_frames, moves_fast
from nerv_codec.representations.warped.tree import Node, waves


@pytest.mark.parametrize(
    ("costs", "shortest", "frames", "expected"),
    [
        ({8: 5.0, 4: 5.2}, 1, 33, 8),
        ({8: 5.0, 4: 4.995}, 1, 33, 8),
        ({8: 5.0, 4: 4.9, 2: 4.95}, 1, 33, 4),
        ({8: 5.0, 4: 4.9, 2: 4.8, 1: 4.7}, 1, 33, 1),
        ({8: 5.0, 4: 4.9, 2: 4.8}, 2, 33, 2),
        ({}, 8, 33, 8),
        ({8: 5.0, 4: 4.9}, 1, 4, 8),
    ],
)
def test_the_span_is_halved_as_long_as_it_pays(costs, shortest, frames, expected):
    assert chosen(8, shortest, frames, costs.__getitem__) == expected


@pytest.mark.parametrize("frames", [3, 9, 20, 33])
@pytest.mark.parametrize("span", [8, 4, 2, 1])
def test_a_trial_ends_where_the_longest_span_has_its_first_anchor_or_behind(frames, span):
    count = first_frames(frames, span, 8)
    nodes = [node for wave in waves(frames, span) for node in wave]
    assert sorted(node.frame for node in nodes[:count]) == list(range(count))
    assert nodes[:count][-1].frame >= 0 and first_frames(frames, 8, 8) <= count < first_frames(frames, 8, 8) + span


def coded(frame, words, error, parents=(0,), vector=(0, 0)):
    planes = Planes.rounded(torch.full((1, 6, 8, 8), 0.5 + error))
    field = SimpleNamespace(vectors=np.tile(np.array(vector, np.int32), (2, 2, 2, 1)))
    return SimpleNamespace(
        node=Node(frame, 1 if parents else 0, parents),
        words=words,
        planes=planes,
        decision=SimpleNamespace(field=field),
    )


def test_fewer_bits_or_less_error_cost_less():
    canvases = [torch.full((1, 6, 8, 8), 0.5)] * 5

    def cost(words, error):
        return cost_of([coded(0, 100, 0.1, ()), coded(1, words, error), coded(2, words, error)], canvases)

    assert cost(90, 0.02) < cost(100, 0.02) < cost(100, 0.03)
    assert cost(100, 0.02) == pytest.approx(cost(100, 0.02 * 10 ** (1 / 20)) - 0.184, abs=0.005)  # a dB


def test_fast_is_a_sample_a_frame():
    assert moves_fast(coded(8, 1, 0.0, vector=(0, 32))) and moves_fast(coded(4, 1, 0.0, vector=(-20, 8)))
    assert not moves_fast(coded(8, 1, 0.0, vector=(0, 28)))
