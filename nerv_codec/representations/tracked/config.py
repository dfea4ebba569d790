"""What a user can set of a `tracked` fit: the section ``[tracked]`` of a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.errors import expect


@dataclass(frozen=True)
class TrackedConfig:
    """Size and fit of the latent pyramids that motion ties together (docs/format.md, section 6)."""

    steps: int = 250
    """Optimiser steps in which all frames move; those in which the fit grows come before."""
    span: int = 8
    """Longest distance of anchors, frames that are predicted from one before only."""
    scales: int = 7
    """Latent grids of a node: from full size down to 1 / 2**(scales - 1); small pictures have fewer."""
    hidden: int = 8
    """Width of the synthesis network, a multiple of 4."""
    rate_hidden: int = 8
    """Width of the latents' entropy model, 1..32."""
    motion_hidden: int = 4
    """Width of the motion's entropy model, 1..32."""
    rd_lambda: float = 2e-3
    """Weight of bits per pixel against mean squared error (colour in [0, 1])."""
    prior: bool = True
    """Whether networks begin as those of the shipped prior, and only the difference is stored."""
    share: bool = True
    """Whether the networks of the first GOP are stored once and serve later GOPs that they suit."""
    initial_gain: float = 0.04
    """What one step of a latent changes in a feature, before it is fitted, where there is no prior."""
    latent_learning_rate: float = 5e-2
    """Adam's rate for latents, in quantiser steps."""
    motion_learning_rate: float = 5e-2
    """Adam's rate for motion, in quantiser steps."""
    network_learning_rate: float = 1e-2
    """Adam's rate for the weights of all networks."""

    def __post_init__(self) -> None:
        expect(self.steps >= 1, "tracked.steps of at least 1", self.steps)
        expect(1 <= self.span <= 1024, "tracked.span in 1..1024", self.span)
        expect(1 <= self.scales <= 10, "tracked.scales in 1..10", self.scales)
        expect(4 <= self.hidden <= 64 and self.hidden % 4 == 0, "tracked.hidden in 4, 8 .. 64", self.hidden)
        for name in ("rate_hidden", "motion_hidden"):
            expect(1 <= getattr(self, name) <= 32, f"tracked.{name} in 1..32", getattr(self, name))
        expect(0 <= self.rd_lambda < 1, "tracked.rd_lambda in 0..1", self.rd_lambda)
        for name in ("initial_gain", "latent_learning_rate", "motion_learning_rate", "network_learning_rate"):
            expect(0 < getattr(self, name) < 1, f"tracked.{name} in (0, 1)", getattr(self, name))
