"""The nodes of a GOP in coding order: a root, anchors, and between two anchors what bisection gives.

A GOP is the closed interval of frames 0..N. Anchors divide it into spans of about equal length; each is predicted from
the two before it, the first one from frame 0 alone, and frame 0 from nothing. A node made inside the interval (a, b)
is predicted from both of its ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One frame of a GOP.

    Attributes:
        frame: Its number in the GOP.
        depth: 0 for the root, 1 for the other anchors, then one more with every bisection.
        parents: Frames that it is predicted from, all of them earlier in the coding order: of an anchor the nearest
            first, of others the earlier time first.
    """

    frame: int
    depth: int
    parents: tuple[int, ...]

    @property
    def sides(self) -> int:
        """On how many sides in time its parents lie: 1 for all anchors but the root, 2 for nodes between anchors."""
        return len({parent < self.frame for parent in self.parents})


def waves(num_frames: int, span: int) -> tuple[tuple[Node, ...], ...]:
    """All nodes of a GOP whose anchors are at most ``span`` frames apart, in coding order.

    Nodes of a wave have their parents in waves before and can be worked on side by side. After an anchor come the
    nodes between it and the one before, depth by depth, so that a decoder can show frames as it goes on.
    """
    last = num_frames - 1
    count = -(-last // span)
    anchors = [round(last * number / count) for number in range(count + 1)] if count else [0]
    found: list[tuple[Node, ...]] = [(Node(0, 0, ()),)]
    for number, (left, right) in enumerate(itertools.pairwise(anchors)):
        before = anchors[max(0, number - 1) : number]
        found.append((Node(right, 1, (left, *before)),))
        intervals, depth = [(left, right)], 2
        while middles := [(a, (a + b) // 2, b) for a, b in intervals if b - a > 1]:
            found.append(tuple(Node(middle, depth, (a, b)) for a, middle, b in middles))
            intervals = [pair for a, middle, b in middles for pair in ((a, middle), (middle, b))]
            depth += 1
    return tuple(found)
