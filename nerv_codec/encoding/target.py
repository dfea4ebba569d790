"""What a user may ask for instead of a crf, what that means for each GOP, and whether it came about.

Bits are shared out over the GOPs before the first one is fitted, from a look through the video that finds their
lengths; what the earlier ones spent too much or too little is shared among those that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nerv_codec.base.errors import UsageError
from nerv_codec.base.progress import format_bytes
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.encoding.fit_gop import FITS
from nerv_codec.representations.fitting.task import FitTarget
from nerv_codec.representations.registry import MODELS

RATE_TOLERANCE = 0.05
"""Share of the bytes asked for by which a file may miss them."""
PSNR_TOLERANCE_DB = 0.2
"""How far a file may be from the PSNR asked for."""
_KEY_FRAME = 8
"""How many more frames' worth of bits a GOP has for its key frame: nothing predicts it."""
_MIN_GOP_BITS = 512
"""What no GOP gets less than."""
_MIN_SHARE = 0.25
"""Share of its even share that a GOP gets at the least, whatever the GOPs before it have spent."""


@dataclass(frozen=True)
class Goal:
    """A rate, a size or a quality to land on: at most one of the three.

    Raises:
        UsageError: More than one, or one that no file can meet.
    """

    bitrate_bps: float | None = None
    """Bits of the whole file, sound included, per second that it plays."""
    total_bytes: int | None = None
    """Bytes of the whole file."""
    psnr_db: float | None = None
    """Luma, mean over all frames."""

    def __post_init__(self) -> None:
        given = [value for value in (self.bitrate_bps, self.total_bytes, self.psnr_db) if value is not None]
        if len(given) > 1:
            raise UsageError("expected at most one of a bitrate, a size and a PSNR")
        if any(not 0 < value < float("inf") for value in given):
            raise UsageError(f"expected a target above 0, found {given[0]:g}")

    @property
    def is_rate(self) -> bool:
        """Whether it is about bytes."""
        return self.bitrate_bps is not None or self.total_bytes is not None

    def check(self, config: EncoderConfig, *, seekable: bool) -> None:
        """Raises UsageError where the representation or the source cannot be steered like that."""
        if self != Goal() and MODELS[config.model].is_exact:
            raise UsageError(f"expected no target with {config.model}, found one: its size is what it takes")
        if self.psnr_db is not None and not FITS[config.model].reaches_psnr:
            able = " or ".join(name for name, method in FITS.items() if method.reaches_psnr)
            expected = f"expected a bitrate, a size or a crf, or model {able}"
            raise UsageError(f"{config.model} cannot be steered to a PSNR: {expected}")
        if config.model == "siren" and self.is_rate and config.siren.width:
            raise UsageError("expected siren.width or a target, found both: the width fixes the size")
        if self.is_rate and not seekable:
            raise UsageError(
                "expected a file for a bitrate or a size, found a stream: its length has to be known first"
            )

    def missed(self, *, file_bytes: int, seconds: float, psnr_db: float) -> str:
        """What was asked for and what came, in a line; empty where it came close enough."""
        if self.psnr_db is not None:
            if abs(psnr_db - self.psnr_db) <= PSNR_TOLERANCE_DB:
                return ""
            off = psnr_db - self.psnr_db
            return f"asked for a luma PSNR of {self.psnr_db:.2f} dB, came to {psnr_db:.2f} dB ({off:+.2f} dB)"
        if not self.is_rate:
            return ""
        off = file_bytes / self._bytes(seconds) - 1
        if abs(off) <= RATE_TOLERANCE:
            return ""
        if self.bitrate_bps is None:
            asked, came = format_bytes(self._bytes(seconds)), format_bytes(file_bytes)
        else:
            asked, came = f"{self.bitrate_bps / 1000:g} kb/s", f"{8 * file_bytes / seconds / 1000:.4g} kb/s"
        return f"asked for {asked}, came to {came} ({100 * off:+.1f} %)"

    def budget(self, *, seconds: float, overhead_bytes: int, gop_frames: Sequence[int]) -> Budget:
        """The bits of all payloads.

        Args:
            seconds: How long the video plays.
            overhead_bytes: Bytes of the file that are no payload: headers, sound and other tracks.
            gop_frames: Frames of each GOP.

        Raises:
            UsageError: Nothing is left for pictures.
        """
        asked = self._bytes(seconds)
        bits = 8 * (asked - overhead_bytes)
        if bits < _MIN_GOP_BITS * len(gop_frames):
            needed = overhead_bytes + _MIN_GOP_BITS // 8 * len(gop_frames)
            raise UsageError(
                f"expected at least {needed} bytes, of which {overhead_bytes} are headers, sound and other "
                f"tracks, found a target of {round(asked)}"
            )
        return Budget(bits, tuple(_KEY_FRAME + frames for frames in gop_frames))

    def _bytes(self, seconds: float) -> float:
        if self.bitrate_bps is not None:
            return self.bitrate_bps * seconds / 8
        assert self.total_bytes is not None
        return float(self.total_bytes)


@dataclass(frozen=True)
class Budget:
    """Bits for a row of GOPs."""

    bits: float
    weights: tuple[float, ...]

    def share(self, index: int, spent: Sequence[float]) -> float:
        """Bits for one GOP.

        Args:
            index: Its place.
            spent: What the GOPs from the first on have cost, as far as that is known: ``index`` of them, or fewer
                where several are fitted at a time.
        """
        even = self.bits * self.weights[index] / sum(self.weights)
        known = len(spent)
        left = (self.bits - sum(spent)) * self.weights[index] / sum(self.weights[known:])
        return max(_MIN_GOP_BITS, _MIN_SHARE * even, left)


@dataclass(frozen=True)
class Steering:
    """What each GOP is to come to."""

    psnr_db: float | None = None
    budget: Budget | None = None

    def target(self, index: int, spent: Sequence[float]) -> FitTarget | None:
        """For the GOP at ``index``, given what the first ones cost in bits. None: as the configuration says."""
        if self.psnr_db is not None:
            return FitTarget(psnr_db=self.psnr_db)
        if self.budget is None or index >= len(self.budget.weights):
            return None
        return FitTarget(bits=self.budget.share(index, spent))
