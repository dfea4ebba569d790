"""The node tree and the chains through it."""

import itertools

import pytest

from nerv_codec.representations.tracked.tree import GopTree


@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 9, 33, 40])
def test_every_frame_is_a_node_and_parents_come_first(num_frames: int) -> None:
    tree = GopTree(num_frames, 8)
    assert sorted(node.frame for node in tree.nodes) == list(range(num_frames))
    for index, node in enumerate(tree.nodes):
        assert all(parent < index for parent in node.parents)
        assert tree.order[node.frame] == index
    assert tree.anchors[0] == 0 and tree.anchors[-1] == num_frames - 1
    assert all(0 < right - left <= 8 for left, right in itertools.pairwise(tree.anchors))


def _masses(tree: GopTree, t: float) -> dict[int, float]:
    """What every node of a chain weighs where no blend is at work."""
    chain = tree.chain(t)
    masses = [sample.mass for sample in chain]
    for k, sample in enumerate(chain):
        for parent, share in zip(sample.parents, (1 - sample.share, sample.share), strict=False):
            masses[parent] += share * masses[k]
    return {sample.node: mass for sample, mass in zip(chain, masses, strict=True)}


@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 9, 33, 40])
@pytest.mark.parametrize("span", [3, 8, 1024])
def test_a_chain_reads_every_node_at_most_once_and_children_first(num_frames: int, span: int) -> None:
    tree = GopTree(num_frames, span)
    for quarter in range(4 * (num_frames - 1) + 1):
        t = quarter / 4
        chain = tree.chain(t)
        nodes = [sample.node for sample in chain]
        assert nodes == sorted(set(nodes), reverse=True)
        for index, sample in enumerate(chain):
            assert sample.source < index
            assert all(parent > index for parent in sample.parents)
            assert len(sample.parents) == len(tree.nodes[sample.node].parents)
        assert _masses(tree, t)[0] == pytest.approx(1)


def test_at_its_own_time_a_node_counts_in_full_and_is_read_where_the_point_is() -> None:
    tree = GopTree(17)
    for frame in range(17):
        first = tree.chain(frame)[0]
        assert (first.node, first.source, first.mover, first.mass) == (tree.order[frame], -1, -1, 1.0)


def test_masses_are_hat_functions_of_nested_nodes() -> None:
    tree = GopTree(9)
    assert [_masses(tree, t).get(1, 0) for t in (0, 2, 8)] == [0, 0.25, 1]
    assert [_masses(tree, t).get(2, 0) for t in (1, 4, 6, 8)] == [0.25, 1, 0.5, 0]
    assert _masses(tree, 2.5)[2] == 0.625


def test_between_frames_the_point_moves_along_the_younger_ends_motion() -> None:
    young, old = GopTree(3).chain(0.25)[:2]
    assert (young.node, young.mover, young.scale, young.mass) == (2, 2, -0.75, 0.25)
    old = GopTree(3).chain(0.25)[2]
    assert (old.node, old.source, old.mover, old.scale, old.mass) == (0, -1, 2, 0.25, 0.75)


def test_the_chain_ends_with_all_anchors_before() -> None:
    chain = GopTree(33, 8).chain(20)
    assert [GopTree(33, 8).nodes[sample.node].frame for sample in chain] == [20, 24, 16, 8, 0]
    assert [sample.source for sample in chain] == [-1, 0, 0, 2, 3]
