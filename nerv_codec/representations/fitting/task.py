"""What a fit of one GOP is asked to do: all that its bytes depend on, but for the settings of the representation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.fitting.sites import gop_geometry

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class FitTarget:
    """What a fit shall come to, instead of the balance that its rd_lambda strikes: one of the two."""

    bits: float | None = None
    """Bits of the payload."""
    psnr_db: float | None = None
    """Luma PSNR in dB, mean over the GOP's frames, of what the payload decodes to."""


@dataclass(frozen=True)
class GopTask:
    """One GOP to fit: the same task and settings on the same machine give the same bytes."""

    frames: tuple[PlanarFrame, ...]
    """1..1025 frames in presentation order."""
    info: VideoInfo
    """Their lattice."""
    index: int = 0
    """The GOP's place in its file, from 0."""
    seed: int = 0
    """Where the randomness of the whole file begins."""
    device: torch.device = _CPU
    """Where to compute."""
    target: FitTarget | None = None
    """What the fit shall come to; None keeps to the settings' rd_lambda or size."""

    @property
    def gop_seed(self) -> int:
        """Where the randomness of this GOP begins: each GOP draws other numbers."""
        return self.seed + self.index

    @property
    def geometry(self) -> GopGeometry:
        """The box of the GOP."""
        return gop_geometry(self.frames, self.info)
