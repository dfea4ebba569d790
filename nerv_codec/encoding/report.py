"""What an encode made, as figures and in a line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nerv_codec.base.progress import format_bytes


@dataclass(frozen=True)
class EncodeReport:
    """What an encode made."""

    target: str
    """The file."""
    file_bytes: int
    estimated_bits: float
    """What the entropy models' tables say that all GOPs cost."""
    coded_bits: int
    """What all GOPs cost in the file, with what the first of them put into the header."""
    input_bytes: int | None
    """Size of the input; None where it is a pipe."""
    num_frames: int
    num_gops: int
    rate_bpp: float
    """8 * file bytes / (frames * height * width)."""
    bitrate_bps: float
    psnr_y_db: float
    """Luma, mean over frames, of what the written bytes decode to."""
    float_psnr_y_db: float
    """Luma, mean over frames, before the weights were quantised."""
    macs_per_pixel: float
    """Multiplications to evaluate one pixel."""
    fit_seconds: float
    """Sum over all GOPs."""
    seconds: float
    """Wall time of the whole encode."""
    verified: bool
    """Whether the file was read back and found to hold what was meant."""
    exact: bool
    """Whether every sample comes back."""
    warnings: tuple[str, ...]
    """What of the input could not be kept, a sentence each."""
    missed: str = ""
    """What was asked for and what came instead, where a bitrate, size or PSNR was not reached; else empty."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON report."""
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """One line for people."""
        share = f" ({100 * self.file_bytes / self.input_bytes:.1f} % of input)" if self.input_bytes else ""
        quality = "lossless" if self.exact else f"PSNR {self.psnr_y_db:.2f} dB"
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.target}: {format_bytes(self.file_bytes)}{share}, {self.rate_bpp:.4f} bpp, "
            f"{self.bitrate_bps / 1000:.0f} kb/s, {quality}, {self.macs_per_pixel:.0f} MAC/px, "
            f"{minutes}m{seconds:02d}s, {'verified' if self.verified else 'not verified'}"
        )
