"""The plan of a fit: when the frames of which depth join, and when what is rounded."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.representations.tracked.tree import GopTree

_GROWTH = (4.0, 1.2, 0.4, 0.25, 0.15)
"""Steps in which the frames of depth 0, 1 .. are the youngest, as shares of the steps in which all frames move."""
_ROUND_NETWORKS = 0.7
"""Share of the steps with all frames after which networks are rounded."""
_HARD_FRACTION = 0.1
"""Share of those steps at the end in which latents and motion are rounded and only networks move."""
_PRUNE_AT = (0.05, 0.2, 0.4, 0.6, 0.8)
"""Shares of those steps after which grids that round to zero are given up."""
_YOUNG = 50
"""Before this step no latent can have left zero for good, and no grid is given up."""


@dataclass(frozen=True)
class Phase:
    """Steps in a row with the same frames."""

    first: int
    """Its first step."""
    steps: int
    depth: int
    """Depth of the youngest nodes that take part."""
    frames: tuple[int, ...]


def make_phases(tree: GopTree, steps: int) -> tuple[Phase, ...]:
    """The phases of a fit: the last has ``steps`` steps and all frames."""
    phases: list[Phase] = []
    last = tree.nodes[-1].depth
    first = 0
    for depth in range(last + 1):
        frames = tuple(sorted(node.frame for node in tree.nodes if node.depth <= depth))
        count = steps if depth == last else max(1, round(steps * _GROWTH[min(depth, len(_GROWTH) - 1)]))
        phases.append(Phase(first, count, depth, frames))
        first += count
    return tuple(phases)


@dataclass(frozen=True)
class Plan:
    """What happens at which step."""

    phases: tuple[Phase, ...]
    hard_from: int
    """The step from which latents and motion are rounded."""
    round_from: int
    """The step from which networks are rounded."""
    prune_at: frozenset[int]
    """The steps at which grids that round to zero are given up."""

    @classmethod
    def make(cls, tree: GopTree, steps: int) -> Plan:
        """The plan of a fit in which all frames move for ``steps`` steps."""
        phases = make_phases(tree, steps)
        first, end = phases[-1].first, phases[-1].first + steps
        # The last step at least is hard, for what is coded has to be rounded.
        hard_from = end - max(1, round(steps * _HARD_FRACTION))
        prune_at = {first + round(share * steps) for share in _PRUNE_AT} | {phase.first for phase in phases[1:]}
        return cls(
            phases,
            hard_from,
            min(hard_from, first + round(_ROUND_NETWORKS * steps)),
            frozenset(step for step in prune_at if step >= _YOUNG),
        )

    @property
    def last(self) -> Phase:
        """The phase in which all frames move."""
        return self.phases[-1]

    @property
    def steps(self) -> int:
        """Number of all steps."""
        return self.last.first + self.last.steps

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return next(phase for phase in reversed(self.phases) if step >= phase.first)
