"""The fit of one GOP: the one table of fits, and what an encoder asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.status import FitReporter, FittedGop
from nerv_codec.representations.fitting.task import GopTask
from nerv_codec.representations.rendering import View, render_planes
from nerv_codec.representations.representation import Representation

StopAsked = Callable[[], bool]
"""Asked now and then whether to stop."""


@dataclass(frozen=True)
class Fitter:
    """How GOPs of one representation are fitted, its settings filled in."""

    fit: Callable[[GopTask, FitReporter, Checkpoint], FittedGop]
    prepare: Callable[[GopTask, StopAsked], tuple[Tensor, ...]] | None = None
    """What can be done ahead of a fit, beside the fit of another GOP; None where that is nothing."""
    share: Callable[[bytes, GopGeometry], tuple[bytes, bytes]] | None = None
    """Takes the payload of a file's first GOP apart: what the header keeps for all GOPs, and the payload that goes
    with it. None where GOPs share nothing."""


def _siren(config: EncoderConfig) -> Fitter:
    from nerv_codec.representations.siren.fit import fit_siren

    return Fitter(partial(fit_siren, config.siren))


def _tracked(config: EncoderConfig) -> Fitter:
    from nerv_codec.representations.tracked.fit.optimise import fit_tracked, prepare_tracked  # numba and OpenCV
    from nerv_codec.representations.tracked.parts import share_networks

    return Fitter(partial(fit_tracked, config.tracked), partial(prepare_tracked, config.tracked), share_networks)


def _lossless(_: EncoderConfig) -> Fitter:
    from nerv_codec.representations.lossless.fit import fit_lossless

    return Fitter(fit_lossless)


def _warped(config: EncoderConfig) -> Fitter:
    from nerv_codec.representations.warped.fit import fit_warped  # numba and OpenCV

    return Fitter(partial(fit_warped, config.warped))


@dataclass(frozen=True)
class FitMethod:
    """What a fit of a representation can do, known before it is imported."""

    fitter: Callable[[EncoderConfig], Fitter]
    reaches_psnr: bool = False
    """Whether it can be steered to a PSNR."""
    starts_from_gop: bool = False
    """Whether it can begin with what an earlier encode came to."""


FITS = {
    "siren": FitMethod(_siren),
    "tracked": FitMethod(_tracked, reaches_psnr=True, starts_from_gop=True),
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
    return FITS[config.model].fitter(config).fit(task, report, checkpoint or Checkpoint())


def prepare_gop(config: EncoderConfig, task: GopTask, stop: StopAsked) -> tuple[Tensor, ...] | None:
    """What :func:`fit_gop` would begin with, to be put into ``task.prepared``; None where there is nothing to prepare.

    Raises:
        Interrupted: ``stop`` said so.
    """
    prepare = FITS[config.model].fitter(config).prepare
    return None if prepare is None else prepare(task, stop)


def share_gop(config: EncoderConfig, payload: bytes, geometry: GopGeometry) -> tuple[bytes, bytes]:
    """What of a file's first GOP the header keeps for all of them, and the payload that goes with it."""
    share = FITS[config.model].fitter(config).share if config.shares_networks else None
    return (b"", payload) if share is None else share(payload, geometry)


def luma_psnr_db(function: Representation, frames: Sequence[PlanarFrame], info: VideoInfo) -> tuple[float, ...]:
    """PSNR in dB of plane 0 of every frame of a GOP, of rounded code values as a decoder gives them."""
    view, peak = View.whole(info.height, info.width), info.pixel_format.max_value
    return tuple(
        psnr_db(mean_squared_error(frame.planes[0], render_planes(function, float(t), info, view, info)[0]), peak)
        for t, frame in enumerate(frames)
    )
