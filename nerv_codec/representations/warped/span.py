"""How far apart the anchors of a GOP are: by trial on its first frames, as encoders choose the length of a mini-GOP.

What moves fast is soon not to be predicted over many frames, while in a calm scene every anchor is a waste.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from torch import Tensor

from nerv_codec.representations.shared.networks import distortion
from nerv_codec.representations.warped.encode import CodedNode
from nerv_codec.representations.warped.motion import PRECISION
from nerv_codec.representations.warped.tree import waves

_GAIN = 0.01
"""Share of the bits by which a shorter span must be better."""
_RATE_OF_ERROR = 0.8
"""Bits grow like squared error to the minus this: 18 % a dB, as on clips of the training set."""


def moves_fast(anchor: CodedNode) -> bool:
    """Whether its blocks move by a sample a frame and more on average; where they do not, a trial finds nothing."""
    field = anchor.decision.field
    assert field is not None
    vectors = field.vectors[0] / PRECISION
    return bool(np.hypot(vectors[..., 0], vectors[..., 1]).mean() >= anchor.node.frame - anchor.node.parents[0])


def chosen(longest: int, shortest: int, frames: int, cost: Callable[[int], float]) -> int:
    """The longest span, or its half, the half of that and so on as long as each costs less.

    Args:
        longest: Where to begin.
        shortest: Where to end.
        frames: Of the GOP.
        cost: Of a span.
    """
    best = longest
    least: float | None = None
    while max(shortest, 1) <= best // 2 < frames - 1:
        least = cost(best) if least is None else least
        found = cost(best // 2)
        if found >= least - _GAIN:
            break
        best, least = best // 2, found
    return best


def first_frames(frames: int, span: int, longest: int) -> int:
    """How many frames a trial of a span codes: to the first anchor that is no nearer than with the longest span."""
    first, *_ = _anchors(frames, longest)
    return 1 + next(anchor for anchor in _anchors(frames, span) if anchor >= first)


def cost_of(coded: Iterable[CodedNode], canvases: Sequence[Tensor]) -> float:
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


def _anchors(frames: int, span: int) -> Iterator[int]:
    return (node.frame for wave in waves(frames, span) for node in wave if node.depth == 1)
