"""The nodes of a GOP in coding order: a root, anchors, and between two anchors what bisection gives.

A GOP is the closed interval of frames 0..N. Anchors, frames 0 and N among them, divide it into spans. One of them is
the root, which is predicted from nothing. The others follow away from it in time, first those before it and then those
behind it, each predicted from the two anchors that come before it on the way; a root in the middle is near to all. A
node made inside the interval (a, b) is predicted from both of its ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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


@dataclass(frozen=True)
class Anchors:
    """The anchors of a GOP.

    Attributes:
        frames: In order of time: 0 first, and last that of the GOP.
        root: The frame of these that is predicted from nothing.
    """

    frames: tuple[int, ...]
    root: int = 0

    @property
    def ways(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Frames of the anchors from the root to frame 0, and from it to the last, in coding order.

        The second way has the anchor just before the root in front, if there is any: it is a second parent there.
        """
        before = tuple(frame for frame in reversed(self.frames) if frame <= self.root)
        return before, (*before[1:2], *self.frames[len(before) - 1 :])


def evenly(num_frames: int, span: int) -> Anchors:
    """Anchors at most ``span`` frames apart, at distances that are about equal, the root in the middle of them.

    Where two are in the middle it is the earlier one, so that the first frames are soon there.
    """
    last = num_frames - 1
    count = -(-last // span)
    frames = tuple(round(last * number / count) for number in range(count + 1)) if count else (0,)
    return Anchors(frames, frames[count // 2])


def waves(anchors: Anchors) -> Iterator[tuple[Node, ...]]:
    """All nodes of a GOP in coding order, wave by wave: the root, then anchor after anchor.

    When frame 0 is there, what lies between anchors begins to come, too, span by span in order of time: with an anchor
    the middle of one span, the next level of the span before that one, and so on. So a decoder soon shows the first
    frames, and goes on as time does; and waves are long, so that threads find work in the next one while a node of this
    one is waited for.
    """
    yield (Node(anchors.root, 0, ()),)
    ways = ((way, number) for way in anchors.ways for number in range(way.index(anchors.root) + 1, len(way)))
    following = (Node(way[number], 1, tuple(reversed(way[max(number - 2, 0) : number]))) for way, number in ways)
    spans = [tuple(_between(*ends)) for ends in itertools.pairwise(anchors.frames)]
    alone, deepest = max(anchors.frames.index(anchors.root), 1), max(map(len, spans), default=0)
    for number in range(1, alone + len(spans) + deepest):
        begun = [(number - alone - 1 - level, level) for level in range(deepest)]
        inner = (spans[span][level] for span, level in begun if 0 <= span < len(spans) and level < len(spans[span]))
        if wave := (*itertools.islice(following, 1), *itertools.chain.from_iterable(inner)):
            yield wave


def _between(begin: int, end: int) -> Iterator[tuple[Node, ...]]:
    """The nodes between two anchors, depth by depth.

    Nodes of a wave have their parents in waves before and can be worked on side by side.
    """
    intervals, depth = [(begin, end)], 2
    while middles := [(a, (a + b) // 2, b) for a, b in intervals if b - a > 1]:
        yield tuple(Node(middle, depth, (a, b)) for a, middle, b in middles)
        intervals = [pair for a, middle, b in middles for pair in ((a, middle), (middle, b))]
        depth += 1
