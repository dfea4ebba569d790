"""The node tree of a GOP, and the chain of nodes that a moment in time reads.

A GOP is the closed interval of frames 0..N. Bisection makes a node of every frame: 0, then N, then the middle of
(0, N), and so on, level by level. A node made inside the interval (a, b) has the parents a and b; N has the
parent 0. The older nodes are coded first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Node:
    """One frame of a GOP as a place where latents are kept."""

    frame: int
    depth: int
    """0 for frame 0, 1 for frame N, then one more with every bisection."""
    parents: tuple[int, ...]
    """Positions in the coding order of the nodes at the ends of its interval: none, (first,), or (left, right)."""


@dataclass(frozen=True)
class Sample:
    """One plane read on the way of a point through the tree.

    Its position is that of sample ``source`` (-1: the point itself) plus ``scale`` times the motion that
    ``motion_node`` keeps there towards its parent number ``motion_parent``.
    """

    node: int
    source: int
    motion_node: int
    """-1: no motion, the position is the source's."""
    motion_parent: int
    scale: float
    weight: float
    """The node's hat function at the time asked for, 0..1."""


@dataclass(frozen=True)
class GopTree:
    """All nodes of a GOP of ``num_frames`` frames."""

    num_frames: int

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """In coding order: parents before children, frame order within a depth."""
        last = self.num_frames - 1
        nodes = [Node(0, 0, ())]
        if last:
            nodes.append(Node(last, 1, (0,)))
        intervals = [(0, 1)] if last else []
        depth = 2
        while intervals:
            halves = []
            for left, right in intervals:
                middle = (nodes[left].frame + nodes[right].frame) // 2
                if middle == nodes[left].frame:
                    continue
                nodes.append(Node(middle, depth, (left, right)))
                halves += [(left, len(nodes) - 1), (len(nodes) - 1, right)]
            intervals, depth = halves, depth + 1
        return tuple(nodes)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The node of every frame."""
        position = {node.frame: index for index, node in enumerate(self.nodes)}
        return tuple(position[frame] for frame in range(self.num_frames))

    def hat(self, index: int, t: float) -> float:
        """The node's hat function: 1 at its own frame, 0 at its parents' and beyond; frame 0's is 1 everywhere.

        This is the hierarchical basis of piecewise linear functions: frame 0 gives what stays, frame N how
        it changes in the long run, every other node what is missing in the middle of its parents.
        """
        node = self.nodes[index]
        if not node.parents:
            return 1.0
        left = self.nodes[node.parents[0]].frame
        if t <= node.frame:
            return max(0.0, (t - left) / (node.frame - left))
        right = self.nodes[node.parents[1]].frame
        return max(0.0, (right - t) / (right - node.frame))

    def chain(self, t: float) -> tuple[Sample, ...]:
        """What a point at time ``t`` (0..num_frames-1) reads: every node whose hat function is not 0 there.

        The chain climbs from the shortest interval around ``t`` to the whole GOP. At each step the younger
        end gives way to its other parent, at the place where its own motion says that the point was there; the
        older end stays where it was found first.
        """
        places: dict[int, tuple[int, int, int, float]] = {}

        def add(node: int, source: int, motion_node: int, motion_parent: int, scale: float) -> None:
            places[node] = (source, motion_node, motion_parent, scale)

        def index(node: int) -> int:
            return list(places).index(node)

        intervals = self._intervals(t)
        if t == int(t):
            own = self.order[int(t)]
            add(own, -1, -1, 0, 0.0)
            for number, parent in enumerate(self.nodes[own].parents):
                add(parent, 0, own, number, 1.0)
            intervals = intervals[: max(0, self.nodes[own].depth - 2)]
        else:
            self._leaf(t, *intervals.pop(), add)
        for left, right in reversed(intervals):
            for end, other in ((left, right), (right, left)):
                if end not in places:
                    # The younger end of the interval below, made inside this one, leads to the new end.
                    younger = max(node for node in places if set(self.nodes[node].parents) == {end, other})
                    add(end, index(younger), younger, self.nodes[younger].parents.index(end), 1.0)
        return tuple(Sample(node, *place, self.hat(node, t)) for node, place in places.items())

    def _intervals(self, t: float) -> list[tuple[int, int]]:
        """Nested intervals around ``t`` as (left, right) nodes, from the whole GOP to the shortest one."""
        if self.num_frames == 1:
            return [(0, 0)]
        ends = [(0, 1)]
        while True:
            left, right = ends[-1]
            middle = (self.nodes[left].frame + self.nodes[right].frame) // 2
            if middle == self.nodes[left].frame:
                return ends
            node = self.order[middle]
            ends.append((left, node) if t < middle else (node, right))

    def _leaf(self, t: float, left: int, right: int, add: Callable[[int, int, int, int, float], None]) -> None:
        """Both ends of the shortest interval, along the straight motion that its younger end keeps."""
        young, old = max(left, right), min(left, right)
        number = self.nodes[young].parents.index(old)
        length = abs(self.nodes[left].frame - self.nodes[right].frame)
        share = abs(t - self.nodes[young].frame) / length
        add(young, -1, young, number, -share)
        add(old, -1, young, number, 1.0 - share)
