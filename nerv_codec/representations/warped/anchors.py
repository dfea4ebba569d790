"""How far apart the anchors of a GOP are: span by span, by trial, as encoders choose the length of a mini-GOP.

What moves fast is soon not to be predicted over many frames, while in a calm scene every anchor is a waste. All are
chosen before the GOP is coded, as its prices depend on how many there are (:func:`dearer`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.quality import NUM_LAMBDAS
from nerv_codec.representations.warped.coding import Ladder
from nerv_codec.representations.warped.encode import Behind, CodedNode, Effort, PartEncoder
from nerv_codec.representations.warped.tree import Anchors, Node, waves

_GAIN = 0.01
"""By how much two halves must cost less than a span, in the logarithm of bits, as a trial sees it."""
_PROMISE = 0.08
"""And by how much, if these are to be tried as spans of their own."""
_RATE_OF_ERROR = 0.8
"""Bits grow like squared error to the minus this: 18 % a dB, as on clips of the training set."""
_EVEN = 0.6
"""Share by which the mean price of frames is kept whatever the number of anchors. So clips whose anchors are close come
out about as far from what x265 gives at the same crf as others: 0.6 dB below with all of it, 2 above with nothing."""
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
    lookahead = _Lookahead(encoder, even, max(shortest, 1), root, stop)
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
        even: Anchors of a GOP whose spans are long.
        shortest: See `choose_anchors`.
        root: As it was coded.
        stop: See `choose_anchors`.
    """

    encoder: PartEncoder
    even: Anchors
    shortest: int
    root: CodedNode
    stop: Callable[[], bool]

    def divided(self, way: Sequence[int], end: int, behind: Behind) -> tuple[list[int], Behind]:
        """The anchors that follow on a way, see `tree.Anchors`, up to ``end``, and what stands behind them."""
        begin, before = way[-1], tuple(way[:-3:-1])
        left, right = min(begin, end), max(begin, end)
        middle, whole = (left + right) // 2, Node(end, 1, before)
        if middle - left < self.shortest:
            ((_, behind),) = self._tried([(whole,)], (left, right), behind)
            return [end], behind
        ways = (whole, Node(middle, 2, (left, right))), (Node(middle, 1, before), Node(end, 1, (middle, begin)))
        (one, as_one), (two, halved) = self._tried(ways, (left, middle, right), behind)
        if one - two <= _GAIN:
            return [end], as_one
        if one - two <= _PROMISE or max(middle - left, right - middle) < 2 * self.shortest:
            return [middle, end], halved
        first, behind = self.divided(way, middle, behind)
        second, behind = self.divided([*way, *first], end, behind)
        return [*first, *second], behind

    def _tried(
        self, ways: Sequence[Sequence[Node]], span: tuple[int, ...], behind: Behind
    ) -> list[tuple[float, Behind]]:
        """What each way costs, see :func:`cost_of`, and what stands behind it.

        Prices are those of a GOP whose anchors are all as far apart as these: a way that is cheaper at prices which the
        GOP will not have has often been a loss. They end where frames between anchors would not be dearer any more.
        """
        if self.stop():
            raise Interrupted("interrupted in a trial")
        ladder = self.encoder.ladder
        index = ladder.lambda_index + round(dearer(ladder, self.even, Anchors(span, span[0])))
        index = min(index, max(ladder.lambda_index, NUM_LAMBDAS - 1 - ladder.offset(2)))
        encoder = dataclasses.replace(self.encoder, ladder=dataclasses.replace(ladder, lambda_index=index))
        for way in ways:
            for node in way:
                encoder.target(node)  # for all ways, and here, where threads are free for it

        def coded(way: Sequence[Node]) -> tuple[float, Behind]:
            aside = behind.aside()
            nodes = [one for node in way for one in encoder.wave((node,), aside, _ROUGH)]
            return cost_of([self.root, *nodes], encoder.canvases), aside

        return encoder.workers.map(coded, ways)


def dearer(ladder: Ladder, even: Anchors, anchors: Anchors) -> float:
    """Lambda indices that all nodes of a GOP with these anchors are dearer by than with even ones, which are far apart.

    Anchors are the cheapest frames but one. So a crf stands for about the same quality whatever their number.
    """
    return _EVEN * (mean_offset(ladder, even) - mean_offset(ladder, anchors))


def mean_offset(ladder: Ladder, anchors: Anchors) -> float:
    """What the frames behind the root are dearer than anchors, in lambda indices on average."""
    offsets = [ladder.offset(node.depth) for wave in waves(anchors) for node in wave if node.parents]
    return sum(offsets) / len(offsets) if offsets else 0.0


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
