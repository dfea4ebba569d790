"""The fit of one GOP: the one table of fits, and what an encoder asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nerv_codec.base.own_torch import own_torch
from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.status import FitReporter, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.rendering import View, render_planes
from nerv_codec.representations.representation import Representation

Fit = Callable[[GopTask, FitReporter, Checkpoint], FittedGop]
"""Fits a GOP of one representation, whose settings are filled in."""


def _siren(config: EncoderConfig) -> Fit:
    from nerv_codec.representations.siren.fit import fit_siren

    return partial(fit_siren, config.siren)


def _lossless(_: EncoderConfig) -> Fit:
    from nerv_codec.representations.lossless.fit import fit_lossless

    return fit_lossless


def _warped(config: EncoderConfig) -> Fit:
    from nerv_codec.representations.warped.fit import fit_warped  # numba and OpenCV

    return partial(fit_warped, config.warped)


@dataclass(frozen=True)
class FitMethod:
    """What a fit of a representation can do, known before it is imported."""

    fit: Callable[[EncoderConfig], Fit]
    reaches_psnr: bool = False
    """Whether it can be steered to a PSNR."""


FITS = {
    "siren": FitMethod(_siren),
    "lossless": FitMethod(_lossless),
    "warped": FitMethod(_warped, reaches_psnr=True),
}
"""By the name of the representation."""


def fit_gop(
    config: EncoderConfig, task: GopTask, report: FitReporter, checkpoint: Checkpoint | None = None
) -> FittedGop:
    """Fits a function to the frames of one GOP and codes it.

    Args:
        config: Which representation, its size, the effort.
        task: The GOP: the same arguments on the same machine give the same bytes.
        report: Called now and then.
        checkpoint: Where the fit's state is kept; a fit that goes on from there ends in the same bytes. None keeps
            nothing.

    Raises:
        Interrupted: The checkpoint was asked to stop.
    """
    with own_torch():
        return FITS[config.model].fit(config)(task, report, checkpoint or Checkpoint())


def luma_psnr_db(function: Representation, frames: Sequence[PlanarFrame], info: VideoInfo) -> tuple[float, ...]:
    """PSNR in dB of plane 0 of every frame of a GOP, of rounded code values as a decoder gives them."""
    view, peak = View.whole(info.height, info.width), info.pixel_format.max_value
    return tuple(
        psnr_db(mean_squared_error(frame.planes[0], render_planes(function, float(t), info, view, info)[0]), peak)
        for t, frame in enumerate(frames)
    )
