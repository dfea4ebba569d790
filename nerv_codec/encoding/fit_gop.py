"""The fit of one GOP, a pure function of its frames and the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from nerv_codec.base.psnr import mean_squared_error, psnr_db
from nerv_codec.base.video import PlanarFrame, VideoInfo
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.representations.fitting.checkpoint import Checkpoint
from nerv_codec.representations.fitting.sites import gop_geometry, make_sites
from nerv_codec.representations.fitting.status import FitStatus, FitTarget, GopFit, Report
from nerv_codec.representations.rendering import View, render_planes
from nerv_codec.representations.representation import Representation
from nerv_codec.representations.siren.fit import fit_siren

__all__ = ["FitStatus", "FitTarget", "GopFit", "fit_gop", "luma_psnr_db", "prepare_gop"]


def _fit_siren(
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    *,
    device: torch.device,
    seed: int,
    report: Report,
    checkpoint: Checkpoint,
    target: FitTarget | None,
    prepared: None,
    shared: bytes,
) -> tuple[bytes, float, Representation]:
    sites = make_sites(frames, info, device)
    geometry = gop_geometry(frames, info)
    bits = target.bits if target else None
    keeper = {"report": report, "checkpoint": checkpoint}
    return fit_siren(sites, geometry, config, device=device, seed=seed, bits=bits, **keeper)


def _fit_tracked(
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    *,
    device: torch.device,
    seed: int,
    report: Report,
    checkpoint: Checkpoint,
    target: FitTarget | None,
    prepared: Any,
    shared: bytes,
) -> tuple[bytes, float, Representation]:
    from nerv_codec.representations.tracked.fit.optimise import fit_tracked  # brings numba and OpenCV

    keeper = {"report": report, "checkpoint": checkpoint}
    payload, bits, model = fit_tracked(
        frames, info, config, seed=seed, target=target, device=device, prepared=prepared, shared=shared, **keeper
    )
    return payload, bits, model


_FITS: dict[str, Callable[..., tuple[bytes, float, Representation]]] = {"siren": _fit_siren, "tracked": _fit_tracked}


def prepare_gop(frames: Sequence[PlanarFrame], info: VideoInfo, config: EncoderConfig, stop: Callable[[], bool]) -> Any:
    """What :func:`fit_gop` would begin with, done ahead: while another GOP is fitted, say.

    Args:
        frames: As for the fit.
        info: Likewise.
        config: Likewise.
        stop: Asked now and then.

    Raises:
        Interrupted: ``stop`` said so.
    """
    if config.model != "tracked":
        return None
    from nerv_codec.representations.tracked.fit.optimise import prepare_tracked  # brings numba and OpenCV

    return prepare_tracked(frames, info, config, stop)


def fit_gop(
    frames: Sequence[PlanarFrame],
    info: VideoInfo,
    config: EncoderConfig,
    *,
    device: torch.device,
    seed: int,
    report: Report,
    checkpoint: Checkpoint | None = None,
    target: FitTarget | None = None,
    prepared: Any = None,
    shared: bytes = b"",
) -> GopFit:
    """Fits a function to the frames of one GOP and codes it.

    Args:
        frames: 1..1025 frames.
        info: Their lattice.
        config: Which representation, its size, the effort.
        device: Where to compute.
        seed: Of all randomness: the same arguments on the same machine give the same bytes.
        report: Called now and then.
        checkpoint: Where the fit's state is kept; a fit that goes on from there ends in the same bytes.
        target: What it shall come to; the report of the encode tells how close it came.
        prepared: What :func:`prepare_gop` gave for the same frames, or what an earlier encode of them came to; None
            lets it be made here.
        shared: What an earlier GOP of the file has put into the header for all of them.
    """
    fit = _FITS[config.model]
    keeper = checkpoint or Checkpoint()
    payload, bits, model = fit(
        frames,
        info,
        config,
        device=device,
        seed=seed,
        report=report,
        checkpoint=keeper,
        target=target,
        prepared=prepared,
        shared=shared,
    )
    return GopFit(payload, bits, luma_psnr_db(model, frames, info))


def luma_psnr_db(model: Representation, frames: Sequence[PlanarFrame], info: VideoInfo) -> tuple[float, ...]:
    """PSNR of plane 0 of every frame of a GOP, of rounded code values as a decoder gives them."""
    view, peak = View.whole(info.height, info.width), info.pixel_format.max_value
    return tuple(
        psnr_db(mean_squared_error(frame.planes[0], render_planes(model, float(t), info, view, info)[0]), peak)
        for t, frame in enumerate(frames)
    )
