"""The node tree of a GOP, and the chain of nodes that a moment in time reads.

A GOP is the closed interval of frames 0..N. Anchors divide it into spans of about equal length: each anchor has the one
before as its only parent, the first is frame 0, which has none. Bisection makes a node of every frame in between: a
node made inside the interval (a, b) has the parents a and b. The older nodes are coded first.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


@dataclass(frozen=True)
class Node:
    """One frame of a GOP as a place where latents are kept."""

    frame: int
    depth: int
    """0 for frame 0, 1 for the other anchors, then one more with every bisection."""
    parents: tuple[int, ...]
    """Positions in the coding order: none, (the anchor before,), or both ends of its interval (left, right)."""


@dataclass(frozen=True)
class Sample:
    """One plane read on the way of a point through the tree.

    Its place is that of sample ``source`` (-1: the point itself) plus ``scale`` times the motion towards its
    parent number ``number`` that node ``mover`` keeps there.
    """

    node: int
    source: int
    mover: int
    """-1: no motion, the place is the source's. Otherwise the source's node, or the younger end of the leaf."""
    number: int
    scale: float
    mass: float
    """Weight that the time gives to the node: it flows on to the node's parents."""
    share: float = 0.0
    """Part of the mass that flows on which the second parent gets where no blend says otherwise."""
    parents: tuple[int, ...] = ()
    """Samples of the chain that read the node's parents."""


@dataclass(frozen=True)
class GopTree:
    """All nodes of a GOP of ``num_frames`` frames, with anchors at most ``span`` frames apart."""

    num_frames: int
    span: int = 8

    @cached_property
    def anchors(self) -> tuple[int, ...]:
        """Frames of the anchors, 0 and N among them."""
        last = self.num_frames - 1
        count = -(-last // self.span)
        return (0, *(round(last * number / count) for number in range(1, count + 1)))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """In coding order: parents before children, frame order within a depth."""
        nodes = [
            Node(frame, min(number, 1), (number - 1,) if number else ()) for number, frame in enumerate(self.anchors)
        ]
        intervals = [(number, number + 1) for number in range(len(nodes) - 1)]
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

    def pace(self, index: int) -> Fraction:
        """How far an anchor is from the anchor before, as a share of the distance between that one and its own."""
        parent = self.nodes[index].parents[0]
        before = self.nodes[parent].parents[0]
        frame = self.nodes[parent].frame
        return Fraction(self.nodes[index].frame - frame, frame - self.nodes[before].frame)

    def chain(self, t: float) -> tuple[Sample, ...]:
        """What a point at time ``t`` (0..num_frames-1) reads, the youngest node first.

        The chain climbs from the shortest interval around ``t`` to the anchors around it. At each step the younger
        end gives way to its other parent, at the place where its own motion says that the point was there; the
        older end stays where it was found first. From there it goes from anchor to anchor down to frame 0.

        At a frame all mass is its own node's, between two it is shared by time. Each node hands the mass that reached
        it on to its parents, so frame 0 always has mass 1: what stays is kept there, and every other node
        keeps what its parents lack. With shares by time and no blend the masses are hat functions, the hierarchical
        basis of piecewise linear functions of time.
        """
        places: dict[int, tuple[int, int, int, float, float]] = {}
        intervals = self._intervals(t)
        if t == int(t):
            own = self.order[int(t)]
            places[own] = (-1, -1, 0, 0.0, 1.0)
            for number, parent in enumerate(self.nodes[own].parents):
                places[parent] = (own, own, number, 1.0, 0.0)
            intervals = intervals[: max(0, self.nodes[own].depth - 2)]
        else:
            places = self._leaf(t, *intervals.pop())
        for left, right in reversed(intervals):
            for end, other in ((left, right), (right, left)):
                if end not in places:
                    # The younger end of the interval below, made inside this one, leads to the new end.
                    younger = max(node for node in places if set(self.nodes[node].parents) == {end, other})
                    places[end] = (younger, younger, self.nodes[younger].parents.index(end), 1.0, 0.0)
        for anchor in range(min(places), 0, -1):
            places[anchor - 1] = (anchor, anchor, 0, 1.0, 0.0)
        order = sorted(places, reverse=True)
        position = {node: index for index, node in enumerate(order)}
        return tuple(
            Sample(
                node,
                position.get(places[node][0], -1),
                *places[node][1:],
                share=self._share(node),
                parents=tuple(position[parent] for parent in self.nodes[node].parents),
            )
            for node in order
        )

    def _share(self, index: int) -> float:
        """Where between its parents a node stands: 0 at the first, 1 at the second."""
        node = self.nodes[index]
        if len(node.parents) < 2:
            return 0.0
        left, right = (self.nodes[parent].frame for parent in node.parents)
        return (node.frame - left) / (right - left)

    def _intervals(self, t: float) -> list[tuple[int, int]]:
        """Nested intervals around ``t`` as (left, right) nodes, from two anchors to the shortest one."""
        if self.num_frames == 1:
            return [(0, 0)]
        number = min(bisect.bisect_right(self.anchors, t), len(self.anchors) - 1)
        ends = [(number - 1, number)]
        while True:
            left, right = ends[-1]
            middle = (self.nodes[left].frame + self.nodes[right].frame) // 2
            if middle == self.nodes[left].frame:
                return ends
            node = self.order[middle]
            ends.append((left, node) if t < middle else (node, right))

    def _leaf(self, t: float, left: int, right: int) -> dict[int, tuple[int, int, int, float, float]]:
        """Both ends of the shortest interval, along the straight motion that its younger end keeps."""
        young, old = max(left, right), min(left, right)
        number = self.nodes[young].parents.index(old)
        length = abs(self.nodes[left].frame - self.nodes[right].frame)
        way = abs(t - self.nodes[young].frame) / length
        return {young: (-1, young, number, -way, 1.0 - way), old: (-1, young, number, 1.0 - way, way)}
