"""How many frames inherit from each frame of a GOP, and what that makes of the prices of its anchors.

An error that an anchor keeps is seen again in what is predicted from it, as far as that does not code it anew. So
anchors that much of a GOP leans on are cheaper, and the last ones, from which little comes, are dearer (Garrett-Glaser,
A novel macroblock-tree algorithm for high-performance optimization of dependent video coding in H.264/AVC, 2009; here
for whole frames, and by their places in the tree alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nerv_codec.representations.shared.quality import STEPS_PER_OCTAVE
from nerv_codec.representations.warped.tree import Anchors, Node, waves

_SHARES = (0.65, 0.35)
"""Of an anchor that come from its first and from its second parent, about."""
_KEPT, _KEPT_BETWEEN = 0.65, 0.95
"""Share of its parents' errors that an anchor keeps, and one that a node between two anchors does, about: of the former
0.4 (a very fast pan) to 0.8, but what was measured in a clip made its prices no better than these."""


def inherited(nodes: Sequence[Node]) -> dict[int, float]:
    """How many frames keep an error of each frame, itself among them; nodes: those of a GOP in coding order."""
    found = {node.frame: 1.0 for node in nodes}
    for node in reversed(nodes):
        kept = found[node.frame] * (_KEPT if node.depth == 1 else _KEPT_BETWEEN)
        shares = _SHARES if node.depth == 1 else (0.5, 0.5)
        for parent, share in zip(node.parents, shares if len(node.parents) == 2 else (1.0,), strict=False):
            found[parent] += kept * share
    return found


def prices(anchors: Anchors, root_octaves: float) -> dict[int, int]:
    """What anchors are dearer than others of their depth, in lambda indices, by frame.

    An octave for an octave of what is inherited; their mean is about 0, so that a crf stands for the same quality. The
    root is cheaper than that mean by ``root_octaves`` for each octave more.
    """
    found = inherited([node for wave in waves(anchors) for node in wave])
    logs = {frame: math.log2(found[frame]) for frame in anchors.frames}
    others = [log for frame, log in logs.items() if frame != anchors.root]
    mean = sum(others) / len(others) if others else logs[anchors.root]
    worth = {anchors.root: root_octaves}
    return {frame: round(STEPS_PER_OCTAVE * worth.get(frame, 1.0) * (mean - log)) for frame, log in logs.items()}
