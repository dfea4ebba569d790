"""How long a payload will be, by the integer tables of its coders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nerv_codec.entropy.context_model import EntropyModel
from nerv_codec.entropy.latents import estimate_bits
from nerv_codec.entropy.weights import QuantizedTensor
from nerv_codec.representations.tracked.grid_tables import latent_table, motion_maps, motion_table
from nerv_codec.representations.tracked.networks import network_bits
from nerv_codec.representations.tracked.references import reference_maps
from nerv_codec.representations.tracked.shape import TrackedShape

_HEADER_BITS = 8 * 11
"""Sizes, predictor and lengths at the beginning of a payload."""
_DIGEST_BITS = 32
"""The digest of coded latents, or of coded motion."""
_LAST_WORD_BITS = 24
"""About as much of what a range coder writes last says nothing."""


def estimate_payload_bits(
    shape: TrackedShape,
    latents: npt.NDArray[np.int32],
    motion: npt.NDArray[np.int32],
    network: Sequence[QuantizedTensor],
    latent_model: Sequence[QuantizedTensor],
    motion_model: Sequence[QuantizedTensor],
) -> float:
    """Bits of the payload that :func:`payload.pack_tracked` would make of the same arguments, about."""
    bits = network_bits([*network, *latent_model, *motion_model]) + _LAST_WORD_BITS + _HEADER_BITS
    coded = [(latents.ravel(), latent_table(shape), reference_maps(shape, motion), latent_model)]
    if len(shape.tree.nodes) > 1:
        coded.append((motion, motion_table(shape), motion_maps(shape), motion_model))
    for symbols, table, maps, tensors in coded:
        bits += float(estimate_bits(symbols, table, maps, EntropyModel.from_tensors(tensors)).sum())
        bits += _DIGEST_BITS + _LAST_WORD_BITS * bool(symbols.any())
    return bits
