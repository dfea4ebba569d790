"""The node tree and the chains through it."""

import pytest

from nerv_codec.model.gop_tree import GopTree


@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 9, 33, 40])
def test_every_frame_is_a_node_and_parents_come_first(num_frames: int) -> None:
    tree = GopTree(num_frames)
    assert sorted(node.frame for node in tree.nodes) == list(range(num_frames))
    for index, node in enumerate(tree.nodes):
        assert all(parent < index for parent in node.parents)
        assert tree.order[node.frame] == index
    assert [node.frame for node in tree.nodes[:2]] == [0, num_frames - 1][:num_frames]


@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 9, 33, 40])
def test_a_chain_reads_every_node_whose_hat_is_not_zero_once(num_frames: int) -> None:
    tree = GopTree(num_frames)
    for quarter in range(4 * (num_frames - 1) + 1):
        t = quarter / 4
        chain = tree.chain(t)
        nodes = [sample.node for sample in chain]
        assert len(set(nodes)) == len(nodes)
        assert {node for node in range(num_frames) if tree.hat(node, t) > 0} <= set(nodes)
        assert all(sample.source < index for index, sample in enumerate(chain))
        assert sum(sample.weight for sample in chain if sample.node == 0) == 1


def test_at_its_own_time_a_node_counts_in_full_and_is_read_where_the_point_is() -> None:
    tree = GopTree(17)
    for frame in range(17):
        first = tree.chain(frame)[0]
        assert (first.node, first.source, first.motion_node, first.weight) == (tree.order[frame], -1, -1, 1.0)


def test_hats_interpolate_linearly_between_nested_nodes() -> None:
    tree = GopTree(9)
    assert [tree.hat(1, t) for t in (0, 2, 8)] == [0, 0.25, 1]
    assert [tree.hat(2, t) for t in (1, 4, 6, 8)] == [0.25, 1, 0.5, 0]


def test_between_frames_the_point_moves_along_the_younger_ends_motion() -> None:
    young, old = GopTree(3).chain(0.25)[:2]
    assert (young.node, young.motion_node, young.scale) == (2, 2, -0.75)
    assert (old.node, old.motion_node, old.scale) == (0, 2, 0.25)
