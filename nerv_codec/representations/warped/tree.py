"""The nodes of a GOP in coding order: a root, anchors, and between two anchors what bisection gives.

A GOP is the closed interval of frames 0..N. Anchors divide it into spans; each is predicted from the two before it, the
first one from frame 0 alone, and frame 0, the root, from nothing. A node made inside the interval (a, b) is predicted
from both of its ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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


def evenly(num_frames: int, span: int) -> tuple[int, ...]:
    """Anchors at most ``span`` frames apart, the root among them, at distances that are about equal."""
    last = num_frames - 1
    count = -(-last // span)
    return tuple(round(last * number / count) for number in range(count + 1)) if count else (0,)


def waves(anchors: Sequence[int]) -> Iterator[tuple[Node, ...]]:
    """All nodes of a GOP in coding order, wave by wave: the root, then anchor after anchor.

    With an anchor come the middle of the span before it, the next level of the span before that one, and so on. So
    waves are long, and threads find work in the next one while a node of this one is waited for; what is between two
    anchors still comes soon after them, so that a decoder can show frames as it goes on.

    Args:
        anchors: Their frames in order of time: 0 first, and last that of the GOP.
    """
    begun = list[Iterator[tuple[Node, ...]]]()
    wave: tuple[Node, ...] = (Node(0, 0, ()),)
    for count in itertools.count(2):
        if not wave:
            return
        yield wave
        if count <= len(anchors):
            begun.insert(0, waves_to(anchors[:count]))
        wave = tuple(node for span in begun for node in next(span, ()))


def waves_to(anchors: Sequence[int]) -> Iterator[tuple[Node, ...]]:
    """The last of these anchors, then the nodes between it and the one before, depth by depth.

    Nodes of a wave have their parents in waves before and can be worked on side by side.
    """
    *_, left, right = anchors
    yield (Node(right, 1, tuple(anchors[-2:-4:-1])),)
    intervals, depth = [(left, right)], 2
    while middles := [(a, (a + b) // 2, b) for a, b in intervals if b - a > 1]:
        yield tuple(Node(middle, depth, (a, b)) for a, middle, b in middles)
        intervals = [pair for a, middle, b in middles for pair in ((a, middle), (middle, b))]
        depth += 1
