"""The registry of representations: GOP payload bytes to a function, and back (docs/format.md, section 5).

A new representation adds a room beside ``siren`` and ``tracked``, and functions here; encoder, decoder, container and
CLI stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nerv_codec.base.errors import BitstreamError, UnsupportedVersionError
from nerv_codec.encoding.config import EncoderConfig
from nerv_codec.representations.coordinates import GopGeometry
from nerv_codec.representations.representation import GopSummary, Representation
from nerv_codec.representations.siren.payload import summarise as summarise_siren
from nerv_codec.representations.siren.payload import unpack_siren
from nerv_codec.representations.tracked.networks import read_shared
from nerv_codec.representations.tracked.parts import share_networks
from nerv_codec.representations.tracked.parts import summarise as summarise_tracked

if TYPE_CHECKING:
    import torch

MODEL_IDS = {"siren": 1, "tracked": 2}
MODEL_NAMES = {number: name for name, number in MODEL_IDS.items()}
MAX_TRACKED_PIXELS = 1 << 29
"""Pixels of all frames of a GOP at the most: a `tracked` decoder allocates in proportion before it reads a latent."""


def check_gop(model_id: int, geometry: GopGeometry) -> None:
    """Raises BitstreamError for a GOP too large for its representation, UnsupportedVersionError for an unknown one."""
    if model_id not in MODEL_NAMES:
        raise UnsupportedVersionError(f"unknown representation {model_id}; known: {MODEL_NAMES}")
    pixels = geometry.num_frames * geometry.height * geometry.width
    if model_id == MODEL_IDS["tracked"] and pixels > MAX_TRACKED_PIXELS:
        found = f"{pixels}: {geometry.num_frames} frames of {geometry.width}x{geometry.height}"
        raise BitstreamError(f"expected GOPs of at most {MAX_TRACKED_PIXELS} pixels, found {found}")


def unpack_gop(
    model_id: int,
    payload: bytes,
    geometry: GopGeometry,
    shared: bytes = b"",
    device: torch.device | None = None,
) -> tuple[Representation, int, dict[str, int]]:
    """The function that a GOP payload describes.

    Args:
        model_id: The representation.
        payload: What the GOP's section holds.
        geometry: The GOP's box.
        shared: What the header keeps for all GOPs.
        device: Where it is to be evaluated; None is the CPU.

    Returns:
        The function, the digest (CRC-32) of its integers, and the payload's bytes by part.

    Raises:
        BitstreamError: The payload is damaged. UnsupportedVersionError: The representation is unknown.
    """
    import torch

    check_gop(model_id, geometry)
    place = device or torch.device("cpu")
    if model_id == MODEL_IDS["siren"]:
        return unpack_siren(payload, geometry, place)
    from nerv_codec.representations.tracked.payload import unpack_tracked  # brings numba, which others do not wait for

    return unpack_tracked(payload, geometry, read_shared(shared, geometry.num_planes), place)


def summarise_gop(model_id: int, payload: bytes, geometry: GopGeometry, shared: bytes = b"") -> GopSummary:
    """What a GOP payload says without being decoded; neither torch nor a compiler is needed.

    Arguments and errors as for :func:`unpack_gop`; damage behind the sizes is found by the section's checksum alone.
    """
    check_gop(model_id, geometry)
    if model_id == MODEL_IDS["siren"]:
        return summarise_siren(payload, geometry)
    return summarise_tracked(payload, geometry, read_shared(shared, geometry.num_planes))


def shares(config: EncoderConfig) -> bool:
    """Whether later GOPs depend on what the first one puts into the header."""
    return config.model == "tracked" and config.tracked.share


def share(payload: bytes, geometry: GopGeometry) -> tuple[bytes, bytes]:
    """What of a file's first GOP is kept in the header for all of them, and the payload that goes with it.

    Only representations whose GOPs share something have any: see :func:`shares`.
    """
    return share_networks(payload, geometry)
