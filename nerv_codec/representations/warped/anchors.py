"""How far apart the anchors of a GOP are: span by span, by trial, as encoders choose the length of a mini-GOP.

What moves fast is soon not to be predicted over many frames, while in a calm scene every anchor is a waste.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.shared.stream import StreamWriter
from nerv_codec.representations.warped.decisions import Decision
from nerv_codec.representations.warped.encode import Behind, CodedNode, Effort, PartEncoder
from nerv_codec.representations.warped.motion import PRECISION
from nerv_codec.representations.warped.tree import Node, waves, waves_to

_GAIN = 0.01
"""Share of the bits by which shorter spans must be better."""
_PROMISE = 0.05
"""And by which they must be, if still shorter ones are to be tried."""
_RATE_OF_ERROR = 0.8
"""Bits grow like squared error to the minus this: 18 % a dB, as on clips of the training set."""


def encode_choosing(
    encoder: PartEncoder, longest: int, shortest: int, out: StreamWriter, effort: Effort
) -> Iterator[CodedNode]:
    """Codes all frames as `encode.encode_part` does, with anchors that it chooses.

    Args:
        encoder: Of the part.
        longest: Frames from an anchor to the next at most; spans are about equal where none pays that is shorter.
        shortest: At least, unless the GOP ends. A span is halved down to this as long as a trial without steps says so.
        out: The stream.
        effort: How hard to try.

    Raises:
        Interrupted: It was to stop.
    """
    behind, anchors = Behind(out), [0]
    (root,) = encoder.wave(next(waves(anchors)), behind, effort)
    yield root
    last = len(encoder.canvases) - 1
    while anchors[-1] < last:
        left = anchors[-1]
        spans = -(-(last - left) // longest)
        right = left + round((last - left) / spans)
        following, found = _decided(effort.decided, left, right), dict[int, Decision]()
        if not following:
            trials = _Trials(encoder, effort, root, tuple(anchors), behind)
            following = trials.best(tuple(anchors), right, shortest)
            found = trials.decisions([*anchors, *following]) if effort.steps == 0 else {}
        usual = dataclasses.replace(effort, decided={**found, **effort.decided})
        for right in following:
            anchors.append(right)
            for wave in waves_to(anchors):
                yield from encoder.wave(wave, behind, usual)


def _decided(decided: Mapping[int, Decision], left: int, right: int) -> list[int]:
    """Anchors behind ``left`` up to ``right`` that were chosen before; none if a stop came before the last of them.

    Then the trials are made again: what follows some of them was chosen with these, and not as if they were settled.
    """
    frames = sorted(frame for frame, one in decided.items() if one.node.depth == 1 and left < frame <= right)
    return frames if frames and frames[-1] == right else []


@dataclass(frozen=True)
class _Span:
    """What follows the anchor before, up to another one, as far as it has been coded, without steps.

    Attributes:
        coded: Nodes so far.
        behind: What stands behind them.
        rest: Waves that are still to be coded.
    """

    coded: list[CodedNode]
    behind: Behind
    rest: Iterator[tuple[Node, ...]]


class _Trials:
    """Encodes of what follows the anchors that are settled.

    Args:
        encoder: Of the part.
        effort: That of the encode: who asks to stop.
        root: As it was coded.
        settled: Anchors so far.
        behind: What stands behind them.
    """

    def __init__(
        self, encoder: PartEncoder, effort: Effort, root: CodedNode, settled: tuple[int, ...], behind: Behind
    ) -> None:
        self._encoder, self._stop, self._root = encoder, effort.stop, root
        self._known = {settled: _Span([], behind, iter(()))}

    def best(self, anchors: tuple[int, ...], right: int, shortest: int) -> list[int]:
        """The anchors that follow these, up to ``right``: that alone, or its half way before it, and so on."""
        left = anchors[-1]
        middle = (left + right) // 2
        if middle - left < max(shortest, 1) or not moves_fast(self._begun((*anchors, right)).coded[0]):
            return [right]
        gain = self._cost(anchors, (right,)) - self._cost(anchors, (middle, right))
        if gain <= _GAIN:
            return [right]
        if gain <= _PROMISE:
            return [middle, right]
        first = self.best(anchors, middle, shortest)
        return first + self.best((*anchors, *first), right, shortest)

    def decisions(self, anchors: Sequence[int]) -> dict[int, Decision]:
        """What was decided for all nodes up to the last of these anchors, as far as it was tried."""
        prefixes = (tuple(anchors[:count]) for count in range(1, len(anchors) + 1))
        return {
            one.node.frame: one.decision
            for prefix in prefixes
            if prefix in self._known
            for one in self._known[prefix].coded
        }

    def _begun(self, anchors: tuple[int, ...]) -> _Span:
        """The last span of these anchors, its anchor at least."""
        if anchors not in self._known:
            span = _Span([], self._finished(anchors[:-1]).behind.copy(), waves_to(anchors))
            self._go_on(span, next(span.rest))
            self._known[anchors] = span
        return self._known[anchors]

    def _finished(self, anchors: tuple[int, ...]) -> _Span:
        span = self._begun(anchors)
        for wave in span.rest:
            self._go_on(span, wave)
        return span

    def _go_on(self, span: _Span, wave: Sequence[Node]) -> None:
        if self._stop():
            raise Interrupted("interrupted in a trial")
        span.coded.extend(self._encoder.wave(wave, span.behind))

    def _cost(self, anchors: tuple[int, ...], following: Sequence[int]) -> float:
        spans = [self._finished((*anchors, *following[: count + 1])) for count in range(len(following))]
        return cost_of([self._root, *(one for span in spans for one in span.coded)], self._encoder.canvases)


def moves_fast(anchor: CodedNode) -> bool:
    """Whether its blocks move by a sample a frame and more on average; where they do not, a trial finds nothing."""
    field = anchor.decision.field
    assert field is not None
    vectors = field.vectors[0] / PRECISION
    return bool(np.hypot(vectors[..., 0], vectors[..., 1]).mean() >= anchor.node.frame - anchor.node.parents[0])


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
    words = root.words * len(others) / (len(canvases) - 1) + sum(one.words for one in others)
    return math.log(words) + _RATE_OF_ERROR * math.log(math.fsum(wrong) / len(wrong) + 1e-9)
