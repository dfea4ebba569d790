"""What a user can set of a `siren` fit: the section ``[siren]`` of a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nerv_codec.base.errors import expect


@dataclass(frozen=True)
class SirenConfig:
    """Size, initialisation and fit of the sine network (Sitzmann et al. 2020, section 3.2)."""

    width: int = 0
    """Neurons a layer, 0..1024; 0 sizes the network by ``target_bpp``."""
    hidden_layers: int = 4
    """Sine layers after the first, 1..16."""
    target_bpp: float = 0.5
    """Bits per pixel that the whole GOP may cost, where ``width`` is 0."""
    omega_space: float = 30.0
    """w0 of the first layer along rows and columns."""
    omega_time: float = 10.0
    """w0 of the first layer along time: a GOP changes less over its length than over a picture's width."""
    steps: int = 2500
    """Optimiser steps in all, the quantisation-aware last phase included."""
    batch: int = 10000
    """Coordinates a step."""
    learning_rate: float = 5e-2
    """Largest change of a hidden matrix in one step, as a spectral norm."""
    quantised_learning_rate: float = 6e-3
    """Largest change of a hidden matrix in one step of the last phase, where weights are rounded already."""
    quantised_fraction: float = 0.15
    """Share of the steps, 0..1, in which the forward pass sees quantised weights."""
    rd_lambda: float = 5e-4
    """Weight of bits per pixel against mean squared error (colour in [0, 1]) when quantiser steps are chosen."""

    def __post_init__(self) -> None:
        expect(0 <= self.width <= 1024, "siren.width in 0..1024 (0: by siren.target_bpp)", self.width)
        expect(1 <= self.hidden_layers <= 16, "siren.hidden_layers in 1..16", self.hidden_layers)
        expect(0 < self.target_bpp <= 64, "siren.target_bpp in (0, 64]", self.target_bpp)
        expect(0 < self.omega_space <= 1000, "siren.omega_space in (0, 1000]", self.omega_space)
        expect(0 < self.omega_time <= 1000, "siren.omega_time in (0, 1000]", self.omega_time)
        expect(self.steps >= 1, "siren.steps of at least 1", self.steps)
        expect(16 <= self.batch <= 1 << 24, "siren.batch in 16..2**24", self.batch)
        for name in ("learning_rate", "quantised_learning_rate"):
            expect(0 < getattr(self, name) < 1, f"siren.{name} in (0, 1)", getattr(self, name))
        expect(0 <= self.quantised_fraction <= 1, "siren.quantised_fraction in 0..1", self.quantised_fraction)
        expect(0 <= self.rd_lambda < 1, "siren.rd_lambda in 0..1", self.rd_lambda)
