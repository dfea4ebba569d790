"""The order in which nodes are coded."""

from __future__ import annotations

import pytest

from nerv_codec.representations.warped.tree import Anchors, Node, evenly, waves


def coding_order(anchors: Anchors) -> list[Node]:
    return [node for wave in waves(anchors) for node in wave]


@pytest.mark.parametrize("root", [0, -1, None], ids=["first", "last", "middle"])
@pytest.mark.parametrize("span", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 9, 10, 33])
def test_every_frame_once_and_parents_first(num_frames: int, span: int, root: int | None) -> None:
    anchors = evenly(num_frames, span)
    if root is not None:
        anchors = Anchors(anchors.frames, anchors.frames[root])
    nodes = coding_order(anchors)
    assert sorted(node.frame for node in nodes) == list(range(num_frames))
    known: set[int] = set()
    for node in nodes:
        assert set(node.parents) <= known
        if node.depth > 1:
            assert node.parents[0] < node.frame < node.parents[1]
        elif node.parents:
            before = sorted(known & set(anchors.frames), key=lambda frame: abs(frame - node.frame))
            assert list(node.parents) == before[:2] and node.sides == 1
        assert all(abs(parent - node.frame) <= span for parent in node.parents[: 1 if node.depth == 1 else 2])
        known.add(node.frame)
    assert nodes[0] == Node(anchors.root, 0, ()) and all(node.parents for node in nodes[1:])


def test_the_root_is_in_the_middle() -> None:
    assert evenly(1, 8) == Anchors((0,), 0)
    assert evenly(9, 8) == Anchors((0, 8), 0)
    assert evenly(10, 8) == Anchors((0, 4, 9), 4)
    assert evenly(33, 8) == Anchors((0, 8, 16, 24, 32), 16)
    assert evenly(25, 8) == Anchors((0, 8, 16, 24), 8)


@pytest.mark.parametrize("span", [1, 5, 8])
def test_nodes_of_a_wave_do_not_need_each_other(span: int) -> None:
    known: set[int] = set()
    for wave in waves(evenly(30, span)):
        assert all(set(node.parents) <= known for node in wave)
        known |= {node.frame for node in wave}


@pytest.mark.parametrize("span", [1, 5, 8])
def test_neighbours_in_time_are_parent_and_child(span: int) -> None:
    """So there is motion between any two frames that follow each other."""
    nodes = {node.frame: node for node in coding_order(evenly(30, span))}
    for frame in range(29):
        assert frame in nodes[frame + 1].parents or frame + 1 in nodes[frame].parents


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (
            0,
            [
                [0],
                [8],
                [16, 4],
                [24, 12, 2, 6],
                [32, 20, 10, 14, 1, 3, 5, 7],
                [28, 18, 22, 9, 11, 13, 15],
                [26, 30, 17, 19, 21, 23],
                [25, 27, 29, 31],
            ],
        ),
        (
            16,
            [
                [16],
                [8],
                [0],
                [24, 4],
                [32, 12, 2, 6],
                [20, 10, 14, 1, 3, 5, 7],
                [28, 18, 22, 9, 11, 13, 15],
                [26, 30, 17, 19, 21, 23],
                [25, 27, 29, 31],
            ],
        ),
    ],
)
def test_waves_are_long_and_spans_end_soon(root: int, expected: list[list[int]]) -> None:
    """Frame 0 comes soon, and others in order of time; a thread that waits for a node finds others."""
    order = [[node.frame for node in wave] for wave in waves(Anchors((0, 8, 16, 24, 32), root))]
    assert order == expected


def test_anchors_may_lie_anywhere() -> None:
    assert list(waves(Anchors((0, 1, 4, 5)))) == [
        (Node(0, 0, ()),),
        (Node(1, 1, (0,)),),
        (Node(4, 1, (1, 0)),),
        (Node(5, 1, (4, 1)), Node(2, 2, (1, 4))),
        (Node(3, 3, (2, 4)),),
    ]
    assert list(waves(Anchors((0, 1, 4, 5), 4))) == [
        (Node(4, 0, ()),),
        (Node(1, 1, (4,)),),
        (Node(0, 1, (1, 4)),),
        (Node(5, 1, (4, 1)),),
        (Node(2, 2, (1, 4)),),
        (Node(3, 3, (2, 4)),),
    ]
