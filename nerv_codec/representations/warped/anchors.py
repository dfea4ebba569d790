"""How far apart the anchors of a GOP are: span by span, by trial, as encoders choose the length of a mini-GOP.

What moves fast is soon not to be predicted over many frames, while in a calm scene every anchor is a waste.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from nerv_codec.base.errors import Interrupted
from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.warped.decisions import Decision
from nerv_codec.representations.warped.encode import Behind, CodedNode, Effort, PartEncoder
from nerv_codec.representations.warped.tree import Node, waves

_GAIN = 0.01
"""By how much two halves must cost less than a span, in the logarithm of bits, as a trial sees it."""
_PROMISE = 0.08
"""And by how much, if these are to be tried as spans of their own."""
_RATE_OF_ERROR = 0.8
"""Bits grow like squared error to the minus this: 18 % a dB, as on clips of the training set."""


def encode_choosing(encoder: PartEncoder, longest: int, shortest: int, effort: Effort) -> Iterator[CodedNode]:
    """Decides all frames, span by span, with anchors that it chooses.

    They come in the order of the stream (`tree.waves`), which `encode.encode_part` writes, told what was decided.

    Args:
        encoder: Of the part.
        longest: Frames from an anchor to the next at most; spans are about equal where none pays that is shorter.
        shortest: At least, unless the GOP ends. A span is halved down to this as long as a trial without steps says so.
        effort: How hard to try.

    Raises:
        Interrupted: It was to stop.
    """
    behind, last, nodes = Behind(), len(encoder.canvases) - 1, list[CodedNode]()

    def chosen() -> Iterator[int]:
        anchors, following = [0], list[tuple[int, bool]]()
        yield 0
        while anchors[-1] < last:
            left = anchors[-1]
            if not following:
                right = left + round((last - left) / -(-(last - left) // longest))
                known = reversed(_decided(effort.decided, left, right))
                following = [(frame, False) for frame in known] or [(right, True)]
            right, open_ = following.pop()
            middle = (left + right) // 2
            if open_ and middle - left >= max(shortest, 1):
                gain = _gain(encoder, effort, nodes[0], anchors, middle, right, behind)
                if gain > _GAIN:
                    following += [(right, gain > _PROMISE), (middle, gain > _PROMISE)]
                    continue
            anchors.append(right)
            yield right

    for wave in waves(chosen()):
        coded = encoder.wave(wave, behind, effort)
        nodes = nodes or coded
        yield from coded


def _decided(decided: Mapping[int, Decision], left: int, right: int) -> list[int]:
    """Anchors behind ``left`` up to ``right`` that were chosen before; none if a stop came before the last of them.

    Then the trials are made again, and say the same.
    """
    frames = sorted(frame for frame, one in decided.items() if one.node.depth == 1 and left < frame <= right)
    return frames if frames and frames[-1] == right else []


def _gain(
    encoder: PartEncoder,
    effort: Effort,
    root: CodedNode,
    anchors: Sequence[int],
    middle: int,
    right: int,
    behind: Behind,
) -> float:
    """By how much the next span costs less in two halves, see :func:`cost_of`; 0 if that need not be tried.

    Only its middle and its right end are coded, in either order and roughly: what lies between them depends on both.

    Args:
        encoder: Of the part.
        effort: That of the encode: who asks to stop.
        root: As it was coded.
        anchors: Settled so far.
        middle: Frame.
        right: Frame.
        behind: What stands behind the anchors.
    """
    if effort.stop():
        raise Interrupted("interrupted in a trial")
    whole = Node(right, 1, tuple(anchors[:-3:-1])), Node(middle, 2, (anchors[-1], right))
    halves = Node(middle, 1, tuple(anchors[:-3:-1])), Node(right, 1, (middle, anchors[-1]))
    for node in (*whole, *halves):
        encoder.target(node)  # for both, and here, where threads are free for it

    def cost(nodes: Sequence[Node]) -> float:
        aside = behind.aside()
        coded = [one for node in nodes for one in encoder.wave((node,), aside, Effort(rough=True))]
        return cost_of([root, *coded], encoder.canvases)

    one, two = encoder.workers.map(cost, (whole, halves))
    return one - two


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
