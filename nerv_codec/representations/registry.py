"""The one table of representations as a decoder knows them: GOP payloads to functions (docs/format.md, section 5).

A new representation is a room beside ``siren``, ``lossless`` and ``warped`` and a row of ``MODELS``; its fit is a row
of ``encoding.fit_gop``. Decoder, container and CLI stay as they are. Nothing of a representation is imported before it
is used: names and limits are known without torch and without a compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError

if TYPE_CHECKING:
    import torch

    from nerv_codec.representations.coordinates import GopGeometry
    from nerv_codec.representations.representation import GopSummary, Opened, Representation


@dataclass(frozen=True)
class Model:
    """A representation as a decoder knows it."""

    name: str
    """What users call it; also its section in a configuration."""
    model_id: int
    """Its number in the header of a file."""
    open: Callable[[bytes, GopGeometry, torch.device], Opened]
    """See :func:`open_gop`."""
    summarise: Callable[[bytes, GopGeometry], GopSummary]
    """See :func:`summarise_gop`."""
    is_exact: bool = False
    """Whether every sample of a source comes back, so that there is no quality to choose."""
    max_gop_pixels: int | None = None
    """Pixels of all frames of a GOP at the most; None is no limit."""


def _open_siren(payload: bytes, geometry: GopGeometry, device: torch.device) -> Opened:
    from nerv_codec.representations.siren.payload import open_siren

    return open_siren(payload, geometry, device)


def _summarise_siren(payload: bytes, geometry: GopGeometry) -> GopSummary:
    from nerv_codec.representations.siren.payload import summarise

    return summarise(payload, geometry)


def _open_lossless(payload: bytes, geometry: GopGeometry, device: torch.device) -> Opened:
    from nerv_codec.representations.lossless.payload import open_lossless

    return open_lossless(payload, geometry, device)


def _summarise_lossless(payload: bytes, geometry: GopGeometry) -> GopSummary:
    from nerv_codec.representations.lossless.parts import summarise

    return summarise(payload, geometry)


def _open_warped(payload: bytes, geometry: GopGeometry, _: torch.device) -> Opened:
    from nerv_codec.representations.warped.decode import open_warped

    return open_warped(payload, geometry)


def _summarise_warped(payload: bytes, geometry: GopGeometry) -> GopSummary:
    from nerv_codec.representations.warped.payload import summarise

    return summarise(payload, geometry)


_TABLE = (
    Model("siren", 1, _open_siren, _summarise_siren),
    # All samples of a GOP are in memory at once.
    Model("lossless", 3, _open_lossless, _summarise_lossless, is_exact=True, max_gop_pixels=1 << 29),
    # Planes of all frames are kept.
    Model("warped", 4, _open_warped, _summarise_warped, max_gop_pixels=1 << 29),
)
MODELS = {model.name: model for model in _TABLE}
"""By name, in the order of their numbers."""
_BY_ID = {model.model_id: model for model in _TABLE}


def model_name(model_id: int) -> str:
    """The name of a representation. Raises UnsupportedVersionError for an unknown one."""
    return _model(model_id).name


def check_gop(model_id: int, geometry: GopGeometry) -> None:
    """Raises BitstreamError for a GOP too large for its representation, UnsupportedVersionError for an unknown one."""
    limit = _model(model_id).max_gop_pixels
    pixels = geometry.num_frames * geometry.height * geometry.width
    if limit is not None and pixels > limit:
        found = f"{pixels}: {geometry.num_frames} frames of {geometry.width}x{geometry.height}"
        raise BitstreamError(f"expected GOPs of at most {limit} pixels, found {found}")


def open_gop(model_id: int, payload: bytes, geometry: GopGeometry, device: torch.device | None = None) -> Opened:
    """The function that a GOP payload describes; frames are decoded when they are asked for.

    Args:
        model_id: The representation.
        payload: What the GOP's section holds.
        geometry: The GOP's box.
        device: Where the function is to be evaluated; None is the CPU.

    Raises:
        BitstreamError: The payload is damaged, where that is seen at once. UnsupportedVersionError: The
            representation is unknown.
    """
    import torch

    check_gop(model_id, geometry)
    return _model(model_id).open(payload, geometry, device or torch.device("cpu"))


def unpack_gop(
    model_id: int, payload: bytes, geometry: GopGeometry, device: torch.device | None = None
) -> tuple[Representation, int, dict[str, int]]:
    """The same, decoded whole: the function, the digest (CRC-32) of its integers, and the payload's bytes by part.

    Arguments and errors as for :func:`open_gop`; no damage is left unseen.
    """
    found = open_gop(model_id, payload, geometry, device)
    found.rest()
    return found.function, found.digest, found.part_bytes


def summarise_gop(model_id: int, payload: bytes, geometry: GopGeometry) -> GopSummary:
    """What a GOP payload says without being decoded; neither torch nor a compiler is needed.

    Arguments and errors as for :func:`unpack_gop`; damage behind the sizes is found by the section's checksum alone.
    """
    check_gop(model_id, geometry)
    return _model(model_id).summarise(payload, geometry)


def _model(model_id: int) -> Model:
    if model_id not in _BY_ID:
        known = ", ".join(f"{model.model_id} {model.name}" for model in _TABLE)
        raise UnsupportedVersionError(f"unknown representation {model_id}; known: {known}")
    return _BY_ID[model_id]
