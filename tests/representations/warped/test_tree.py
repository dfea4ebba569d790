"""The order in which nodes are coded."""

from __future__ import annotations

import pytest

from nerv_codec.representations.warped.tree import Node, evenly, waves


def coding_order(num_frames: int, span: int) -> list[Node]:
    return [node for wave in waves(evenly(num_frames, span)) for node in wave]


@pytest.mark.parametrize("span", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 9, 10, 33])
def test_every_frame_once_and_parents_first(num_frames: int, span: int) -> None:
    nodes = coding_order(num_frames, span)
    assert sorted(node.frame for node in nodes) == list(range(num_frames))
    known: set[int] = set()
    anchors: list[Node] = []
    for node in nodes:
        assert set(node.parents) <= known
        if len(node.parents) == 2 and node.depth > 1:
            assert node.parents[0] < node.frame < node.parents[1]
        elif node.parents:
            assert list(node.parents) == [one.frame for one in anchors[-1:-3:-1]]
        assert all(abs(parent - node.frame) <= span for parent in node.parents[: 1 if node.depth == 1 else 2])
        if node.depth <= 1:
            anchors.append(node)
        known.add(node.frame)
    assert nodes[0].parents == () and all(node.parents for node in nodes[1:])


@pytest.mark.parametrize("span", [1, 5, 8])
def test_nodes_of_a_wave_do_not_need_each_other(span: int) -> None:
    known: set[int] = set()
    for wave in waves(evenly(30, span)):
        assert all(set(node.parents) <= known for node in wave)
        known |= {node.frame for node in wave}


@pytest.mark.parametrize("span", [1, 5, 8])
def test_neighbours_in_time_are_parent_and_child(span: int) -> None:
    """So there is motion between any two frames that follow each other."""
    nodes = {node.frame: node for node in coding_order(30, span)}
    for frame in range(29):
        assert frame in nodes[frame + 1].parents or frame + 1 in nodes[frame].parents


def test_waves_are_long_and_spans_end_soon() -> None:
    """Between two anchors all is there before many others; a thread that waits for a node finds others."""
    order = [[node.frame for node in wave] for wave in waves(evenly(33, 8))]
    assert order == [
        [0],
        [8],
        [16, 4],
        [24, 12, 2, 6],
        [32, 20, 10, 14, 1, 3, 5, 7],
        [28, 18, 22, 9, 11, 13, 15],
        [26, 30, 17, 19, 21, 23],
        [25, 27, 29, 31],
    ]


def test_anchors_may_lie_anywhere() -> None:
    assert list(waves((0, 1, 4, 5))) == [
        (Node(0, 0, ()),),
        (Node(1, 1, (0,)),),
        (Node(4, 1, (1, 0)),),
        (Node(5, 1, (4, 1)), Node(2, 2, (1, 4))),
        (Node(3, 3, (2, 4)),),
    ]
