"""How far apart the anchors of a GOP are: span by span, by trial, as encoders choose the length of a mini-GOP.

What moves fast is soon not to be predicted over many frames, while in a calm scene every anchor is a waste. All are
chosen before the GOP is coded, as its prices depend on what follows from what (`inheritance.prices`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.warped.encode import Behind, CodedNode, Effort, PartEncoder
from nerv_codec.representations.warped.tree import Anchors, Node

_GAIN = 0.01
"""By how much two halves must cost less than a span, in the logarithm of bits, as a trial sees it."""
_PROMISE = 0.08
"""And by how much, if these are to be tried as spans of their own."""
_RATE_OF_ERROR = 0.8
"""Bits grow like squared error to the minus this: 18 % a dB, as on clips of the training set."""
_ROUGH = Effort(rough=True)


def choose_anchors(
    encoder: PartEncoder,
    even: Anchors,
    shortest: int,
    stop: Callable[[], bool],
    report: Callable[[int, CodedNode], None] = lambda frame, root: None,
) -> Anchors:
    """The anchors of a GOP.

    Trials go from span to span, in coding order, behind anchors that are coded as roughly as they are.

    Args:
        encoder: Of the part that decides for all of them; its prices are those of a GOP whose spans are long.
        even: Anchors as far from each other as they may be, at distances that are about equal; these are among them.
        shortest: At least, unless the GOP ends. A span is halved down to this as long as a trial without steps says so.
        stop: Asked before each trial.
        report: Told on how many frames anchors are settled, and what became of the root in the trials.

    Raises:
        Interrupted: It was to stop.
    """
    if all(after - before < 2 * max(shortest, 1) for before, after in itertools.pairwise(even.frames)):
        return even
    behind = Behind()
    (root,) = encoder.wave((Node(even.root, 0, ()),), behind, _ROUGH)
    lookahead = _Lookahead(encoder, max(shortest, 1), root, stop)
    settled, nearest = {even.root}, list[int]()
    for ends in even.ways:
        way = [*nearest, even.root]
        for end in ends[ends.index(even.root) + 1 :]:
            found, behind = lookahead.divided(way, end, behind)
            way += found
            settled |= set(found)
            report(max(settled) - min(settled), root)
        nearest = way[1:2]
    return Anchors(tuple(sorted(settled)), even.root)


@dataclasses.dataclass(frozen=True)
class _Lookahead:
    """The trials of a GOP.

    Attributes:
        encoder: See `choose_anchors`.
        shortest: See `choose_anchors`.
        root: As it was coded.
        stop: See `choose_anchors`.
    """

    encoder: PartEncoder
    shortest: int
    root: CodedNode
    stop: Callable[[], bool]

    def divided(self, way: Sequence[int], end: int, behind: Behind) -> tuple[list[int], Behind]:
        """The anchors that follow on a way, see `tree.Anchors`, up to ``end``, and what stands behind them."""
        begin, before = way[-1], tuple(way[:-3:-1])
        left, right = min(begin, end), max(begin, end)
        middle, whole = (left + right) // 2, Node(end, 1, before)
        if middle - left < self.shortest:
            ((_, behind),) = self._tried([(whole,)], behind)
            return [end], behind
        ways = (whole, Node(middle, 2, (left, right))), (Node(middle, 1, before), Node(end, 1, (middle, begin)))
        (one, as_one), (two, halved) = self._tried(ways, behind)
        if one - two <= _GAIN:
            return [end], as_one
        if one - two <= _PROMISE or max(middle - left, right - middle) < 2 * self.shortest:
            return [middle, end], halved
        first, behind = self.divided(way, middle, behind)
        second, behind = self.divided([*way, *first], end, behind)
        return [*first, *second], behind

    def _tried(self, ways: Sequence[Sequence[Node]], behind: Behind) -> list[tuple[float, Behind]]:
        """What each way costs, see :func:`cost_of`, and what stands behind it."""
        if self.stop():
            raise Interrupted("interrupted in a trial")
        for way in ways:
            for node in way:
                self.encoder.target(node)  # for all ways, and here, where threads are free for it

        def coded(way: Sequence[Node]) -> tuple[float, Behind]:
            aside = behind.aside()
            nodes = [one for node in way for one in self.encoder.wave((node,), aside, _ROUGH)]
            return cost_of([self.root, *nodes], self.encoder.canvases), aside

        return self.encoder.workers.map(coded, ways)


def cost_of(coded: Sequence[CodedNode], canvases: Sequence[Tensor]) -> float:
    """What coded frames take: the logarithm of their bits, at equal squared error.

    It takes for granted how bits grow with less error, since nodes have many prices and none is that of the whole. Of
    the root, which all spans have in common, only the share of these frames counts.

    Args:
        coded: The root and nodes behind it.
        canvases: All frames of the GOP.
    """
    root, *others = coded
    wrong = [float(distortion(canvases[one.node.frame], one.planes.tensor())[0]) for one in others]
    bits = root.bits * len(others) / (len(canvases) - 1) + sum(one.bits for one in others)
    return math.log(bits) + _RATE_OF_ERROR * math.log(math.fsum(wrong) / len(wrong) + 1e-9)
