"""What a user can set of a `warped` encode: the section ``[warped]`` of a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.errors import expect


@dataclass(frozen=True)
class WarpedConfig:
    """Prices and structure of a GOP that shared networks and motion code (docs/format.md)."""

    steps: int = 60
    """Steps of descent on the latents of root and anchors; nodes half way between take half as many. Motion is searched
    for once."""
    rd_lambda: float = 7.6e-4
    """Weight of bits per luma sample against mean squared error (colour in [0, 1]), on average at anchors. The networks
    know 1.5e-5 to 1.6e-2 (crf 12 to 40); what lies beyond counts as the nearer end."""
    span: int = 8
    """Longest distance of anchors, frames that are predicted from those before only."""
    shortest_span: int = 1
    """A span is halved down to this as long as a trial says that it pays."""
    root_octaves: float = 1.4
    """Octaves of lambda by which the root is cheaper for each octave more of frames that inherit from it than from
    other anchors on average."""
    inner_octaves: float = 1.0
    """Octaves of lambda by which nodes between anchors are dearer, one level down."""
    deeper_octaves: float = 0.375
    """What each further level adds."""

    def __post_init__(self) -> None:
        expect(0 <= self.steps <= 1_000_000, "warped.steps in 0..1000000", self.steps)
        expect(0 < self.rd_lambda < 1, "warped.rd_lambda in (0, 1)", self.rd_lambda)
        for name in ("span", "shortest_span"):
            expect(1 <= getattr(self, name) <= 1024, f"warped.{name} in 1..1024", getattr(self, name))
        for name in ("root_octaves", "inner_octaves", "deeper_octaves"):
            expect(-4 <= getattr(self, name) <= 4, f"warped.{name} in -4..4", getattr(self, name))
